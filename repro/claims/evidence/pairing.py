"""The runs of two arms at one size, paired by seed, each arm at the rate that its bracket chose."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from repro.claims.evidence.choice import Choice, chosen
from repro.claims.evidence.rows import Row
from repro.claims.evidence.study import Comparison, Study

# Of few values or without a bound, and a run that diverged has one too: judged by signs and ranks.
OF_STABILITY = {"largest_stable_factor", "largest_magnitude"}


@dataclass(frozen=True)
class Side:
    """One arm.

    Attributes:
        arm: its name.
        runs: main ones by seed, at the chosen rate; at the recipe's own where the form has no bracket.
        bracket: runs by which that rate was chosen.
        choice: of them; None if none has run.
        sweep: main runs at the other rates of a sweep, on which its measure rests as well.
    """

    arm: str
    runs: Mapping[int, Row]
    bracket: tuple[Row, ...] = ()
    choice: Choice | None = None
    sweep: tuple[Row, ...] = ()

    def rows(self, seeds: Iterable[int]) -> list[Row]:
        """All main runs of these seeds, at whatever rate."""
        return [row for seed in seeds for row in (self.runs[seed], *(row for row in self.sweep if row.seed == seed))]


@dataclass(frozen=True)
class Pairs:
    """Two arms, and what is stated of them.

    Attributes:
        comparison: the statement.
        bracketed: whether their rates are chosen by brackets.
        a, b: the arms.
        planned: how many pairs; None where nothing was planned. What is beyond is not judged: who adds pairs until
            a difference shows finds one where there is none.
    """

    comparison: Comparison
    bracketed: bool
    a: Side
    b: Side
    planned: int | None = None

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both."""
        return self.a, self.b

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those that both arms have, of the planned ones."""
        return tuple(seed for seed in self._shared if self.planned is None or seed < self.planned)

    @property
    def unplanned(self) -> tuple[int, ...]:
        """The others that both arms have."""
        return tuple(seed for seed in self._shared if seed not in self.seeds)

    @property
    def _shared(self) -> list[int]:
        return sorted(self.a.runs.keys() & self.b.runs.keys())

    @property
    def differences(self) -> dict[int, float]:
        """Of the measure, a - b, by seed: of those at which both have it. Two that are infinite do not differ."""
        measured = {seed: [self.measure(side.runs[seed]) for side in self.sides] for seed in self.seeds}
        return {seed: _less(a, b) for seed, (a, b) in measured.items() if a is not None and b is not None}

    @property
    def ratios(self) -> list[float]:
        """Of a measure of stability the logarithms of a over b, a pair each; infinite where one is 0 or infinite."""
        measured = [[self.measure(side.runs[seed]) for side in self.sides] for seed in self.seeds]
        return [_less(_log(a), _log(b)) for a, b in measured if a is not None and b is not None]

    def measure(self, row: Row) -> float | None:
        """What is compared, of one run; None where it is no number, or one of stability is not the matter and it is
        infinite.
        """
        found: float | None = getattr(row, self.comparison.measure, None)
        if found is None or math.isnan(found):
            return None
        return found if math.isfinite(found) or self.comparison.measure in OF_STABILITY else None

    @property
    def diverged(self) -> dict[str, int]:
        """How many main runs of each arm, at whatever rate."""
        rows = {side.arm: side.rows(side.runs) for side in self.sides}
        return {arm: sum(row.diverged_at is not None for row in of) for arm, of in rows.items()}

    @property
    def rates(self) -> dict[str, float]:
        """The learning rate of each arm that has run."""
        return {side.arm: row.lr for side in self.sides for row in list(side.runs.values())[:1]}

    @property
    def edges(self) -> tuple[str, ...]:
        """Arms whose best rate is at an edge of those tried."""
        return tuple(side.arm for side in self.sides if side.choice and side.choice.at_edge)


def pairs(
    study: Study, form: str, rung: str, comparison: Comparison, rows: Iterable[Row], planned: int | None = None
) -> Pairs:
    """The runs that a comparison is of."""
    here, bracketed = [row for row in rows if row.rung == rung], study.bracket_at(form) is not None
    a, b = (_side(study, arm, here, bracketed) for arm in (comparison.a, comparison.b))
    return Pairs(comparison, bracketed, a, b, planned)


def _side(study: Study, arm: str, rows: Iterable[Row], bracketed: bool) -> Side:
    own = [row for row in rows if row.arm == arm]
    bracket = tuple(row for row in own if row.role == "bracket" and bracketed)
    choice = chosen(bracket, arm, bracket[0].rung) if bracket else None
    factor = choice.factor if choice else 1.0
    mains = [row for row in own if row.role == "main"]
    others = tuple(row for row in mains if row.factor in study.sweep and row.factor != factor)
    return Side(arm, {row.seed: row for row in mains if row.factor == factor}, bracket, choice, others)


def _less(a: float, b: float) -> float:
    return 0.0 if a == b else a - b


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf
