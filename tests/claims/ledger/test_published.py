"""Published numbers are read with all that is said of them, and a damaged file is named in one line."""

import shutil

import pytest

from repro import paths
from repro.claims.ledger import published
from repro.errors import ReproError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the published numbers, which a test may damage."""
    shutil.copytree(paths.data() / "published", tmp_path / "published")
    monkeypatch.setattr(paths, "data", lambda: tmp_path)
    return tmp_path / "published"


def damage(file, old, new):
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_cell_comes_with_its_text_rounding_unit_split_and_metric():
    cell = published.cell(1, "polynorm", "sciq")
    assert (cell.table, cell.value, cell.text) == (1, 87.2, "87.20")
    assert (cell.rounding, cell.unit, cell.split) == (0.005, "percent", "test")
    assert cell.metric.startswith("accuracy")


def test_a_whole_number_is_counted_and_not_rounded():
    assert published.cell(5, "swiglu", "d_ff").rounding == 0
    assert published.cell(5, "swiglu", "parameters").rounding == 0.05


def test_a_formula_is_no_number():
    cell = published.cell(4, "relu", "formula")
    assert (cell.value, cell.rounding, cell.text) == (None, None, "max(x, 0)")
    with pytest.raises(ReproError, match="formula of relu is no number"):
        published.number(4, "relu", "formula")


def test_a_cell_that_there_is_not_is_named():
    with pytest.raises(ReproError, match=r"^data/published/table3\.csv: has no average of gelu$"):
        published.number(3, "gelu", "average")
    with pytest.raises(ReproError, match=r"^data/published/curves\.csv: Figure 3 has no ppl of swiglu$"):
        published.curve(3, "ppl", "swiglu")
    with pytest.raises(ReproError, match=r"^data/published/text\.csv: has no luck$"):
        published.stated("luck")


def test_files_are_read_once():
    assert published.table(1) is published.table(1)
    assert published.curves() is published.curves()


def test_every_panel_has_its_figure_its_unit_and_the_arms_of_its_tables():
    panels = {}
    for drawn in published.curves():
        panels.setdefault((drawn.figure, drawn.panel, drawn.unit), set()).add(drawn.activation)
    dense, experts = {"swiglu", "gelu", "relu", "polyrelu", "polynorm"}, {"swiglu", "polynorm"}
    assert panels == {
        (1, "train_loss", "nats per token"): dense,
        (1, "ppl", "not stated"): dense,
        (1, "hellaswag", "percent"): dense,
        (1, "arc_easy", "percent"): dense,
        (3, "train_loss", "nats per token"): experts,
        (3, "c4_en", "nats per token"): experts,
        (3, "dolma_wiki", "nats per token"): experts,
        (4, "olmo_hellaswag", "percent"): experts,
        (4, "olmo_mmlu_var", "percent"): experts,
        (4, "olmo_arc_challenge", "percent"): experts,
        (4, "olmo_sciq", "percent"): experts,
    }


LINE = published.Digitised(1, "ppl", "relu", "raw", (10.0, 20.0, 40.0, 40.0), (4.0, 3.0, 2.0, 9.0), "not stated")


def test_of_two_values_at_one_place_the_first_counts():
    assert LINE.first_at() == {10: 4, 20: 3, 40: 2}


def test_a_curve_is_read_between_its_points_and_not_beyond_them():
    assert LINE.between(20) == 3
    assert LINE.between(25) == pytest.approx(2.75)
    assert LINE.between(41) is None
    assert LINE.between(9) is None


def test_values_near_a_place_are_two_or_more():
    assert LINE.near(15, 5) == (4, 3)
    with pytest.raises(ReproError, match="Figure 1: relu's ppl has 1 points within 2 billion tokens of 40 billion"):
        LINE.near(40, 2)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("table1.csv", "59.68", "59,68", "line 40 is not 6 values, each with something in it"),
        ("table1.csv", "59.68", "", "line 40 is not 6 values, each with something in it"),
        ("table1.csv", "59.68", "59.6B", "line 40: '59.6B' is no number"),
        ("table1.csv", "59.68", "nan", "line 40: 'nan' is no number"),
        ("table1.csv", "59.68", "596.8", "line 40: 596.8 is no percentage of items"),
        ("table1.csv", "row,column", "column,row", "expected the header row,column,printed,unit,split,metric"),
        ("table1.csv", "polynorm,arc_easy", "polynorm,piqa", "a cell stands twice"),
        ("table1.csv", "not stated,not stated,not stated;", 'not stated,not stated,"not stated;', "is no table"),
        ("curves.csv", "1,ppl,gelu,raw,25.17", "1,ppl,relu,raw,25.17", "the points of a curve do not stand together"),
        ("curves.csv", "1,ppl,gelu,raw,25.17", "1,ppl,gelu,raw,125.17", "gelu's ppl of Figure 1 does not go forward"),
        ("curves.csv", "1,ppl,gelu,raw,25.17", "one,ppl,gelu,raw,25.17", "'one' is no number"),
        ("settings.csv", "Table 5", "", "line 2 is not 6 values"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(folder, file, old, new, message):
    damage(folder / file, old, new)
    with pytest.raises(ReproError) as error:
        published.table(1), published.curves(), published.settings("dense")
    text = str(error.value)
    assert text.startswith(f"data/published/{file}: ")
    assert message in text
    assert "\n" not in text
    assert str(folder) not in text


def test_a_file_that_is_not_there_is_named(folder):
    (folder / "table2.csv").unlink()
    with pytest.raises(ReproError, match=r"^data/published/table2\.csv: cannot be read \(No such file or directory\)$"):
        published.table(2)


def test_a_file_that_is_no_text_is_named(folder):
    (folder / "curves.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ReproError, match=r"^data/published/curves\.csv: is not text in UTF-8$"):
        published.curves()
