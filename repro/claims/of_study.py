"""What a study says, as a person sees it."""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from repro.claims.evidence import store
from repro.claims.evidence.judging import judge
from repro.claims.evidence.ladder import over
from repro.claims.evidence.rows import Results
from repro.claims.evidence.study import MECHANISM, STAMP, Comparison, Study, load
from repro.claims.evidence.verdicts import Verdict
from repro.errors import RecipeError, RunError, nearest
from repro.recipe.settings import given, truth

SETTINGS, WORDS = ("scale", "any_commit"), ("scale=FORM", "any_commit=true")


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
    study, asked = load(name), _asked(settings)
    any_commit = truth("any_commit", asked.get("any_commit", "false"))
    there = {form: _results(study, form) for form in _forms(study, asked.get("scale"))}
    found = {form: judge(study, form, results, any_commit=any_commit) for form, results in there.items()}
    every = [each for verdicts in found.values() for each in verdicts]
    if as_json:
        print(json.dumps([row(each) for each in every], indent=1))
        return
    for form, verdicts in found.items():
        console.print(table(study, form, verdicts))
        if there[form].passed_over:
            console.print(there[form].passed_over, style="yellow", soft_wrap=True, highlight=False, markup=False)
    _tell_together(study, every, console)


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
        "by_seed": {str(seed): _number(difference) for seed, difference in verdict.differences.items()},
        "why": verdict.why,
    }


def _number(difference: float) -> float | None:
    """None of an infinite one, which JSON has not; ``why`` says how it was judged."""
    return difference if math.isfinite(difference) else None


def _asked(settings: Sequence[str]) -> dict[str, str]:
    if arms := [word for word in settings if "=" not in word]:
        raise RecipeError(f"a study is compared by itself, and takes no {arms[0]!r}; expected {' or '.join(WORDS)}")
    return given(settings, SETTINGS, verb="compare", such_as=WORDS[0])


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


def _results(study: Study, form: str) -> Results:
    results = store.find(study.name, form)
    assert results is not None
    return results


def _tell_together(study: Study, verdicts: Sequence[Verdict], console: Console) -> None:
    """What the sizes come to together, of each comparison."""
    console.print("over all sizes:", style="bold")
    for comparison in study.comparisons:
        console.print(f"  {_together(comparison, verdicts)}", soft_wrap=True, highlight=False)


def _together(comparison: Comparison, verdicts: Sequence[Verdict]) -> str:
    ladder = over([verdict for verdict in verdicts if verdict.comparison == comparison])
    return f"{comparison.text}: {ladder.status} ({ladder.why})"
