"""Results are read back to the bit, and what was edited by hand shows."""

import csv
import dataclasses
import math

import pytest

from repro.claims.evidence import store
from repro.claims.evidence.naming import named
from repro.errors import RunError
from tests.claims import made


@pytest.fixture
def results():
    """With a curve that is empty, a number that a CSV could round, and text that it could break."""
    rows = [
        made.row(seed=0, validation_loss=0.1 + 0.2, overrides='data.sets=["a,b"] x=1\n2'),
        made.row(seed=1, largest_magnitude=math.inf, top1=1 / 3, tokens=2**60),
        made.diverged(made.row(seed=2, arm="swiglu")),
    ]
    return made.gather(rows, planned=named(made.study(secondary=("polynorm ~ swiglu",)), seeds=9))


@pytest.fixture
def written(results, tmp_path):
    path = store.place("made", "10m", tmp_path)
    store.write(results, path)
    return path


def lines(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def rewrite(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def test_what_is_written_is_read_back_equal_to_the_bit(results, written):
    back = store.read(written)
    assert back == dataclasses.replace(results, place=str(written))
    assert dict(back.planned.pairs) == {"polynorm < swiglu": 9, "polynorm ~ swiglu within 0.005": 9}
    first = written.read_bytes()
    store.write(back, written)
    assert written.read_bytes() == first


def test_every_line_has_as_many_cells_so_that_a_table_can_show_it(written):
    assert {len(cells) for cells in lines(written)} == {len(store.COLUMNS)}
    assert lines(written)[-1][0] == "# 3 runs"


@pytest.mark.parametrize("column", ["validation_loss", "seed", "device", "diverged_at", "curve", "digest"])
def test_an_edited_cell_is_told_with_the_run_that_it_is_of(written, column):
    rows = lines(written)
    at = rows[0].index(column)
    rows[1][at] = {"validation_loss": "3.1", "seed": "7", "diverged_at": "4"}.get(column, "abcdef123456")
    rewrite(written, rows)
    told = store.read(written).edited
    assert told[0].startswith(f"the row of polynorm at 10m, seed {'7' if column == 'seed' else '0'}, learning rate ")
    assert told[0].endswith("is not what was written")


def test_a_number_spelt_otherwise_is_the_same_number(written):
    rows = lines(written)
    at = rows[0].index("memory_gb")
    rows[1][at] = "11.50"
    rewrite(written, rows)
    assert store.read(written).edited == ()


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda rows: [*rows[:1], *rows[2:]], "it holds 2 runs, and its last line says 3 runs"),
        (lambda rows: rows[:-1], "its last line, which says how many runs there are, is gone"),
        (lambda rows: [*rows[:2], *rows[1:]], "it holds 4 runs, and its last line says 3 runs"),
        (
            lambda rows: [rows[0], rows[2], rows[1], *rows[3:]],
            "its runs, or what was named before them, are not those that were written, or in another",
        ),
        (lambda rows: [row[::-1] for row in rows], "its columns are not those that were written, or in another order"),
        (lambda rows: [[*row, ""] for row in rows], "its columns are not those that were written, or in another order"),
    ],
    ids=["a row deleted", "the last line deleted", "a row twice", "rows moved", "columns moved", "a column more"],
)
def test_what_no_row_shows_by_itself_is_told_too(written, edit, told):
    rewrite(written, edit(lines(written)))
    assert any(found.startswith(told) for found in store.read(written).edited)


def test_what_was_named_before_cannot_be_edited_unseen(written):
    rows = lines(written)
    at = rows[0].index("form")
    assert '"polynorm < swiglu": 9' in rows[-1][at]
    for edit in (rows[-1][at].replace(": 9", ": 4"), "", "{", "[]", '{"primary": 1, "pairs": 2, "setups": 3}'):
        rewrite(written, [*rows[:-1], [edit if n == at else cell for n, cell in enumerate(rows[-1])]])
        (told,) = store.read(written).edited
        assert told.startswith("its runs, or what was named before them, are not those that were written")


def test_where_nothing_was_named_nothing_is_kept(results, tmp_path):
    path = store.place("made", "10m", tmp_path)
    store.write(dataclasses.replace(results, planned=None), path)
    assert (store.read(path).planned, store.read(path).edited) == (None, ())


def test_an_edited_curve_is_told(written):
    beside = store.curves_beside(written)
    rows = lines(beside)
    at = rows[0].index("validation_loss")
    rows[2][at] = "2.0"
    rewrite(beside, rows)
    assert store.read(written).edited == (
        "the curve of polynorm at 10m, seed 0, learning rate 0.005, is not what was written",
    )


def test_a_curve_that_is_gone_is_told(written):
    beside = store.curves_beside(written)
    rewrite(beside, [row for row in lines(beside) if row[2] != "1"])
    (told,) = store.read(written).edited
    assert told.startswith("the curve of polynorm at 10m, seed 1")
    beside.unlink()
    back = store.read(written)
    assert (back.curves, back.edited) == ((), (f"{beside.name}, with its curves, is not beside it",))


def test_what_was_edited_is_not_written_again_as_if_it_had_been_measured(written):
    rows = lines(written)
    rewrite(written, rows[:-2] + rows[-1:])
    with pytest.raises(RunError, match=r"made-10m.csv: it holds 2 runs.*; nothing is added to numbers that were not"):
        store.write(store.read(written), written)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (
            lambda text: text.replace("bf16", "\0", 1).replace("0.005", "low", 1),
            "in line 2: lr is 'low', and is no float",
        ),
        (lambda text: text.replace("validation_loss", "loss", 1), "in line 2: it has no column validation_loss"),
        (lambda text: text[: text.index("0.30000000000000004")], "in line 2: "),
        (lambda text: "", "it has no column digest"),
        (lambda text: text.replace("study", "Study", 1), "it has no column study"),
    ],
    ids=["no number", "a column missing", "cut short", "empty", "another first column"],
)
def test_a_damaged_file_is_an_error_in_one_line(written, damage, told):
    written.write_text(damage(written.read_text()))
    with pytest.raises(RunError, match="expected results as `repro study` writes them") as error:
        store.read(written)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def told_of(path):
    """What is wrong with a file, as an error or as an edit."""
    try:
        return store.read(path).edited
    except RunError as error:
        return str(error)


def test_wherever_a_file_is_cut_short_it_is_told_and_never_a_traceback(written):
    text = written.read_text()
    for end in range(0, len(text) - 1, 17):
        written.write_text(text[:end])
        assert told_of(written), f"cut at {end}"


def test_bytes_that_are_no_text_are_an_error_in_one_line(written):
    store.curves_beside(written).write_bytes(b"arm,rung,seed,factor\n\xff\xfe")
    with pytest.raises(RunError, match=r"curves\.csv is damaged"):
        store.read(written)


def test_results_are_found_in_the_current_folder_before_those_that_come_with_the_kit(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(store.paths, "data", lambda: tmp_path / "kit")
    own, kit = store.folders()
    assert store.find("made", "10m") is None
    assert store.forms("made") == ()
    store.write(results, store.place("made", "10m", kit))
    store.write(results, store.place("made", "smoke", own))
    store.write(results, store.place("made-too", "4m", own))
    assert store.forms("made") == ("10m", "smoke")
    assert store.find("made", "10m").place == str(kit / "made-10m.csv")
    store.write(results, store.place("made", "10m", own))
    assert store.find("made", "10m").place == "runs/studies/made-10m.csv"


def test_what_has_just_begun_here_hides_nothing_of_the_kit_that_is_whole(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(store.paths, "data", lambda: tmp_path / "kit")
    own, kit = (store.place("made", "10m", folder) for folder in store.folders())
    store.write(results, kit)
    begun = made.gather([made.row(role="bracket", seed=1000), *results.rows[:1]])
    store.write(begun, own)
    found = store.find("made", "10m")
    assert (found.place, found.rows) == (str(kit), results.rows)
    told = "runs/studies/made-10m.csv was passed over: of measured runs it has 1, and"
    assert found.passed_over == f"{told} {kit} 3"
    store.write(results, own)
    found = store.find("made", "10m")
    assert (found.place, found.passed_over) == ("runs/studies/made-10m.csv", "")
