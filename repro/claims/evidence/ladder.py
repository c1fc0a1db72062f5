"""What a comparison comes to over sizes: one alone decides nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from repro.claims.evidence.verdicts import Status, Verdict

TWO = 2  # sizes that have to agree


@dataclass(frozen=True)
class Ladder:
    """Of one comparison over forms and sizes.

    Attributes:
        status: over all sizes that are evidence.
        scale: those sizes, with commas between.
        why: in a line.
    """

    status: Status
    scale: str
    why: str


def over(verdicts: Sequence[Verdict]) -> Ladder:
    """The verdicts of one comparison together.

    It is supported where two sizes or more lean the way that is stated, at one of them significantly, and none is
    against it significantly; contradicted likewise. A form that shows a mechanism alone never counts, nor does a size
    at which something stands in the way of a comparison.
    """
    ran = [verdict for verdict in verdicts if verdict.status != "not run" and not verdict.mechanism_only]
    if not ran:
        seen = any(verdict.status != "not run" for verdict in verdicts)
        return Ladder("not run", "", "ran at a size that shows a mechanism and no more" if seen else "no size has run")
    scale = ", ".join(dict.fromkeys(verdict.size for verdict in ran))
    return Ladder(*_decided(ran, scale))


def _decided(ran: Sequence[Verdict], scale: str) -> tuple[Status, str, str]:
    supporting, against = _sizes(ran, "supported"), _sizes(ran, "contradicted")
    if supporting and against:
        return "not resolved", scale, f"supported at {_listed(supporting)} and contradicted at {_listed(against)}"
    if not supporting and not against:
        return (
            "not resolved",
            scale,
            ran[0].why if len(ran) == 1 else f"not resolved at {_listed([v.size for v in ran])}",
        )
    status: Status = "supported" if supporting else "contradicted"
    clear = supporting or against
    agreeing = {verdict.size: None for verdict in ran if leans(verdict) == (status == "supported")}
    if len(agreeing) < TWO:
        return "not resolved", scale, f"{status} at {_listed(clear)} alone; two sizes have to agree"
    others = [size for size in agreeing if size not in clear]
    return status, scale, f"{status} at {_listed(clear)}" + (f", same sign at {_listed(others)}" if others else "")


def _sizes(ran: Sequence[Verdict], status: Status) -> list[str]:
    return [verdict.size for verdict in ran if verdict.status == status]


def leans(verdict: Verdict) -> bool | None:
    """Whether the mean lies on the side that is stated, significant or not; None where there is none to judge by."""
    estimate, comparison = verdict.estimate, verdict.comparison
    if estimate is None or verdict.edges:
        return None
    if comparison.says == "~":
        return comparison.margin is not None and abs(estimate.mean) < comparison.margin
    return estimate.mean != 0 and (estimate.mean < 0) == (comparison.says == "<")


def _listed(sizes: Sequence[str]) -> str:
    return " and ".join(dict.fromkeys(sizes))
