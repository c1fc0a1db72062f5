"""The files that keep what a study measured: a row a run, with a digest that shows an edit, and their curves beside."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from repro import paths
from repro.claims.evidence import cells
from repro.claims.evidence.cells import Cells
from repro.claims.evidence.rows import Curve, Named, Results, Row
from repro.errors import RunError
from repro.paths import write_whole

DIGEST = "digest"
COLUMNS = (*cells.ROW, DIGEST)
TOTAL, NAMED = COLUMNS[:2]  # of the last line: how many runs there are, and what was named before they ran
CURVES = "curves"  # the end of the name of the file beside, so no form is called so


def place(study: str, form: str, folder: Path) -> Path:
    """The file of a form's results in a folder."""
    return folder / f"{study}-{form}.csv"


def curves_beside(path: Path) -> Path:
    """The file of curves that belongs to one of results."""
    return path.with_name(f"{path.stem}-{CURVES}.csv")


def folders() -> tuple[Path, ...]:
    """Where results are looked for: those of the current folder, then those that come with the kit."""
    return paths.runs() / "studies", paths.data() / "measured" / "studies"


def find(study: str, form: str) -> Results | None:
    """The results of one form.

    Those of the current folder, unless the kit's have more main runs: what has just begun hides nothing that is whole.

    Raises:
        RunError: a file is damaged.
    """
    found = [read(file) for folder in folders() if (file := place(study, form, folder)).is_file()]
    if not found:
        return None
    most = max(found, key=_mains)
    return replace(most, passed_over=_passed_over(most, found[0]))


def _mains(results: Results) -> int:
    return sum(row.role == "main" for row in results.rows)


def _passed_over(taken: Results, first: Results) -> str:
    if taken is first:
        return ""
    return f"{first.place} was passed over: of measured runs it has {_mains(first)}, and {taken.place} {_mains(taken)}"


def forms(study: str) -> tuple[str, ...]:
    """Those of a study that have results."""
    rest = (file.stem.removeprefix(f"{study}-") for folder in folders() for file in folder.glob(f"{study}-*.csv"))
    return tuple(sorted({form for form in rest if "-" not in form}))


def write(results: Results, path: Path) -> None:
    """Write rows and curves, each file whole; the last line says how many runs there are, and what was named before.

    Raises:
        RunError: they are from a file that was edited, and would go into this one as if they had been measured.
    """
    if results.edited:
        raise RunError(
            f"{results.place or path}: {results.edited[0]}; nothing is added to numbers that were not measured: put "
            "back what was written, or take the file away"
        )
    points = (point for curve in results.curves for point in cells.of_curve(curve))
    write_whole(curves_beside(path), _csv((*cells.WHO, *cells.POINT), points))
    rows = [cells.of_row(row) | {DIGEST: cells.digest(row)} for row in results.rows]
    write_whole(path, _csv(COLUMNS, [*rows, _total([row[DIGEST] for row in rows], _told(results.planned))]))


def read(path: Path) -> Results:
    """What was written, and what of it somebody has edited since.

    Raises:
        RunError: the file cannot be read, lacks a column, or has a cell that holds no value of its column.
    """
    header, lines = _lines(path)
    total = lines.pop() if lines and lines[-1][TOTAL].startswith("#") else {}
    rows = [_row(path, number, line) for number, line in enumerate(lines, start=2)]
    edited = [
        _not_as_written(row, "row") for row, line in zip(rows, lines, strict=True) if line[DIGEST] != cells.digest(row)
    ]
    edited += _of_the_whole(header, [line[DIGEST] for line in lines], total)
    curves, lost = _curves(curves_beside(path), rows)
    return Results(tuple(rows), curves, tuple(edited + lost), str(path), _named(total.get(NAMED, "")))


def _of_the_whole(header: Sequence[str], digests: Sequence[str], total: Mapping[str, str]) -> list[str]:
    """What no row shows by itself: columns moved, rows gone, repeated or moved."""
    found = []
    if tuple(header) != COLUMNS:
        found.append("its columns are not those that were written, or in another order")
    expected = _total(digests, total.get(NAMED, ""))
    if not total:
        found.append("its last line, which says how many runs there are, is gone")
    elif total[TOTAL] != expected[TOTAL]:
        found.append(f"it holds {len(digests)} runs, and its last line says {total[TOTAL].strip('# ')}")
    elif total[DIGEST] != expected[DIGEST]:
        found.append("its runs, or what was named before them, are not those that were written, or in another order")
    return found


def _curves(path: Path, rows: Sequence[Row]) -> tuple[tuple[Curve, ...], list[str]]:
    """The curves of the rows that say they have one, and what is wrong with them."""
    with_one = [row for row in rows if row.curve]
    if not with_one:
        return (), []
    if not path.is_file():
        return (), [f"{path.name}, with its curves, is not beside it"]
    points: dict[tuple[str, ...], list[Cells]] = {}
    for line in _lines(path)[1]:
        points.setdefault(tuple(line.get(name, "") for name in cells.WHO), []).append(line)
    curves = [_curve(path, row, points.get(_key(row), [])) for row in with_one]
    pairs = zip(with_one, curves, strict=True)
    return tuple(curves), [
        _not_as_written(row, "curve") for row, curve in pairs if cells.curve_digest(curve) != row.curve
    ]


def _curve(path: Path, row: Row, points: Sequence[Cells]) -> Curve:
    try:
        return cells.to_curve(row, points)
    except (KeyError, ValueError) as error:
        raise _damaged(path, error) from None


def _key(row: Row) -> tuple[str, ...]:
    written = cells.of_row(row)
    return tuple(written[name] for name in cells.WHO)


def _row(path: Path, number: int, line: Cells) -> Row:
    try:
        return cells.to_row(line)
    except (KeyError, ValueError) as error:
        raise _damaged(path, error, f" in line {number}") from None


def _not_as_written(row: Row, what: str) -> str:
    return f"the {what} of {row.arm} at {row.rung}, seed {row.seed}, learning rate {row.lr:g}, is not what was written"


def _total(digests: Sequence[str], named: str) -> Cells:
    """The last line."""
    empty = dict.fromkeys(COLUMNS, "")
    whole = cells.digest_of([*digests, named] if named else list(digests))
    return empty | {TOTAL: f"# {len(digests)} runs", NAMED: named, DIGEST: whole}


def _told(named: Named | None) -> str:
    return json.dumps(asdict(named)) if named else ""


def _named(text: str) -> Named | None:
    """None where nothing was kept, or what was is no longer it, which the digest tells."""
    try:
        kept = json.loads(text)
        return Named(kept["primary"], dict(kept["pairs"]), dict(kept["setups"]))
    except (ValueError, LookupError, TypeError):
        return None


def _csv(columns: Sequence[str], lines: Iterable[Mapping[str, str]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue()


def _lines(path: Path) -> tuple[Sequence[str], list[Cells]]:
    """The names of the columns, and all else."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restkey="", restval="")
            return reader.fieldnames or (), list(_whole(path, reader))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _damaged(path, error) from None


def _whole(path: Path, reader: "csv.DictReader[str]") -> Iterator[Cells]:
    """Lines, each with a cell a column."""
    needed = {DIGEST, COLUMNS[0]} if not path.stem.endswith(f"-{CURVES}") else set(cells.WHO)
    if missing := sorted(needed - set(reader.fieldnames or ())):
        raise _damaged(path, ValueError(f"it has no column {missing[0]}"))
    yield from reader


def _damaged(path: Path, error: Exception, where: str = "") -> RunError:
    found = f"it has no column {error.args[0]}" if isinstance(error, KeyError) else " ".join(str(error).split())
    return RunError(f"{path} is damaged{where}: {found}; expected results as `repro study` writes them")
