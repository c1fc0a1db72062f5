"""What the paper prints, and its curves as they were digitised: ``data/published``."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

from repro import paths
from repro.errors import ReproError

NOT_STATED = "not stated"
WORDS = "none"  # the unit of what is no number
PRINTED = ("row", "column", "printed", "unit", "split", "metric")
DRAWN = ("figure", "panel", "activation", "kind", "tokens_b", "value", "unit")
SET = ("family", "key", "paper", "official", "unit", "place")


@dataclass(frozen=True)
class Printed:
    """One cell of a table.

    Attributes:
        table: its number.
        row, column: an activation, and a quantity, task or set by the kit's name for it.
        value: the number; None of Table 4's names and formulas.
        text: as it is printed.
        rounding: half of its last digit; 0 of a whole number, which is counted.
        unit, split, metric: as they were really used, or ``not stated``.
    """

    table: int
    row: str
    column: str
    value: float | None
    text: str
    rounding: float | None
    unit: str
    split: str
    metric: str


@dataclass(frozen=True)
class Digitised:
    """One curve of a panel.

    Attributes:
        figure: its number.
        panel: what it shows, by the name of the tables' column.
        activation: whose curve.
        kind: ``raw``, or ``smoothed`` as the paper draws over it.
        tokens_b: billions of tokens trained.
        values: at those tokens. unit: theirs.
    """

    figure: int
    panel: str
    activation: str
    kind: str
    tokens_b: tuple[float, ...]
    values: tuple[float, ...]
    unit: str

    def first_at(self) -> dict[float, float]:
        """Values by tokens, the first where two are drawn at one place, as in the tables."""
        found: dict[float, float] = {}
        for tokens, value in zip(self.tokens_b, self.values, strict=True):
            found.setdefault(tokens, value)
        return found

    def near(self, tokens_b: float, within: float) -> tuple[float, ...]:
        """Values within so many billions of tokens of a place.

        Raises:
            ReproError: there are fewer than two, of which no noise can be told.
        """
        found = tuple(value for at, value in self.first_at().items() if abs(at - tokens_b) <= within)
        if len(found) < 2:
            raise ReproError(
                f"Figure {self.figure}: {self.activation}'s {self.panel} has {len(found)} points within "
                f"{within:g} billion tokens of {tokens_b:g} billion"
            )
        return found

    def between(self, tokens_b: float) -> float | None:
        """The value at a place, on a straight line between its neighbours; None beyond the curve's ends."""
        points = self.first_at()
        if tokens_b in points:
            return points[tokens_b]
        before = max((at for at in points if at < tokens_b), default=None)
        after = min((at for at in points if at > tokens_b), default=None)
        if before is None or after is None:
            return None
        share = (tokens_b - before) / (after - before)
        return (1 - share) * points[before] + share * points[after]


@dataclass(frozen=True)
class Setting:
    """One value of the configurations, under the recipes' key for it.

    Attributes:
        family: of recipes.
        key: dotted.
        paper, official: what the paper states and what the official code sets, as a recipe would write it; the paper's
            may be ``not stated``.
        unit, place: of the value.
    """

    family: str
    key: str
    paper: str
    official: str
    unit: str
    place: str


def table(number: int) -> tuple[Printed, ...]:
    """The cells of Table 1 to 6, in its order.

    Raises:
        ReproError: the file is damaged.
    """
    return _table(_folder() / f"table{number}.csv", number)


def cell(number: int, row: str, column: str) -> Printed:
    """One cell.

    Raises:
        ReproError: the table has none there, or the file is damaged.
    """
    for found in table(number):
        if (found.row, found.column) == (row, column):
            return found
    raise ReproError(f"{_place(_folder() / f'table{number}.csv')}: has no {column} of {row}")


def stated(column: str) -> float:
    """A number of the text, by its name in ``text.csv``.

    Raises:
        ReproError: there is none, or the file is damaged.
    """
    path = _folder() / "text.csv"
    for found in _table(path, 0):
        if found.column == column and found.value is not None:
            return found.value
    raise ReproError(f"{_place(path)}: has no {column}")


def number(table: int, row: str, column: str) -> float:
    """The number of a cell.

    Raises:
        ReproError: it has none, or the file is damaged.
    """
    value = cell(table, row, column).value
    if value is None:
        raise ReproError(f"{_place(_folder() / f'table{table}.csv')}: {column} of {row} is no number")
    return value


def curves() -> tuple[Digitised, ...]:
    """Every digitised curve.

    Raises:
        ReproError: the file is damaged.
    """
    return _curves(_folder() / "curves.csv")


def curve(figure: int, panel: str, activation: str) -> Digitised:
    """The unsmoothed curve of an activation in a panel.

    Raises:
        ReproError: there is none, or the file is damaged.
    """
    for found in curves():
        if (found.figure, found.panel, found.activation, found.kind) == (figure, panel, activation, "raw"):
            return found
    raise ReproError(f"{_place(_folder() / 'curves.csv')}: Figure {figure} has no {panel} of {activation}")


def settings(family: str) -> tuple[Setting, ...]:
    """What the paper and the official code set for a family of recipes.

    Raises:
        ReproError: the file is damaged.
    """
    return tuple(each for each in _settings(_folder() / "settings.csv") if each.family == family)


def _folder() -> Path:
    return paths.data() / "published"


@cache
def _table(path: Path, number: int) -> tuple[Printed, ...]:
    cells = tuple(_printed(number, line, place) for line, place in _lines(path, PRINTED))
    if len({(cell.row, cell.column) for cell in cells}) < len(cells):
        raise ReproError(f"{_place(path)}: a cell stands twice")
    return cells


def _printed(table: int, line: dict[str, str], place: str) -> Printed:
    text, words = line["printed"], line["unit"] == WORDS
    value = None if words else _number(text, place)
    rounding = None if words else _rounding(text)
    if line["unit"] == "percent" and not 0 < (value or 0) < 100:
        raise ReproError(f"{place}: {text} is no percentage of items")
    named = {name: line[name] for name in ("row", "column", "unit", "split", "metric")}
    return Printed(table=table, value=value, text=text, rounding=rounding, **named)


def _rounding(text: str) -> float:
    """Half of the last digit after the point."""
    return 0.5 * 10.0 ** -len(text.partition(".")[2]) if "." in text else 0.0


@cache
def _curves(path: Path) -> tuple[Digitised, ...]:
    points = [(_curve_of(line, place), _point(line, place)) for line, place in _lines(path, DRAWN)]
    found = {key: [point for _, point in group] for key, group in groupby(points, key=lambda each: each[0])}
    if sum(map(len, found.values())) < len(points):
        raise ReproError(f"{_place(path)}: the points of a curve do not stand together")
    return tuple(_digitised(path, key, drawn) for key, drawn in found.items())


def _digitised(path: Path, key: tuple[int, str, str, str, str], drawn: list[tuple[float, float]]) -> Digitised:
    figure, panel, activation, kind, unit = key
    tokens_b, values = tuple(at for at, _ in drawn), tuple(value for _, value in drawn)
    if tokens_b != tuple(sorted(tokens_b)) or tokens_b[0] <= 0:
        raise ReproError(f"{_place(path)}: {activation}'s {panel} of Figure {figure} does not go forward in tokens")
    return Digitised(figure, panel, activation, kind, tokens_b, values, unit)


def _curve_of(line: dict[str, str], place: str) -> tuple[int, str, str, str, str]:
    figure = round(_number(line["figure"], place))
    return figure, line["panel"], line["activation"], line["kind"], line["unit"]


def _point(line: dict[str, str], place: str) -> tuple[float, float]:
    return _number(line["tokens_b"], place), _number(line["value"], place)


@cache
def _settings(path: Path) -> tuple[Setting, ...]:
    return tuple(Setting(**line) for line, _ in _lines(path, SET))


def _lines(path: Path, header: tuple[str, ...]) -> Iterator[tuple[dict[str, str], str]]:
    """Rows of a CSV, each with how its place is named to a person."""
    where, rows = _place(path), _rows(path)
    if len(rows) < 2 or tuple(rows[0]) != header:
        raise ReproError(f"{where}: expected the header {','.join(header)} with rows under it")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header) or not all(row):
            raise ReproError(f"{where}: line {number} is not {len(header)} values, each with something in it")
        yield dict(zip(header, row, strict=True)), f"{where}: line {number}"


def _rows(path: Path) -> list[list[str]]:
    try:
        return list(csv.reader(path.read_text(encoding="utf-8").splitlines(), strict=True))
    except OSError as error:
        raise ReproError(f"{_place(path)}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ReproError(f"{_place(path)}: is not text in UTF-8") from None
    except csv.Error as error:
        raise ReproError(f"{_place(path)}: is no table ({error})") from None


def _number(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ReproError(f"{place}: {text!r} is no number")
    return value


def _place(path: Path) -> str:
    """How a file is named to a person, wherever the kit is installed."""
    return f"data/published/{path.name}"
