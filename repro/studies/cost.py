"""What a study costs and what it can show, before it starts."""

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from repro.claims.evidence import store
from repro.claims.evidence.pairing import OF_STABILITY, pairs
from repro.claims.evidence.rows import Results
from repro.claims.evidence.study import Comparison, Study, load, names
from repro.claims.statistics.noise import pooled
from repro.claims.statistics.power import smallest_detectable
from repro.errors import RunError
from repro.recipe import Machine
from repro.recipe.counting import count
from repro.recipe.plan import plan
from repro.recipe.schema import DecoderRecipe
from repro.studies.asked import Asked, Form

# Standard deviations over seeds of one decoder's validation loss, in nats, from a number of parameters outside of
# embeddings on. The last is the median of 50 groups of public logs; the others are not measured as well.
LITERATURE = (
    (0, 0.010, "a guess below 1 M parameters, from 30 runs of 0.2 M on a CPU"),
    (1_000_000, 0.003, "a guess at 10 to 25 M parameters"),
    (60_000_000, 0.0014, "962 public logs at 124 M parameters"),
)


@dataclass(frozen=True)
class Noise:
    """How much differences of pairs vary.

    Attributes:
        sd: their standard deviation, in the measure's unit.
        source: where that is known from.
    """

    sd: float
    source: str


def hours(asked: Iterable[Asked], machine: Machine) -> float:
    """Of all runs together on a machine, by its plans."""
    seen: dict[str, float] = {}
    total = 0.0
    for run in asked:
        key = f"{run.rung} {run.arm}"  # the rate and the seed change nothing of the time
        if key not in seen:
            seen[key] = plan(run.recipe, machine).hours or math.inf
        total += seen[key]
    return total


def noise_of(of: Form, rung: str, comparison: Comparison) -> Noise | None:
    """How much differences vary at a size: as it was measured or, of decoders, published; None where nobody knows."""
    return measured(of, rung, comparison) or published(of, rung, comparison)


def detectable(of: Form, comparison: Comparison, noise: Noise) -> float:
    """The smallest difference that a comparison of two pairs or more finds in four of five cases.

    Of a secondary comparison it is that of the smallest p that Holm asks for.
    """
    tests = 1 if comparison == of.study.primary else len(of.study.secondary)
    return smallest_detectable(noise.sd, of.pairs(comparison), level=0.05 / tests)


def measured(of: Form, rung: str, comparison: Comparison) -> Noise | None:
    """From results of this size that are there: this study's, or else those of others of its family.

    None of what is judged by signs and ranks, which no deviation foretells.
    """
    if comparison.measure in OF_STABILITY:
        return None
    steps = of.run("main", rung, comparison.a, 1.0, 0).recipe.steps
    groups = list(_differences(of.study, of.name, rung, comparison.measure, steps)) or [
        group for study in _others(of) for group in _differences(study, of.name, rung, comparison.measure, steps)
    ]
    if not any(len(group) > 1 for group in groups):
        return None
    return Noise(pooled(groups).sd, f"measured: {sum(map(len, groups))} differences of runs of this size")


def published(of: Form, rung: str, comparison: Comparison) -> Noise | None:
    """From the literature, of decoders' losses: two arms vary by the square root of two of one's deviation."""
    recipe = of.run("main", rung, comparison.a, 1.0, 0).recipe
    if comparison.measure != "validation_loss" or not isinstance(recipe, DecoderRecipe):
        return None
    size = count(recipe.model).non_embedding
    _, sd, source = max(row for row in LITERATURE if row[0] <= size)
    return Noise(math.sqrt(2) * sd, f"{source}: {sd:g} nats a run")


def _others(of: Form) -> list[Study]:
    """Studies of the same family."""
    return [study for name in names() if name != of.study.name and (study := load(name)).family == of.study.family]


def _differences(study: Study, form: str, rung: str, measure: str, steps: int) -> Iterator[tuple[float, ...]]:
    """Of the pairs of any two arms that the study compares, where both have the measure and trained as long."""
    results = _found(study.name, form)
    rows = [row for row in results.rows if row.steps == steps] if results else []
    statements = [each.model_copy(update={"measure": measure}) for each in study.comparisons]
    for each in _once(statements):
        if differences := pairs(study, form, rung, each, rows).differences:
            yield tuple(differences.values())


def _found(study: str, form: str) -> Results | None:
    """A damaged file is told by the study that it is of, and says nothing of noise."""
    with contextlib.suppress(RunError):
        return store.find(study, form)
    return None


def _once(statements: Iterable[Comparison]) -> list[Comparison]:
    """Each pair of arms once, whatever is stated of it."""
    return list({frozenset((each.a, each.b)): each for each in statements}.values())
