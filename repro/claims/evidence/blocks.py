"""What stands in the way of a comparison, in words: unlike things are not compared."""

from collections.abc import Callable

from repro.claims.evidence.pairing import Pairs, Side
from repro.claims.evidence.rows import Row

# What a run that diverged has a value of too: of these, divergence is the matter and not a gap.
OF_STABILITY = {"largest_stable_factor", "skipped_steps", "spikes", "largest_magnitude"}


def not_run(pairs: Pairs) -> str:
    """Which arms have no run; nothing if both have."""
    missing = [side for side in pairs.sides if not side.runs]
    arms = " and ".join(side.arm for side in missing)
    if missing and all(side.choice for side in missing):
        return f"of {arms} only brackets have run"
    return f"no run of {arms}" if missing else ""


def unlike(pairs: Pairs, *, any_commit: bool) -> str:
    """Why the runs must not be compared; nothing if they may be."""
    if not pairs.seeds:
        return f"{pairs.a.arm} and {pairs.b.arm} have no seed in common"
    found = (
        _differ(pairs, "data", "was trained on data {}"),
        _matrices(pairs),
        _differ(pairs, "tokens", "went through {:,} tokens"),
        _differ(pairs, "device", "ran on {}"),
        _differ(pairs, "precision", "ran in {}"),
        *(_recipes(side) for side in pairs.sides),
        "" if any_commit else _commits(pairs),
        *(_bracket(side) for side in pairs.sides if pairs.bracketed),
    )
    return next(filter(None, found), "")


def gaps(pairs: Pairs) -> str:
    """Why a pair has no difference; nothing if each has one and there are two."""
    measure = pairs.comparison.measure
    if measure not in OF_STABILITY and (diverged := _listed(pairs, lambda row: row.diverged_at is not None)):
        return f"diverged: {diverged}; the mean of the others would favour who diverges"
    if lacking := _listed(pairs, lambda row: pairs.measure(row) is None):
        return f"no finite {measure}: {lacking}"
    if len(pairs.seeds) == 1:
        return f"one pair, seed {pairs.seeds[0]}: seeds differ among themselves, so one gives no verdict"
    return ""


def edges(pairs: Pairs) -> str:
    """Whose best learning rate is at an edge of those tried; nothing if no one's is."""
    at = [f"{side.arm} ({side.choice.lr:g})" for side in pairs.sides if side.choice and side.choice.at_edge]
    return f"the best learning rate tried is at an edge of the bracket: {', '.join(at)}" if at else ""


def residual(a: int, b: int) -> str:
    """How much two counts differ, such as ``+0.12 %``."""
    return f"{(a / b - 1):+.2%}".replace("%", " %")


def _differ(pairs: Pairs, column: str, verb: str) -> str:
    """Who has which, where there is more than one of it. Of tokens, those of runs that came to their end."""
    values = {
        getattr(side.runs[seed], column): side.arm
        for side in pairs.sides
        for seed in pairs.seeds
        if column != "tokens" or side.runs[seed].diverged_at is None
    }
    told = (f"{arm} {verb.format(value)}" for value, arm in values.items())
    return f"mixed {column}: {', '.join(told)}" if len(values) > 1 else ""


def _matrices(pairs: Pairs) -> str:
    a, b = (next(iter(side.runs.values())).ffn_matrices for side in pairs.sides)
    if a == b or not a or not b:
        return ""
    return f"FFN matrices differ by {residual(a, b)}: {pairs.a.arm} has {a:,} weights, {pairs.b.arm} {b:,}"


def _recipes(side: Side) -> str:
    several = {row.fingerprint for row in side.runs.values()}
    return (
        f"runs of {side.arm} are of {len(several)} recipes ({', '.join(sorted(several))})" if len(several) > 1 else ""
    )


def _commits(pairs: Pairs) -> str:
    for seed in pairs.seeds:
        a, b = (side.runs[seed].repro for side in pairs.sides)
        if a != b:
            return f"seed {seed} is of two commits: {pairs.a.arm} of {a}, {pairs.b.arm} of {b}"
    return ""


def _bracket(side: Side) -> str:
    if not side.bracket:
        return f"no bracket of {side.arm} has run, so its learning rate is a guess"
    other = {row.data for row in side.bracket} - {row.data for row in side.runs.values()}
    return f"the bracket of {side.arm} was trained on other data ({', '.join(sorted(other))})" if other else ""


def _listed(pairs: Pairs, lacks: Callable[[Row], bool]) -> str:
    found = (
        f"{side.arm} at seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
        for side in pairs.sides
        if (seeds := [seed for seed in pairs.seeds if lacks(side.runs[seed])])
    )
    return " and ".join(found)
