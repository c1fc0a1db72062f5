"""YAML's scalars, as a recipe needs them."""

import pytest

from repro.errors import RecipeError
from repro.recipe.reading import leaves, parse, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4),
        ("1.5e-5", 1.5e-5),
        ("1_000", 1000),
        ("250_000_000_000", 250_000_000_000),
        ("1e3", 1000),
        ("2.5e9", 2_500_000_000),
        ("1.0", 1.0),
        (".5", 0.5),
        ("-3", -3),
        ("true", True),
        ("null", None),
        ("", None),
    ],
)
def test_a_number_is_a_number_however_it_is_written(text, value):
    read = parse(text, "here")
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("text", ["on", "off", "yes", "no", "16:30", "0x10", "2024-01-01", ".inf", ".nan", "<<"])
def test_what_yaml_1_1_would_take_for_something_else_stays_a_word(text):
    assert parse(text, "here") == text


@pytest.mark.parametrize("text", ["1e999999999", "1" * 5000, "-1e400"])
def test_a_number_beyond_reason_is_no_whole_number(text):
    assert isinstance(parse(text, "here"), float)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "key 'a' stands twice at line 2"),
        ("? [a]\n: 1", "found unhashable key at line 1"),
        ("a: [1", "'a: [1' is no value"),
        ("{a: 1, a: 2}", "'{a: 1, a: 2}' is no value"),
    ],
)
def test_what_is_not_yaml_is_refused_with_its_line(text, message):
    with pytest.raises(RecipeError) as refused:
        parse(text, "recipes/dense/1b.yaml")
    assert str(refused.value) == f"recipes/dense/1b.yaml: {message}"


@pytest.mark.parametrize(
    "text", ["a: [1\nb: 2\n", "a: 1\nb: c: d\n", "a: *nowhere\nb: 1\n", "a: !!python/name:os.system\n"]
)
def test_a_syntax_error_is_one_line_with_its_line(text):
    """Its words are libyaml's or PyYAML's own."""
    with pytest.raises(RecipeError, match=r"^recipes/dense/1b.yaml: [^\n]+ at line [12]$"):
        parse(text, "recipes/dense/1b.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a\n- b\n", "holds list; expected keys with values"),
        (b"", "holds NoneType; expected keys with values"),
        (b"a: \xff", "is not text in UTF-8"),
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_a_file_that_holds_no_keys_is_refused(tmp_path, content, message):
    path = tmp_path / "odd.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError) as refused:
        read(path)
    assert str(refused.value) == f"{path}: {message}"


def test_leaves_are_dotted_and_an_empty_section_is_not_lost():
    assert dict(leaves({"a": {"b": {"c": 1}, "d": [2]}, "e": {}})) == {"a.b.c": 1, "a.d": [2], "e": {}}


def test_a_mapping_is_whole_where_it_is_asked_for():
    assert dict(leaves({"a": {"b": {"c": 1}, "d": {"e": 2}}}, {"a.b"})) == {"a.b": {"c": 1}, "a.d.e": 2}
