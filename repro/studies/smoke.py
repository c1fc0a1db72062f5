"""The smoke: arms of a family side by side at the smallest scale, then checks of the software.

It trains for seconds on a corpus that everybody has. What it shows is that the kit works here; it says nothing about
the paper.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table

from repro.recipe import Machine, Recipe, load, runs
from repro.recipe.images import ImageRecipe
from repro.recipe.parameters import count, ffn_match_residual
from repro.recipe.schema import DecoderRecipe, LanguageRecipe, Model
from repro.studies.check import Check
from repro.studies.processes import Arm, hide_other_gpus, run_all, share

ARMS = ("swiglu", "gelu", "relu", "relu2", "polyrelu", "polynorm")
SEED = 0

# Half the variance of the first logits: of N(0, 2 / 5), and of N(0, 0.82) within three deviations. In the others it
# depends on the activation: 0 to 0.25 were seen.
HALF_VARIANCE = {"small": 0.2, "truncated": 0.4, "rnn": 0.1, "resnet50": 0.1, "mlp": 0.1}
SLACK = {"dense": 0.1, "moe": 0.1, "rnn": 0.2, "resnet50": 0.2, "mlp": 0.2}


@dataclass(frozen=True)
class Floor:
    """A loss that an arm has to get below, in nats, and what one that does has shown."""

    name: str
    shows: str
    loss: float


def smoke(names: Sequence[str], machine: Machine, floor: Floor, *, out: Path, console: Console) -> list[Check]:
    """Train every recipe of ``names`` once, and the last one a second time with an interruption, then check."""
    arms = [_arm(name, machine, out) for name in names]
    twin = _arm(names[-1], machine, out / "interrupted", interrupt=True)
    if machine.accelerator == "cuda":
        hide_other_gpus()
    at_once, method = share(machine)
    started = time.monotonic()
    with Live(console=console, refresh_per_second=4, transient=not console.is_terminal) as live:
        run_all([twin, *arms], at_once=at_once, method=method, show=lambda: live.update(table([*arms, twin])))
    if not console.is_terminal:
        console.print(table([*arms, twin]))
    console.print(f"{len(arms) + 1} runs in {time.monotonic() - started:.0f} s", highlight=False)
    return checks([load(name) for name in names], arms, twin, floor)


def table(arms: Sequence[Arm]) -> Table:
    """How far each arm is."""
    images = any("samples" in arm.latest for arm in arms)
    rate = "samples_per_second" if images else "tokens_per_second"
    view = Table(box=None, header_style="bold", pad_edge=False)
    view.add_column("arm")  # the one that gives way where a terminal is narrow
    columns = ("step", "loss", "validation", *(["top-1"] if images else []), "images/s" if images else "tokens/s")
    for column in (*columns, "memory", "left"):
        view.add_column(column, justify="right", no_wrap=True)
    for arm in arms:
        view.add_row(
            arm.name,
            f"{arm.step}/{arm.steps}",
            _figure(arm, "loss", "{:#.4g}"),
            _figure(arm, "validation_loss", "{:#.4g}"),
            *([_figure(arm, "top1", "{:.1%}")] if images else []),
            _figure(arm, rate, "{:,.0f}"),
            _figure(arm, "memory_gb", "{:.2f} GB"),
            _left(arm),
        )
    return view


def checks(recipes: Sequence[Recipe], arms: Sequence[Arm], twin: Arm, floor: Floor) -> list[Check]:
    """What a smoke has to show, from the files that its runs wrote; of a run that failed, that it did."""
    ended = [arm for arm in arms if not arm.failed]
    every = {recipe.name: arm for recipe, arm in zip(recipes, arms, strict=True)}
    every[f"{recipes[-1].name}, interrupted,"] = twin
    return [
        *(Check(f"{name} comes to its end", False, arm.failed) for name, arm in every.items() if arm.failed),
        *([_first_losses(recipes[0], ended), _last_losses(ended, floor)] if ended else []),
        *([_resumed(arms[-1], twin)] if not (arms[-1].failed or twin.failed) else []),
        *([_matched(recipes)] if isinstance(recipes[0], DecoderRecipe) else []),
    ]


def _arm(name: str, machine: Machine, out: Path, *, interrupt: bool = False) -> Arm:
    recipe = load(name)
    command = ["repro", "run", name, "--seed", str(SEED), "--out", str(out), "--on", machine.name]
    return Arm(
        name=f"{recipe.model.activation}, interrupted" if interrupt else recipe.model.activation,
        command=command,
        folder=runs.folder(recipe, SEED, out),
        steps=recipe.steps,
        interrupt_at=recipe.steps // 2 if interrupt else None,
    )


def _figure(arm: Arm, column: str, form: str) -> str:
    return form.format(float(arm.latest[column])) if column in arm.latest else ""


def _left(arm: Arm) -> str:
    if arm.seconds is not None:
        return "failed" if arm.failed else "done"
    return f"{arm.seconds_left:.0f} s" if arm.seconds_left else ""


def _column(arm: Arm, column: str) -> list[float]:
    return [float(row[column]) for row in runs.read_metrics(arm.folder / "metrics.csv") if row[column]]


def _first_losses(recipe: Recipe, arms: Sequence[Arm]) -> Check:
    """That of a guess among all answers; logits that are not all equal add half their variance to it."""
    what, answers, more = _guess(recipe)
    expected = math.log(answers) + more
    losses = {arm.name: _column(arm, "loss")[0] for arm in arms}
    worst = max(losses, key=lambda name: _ordered(abs(losses[name] - expected)))
    return Check(
        f"the first loss is that of a guess, ln {what} + {more:.1f}",
        abs(losses[worst] - expected) <= SLACK[recipe.family],
        f"expected {expected:.3f}, furthest {losses[worst]:.3f} ({worst})",
    )


def _guess(recipe: Recipe) -> tuple[str, int, float]:
    """What is guessed among, how many there are, and half the variance of the first logits."""
    if isinstance(recipe, ImageRecipe):
        return "classes", recipe.model.classes, HALF_VARIANCE[recipe.family]
    assert isinstance(recipe, LanguageRecipe)
    init = recipe.model.init if isinstance(recipe.model, Model) else recipe.family
    return "V", recipe.model.vocab_size, HALF_VARIANCE[init]


def _last_losses(arms: Sequence[Arm], floor: Floor) -> Check:
    losses = {arm.name: _column(arm, "validation_loss")[-1] for arm in arms}
    worst = max(losses, key=lambda name: _ordered(losses[name]))
    return Check(
        f"every arm {floor.shows}",
        _ordered(losses[worst]) < floor.loss,
        f"highest validation loss {losses[worst]:#.4g} ({worst}), {floor.name} {floor.loss:.3f}",
    )


def _ordered(loss: float) -> float:
    """What is not finite is as bad as can be; ``max`` and ``<`` by themselves pass over some of it."""
    return loss if math.isfinite(loss) else math.inf


def _resumed(arm: Arm, twin: Arm) -> Check:
    """Equality is to the bit: of the logged means, and of the validation loss of every sequence. NaN equals NaN."""
    columns = ("loss", "grad_norm", "lr")
    logged = all(np.array_equal(_column(arm, name), _column(twin, name), equal_nan=True) for name in columns)
    ours, theirs = (np.load(a.folder / "validation.npy") for a in (arm, twin))
    return Check(
        "an interrupted and resumed run equals the uninterrupted one to the bit",
        twin.interrupted and logged and np.array_equal(ours, theirs, equal_nan=True),
        f"{ours.size:,} validation losses compared"
        if twin.interrupted
        else "the run ended before it could be interrupted",
    )


def _matched(recipes: Sequence[Recipe]) -> Check:
    models = [recipe.model for recipe in recipes if isinstance(recipe.model, Model)]
    matrices = {count(model).ffn_matrices for model in models}
    residual = max(abs(ffn_match_residual(model)) for model in models)
    return Check(
        "FFN matrices match: as many weights in every arm as in a plain FFN",
        len(matrices) == 1 and residual == 0,
        f"{', '.join(f'{n:,}' for n in sorted(matrices))} weights, mismatch {residual:g}",
    )
