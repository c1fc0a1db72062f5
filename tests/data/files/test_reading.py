"""The documents of a file of any format: what is read, and what cannot be used and where it stands."""

import bz2
import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from repro.data.files import reading
from repro.data.files.reading import Unusable, documents
from repro.errors import DataError
from tests.data.written import zipped, zstd

PACKED = {"": bytes, ".gz": gzip.compress, ".zst": zstd, ".zstd": zstd, ".bz2": bz2.compress}
ROWS = b'{"text": "one", "id": 1}\n{"id": 2, "text": "tv\xc3\xa5\\n\\u65e5"}\n'
TEXTS = [("line 1", "one"), ("line 2", "två\n日")]


@pytest.fixture
def found(tmp_path):
    """Writes a file and reads it: where each document stands, and its text."""

    def found(name, raw, text_key="text"):
        (tmp_path / name).write_bytes(raw)
        return [(each.at, each.text) for each in documents(tmp_path / name, name, text_key)]

    return found


@pytest.fixture
def refusal(found):
    """The one line in which a file is refused."""

    def refusal(name, raw, text_key="text"):
        with pytest.raises(DataError) as caught:
            found(name, raw, text_key)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return refusal


def parquet(*texts, kind=None, name="text", **options):
    sink = io.BytesIO()
    table = pa.table({"id": range(len(texts)), name: pa.array(texts, kind or pa.string())})
    pq.write_table(table, sink, **options)
    return sink.getvalue()


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".json", ".JSONL"])
def test_json_lines_are_read_however_they_are_packed(found, suffix, packed):
    assert found(f"a{suffix}{packed}", PACKED[packed](ROWS)) == TEXTS


@pytest.mark.parametrize("packed", PACKED)
def test_text_is_read_however_it_is_packed(found, packed):
    assert found(f"a.txt{packed}", PACKED[packed]("två\nrader".encode())) == [("byte 0", "två\nrader")]


@pytest.mark.parametrize("packed", [suffix for suffix in PACKED if suffix])
def test_a_file_of_several_compressed_parts_is_read_to_its_end(found, packed):
    pack = PACKED[packed]
    raw = b"".join(pack(part) for part in (ROWS[:30], ROWS[30:], ROWS))
    assert found(f"a.jsonl{packed}", raw) == [*TEXTS, ("line 3", TEXTS[0][1]), ("line 4", TEXTS[1][1])]


@pytest.mark.parametrize("name", ["a", "a.md", "a.py", "a.csv", "a.json.old"])
def test_what_has_no_format_of_its_own_is_text(found, name):
    assert found(name, ROWS) == [("byte 0", ROWS.decode())]


@pytest.mark.parametrize(
    "change", [bytes.strip, lambda raw: raw.replace(b"\n", b"\r\n"), lambda raw: b"\xef\xbb\xbf" + raw]
)
def test_ends_of_lines_and_a_byte_order_mark_are_no_part_of_a_line(found, change):
    assert found("a.jsonl", change(ROWS)) == TEXTS


def test_blank_lines_are_no_documents_but_count_as_lines(found):
    assert found("a.jsonl", b"\n \t\n" + ROWS.replace(b"\n", b"\n\r\n")) == [("line 3", "one"), ("line 5", TEXTS[1][1])]


def test_other_fields_may_be_of_any_type_on_each_line(found):
    """As RedPajama's ``meta`` is, at which a reader that guesses one type for each field fails."""
    metas = [{"url": "x"}, {"url": None, "n": [1, {"a": 2}]}, "words", 3, None, [], 1e999, 10**400]
    raw = "".join(json.dumps({"meta": meta, "text": str(n)}) + "\n" for n, meta in enumerate(metas))
    assert [text for _, text in found("a.jsonl", raw.encode())] == [str(n) for n in range(len(metas))]


def test_the_field_of_the_text_is_the_one_that_is_named(found):
    assert found("a.jsonl", b'{"text": 1, "body": "b"}', "body") == [("line 1", "b")]
    assert found("a.parquet", parquet("b", name="body"), "body") == [("row 0", "b")]


def test_pairs_of_surrogates_are_letters(found):
    assert found("a.jsonl", rb'{"text": "\ud83d\ude00"}') == [("line 1", "😀")]


def test_half_a_surrogate_pair_spoils_the_text_but_not_another_field(found):
    half, beside = found("a.jsonl", rb'{"text": "ab\ud83d"}' + b"\n" + rb'{"text": "ok", "title": "\udc00"}')
    assert half == ("line 1", Unusable("not UTF-8", "half a surrogate pair at character 2"))
    assert beside == ("line 2", "ok")


NAME_IT = "name it with text_key="
EXPECTED = "expected an object with 'text' on each line"


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        (b'{"id": 1, "body": "b"}', "no field 'text'", f"there is id, body; {NAME_IT}"),
        (b"{}", "no field 'text'", f"there is none; {NAME_IT}"),
        (b'["text"]', "no field 'text'", f"there is no object; {NAME_IT}"),
        (b'"text"', "no field 'text'", f"there is no object; {NAME_IT}"),
        (b'{"text": null}', "no field 'text'", "it is null"),
        (b'{"text": ["a"]}', "field 'text' is no text", "['a']"),
        (b'{"text": 12}', "field 'text' is no text", "12"),
        (b'{"text": ""}', "empty", ""),
        (b'{"text": "a', "not JSON", f"Unterminated string starting at: line 1 column 10 (char 9); {EXPECTED}"),
        (b'{"text": "a"} {', "not JSON", f"Extra data: line 1 column 15 (char 14); {EXPECTED}"),
        (b"plain words", "not JSON", f"Expecting value: line 1 column 1 (char 0); {EXPECTED}"),
        (b'{"text": "a\xe9b"}', "not UTF-8", "byte 0xe9 at 11"),
        (b'{"\xff": 1, "text": "a"}', "not UTF-8", "byte 0xff at 2"),
    ],
)
def test_a_line_that_cannot_be_used_says_why_and_the_next_is_read(found, line, reason, detail):
    bad, good = found("a.jsonl", line + b"\n" + ROWS.splitlines()[0])
    assert bad == ("line 1", Unusable(reason, detail))
    assert good == ("line 2", "one")


def test_a_line_that_is_nested_too_deep_is_not_json(found):
    ((at, bad),) = found("a.jsonl", b"[" * 100_000)
    assert (at, bad.reason) == ("line 1", "not JSON")


def test_many_or_long_names_of_fields_are_told_shortly(found):
    ((_, bad),) = found("a.jsonl", json.dumps({f"field {n}" * 9: n for n in range(99)}).encode())
    assert len(bad.detail) < 250


def test_why_a_document_cannot_be_used_is_told_in_one_line():
    assert str(Unusable("empty")) == "empty"
    assert str(Unusable("not UTF-8", "byte 0xff at 2")) == "not UTF-8: byte 0xff at 2"


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_longer_than_can_be_held_is_passed_over(found, monkeypatch, end):
    monkeypatch.setattr(reading, "LARGEST", 2**20)
    monkeypatch.setattr(reading, "_READ", 1000)  # several reads to a line
    longest = b'{"text": "' + b"x" * (2**20 - 13) + b'"}\n'
    assert len(longest) == 2**20
    lines = [longest, b"x" + longest, b"x" * 5 * 2**20 + b"\n", ROWS.splitlines()[0] + b"\n", b"y" * 2**21 + end]
    enormous = Unusable("enormous", "expected at most 1 MiB")
    (_, first), *others = found("a.jsonl", b"".join(lines))
    assert len(first) == 2**20 - 13
    assert others == [("line 2", enormous), ("line 3", enormous), ("line 4", "one"), ("line 5", enormous)]


def test_text_is_cut_at_the_ends_of_lines_after_64_kib(found):
    text = "".join(f"{number} en rad på svenska\r\n" for number in range(20_000)) + "slut"
    parts = found("a.txt", text.encode())
    assert "".join(part for _, part in parts) == text
    sizes = [len(part.encode()) for _, part in parts]
    assert all(64 * 2**10 <= size < 64 * 2**10 + 40 for size in sizes[:-1])
    assert all(part.endswith("\r\n") for _, part in parts[:-1])
    assert [at for at, _ in parts] == [f"byte {sum(sizes[:number])}" for number in range(len(sizes))]


def test_a_long_line_of_text_is_cut_after_a_word(found):
    text = "smörgås " * 2**15
    parts = found("a.txt", text.encode())
    assert "".join(part for _, part in parts) == text
    assert len(parts) > 1
    assert all(part.endswith("smörgås ") and len(part.encode()) <= 2 * reading.PART for _, part in parts)


@pytest.mark.parametrize("letter", ["x", "å", "語", "🎉"])
def test_a_line_of_text_without_spaces_is_cut_between_letters(found, letter):
    text = letter * (3 * reading.PART)
    parts = found("a.txt", b"." + text.encode())
    assert "".join(part for _, part in parts) == "." + text
    assert parts[0][0] == "byte 0"
    assert all(len(part.encode()) <= 2 * reading.PART + 3 for _, part in parts), "and what is left of a letter"


def test_a_byte_order_mark_is_no_part_of_a_text(found):
    assert found("a.txt", b"\xef\xbb\xbfa\xef\xbb\xbf") == [("byte 0", "a\ufeff")]


@pytest.mark.parametrize(("raw", "detail"), [(b"na\xefve", "byte 0xef at 2"), (b"\xff\xfea", "byte 0xff at 0")])
def test_text_in_another_encoding_is_told_by_its_byte_and_the_next_part_is_read(found, raw, detail):
    line = b"x" * 2**16 + b"\n"
    assert found("a.txt", line + raw + line + b"after") == [
        ("byte 0", line.decode()),
        (f"byte {len(line)}", Unusable("not UTF-8", detail)),
        (f"byte {2 * len(line) + len(raw)}", "after"),
    ]


def test_a_letter_that_ends_early_is_not_utf_8(found):
    assert found("a.txt", "hejå".encode()[:-1]) == [("byte 0", Unusable("not UTF-8", "byte 0xc3 at 3"))]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_parquet_is_read_by_rows(found, kind):
    texts = [f"rad {number} på svenska" for number in range(300)]
    raw = parquet(*texts, kind=kind, row_group_size=70, compression="zstd")
    assert found("a.parquet", raw) == [(f"row {number}", text) for number, text in enumerate(texts)]


def test_a_parquet_file_without_rows_has_no_documents(found):
    assert found("a.parquet", parquet()) == []


def test_a_cell_that_cannot_be_used_says_why_and_the_next_is_read(found, monkeypatch):
    monkeypatch.setattr(reading, "LARGEST", 2**20)
    cells = pa.array([None, b"", b"a\xe9", b"x" * (2**20 + 1), b"y" * 2**20], pa.binary())
    as_text = pa.Array.from_buffers(pa.string(), len(cells), cells.buffers(), cells.null_count)  # which nothing checks
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": as_text}), sink)
    *bad, (_, last) = found("a.parquet", sink.getvalue())
    assert [why for _, why in bad] == [
        Unusable("no field 'text'", "the cell is empty"),
        Unusable("empty"),
        Unusable("not UTF-8", "byte 0xe9 at 1"),
        Unusable("enormous", "expected at most 1 MiB"),
    ]
    assert last == "y" * 2**20


def test_a_parquet_file_without_the_column_names_those_it_has(refusal):
    said = refusal("a.parquet", parquet("a", name="body"))
    assert said.endswith(
        "a.parquet has no column 'text': expected one of text; it has id, body; name it with text_key="
    )


def test_a_column_of_numbers_is_refused(refusal):
    said = refusal("a.parquet", parquet("a"), text_key="id")
    assert said.endswith("a.parquet: column 'id' is of type int64, expected text")


def test_the_members_of_an_archive_are_read_by_name_each_by_its_own_format(found):
    members = {
        "b/two.jsonl": ROWS,
        "a.txt": b"hej\n",
        "b/one.jsonl.gz": gzip.compress(ROWS),
        "b/": b"",
        "c.txt": b"",
        ".hidden": b"x",
        "b/.hidden.jsonl": ROWS,
        "d.md.zst": zstd(b"# D"),
    }
    assert found("a.zip", zipped(members)) == [
        ("a.txt, byte 0", "hej\n"),
        *((f"b/one.jsonl.gz, {at}", text) for at, text in TEXTS),
        *((f"b/two.jsonl, {at}", text) for at, text in TEXTS),
        ("d.md.zst, byte 0", "# D"),
    ]


def test_a_member_that_is_not_text_is_no_document(found):
    members = {"a.png": b"\x89PNG\0\0", "b.parquet": parquet("b"), "c.txt": b"c", "d": b"\0"}
    assert found("a.zip", zipped(members)) == [
        ("a.png, its beginning", Unusable("not text (.png)")),
        ("b.parquet, its beginning", Unusable("not text (.parquet)")),
        ("c.txt, byte 0", "c"),
        ("d, its beginning", Unusable("not text (no suffix)")),
    ]


def test_a_bad_line_in_an_archive_is_told_with_its_member(found):
    assert found("a.zip", zipped({"b/c.jsonl": b"\n\xff"})) == [
        ("b/c.jsonl, line 2", Unusable("not UTF-8", "byte 0xff at 0"))
    ]
