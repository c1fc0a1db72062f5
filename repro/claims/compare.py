"""Two or more recipes side by side, paired by seed."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from repro.claims import answers
from repro.claims.evidence import blocks, runs
from repro.claims.evidence.pairing import Pairs, Side
from repro.claims.evidence.rows import Row
from repro.claims.evidence.study import MECHANISM, STAMP
from repro.claims.evidence.study import Comparison as Statement
from repro.claims.evidence.verdicts import LEVEL, Status, status
from repro.claims.statistics.multiple import holm
from repro.claims.statistics.paired import Estimate, paired
from repro.claims.statistics.power import smallest_detectable
from repro.errors import RunError
from repro.recipe import from_file
from repro.recipe.reading import leaves

OWN_RATES = "each recipe has its own learning rate: none was chosen for an arm by a bracket, as a study chooses it"
Losses = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Arm:
    """The finished runs of one recipe, by seed: the losses of the last validation, in nats, or where they diverged.

    A loss is that of a sequence, per token, or that of an image.
    """

    name: str
    recipe: dict[str, Any]  # by dotted key
    losses: dict[int, Losses]  # without runs that diverged
    rows: dict[int, Row]
    folders: dict[int, Path]

    @property
    def data(self) -> str:
        """The fingerprint of the data."""
        return next(iter(self.rows.values())).data

    @property
    def mechanism_only(self) -> bool:
        """Whether it is too small to say anything about the paper."""
        return self.name.split("-")[1] == MECHANISM


@dataclass(frozen=True)
class Comparison:
    """Arm ``a`` against arm ``b`` over the seeds that both have; negative differences favour ``a``."""

    statement: Statement  # that ``a`` has the lower loss
    differences: dict[int, float]  # of the mean validation loss, nats per ``unit``
    without: dict[int, str]  # seeds at which an arm has no loss that is finite: which, and why
    also: tuple[str, ...]  # keys other than the activation in which the recipes differ
    unit: str  # token or image
    commits: str  # which seed's runs are not of one commit that is known, where that is not allowed
    mechanism_only: bool  # too small to say anything about the paper
    models: dict[int, Estimate]  # of a seed's two models alone, over sequences or images: no word on training
    tasks: tuple[answers.Task, ...]
    family: int = 1  # pairs of arms that were asked for
    p_adjusted: float | None = None  # by Holm over all of them

    @property
    def a(self) -> str:
        """An arm."""
        return self.statement.a

    @property
    def b(self) -> str:
        """Another."""
        return self.statement.b

    @property
    def estimate(self) -> Estimate | None:
        """Over seeds; None of a single one, or if one has no difference: the others would favour who diverges."""
        differences = list(self.differences.values())
        return paired(differences) if len(differences) > 1 and not self.without else None

    @property
    def difference(self) -> float | None:
        """The mean over seeds; None if one has none."""
        return None if self.without else sum(self.differences.values()) / len(self.differences)

    @property
    def smallest_detectable(self) -> float | None:
        """What so many pairs would show in four of five cases, at the level that Holm asks of the first."""
        return (
            smallest_detectable(self.estimate.sd, self.estimate.n, level=LEVEL / self.family) if self.estimate else None
        )

    @property
    def why(self) -> str:
        """What stands in the way of a verdict; nothing if a test gives it."""
        if self.commits:
            return self.commits
        if self.without:
            return "the mean of the other seeds would favour who diverges"
        return "" if self.estimate else "one pair: seeds differ among themselves"

    @property
    def verdict(self) -> Status | None:
        """Of the statement, by the rule of studies; None where runs are no pairs, and of a single pair."""
        if self.without and not self.commits:
            return "not resolved"
        if self.estimate is None or self.p_adjusted is None:
            return None
        return status(self.statement, self.estimate.mean, self.p_adjusted)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What a reader has to know of any verdict."""
        return (OWN_RATES, *([STAMP] if self.mechanism_only else []))

    def row(self) -> dict[str, Any]:
        """The keys of ``compare --json``. Of a single pair what asks for statistics is null, with the reason."""
        estimate = self.estimate
        return {
            "a": self.a,
            "b": self.b,
            "verdict": self.verdict,
            "difference": self.difference,
            "interval": [estimate.low, estimate.high] if estimate else None,
            "p": estimate.p if estimate else None,
            "p_adjusted": self.p_adjusted,
            "pairs": len(self.differences),
            "smallest_detectable": self.smallest_detectable,
            "also_differ_in": list(self.also),
            "by_seed": {str(seed): self.differences.get(seed) for seed in sorted({*self.differences, *self.without})},
            "without": {str(seed): why for seed, why in self.without.items()},
            "why": self.why,
            "mechanism_only": self.mechanism_only,
            "caveats": list(self.caveats),
            "these_models": {str(seed): [one.low, one.high] for seed, one in self.models.items()},
            "tasks": [task.row() for task in self.tasks],
        }


def read(folder: Path) -> Arm:
    """The finished runs in ``folder``: a run folder ``seed-<n>``, or a folder that holds several.

    Raises:
        RunError: there is none, one cannot be read, or they were trained on different data.
    """
    every = [folder] if folder.name.startswith("seed-") else sorted(folder.glob("seed-*"))
    finished = [run for run in every if (run / "result.json").is_file()]
    if not finished:
        raise RunError(f"{folder} holds no finished run; `repro run` starts one, and goes on with a partial one")
    rows = {run: _row(run) for run in finished}
    data = {row.data for row in rows.values()}
    if len(data) > 1:
        raise RunError(f"the runs in {folder} were trained on different data ({', '.join(sorted(data))})")
    recipe = from_file(finished[0] / "recipe.yaml")
    return Arm(
        recipe.name,
        dict(leaves(recipe.model_dump(mode="json"))),
        {row.seed: np.load(run / "validation.npy")[-1] for run, row in rows.items() if row.diverged_at is None},
        {row.seed: row for row in rows.values()},
        {row.seed: run for run, row in rows.items()},
    )


def compare(arms: Sequence[Arm], *, any_commit: bool = False) -> list[Comparison]:
    """Every pair of arms, in the order given.

    All of them are one family of tests, those that give no p among them. Runs of two commits, or of one that nobody can
    look at, get no verdict; their difference is told.

    Args:
        arms: two or more.
        any_commit: judge such runs all the same.

    Raises:
        RunError: two arms share no seed, or differ in data, FFN matrices, tokens, device or precision.
    """
    found = [_pair(a, b, any_commit) for a, b in itertools.combinations(arms, 2)]
    tested = [None if pair.commits or not pair.estimate else pair.estimate.p for pair in found]
    adjusted = holm([1.0 if p is None else p for p in tested])
    return [
        replace(pair, family=len(found), p_adjusted=None if p is None else among)
        for pair, p, among in zip(found, tested, adjusted, strict=True)
    ]


def _pair(a: Arm, b: Arm, any_commit: bool) -> Comparison:
    shared = sorted(a.rows.keys() & b.rows.keys())
    statement = Statement(a=a.name, says="<", b=b.name, margin=None, paper=None)
    pairs = Pairs(statement, False, Side(a.name, a.rows), Side(b.name, b.rows))
    _refuse_unlike(a, b, pairs)
    without = {seed: why for seed in shared if (why := _lacking(a, b, seed))}
    paired_losses = {seed: (a.losses[seed], b.losses[seed]) for seed in shared if seed not in without}
    return Comparison(
        statement=statement,
        differences={seed: float(np.mean(x - y, dtype=np.float64)) for seed, (x, y) in paired_losses.items()},
        without=without,
        also=_also(a.recipe, b.recipe),
        unit="image" if "budget.epochs" in a.recipe else "token",
        commits="" if any_commit else blocks.commits(pairs),
        mechanism_only=a.mechanism_only or b.mechanism_only,
        models={seed: paired((x - y).tolist()) for seed, (x, y) in paired_losses.items() if x.size > 1},
        tasks=answers.tasks({seed: (a.folders[seed], b.folders[seed]) for seed in shared}),
    )


def _refuse_unlike(a: Arm, b: Arm, pairs: Pairs) -> None:
    """Raise RunError where runs must not be compared; of other commits they may be, without a verdict."""
    if not pairs.seeds:
        seeds = f"{a.name} has seeds {sorted(a.rows)} and {b.name} has {sorted(b.rows)}"
        raise RunError(f"{seeds}: no seed in common to pair")
    both = a.losses.keys() & b.losses.keys()
    if a.data != b.data or any(a.losses[seed].shape != b.losses[seed].shape for seed in both):
        raise RunError(f"{a.name} and {b.name} were validated on different data, so their losses cannot be compared")
    if why := blocks.unlike(pairs, any_commit=True):
        raise RunError(f"{a.name} and {b.name} cannot be compared: {why}")


def _lacking(a: Arm, b: Arm, seed: int) -> str:
    """Why there is no difference at this seed; nothing if there is one."""
    found = []
    for column, arm in (("a", a), ("b", b)):
        if (step := arm.rows[seed].diverged_at) is not None:
            found.append(f"{column} diverged at step {step:,}")
        elif arm.rows[seed].validation_loss is None:
            found.append(f"{column} is not finite")
    return ", ".join(found)


def _row(run: Path) -> Row:
    """As of a study: with what decides whether runs may be compared."""
    found = runs.row(run, study="", form="", rung="", role="main", arm="", factor=1.0)
    return replace(found, arm=found.recipe)


def _also(a: dict[str, Any], b: dict[str, Any]) -> tuple[str, ...]:
    keys = sorted(a.keys() | b.keys())
    return tuple(k for k in keys if "." in k and k != "model.activation" and a.get(k) != b.get(k))
