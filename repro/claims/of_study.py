"""What a study says, as a person sees it."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from repro.claims.evidence import store
from repro.claims.evidence.judging import judge
from repro.claims.evidence.ladder import over
from repro.claims.evidence.study import MECHANISM, Comparison, Study, load
from repro.claims.evidence.verdicts import Verdict
from repro.errors import RecipeError, RunError, nearest

SETTINGS = ("scale", "any_commit")
STAMP = "mechanism only: no evidence about the paper"


def start(name: str, settings: Sequence[str], *, as_json: bool, console: Console) -> None:
    """The verdicts of each form of a study that has results.

    Args:
        name: of the study.
        settings: ``scale=FORM`` for one form alone, ``any_commit=true`` to pair runs of two commits.
        as_json: an array instead of tables.
        console: to tell it.

    Raises:
        RecipeError: a setting is not one of these.
        RunError: there are no results, or a file of them is damaged.
    """
    study, given = load(name), _given(settings)
    any_commit = given.get("any_commit", "false") == "true"
    found = {form: _judged(study, form, any_commit) for form in _forms(study, given.get("scale"))}
    if as_json:
        print(json.dumps([row(each) for verdicts in found.values() for each in verdicts], indent=1))
        return
    for form, verdicts in found.items():
        console.print(table(study, form, verdicts))
    _tell_together(study, [each for verdicts in found.values() for each in verdicts], console)


def table(study: Study, form: str, verdicts: Iterable[Verdict]) -> Table:
    """The verdicts of one form, the primary comparison first and said to be."""
    stamp = f" ({STAMP})" if form == MECHANISM else ""
    view = Table(
        box=None, header_style="bold", pad_edge=False, title_justify="left", title=f"{study.name} {form}{stamp}"
    )
    view.add_column("stated before it ran", overflow="fold", ratio=3)
    for column in ("at", "verdict"):
        view.add_column(column, no_wrap=True)
    view.add_column("because", overflow="fold", ratio=5)
    for verdict in verdicts:
        primary = " (primary)" if verdict.comparison == study.primary else ""
        view.add_row(verdict.comparison.text + primary, verdict.size, verdict.status, verdict.why)
    return view


def row(verdict: Verdict) -> dict[str, Any]:
    """The keys of ``compare --json``, and where the verdict is of."""
    estimate, comparison = verdict.estimate, verdict.comparison
    return {
        "a": comparison.a,
        "b": comparison.b,
        "verdict": verdict.status,
        "difference": estimate.mean if estimate else None,
        "interval": [estimate.low, estimate.high] if estimate else None,
        "p": estimate.p if estimate else None,
        "p_adjusted": verdict.p_adjusted,
        "pairs": len(verdict.differences),
        "smallest_detectable": verdict.smallest_detectable,
        "stated": comparison.text,
        "measure": comparison.measure,
        "study": verdict.study,
        "form": verdict.form,
        "rung": verdict.rung,
        "mechanism_only": verdict.mechanism_only,
        "by_seed": {str(seed): difference for seed, difference in verdict.differences.items()},
        "why": verdict.why,
    }


def _given(settings: Sequence[str]) -> dict[str, str]:
    given = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if key not in SETTINGS or not equals:
            hint = nearest(key, SETTINGS) or f" Expected {' or '.join(f'{known}=...' for known in SETTINGS)}."
            raise RecipeError(f"a study is compared by itself, and takes no {setting!r}.{hint}")
        given[key] = value
    if given.get("any_commit", "false") not in {"true", "false"}:
        raise RecipeError(f"any_commit is {given['any_commit']!r}; expected true or false")
    return given


def _forms(study: Study, scale: str | None) -> list[str]:
    """Those to tell of, from small to large."""
    if scale is not None and scale not in study.forms:
        hint = nearest(scale, study.forms) or f" There are: {', '.join(study.forms)}."
        raise RecipeError(f"{study.name} has no scale {scale!r}.{hint}")
    there = set(store.forms(study.name))
    found = [form for form in study.forms if form in there and scale in {None, form}]
    if not found:
        of = f" at {scale}" if scale else ""
        command = f"repro study {study.name}{f' scale={scale}' if scale else ''}"
        raise RunError(f"{study.name} has no results{of} yet; `{command}` makes them")
    return found


def _judged(study: Study, form: str, any_commit: bool) -> list[Verdict]:
    results = store.find(study.name, form)
    assert results is not None
    return judge(study, form, results, any_commit=any_commit)


def _tell_together(study: Study, verdicts: Sequence[Verdict], console: Console) -> None:
    """What the sizes come to together, of each comparison."""
    console.print("over all sizes:", style="bold")
    for comparison in study.comparisons:
        console.print(f"  {_together(comparison, verdicts)}", soft_wrap=True, highlight=False)


def _together(comparison: Comparison, verdicts: Sequence[Verdict]) -> str:
    ladder = over([verdict for verdict in verdicts if verdict.comparison == comparison])
    return f"{comparison.text}: {ladder.status} ({ladder.why})"
