"""The runs of two arms at one size, paired by seed, each arm at the rate that its bracket chose."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from repro.claims.evidence.choice import Choice, chosen
from repro.claims.evidence.rows import Row
from repro.claims.evidence.study import Comparison, Study


@dataclass(frozen=True)
class Side:
    """One arm.

    Attributes:
        arm: its name.
        runs: main ones by seed, at the chosen rate; at the recipe's own where the form has no bracket.
        bracket: runs by which that rate was chosen.
        choice: of them; None if none has run.
    """

    arm: str
    runs: Mapping[int, Row]
    bracket: tuple[Row, ...] = ()
    choice: Choice | None = None


@dataclass(frozen=True)
class Pairs:
    """Two arms, what is stated of them, and whether their rates are chosen by brackets."""

    comparison: Comparison
    bracketed: bool
    a: Side
    b: Side

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both."""
        return self.a, self.b

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those that both arms have."""
        return tuple(sorted(self.a.runs.keys() & self.b.runs.keys()))

    @property
    def differences(self) -> dict[int, float]:
        """Of the measure, a - b, by seed: of those at which both have it."""
        measured = {seed: [self.measure(side.runs[seed]) for side in self.sides] for seed in self.seeds}
        return {seed: a - b for seed, (a, b) in measured.items() if a is not None and b is not None}

    def measure(self, row: Row) -> float | None:
        """What is compared, of one run; None where it is no finite number."""
        found: float | None = getattr(row, self.comparison.measure, None)
        return found if found is not None and math.isfinite(found) else None

    @property
    def diverged(self) -> dict[str, int]:
        """How many main runs of each arm."""
        return {s.arm: sum(row.diverged_at is not None for row in s.runs.values()) for s in self.sides}

    @property
    def rates(self) -> dict[str, float]:
        """The learning rate of each arm that has run."""
        return {side.arm: row.lr for side in self.sides for row in list(side.runs.values())[:1]}

    @property
    def edges(self) -> tuple[str, ...]:
        """Arms whose best rate is at an edge of those tried."""
        return tuple(side.arm for side in self.sides if side.choice and side.choice.at_edge)


def pairs(study: Study, form: str, rung: str, comparison: Comparison, rows: Iterable[Row]) -> Pairs:
    """The runs that a comparison is of."""
    here, bracketed = [row for row in rows if row.rung == rung], study.bracket_at(form) is not None
    return Pairs(comparison, bracketed, *(_side(arm, here, bracketed) for arm in (comparison.a, comparison.b)))


def _side(arm: str, rows: Iterable[Row], bracketed: bool) -> Side:
    own = [row for row in rows if row.arm == arm]
    bracket = tuple(row for row in own if row.role == "bracket" and bracketed)
    choice = chosen(bracket, arm, bracket[0].rung) if bracket else None
    factor = choice.factor if choice else 1.0
    return Side(arm, {row.seed: row for row in own if row.role == "main" and row.factor == factor}, bracket, choice)
