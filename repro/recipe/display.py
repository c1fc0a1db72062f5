"""Recipes and plans as tables for a terminal of 80 columns, plain where the output is piped."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from repro.recipe.communication import EFFICIENCY, Communication
from repro.recipe.counting import count
from repro.recipe.families import MoERecipe
from repro.recipe.images import ImageRecipe, ResNetRecipe
from repro.recipe.layout import Fit
from repro.recipe.plan import Plan
from repro.recipe.preparation import Preparation
from repro.recipe.schema import DecoderRecipe, LanguageRecipe, Machine, Recipe
from repro.recipe.science import Difference


class Terminal(Console):
    """Rich's console, which leaves a closed pipe to the command line instead of exiting with 1."""

    def on_broken_pipe(self) -> None:
        """Raise what rich caught."""
        raise BrokenPipeError


def print_list(recipes: Sequence[Recipe]) -> None:
    """A table for each scale, under what a result at that scale can show."""
    console = Terminal()
    for (family, scale), group in groupby(recipes, key=lambda recipe: (recipe.family, recipe.scale)):
        members = list(group)
        console.print(Text.assemble((f"{family} {scale}", "bold"), f"  {members[0].about}"))
        console.print(Text(f"Shows {members[0].shows}.", "dim"))
        console.print(_names(members))


def print_plan(plan: Plan, recipe: Recipe, machine: Machine) -> None:
    """What it is, whether it fits, what it costs and how it differs from the paper."""
    console = Terminal()
    devices = f"{machine.world_size} x {machine.device}" if machine.world_size > 1 else machine.device
    console.print(Text.assemble((plan.recipe, "bold"), " on ", (plan.machine, "bold"), f" ({devices})\n"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column()
    for label, content in _sections(plan, recipe, machine).items():
        grid.add_row(label, content)
    console.print(grid)


def short(n: float) -> str:
    """``1.35 B`` for 1,345,423,456; three digits."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if n >= 0.9995 * size:
            return f"{_digits(n / size)} {unit}"
    return f"{n:.0f}"


def duration(hours: float) -> str:
    """Two digits in the largest unit that gives more than one of it."""
    for size, unit in ((24, "days"), (1, "hours"), (1 / 60, "minutes")):
        if hours >= 1.5 * size:
            return f"{_digits(hours / size)} {unit}"
    return f"{_digits(hours * 3600)} seconds"


def _flop(n: float) -> str:
    """``8.89 GFLOP`` for 8,886,681,600."""
    return f"{short(n).replace('B', 'G').replace('k', 'K')}FLOP"


def _digits(n: float) -> str:
    return f"{n:,.0f}" if n >= 100 else f"{n:.3g}"


def _names(recipes: Sequence[Recipe]) -> RenderableType:
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("recipe", no_wrap=True, min_width=26)
    table.add_column("paper", min_width=17)
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("epochs" if isinstance(recipes[0], ImageRecipe) else "tokens", justify="right", no_wrap=True)
    for recipe in recipes:
        table.add_row(recipe.name, Text(recipe.paper_item or ""), short(count(recipe.model).total), _length(recipe))
    return Padding(table, (1, 0, 1, 2))


def _length(recipe: Recipe) -> str:
    if isinstance(recipe, ImageRecipe):
        return f"{recipe.budget.epochs:,}"
    assert isinstance(recipe, LanguageRecipe)
    return short(recipe.budget.tokens)


def _sections(plan: Plan, recipe: Recipe, machine: Machine) -> dict[str, RenderableType]:
    return {
        "parameters": _parameters(plan),
        "FLOPs": f"{_flops(plan)}; {plan.total_flops:.3g} in all",
        "budget": _budget(plan, recipe),
        "fit": _fit(plan, recipe, machine),
        "memory": _memory(plan, machine),
        "speed": _speed(plan),
        **({"network": _network(plan.communication, machine)} if plan.communication else {}),
        "checkpoint": f"{_digits(plan.checkpoint_gb)} GB",
        **({"data": _data(plan.preparation)} if plan.preparation else {}),
        **({"notes": "\n".join(plan.notes)} if plan.notes else {}),
        "differences": _differences(plan.differences, recipe),
    }


def _flops(plan: Plan) -> str:
    if plan.flops_per_token is None:
        return f"{_flop(plan.flops_per_sample or 0)} an image"
    return f"{_flop(plan.flops_per_token.causal)} a token (causal), {_flop(plan.flops_per_token.palm)} (PaLM)"


def _budget(plan: Plan, recipe: Recipe) -> str:
    if isinstance(recipe, ImageRecipe):
        images = f"{recipe.budget.epochs:,} epochs of {recipe.data.images:,} images"
        return f"{images}: {plan.steps:,} steps of {recipe.batch:,}"
    assert isinstance(recipe, LanguageRecipe)
    return f"{short(recipe.budget.tokens)} tokens: {plan.steps:,} steps of {recipe.budget.tokens_per_step:,}"


def _parameters(plan: Plan) -> RenderableType:
    counted, residual = plan.parameters, plan.ffn_match_residual
    text = plan.flops_per_token is not None
    rows = [
        (f"{counted.total:,}", "in all" if counted.active == counted.total else f"in all, {counted.active:,} active"),
        (f"{counted.non_embedding:,}", "without the embedding and the head" if text else "without the classifier"),
        (f"{counted.coefficients:,}", "learned by the activations"),
    ]
    if residual is not None:
        rows.insert(2, (f"{counted.ffn_matrices:,}", f"in FFN matrices, {residual:.2%} from the plain FFN's"))
    return _amounts(*rows)


def _fit(plan: Plan, recipe: Recipe, machine: Machine) -> Text:
    if plan.fit is None:
        return Text(plan.misfit or "", "red")
    item = "image" if isinstance(recipe, ImageRecipe) else "sequence"
    sequences = _times(plan.fit.micro_batch, f"one {item}", f"{{}} {item}s")
    devices = _times(machine.world_size, "one device", "each of {} devices")
    batch = f"{sequences} at a time on {devices}, {_times(plan.fit.accumulation, 'once', '{} times')} a step"
    return Text("\n".join([batch, *_layout(plan.fit, machine, recipe)]))


def _layout(fit: Fit, machine: Machine, recipe: Recipe) -> list[str]:
    """How the model lies on several devices, and what is done twice to save memory."""
    copies = machine.world_size // fit.shard
    shared = f", each shared out over {fit.shard} devices" if fit.shard > 1 else ""
    lies = [f"{_times(copies, 'one copy', '{} copies')} of the model{shared}"] if machine.world_size > 1 else []
    told = {
        "experts are shared out by their width": isinstance(recipe, MoERecipe) and recipe.model.experts % fit.shard > 0,
        "weights are gathered again for the backward pass": fit.reshard,
        "gradients are summed over devices at each micro-batch": fit.reduce_each and machine.world_size > 1,
        "activations are computed again for the backward pass": fit.recompute,
    }
    twice = [said for said, done in told.items() if done]
    return [*lies, *twice]


def _times(n: int, one: str, many: str) -> str:
    return one if n == 1 else many.format(n)


def _memory(plan: Plan, machine: Machine) -> RenderableType:
    unit, scale = ("GB", 1) if plan.memory_gb >= 1 else ("MB", 1000)
    parts = [(f"{gb * scale:.2f}", name) for name, gb in vars(plan.memory_parts_gb).items() if gb]
    total = f"{plan.memory_gb * scale:.1f} {unit} on each device, which has {machine.memory_gb:.1f} GB"
    return Group(total, _amounts(*parts))


def _speed(plan: Plan) -> str:
    rate, item = (plan.tokens_per_second, "tokens") if plan.tokens else (plan.samples_per_second, "images")
    if rate is None or plan.hours is None:
        return "unknown, since it does not fit"
    cost = f", {_digits(plan.gpu_hours)} GPU-hours" if plan.gpu_hours is not None else ""
    counted = "causal; " if plan.tokens else ""  # attention's part, which images do not have
    guess = f"{short(rate)} {item}/s at {plan.mfu:.0%} MFU ({counted}a guess until measured)"
    return f"{guess}\n{duration(plan.hours)}{cost}"


def _network(told: Communication, machine: Machine) -> str:
    """What each device sends in a step, how much of the time it is waited for, and what that supposes."""
    sent = []
    if told.gathered_gb:
        each = f"{_size(told.gathered_gb)} of weights and {_size(told.reduced_gb)} of gradients"
        sent.append(f"{each} at {_digits(told.rate_gb_s)} GB/s")
    if told.copies_gb:
        sent.append(f"{_size(told.copies_gb)} between copies at {_digits(told.copies_rate_gb_s)} GB/s")
    exposed, computed = _seconds(told.exposed_seconds), _seconds(told.computation_seconds)
    nodes = f" and {machine.network_gb_s:g} GB/s a node" if machine.nodes > 1 else ""
    return (
        f"{', '.join(sent)}: {_seconds(told.seconds)} a step on each device, of which {exposed} do not hide behind "
        f"{computed} of computation (a model, untried: {EFFICIENCY:.0%} of {machine.link_gb_s:g} GB/s a device{nodes}; "
        "no latency)"
    )


def _data(told: Preparation) -> Text:
    """What has to be prepared before the run, and what that takes."""
    tokens = "tokens not known" if told.tokens is None else f"{short(told.tokens)} tokens"
    sizes = {"to download" if told.share == 1 else "to download or more": told.download_gb, "of shards": told.shards_gb}
    known = [f"{_size(gb)} {of}" for of, gb in sizes.items() if gb is not None]
    lines = [f"{told.corpus}: {', '.join([tokens, *known])}"]
    if told.core_hours and told.hours:
        lines.append(f"{duration(told.hours)} on {told.cores} cores to tokenise, {_digits(told.core_hours)} core-hours")
    if told.mixture:
        lines.append(told.mixture)
    if told.gated:
        lines.append(f"its tokenizer is gated: ask for it at huggingface.co/{told.gated}")
    return Text("\n".join([*lines, told.command]))


def _size(gb: float) -> str:
    return f"{_digits(gb)} GB" if gb >= 0.1 else f"{_digits(1000 * gb)} MB"


def _seconds(seconds: float) -> str:
    return f"{_digits(seconds)} s" if seconds >= 1 else f"{_digits(1000 * seconds)} ms"


def _differences(differences: Sequence[Difference], recipe: Recipe) -> RenderableType:
    if not isinstance(recipe, DecoderRecipe):
        ran = isinstance(recipe, ResNetRecipe)
        return "not known: the paper's settings are not available to us" if ran else "the paper has no such run"
    if not differences:
        return "none in a value: these are the paper's, and the official code's where the paper is silent"
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("key", "here", "the paper's run"):
        table.add_column(column)
    for difference in differences:
        table.add_row(difference.key, *(Text(_value(value)) for value in (difference.here, difference.paper)))
    return table


def _value(value: Any) -> str:
    return f"{value:,}" if type(value) is int else str(value)  # a bool is an int too


def _amounts(*rows: tuple[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for amount, name in rows:
        table.add_row(amount, name)
    return table
