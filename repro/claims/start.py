"""The comparison as a person sees it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from repro.claims import of_study
from repro.claims.answers import Task
from repro.claims.compare import Comparison, compare, read
from repro.claims.evidence.blocks import ASK
from repro.claims.evidence.study import names
from repro.errors import RecipeError, nearest
from repro.recipe import load, runs
from repro.recipe.settings import given, truth

ALONE = "of these two models, not of two ways to train"  # what an interval over sequences or items speaks of


def start(arms: Sequence[str], *, as_json: bool, console: Console) -> None:
    """Compare recipes by name, or runs by their folders; or tell what a study says.

    ``any_commit=true`` among the arms judges runs of two commits, or of one that nobody can look at.
    """
    if arms[0] in names() and not Path(arms[0]).is_dir():
        of_study.start(arms[0], arms[1:], as_json=as_json, console=console)
        return
    words = [arm for arm in arms if "=" in arm and not Path(arm).is_dir()]
    told = given(words, ["any_commit"], verb="compare", such_as="any_commit=true")
    named = [arm for arm in arms if arm not in words]
    if len(named) < 2:
        example = f"`repro compare {arms[0]} dense-smoke-swiglu`"
        raise RecipeError(f"compare needs two arms or more, such as {example}, or a study.{nearest(arms[0], names())}")
    any_commit = truth("any_commit", told.get("any_commit", "false"))
    pairs = compare([read(_folder(arm)) for arm in named], any_commit=any_commit)
    if as_json:
        print(json.dumps([pair.row() for pair in pairs], indent=1))
        return
    console.print(_table(pairs))
    for pair in pairs:
        for line in (*_statistics(pair), *_of_these_models(pair)):
            console.print(line, soft_wrap=True, highlight=False)
        for line in _warnings(pair):
            console.print(line, style="yellow", soft_wrap=True, highlight=False)
    console.print("a below b is negative. Differences of single seeds are no verdict: seeds differ among themselves.")
    for caveat in dict.fromkeys(caveat for pair in pairs for caveat in pair.caveats):
        console.print(f"{caveat[0].upper()}{caveat[1:]}.", soft_wrap=True, highlight=False)


def _folder(text: str) -> Path:
    """The folder of one run, ``recipe@seed``, or of all seeds of a recipe as it stands."""
    if Path(text).is_dir():
        return Path(text)
    name, at, seed = text.partition("@")
    if at and not seed.isdecimal():
        raise RecipeError(f"{text}: {seed!r} is not a seed; expected a whole number, such as {name}@1")
    folder = runs.folder(load(name), int(seed or 0))
    return folder if at else folder.parent


def _table(pairs: Sequence[Comparison]) -> Table:
    title = f"validation loss, nats per {pairs[0].unit}"
    view = Table(box=None, header_style="bold", pad_edge=False, title=title, title_justify="left")
    for column in ("a", "b"):
        view.add_column(column)
    for column in ("seeds", "mean a - b"):
        view.add_column(column, justify="right")
    view.add_column("each seed's a - b")
    for pair in pairs:
        each = {seed: _nats(difference) for seed, difference in pair.differences.items()} | pair.without
        mean = "none" if pair.difference is None else _nats(pair.difference)
        view.add_row(pair.a, pair.b, str(len(each)), mean, "  ".join(f"{seed}: {each[seed]}" for seed in sorted(each)))
    return view


def _statistics(pair: Comparison) -> Iterator[str]:
    """The verdict with what it rests on."""
    stated, one = f"{pair.statement.text}: {pair.verdict or 'no verdict'}", pair.estimate
    if pair.commits or pair.without:
        yield f"{stated}, since {pair.why}{f'; {ASK}' if pair.commits else ''}"
    if one is None:
        return
    interval = f"{_nats(one.mean)} [{_nats(one.low)}, {_nats(one.high)}] over {one.n} seeds"
    if pair.p_adjusted is None:
        yield interval
        return
    adjusted = "" if pair.p_adjusted == one.p else ", adjusted for all pairs (Holm)"
    show = f"; they would show {pair.smallest_detectable:.2g}" if pair.verdict == "not resolved" else ""
    yield f"{stated}, {interval}, p = {pair.p_adjusted:.2g}{adjusted}{show}"


def _of_these_models(pair: Comparison) -> Iterator[str]:
    """Of a single seed its two models; and the tasks that both have answered."""
    things = "images" if pair.unit == "image" else "sequences"
    for seed, one in pair.models.items() if len(pair.models) == 1 else ():
        yield f"seed {seed}: [{_nats(one.low)}, {_nats(one.high)}] over {one.n:,} {things}: {ALONE}"
    for task in pair.tasks:
        yield f"seed {task.seed}, {task.name}: {_answers(task)}: {ALONE}"


def _answers(task: Task) -> str:
    found = task.found
    share = f"{found.difference:+.1%} {task.metric} [{found.low:+.1%}, {found.high:+.1%}] of {found.n:,} items"
    return f"{share}, {found.only_a} right in a alone, {found.only_b} in b, p = {task.p_adjusted:.2g}"


def _warnings(pair: Comparison) -> Iterator[str]:
    if pair.also:
        yield f"{pair.a} and {pair.b} also differ in {', '.join(pair.also)}"


def _nats(difference: float) -> str:
    return f"{difference:+.4g}" if abs(difference) >= 1000 else f"{difference:+.4f}"
