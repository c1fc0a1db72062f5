"""What stands in the way of a comparison, in words: unlike things are not compared."""

import re
from collections.abc import Callable, Iterable

from repro.claims.evidence.pairing import OF_STABILITY, Pairs, Side
from repro.claims.evidence.rows import Row

ASK = "any_commit=true judges them all the same"
COMMIT = re.compile(r"[^+]+\+[0-9a-f]+")  # of a version that names one, without changed files
_OF_BRACKETS = (
    ("data", "was trained", "on data {}"),
    ("tokens", "went", "through {} tokens"),
    ("device", "ran", "on {}"),
    ("precision", "ran", "in {}"),
)


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
        return _no_pair(pairs)
    found = (
        _differ(pairs, "data", "was trained on data {}"),
        _matrices(pairs),
        _differ(pairs, "tokens", "went through {:,} tokens"),
        _differ(pairs, "device", "ran on {}"),
        _differ(pairs, "precision", "ran in {}"),
        *(_recipes(side) for side in pairs.sides),
        *(_bracket(side) for side in pairs.sides if pairs.bracketed),
        f"{told}; {ASK}" if not any_commit and (told := commits(pairs)) else "",
    )
    return next(filter(None, found), "")


def commits(pairs: Pairs) -> str:
    """Which seed's runs, or the bracket behind them, are not of one commit that is known; nothing if all are."""
    if unknown := [row for side in pairs.sides for row in _all(pairs, side) if not COMMIT.fullmatch(row.repro)]:
        row = unknown[0]
        return f"{row.arm} at seed {row.seed} ran from {row.repro}, which is no commit that others can look at"
    for seed in pairs.seeds:
        found = {row.repro: row.arm for side in reversed(pairs.sides) for row in side.rows([seed])}
        if len(found) > 1:
            of = ", ".join(f"{arm} of {commit}" for commit, arm in reversed(found.items()))
            return f"seed {seed} is of {'two' if len(found) == 2 else len(found)} commits: {of}"
    return next(filter(None, (_bracket_commits(pairs, side) for side in pairs.sides)), "")


def interim(pairs: Pairs) -> str:
    """How many pairs there are, while planned ones are missing."""
    if not pairs.seeds or pairs.planned is None or len(pairs.seeds) >= pairs.planned:
        return ""
    return f"interim, {len(pairs.seeds)} of {pairs.planned} planned pairs"


def gaps(pairs: Pairs) -> str:
    """Why a pair has no difference; nothing if each has one and there are two."""
    measure = pairs.comparison.measure
    if measure not in OF_STABILITY and (diverged := _listed(pairs, lambda row: row.diverged_at is not None)):
        return f"diverged: {diverged}; the mean of the others would favour who diverges"
    if lacking := _listed(pairs, lambda row: pairs.measure(row) is None):
        return f"no finite {measure}: {lacking}"
    if len(pairs.seeds) == 1:
        return f"one pair, seed {pairs.seeds[0]}: seeds differ among themselves, so one gives no verdict"
    return f"no test says that two are alike in {measure}" if _no_test(pairs) else ""


def edges(pairs: Pairs) -> str:
    """Whose best learning rate is at an edge of those tried; nothing if no one's is."""
    at = [f"{side.arm} ({side.choice.lr:g})" for side in pairs.sides if side.choice and side.choice.at_edge]
    return f"the best learning rate tried is at an edge of the bracket: {', '.join(at)}" if at else ""


def residual(a: int, b: int) -> str:
    """How much two counts differ, such as ``+0.12 %``."""
    return f"{(a / b - 1):+.2%}".replace("%", " %")


def _no_pair(pairs: Pairs) -> str:
    arms = f"{pairs.a.arm} and {pairs.b.arm}"
    return f"{arms} share no seed that was planned" if pairs.unplanned else f"{arms} have no seed in common"


def _all(pairs: Pairs, side: Side) -> list[Row]:
    """The runs of one arm that a comparison rests on."""
    return [*side.rows(pairs.seeds), *(side.bracket if pairs.bracketed else ())]


def _differ(pairs: Pairs, column: str, verb: str) -> str:
    """Who has which, where there is more than one of it. Of tokens, those of runs that came to their end."""
    values = {
        getattr(row, column): side.arm
        for side in pairs.sides
        for row in side.rows(pairs.seeds)
        if column != "tokens" or row.diverged_at is None
    }
    told = (f"{arm} {verb.format(value)}" for value, arm in values.items())
    return f"mixed {column}: {', '.join(told)}" if len(values) > 1 else ""


def _matrices(pairs: Pairs) -> str:
    a, b = (next(iter(side.runs.values())).ffn_matrices for side in pairs.sides)
    if a == b or not a or not b:
        return ""
    return f"FFN matrices differ by {residual(a, b)}: {pairs.a.arm} has {a:,} weights, {pairs.b.arm} {b:,}"


def _recipes(side: Side) -> str:
    """Of each rate there is one recipe; that of a bracket's best run is that of the main ones."""
    best = [row for row in side.bracket if side.choice and row.factor == side.choice.factor]
    by_factor: dict[float, set[str]] = {}
    for row in (*side.rows(side.runs), *best):
        by_factor.setdefault(row.factor, set()).add(row.fingerprint)
    several = next((found for found in by_factor.values() if len(found) > 1), set())
    return f"runs of {side.arm} are of {len(several)} recipes ({', '.join(sorted(several))})" if several else ""


def _bracket(side: Side) -> str:
    """A rate is chosen where it is measured: on the same data and budget, and computed alike."""
    if not side.bracket:
        return f"no bracket of {side.arm} has run, so its learning rate is a guess"
    for column, verb, where in _OF_BRACKETS:
        ours, others = _values(side.runs.values(), column), _values(side.bracket, column)
        if ours and others - ours:
            bracket, runs = (where.format(", ".join(sorted(values))) for values in (others - ours, ours))
            return f"the bracket of {side.arm} {verb} {bracket}, the runs that it is for {runs}"
    return ""


def _values(rows: Iterable[Row], column: str) -> set[str]:
    """As a person reads them. Of tokens, those of runs that came to their end."""
    values = (getattr(row, column) for row in rows if column != "tokens" or row.diverged_at is None)
    return {f"{value:,}" if isinstance(value, int) else value for value in values}


def _bracket_commits(pairs: Pairs, side: Side) -> str:
    ours = {row.repro for row in side.rows(pairs.seeds)}
    others = {row.repro for row in side.bracket if pairs.bracketed} - ours
    bracket, runs = (", ".join(sorted(commits)) for commits in (others, ours))
    return f"the bracket of {side.arm} is of commit {bracket}, the runs that it is for of {runs}" if others else ""


def _no_test(pairs: Pairs) -> bool:
    return pairs.comparison.says == "~" and pairs.comparison.measure in OF_STABILITY


def _listed(pairs: Pairs, lacks: Callable[[Row], bool]) -> str:
    found = (
        f"{side.arm} at seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
        for side in pairs.sides
        if (seeds := [seed for seed in pairs.seeds if lacks(side.runs[seed])])
    )
    return " and ".join(found)
