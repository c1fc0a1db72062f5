"""What a study says before it starts and when it has ended."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from repro.claims.evidence.pairing import OF_STABILITY
from repro.claims.evidence.rows import Row
from repro.claims.evidence.study import MECHANISM, STAMP, Comparison
from repro.claims.evidence.verdicts import Verdict
from repro.recipe import Machine
from repro.recipe.display import duration
from repro.studies.asked import Asked, Form
from repro.studies.cost import detectable, hours, noise_of
from repro.studies.due import at_edges, remaining

COLOURS = {"supported": "green", "contradicted": "red", "not resolved": "yellow", "not run": "dim"}


def introduce(of: Form, machine: Machine, rows: Sequence[Row], console: Console) -> None:
    """Say what is asked, what it costs and what it can show."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column()
    for label, told in _sections(of, machine, rows):
        grid.add_row(label, Text(told))
    console.print(Text.assemble((f"{of.study.name} at {of.name}", "bold"), f"  {of.study.about}"))
    console.print(grid)
    stamp(of, console)


def stamp(of: Form, console: Console) -> None:
    """Say of a form that is too small for anything else that it shows a mechanism."""
    if of.name == MECHANISM:
        console.print(f"{STAMP[0].upper()}{STAMP[1:]}.", style="bold yellow")


def tell_changed(changed: str, place: Path, console: Console) -> None:
    """Say in which points the study is not what was named when its results were begun."""
    if changed:
        told = (
            f"{place} was begun with another plan, and verdicts hold to that one: {changed}; without the file and its"
        )
        console.print(Text(f"{told} curves it is begun anew", "yellow"), soft_wrap=True)


def _sections(of: Form, machine: Machine, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    missing = remaining(of, rows)
    yield "question", of.study.question
    yield "primary", f"{_stated(of.study.primary)}; {_pairs(of, of.study.primary)}; named before anything ran"
    if of.study.secondary:
        yield "secondary", "\n".join(_secondary(of))
    yield "runs", _counted(of, missing, len(rows))
    if missing:
        yield "cost", _cost(of, missing, machine)
    yield "detects", "\n".join(_detects(of))


def _stated(comparison: Comparison) -> str:
    return f"{_text(comparison)} ({comparison.paper or 'ours'})"


def _text(comparison: Comparison) -> str:
    return f"{comparison.text} within {comparison.margin:g}" if comparison.margin else comparison.text


def _pairs(of: Form, comparison: Comparison) -> str:
    n = of.pairs(comparison)
    return f"{n} pairs" if n > 1 else "one pair, which gives no verdict"


def _secondary(of: Form) -> Iterator[str]:
    """By their number of pairs."""
    by_pairs = dict[str, list[str]]()
    for each in of.study.secondary:
        by_pairs.setdefault(_pairs(of, each), []).append(_text(each))
    yield from (f"{', '.join(stated)}; {pairs}" for pairs, stated in by_pairs.items())


def _counted(of: Form, missing: Sequence[Asked], there: int) -> str:
    brackets = sum(run.role == "bracket" for run in missing)
    kinds = [f"{len(missing) - brackets} that are measured"]
    if of.bracket:
        beyond = f" (of each arm up to {of.bracket.widen} more, if its best is at an edge)" if of.bracket.widen else ""
        kinds.insert(0, f"{brackets} that choose learning rates on seed {of.bracket.seed}{beyond}")
    done = f"; {there} are there" if there else ""
    return f"{' and '.join(kinds)}{done}"


def _cost(of: Form, missing: Sequence[Asked], machine: Machine) -> str:
    roles = {"bracket": "brackets", "main": "measured runs"}
    parts = {told: hours([run for run in missing if run.role == role], machine) for role, told in roles.items()}
    told = [f"{duration(cost)} for {what}" for what, cost in parts.items() if cost]
    total = sum(parts.values())
    devices = f", {total * machine.world_size:,.3g} GPU-hours" if machine.accelerator == "cuda" else ""
    also = "; what `repro analyze` takes is not counted" if of.study.analysis else ""
    told_of = f"on {machine.about} (by plan, a guess until measured)"
    return f"{duration(total)} in all{devices} {told_of}: {', '.join(told)}{also}"


def _detects(of: Form) -> Iterator[str]:
    """The smallest differences that would be found in four of five cases; sizes of which the same is true together."""
    sizes = of.study.forms[of.name]
    by_text = dict[str, list[str]]()
    for rung in sizes:
        by_text.setdefault(_detected(of, rung), []).append(rung)
    for text, rungs in by_text.items():
        yield f"{', '.join(rungs)}: {text}" if len(sizes) > 1 else text


def _detected(of: Form, rung: str) -> str:
    primary, noise = of.study.primary, noise_of(of, rung, of.study.primary)
    if of.pairs(primary) < 2:
        return "nothing: one pair gives no interval"
    if primary.measure in OF_STABILITY:
        n = of.pairs(primary)
        return f"by signs and ranks: the same sign in all of {n} pairs has a p of {2.0 ** (1 - n):.2g}"
    if noise is None:
        return f"not known: nobody has told how {primary.measure} varies from seed to seed here"
    alike = [each for each in of.study.secondary if each.measure == primary.measure and of.pairs(each) > 1]
    others = {of.pairs(each): detectable(of, each, noise) for each in alike}
    unit = f" {primary.unit}" if primary.unit else ""
    told = [f"{detectable(of, primary, noise):.2g}{unit} with {_pairs(of, primary)}"]
    told += [f"{each:.2g} in a secondary comparison with {n}, by Holm's first step" for n, each in others.items()]
    return f"{'; '.join(told)}; in four of five cases, if differences vary by {noise.sd:.2g} ({noise.source})"


def conclude(of: Form, verdicts: Sequence[Verdict], console: Console) -> None:
    """Print what each comparison came to; of those without interval or p, what they rest on or what is in the way."""
    console.print(_table(of, verdicts))
    by_why = dict[str, list[str]]()
    for verdict in verdicts:
        if verdict.p_adjusted is None or verdict.estimate is None:
            by_why.setdefault(verdict.why, []).append(_where(of, verdict))
    for why, where in by_why.items():
        console.print(Text(f"{', '.join(where)}: {why}"), highlight=False, soft_wrap=True)
    stamp(of, console)


def _table(of: Form, verdicts: Sequence[Verdict]) -> Table:
    """The primary comparison first; ``shows`` is what so many pairs would find in four of five cases."""
    view = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    view.add_column("verdict", no_wrap=True)
    view.add_column("stated")
    for column in ("a - b", "95 % interval", "p", "pairs", "shows"):
        view.add_column(column, justify="right", no_wrap=True)
    for verdict in verdicts:
        view.add_row(Text(verdict.status, COLOURS[verdict.status]), Text(_where(of, verdict)), *_numbers(verdict))
    return view


def _where(of: Form, verdict: Verdict) -> str:
    at = f", {verdict.rung}" if len(of.study.forms[of.name]) > 1 else ""
    return f"{_text(verdict.comparison)}{at}"


def _numbers(verdict: Verdict) -> Iterator[str]:
    known, p, show = verdict.estimate, verdict.p_adjusted, verdict.smallest_detectable
    yield f"{known.mean:+.4f}" if known else ""
    yield f"{known.low:+.4f} {known.high:+.4f}" if known else ""
    yield "" if p is None else f"{p:.2g}"
    yield str(len(verdict.differences))
    yield "" if show is None else f"{show:.2g}"


def command(of: Form, *, on: str, submit: bool) -> str:
    """The command that asks for the same study again."""
    words = ["repro", "study", of.study.name, f"scale={of.name}", *of.overrides]
    words += ["--seeds", str(of.seeds)] if of.seeds else []
    words += ["--on", on] if on != "here" else []
    return shlex.join([*words, *(["--submit"] if submit else [])])


def tell_missing(of: Form, rows: Sequence[Row], again: str, console: Console) -> None:
    """List the runs that are missing with the command that makes each, and the one that makes all."""
    missing = remaining(of, rows)
    if not missing:
        return
    told = f"\n{len(missing)} runs are missing; `{again}` makes them, or one by one:"
    console.print(told, highlight=False, soft_wrap=True, markup=False)
    choosing = {(run.rung, run.arm) for run in missing if run.role == "bracket"}
    for run in missing:
        waits = run.role == "main" and (run.rung, run.arm) in choosing
        line = "once its learning rate is chosen" if waits else shlex.join(run.command)
        console.print(f"  {run.name}: {line}", highlight=False, soft_wrap=True, markup=False)


def tell_edges(of: Form, rows: Sequence[Row], console: Console) -> None:
    """Say whose best rate is at an edge of all that were tried."""
    edges = at_edges(of, rows)
    if not edges:
        return
    who = ", ".join(f"{arm}, {rung} (x{choice.factor:g} of its rate)" for (rung, arm), choice in edges.items())
    told = (
        f"at an edge of all rates that were tried, so that their runs come last and no verdict is given of them: {who}"
    )
    console.print(Text(told, "yellow"), soft_wrap=True)


def tell_failed(failed: Mapping[tuple[str, str, str, float, int], str], console: Console) -> None:
    """Say of each run that failed how it ended."""
    for (_, rung, arm, factor, seed), told in failed.items():
        console.print(f"failed: {arm} at {factor:g} times its rate, {rung}, seed {seed}: {told}", markup=False)
