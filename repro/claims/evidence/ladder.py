"""What a comparison comes to over sizes: one alone decides nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from repro.claims.evidence.verdicts import LEVEL, Status, Verdict

TWO = 2  # sizes that have to agree
STATED, OTHER, NEITHER = "leaning the stated way", "leaning the other way", "leaning neither way"
BLOCKED = "not judged"


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


@dataclass(frozen=True)
class _Size:
    """The rungs that are of one size, which is as weak as the weakest of them."""

    rungs: tuple[Verdict, ...]

    @property
    def judged(self) -> bool:
        """Whether nothing stood in the way of any."""
        return all(verdict.p_adjusted is not None for verdict in self.rungs)

    def leans(self, *, stated: bool) -> bool:
        """Whether all lie on the side that is stated, or on the other."""
        return all(verdict.leans is stated for verdict in self.rungs)

    def p(self, *, stated: bool) -> float:
        """That all lie on a side: the largest of theirs; 1 where one does not."""
        ps = [verdict.p_adjusted if verdict.leans is stated else None for verdict in self.rungs]
        return max(1.0 if p is None else p for p in ps)

    def shows(self, *, stated: bool) -> bool:
        """Whether one lies on a side significantly."""
        return any(verdict.status == _called(stated=stated) for verdict in self.rungs)


def over(verdicts: Sequence[Verdict]) -> Ladder:
    """The verdicts of one comparison together, in the order of sizes, the largest last.

    It is supported where two sizes or more were judged, the smallest p of them is significant by Holm over all of them,
    none is significant on the other side, and the largest and more than half lean the way that is stated; contradicted
    likewise. So where nothing is true at most one comparison in twenty is decided, however many sizes there are. A form
    that shows a mechanism alone never counts, nor does a size at which something stands in the way.
    """
    ran = [verdict for verdict in verdicts if verdict.status != "not run" and not verdict.mechanism_only]
    if not ran:
        seen = any(verdict.status != "not run" for verdict in verdicts)
        return Ladder("not run", "", "ran at a size that shows a mechanism and no more" if seen else "no size has run")
    status, why = _decided(ran)
    return Ladder(status, ", ".join(dict.fromkeys(verdict.size for verdict in ran)), why)


def _decided(ran: Sequence[Verdict]) -> tuple[Status, str]:
    sizes = _sizes(ran)
    lacking = {stated: _lacking(sizes, stated=stated) for stated in (True, False)}
    shown = [stated for stated in lacking if any(size.shows(stated=stated) for size in sizes)]
    decided = next((stated for stated in shown if not lacking[stated]), None)
    if decided is not None:
        return _called(stated=decided), _told(ran)
    if not shown:
        where = _listed(verdict.size for verdict in ran)
        return "not resolved", ran[0].why if len(ran) == 1 else f"not resolved at {where}"
    return "not resolved", _told(ran) + (f"; {lacking[shown[0]]}" if len(shown) == 1 else "")


def _sizes(ran: Iterable[Verdict]) -> list[_Size]:
    by_scale: dict[str, list[Verdict]] = {}
    for verdict in ran:
        by_scale.setdefault(verdict.scale, []).append(verdict)
    return [_Size(tuple(rungs)) for rungs in by_scale.values()]


def _lacking(sizes: Sequence[_Size], *, stated: bool) -> str:
    """What sizes lack to decide for a side; nothing if they do."""
    judged = [size for size in sizes if size.judged]
    if len(judged) < TWO:
        return "two sizes have to agree"
    if any(size.shows(stated=not stated) for size in sizes):
        return "a size shows the other side"
    if len(judged) * min(size.p(stated=stated) for size in judged) >= LEVEL:
        return f"no p is small enough to stand out of {len(judged)} sizes"
    leaning = [size for size in judged if size.leans(stated=stated)]
    if judged[-1] not in leaning or 2 * len(leaning) <= len(judged):
        return "the largest size and more than half of all have to agree"
    return ""


def _called(*, stated: bool) -> Status:
    return "supported" if stated else "contradicted"


def _told(ran: Sequence[Verdict]) -> str:
    """Each size by what it says, those that show something first."""
    found: dict[str, list[str]] = {"supported": [], "contradicted": [], STATED: [], OTHER: [], NEITHER: [], BLOCKED: []}
    for verdict in ran:
        found[_says(verdict)].append(verdict.size)
    alone = " alone" if sum(size.judged for size in _sizes(ran)) < TWO else ""
    parts = [f"{says} at {_listed(where)}" for says, where in found.items() if where]
    return ", ".join((parts[0] + alone, *parts[1:]))


def _says(verdict: Verdict) -> str:
    if verdict.p_adjusted is None:
        return BLOCKED
    if verdict.status != "not resolved":
        return verdict.status
    return {True: STATED, False: OTHER, None: NEITHER}[verdict.leans]


def _listed(sizes: Iterable[str]) -> str:
    *most, last = dict.fromkeys(sizes)
    return f"{', '.join(most)} and {last}" if most else last
