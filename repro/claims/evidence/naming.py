"""What a study named before it ran, as its results keep it, held against what its file says now."""

from collections.abc import Iterator

from repro.claims.evidence.cells import digest_of
from repro.claims.evidence.rows import Named
from repro.claims.evidence.study import Comparison, Study


def named(study: Study, *, seeds: int | None = None) -> Named:
    """What a study states.

    Args:
        study: as its file is now.
        seeds: of the primary comparison's arms, as a person asks for them; None for the study's own.
    """
    return Named(
        primary=statement(study.primary),
        pairs={statement(each): planned(study, each, seeds=seeds) for each in study.comparisons},
        setups={arm: digest_of([of.model_dump(mode="json"), _rates(study)]) for arm, of in study.arms.items()},
    )


def planned(study: Study, comparison: Comparison, *, seeds: int | None = None) -> int:
    """The pairs of a comparison: of seeds from 0 on, as many as both arms have."""
    first, primary = seeds or study.seeds, {study.primary.a, study.primary.b}
    return first if {comparison.a, comparison.b} <= primary else min(first, study.secondary_seeds)


def statement(comparison: Comparison) -> str:
    """All that is stated, the margin too."""
    return comparison.text + (f" within {comparison.margin:g}" if comparison.margin is not None else "")


def unnamed(before: Named, study: Study, comparison: Comparison) -> str:
    """Why a comparison is not what was named before it ran; nothing if it is."""
    stated, primary = statement(comparison), comparison == study.primary
    if stated not in before.pairs:
        return f"{stated} was not named before the first run ended"
    if primary != (stated == before.primary):
        was, now = ("secondary", "primary") if primary else ("primary", "secondary")
        return f"before the first run ended it was named as a {was} comparison, and is now {now}"
    return ""


def differs(before: Named, now: Named) -> str:
    """In which points one is not the other; nothing if they are alike."""
    return "; ".join(_points(before, now))


def _points(before: Named, now: Named) -> Iterator[str]:
    if before.primary != now.primary:
        yield f"the primary comparison was {before.primary}, and is {now.primary}"
    if new := [stated for stated in now.pairs if stated not in before.pairs]:
        yield f"not named then: {', '.join(new)}"
    if gone := [stated for stated in before.pairs if stated not in now.pairs]:
        yield f"no longer stated: {', '.join(gone)}"
    for stated, pairs in before.pairs.items():
        if now.pairs.get(stated, pairs) != pairs:
            yield f"{pairs} pairs of {stated} were planned, not {now.pairs[stated]}"
    if changed := changed_arms(before, now):
        yield f"set up otherwise then: {', '.join(changed)}"


def changed_arms(before: Named, now: Named) -> tuple[str, ...]:
    """Arms that were another thing, or whose rates were to be chosen in another way."""
    return tuple(arm for arm, setup in before.setups.items() if now.setups.get(arm, setup) != setup)


def _rates(study: Study) -> object:
    bracket = study.bracket.model_dump(mode="json") if study.bracket else None
    return [bracket, list(study.sweep), list(study.published_rates)]
