"""How numbers are written: with a sign, an interval and a unit, and no more digits than they have."""

import math
from collections.abc import Iterable

from repro.claims.evidence.study import MECHANISM, Comparison, Study
from repro.claims.evidence.verdicts import Verdict
from repro.claims.statistics.paired import Estimate

NOTHING = ""
STAMP = "mechanism only"
_IMAGES = ("resnet50", "mlp")
_UNITS = {
    "top1": "share of images",
    "tokens_per_second": "tokens per second",
    "seconds": "seconds",
    "memory_gb": "GB",
    "normalised_rank": "of a random matrix's rank",
    "similarity": "cosine",
    "largest_stable_factor": "of the recipe's rate",
    "largest_magnitude": "of an activation",
    "overflow_fp16": "share of inputs",
    "inactive": "share of neurons",
    "loss_at_90": "nats per token",
    "recall": "share of active neurons",
}


def unit(measure: str, family: str) -> str:
    """Of a column of a run's row."""
    if measure in ("validation_loss", "train_loss"):
        return "nats per image" if family in _IMAGES else "nats per token"
    return _UNITS.get(measure, measure)


def signed(value: float) -> str:
    """A difference: four places, but of what is large or would vanish three digits."""
    return f"{value:+.4f}" if value == 0 or 5e-5 <= abs(value) < 100 else f"{value:+.3g}"


def shown(value: float | None, digits: int = 4) -> str:
    """A number that may be missing."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


def nats(value: float | None) -> str:
    """A loss."""
    return NOTHING if value is None or not math.isfinite(value) else f"{value:.4f}"


def interval(low: float, high: float) -> str:
    """Such as ``[-0.0146, -0.0100]``."""
    return f"[{signed(low)}, {signed(high)}]"


def probability(p: float | None) -> str:
    """Two digits, or that it is below 0.0001."""
    if p is None:
        return NOTHING
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def estimated(estimate: Estimate) -> str:
    """The mean with its interval."""
    return f"{signed(estimate.mean)} {interval(estimate.low, estimate.high)}"


def excludes_zero(estimate: Estimate | None) -> bool:
    """Whether the interval lies on one side of 0."""
    return estimate is not None and (estimate.low > 0 or estimate.high < 0)


def size(study: Study, form: str, rung: str) -> str:
    """Which networks, such as ``dense 10m``; a form that shows a mechanism alone says so wherever it is named."""
    of = scale(study, form, rung)
    named = f"{study.family} {of}" + ("" if rung == of else f" ({rung})")
    return f"{named}, {STAMP}" if form == MECHANISM else named


def scale(study: Study, form: str, rung: str) -> str:
    """What a size counts as; of one that the study no longer names its own word."""
    return study.size(form, rung) if rung in study.forms.get(form, {}) else rung


def words(comparison: Comparison) -> str:
    """The comparison as a person reads it, with its margin."""
    return comparison.text + (f" within {comparison.margin:g}" if comparison.margin is not None else "")


def each_seed(verdict: Verdict) -> str:
    """Every difference, with its seed and on one line with it."""
    return ", ".join(f"{seed}:\N{NO-BREAK SPACE}{signed(value)}" for seed, value in sorted(verdict.differences.items()))


def listed(values: Iterable[object]) -> str:
    """Those that differ, with commas between."""
    return ", ".join(dict.fromkeys(str(value) for value in values if value not in (None, "")))
