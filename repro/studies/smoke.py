"""The smoke: the dense arms side by side at the smallest scale, then checks of the software.

It trains for seconds on a corpus that everybody has. What it shows is that the kit works here; it says nothing about
the paper.
"""

import math
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table

from repro.data.manifest import Prepared
from repro.recipe import Machine, Recipe, load, runs
from repro.recipe.machine import cores
from repro.recipe.parameters import count, ffn_match_residual
from repro.studies.agreement import agreement
from repro.studies.check import Check
from repro.studies.processes import Arm, run_all

ARMS = ("swiglu", "gelu", "relu", "relu2", "polyrelu", "polynorm")
SEED = 0


def smoke(names: Sequence[str], machine: Machine, prepared: Prepared, *, out: Path, console: Console) -> list[Check]:
    """Train every recipe of ``names`` once, and the last one a second time with an interruption, then check.

    Raises:
        CheckFailed: a run ended with an error.
    """
    arms = [_arm(name, machine, out) for name in names]
    twin = _arm(names[-1], machine, out / "interrupted", interrupt=True)
    at_once, method = _share(machine)
    started = time.monotonic()
    with Live(console=console, refresh_per_second=4, transient=not console.is_terminal) as live:
        run_all([twin, *arms], at_once=at_once, method=method, show=lambda: live.update(table([*arms, twin])))
    if not console.is_terminal:
        console.print(table([*arms, twin]))
    console.print(f"{len(arms) + 1} runs in {time.monotonic() - started:.0f} s", highlight=False)
    return checks([load(name) for name in names], arms, twin, prepared, accelerator=machine.accelerator)


def table(arms: Sequence[Arm]) -> Table:
    """How far each arm is."""
    view = Table(box=None, header_style="bold", pad_edge=False)
    view.add_column("arm", no_wrap=True)
    for column in ("step", "loss", "validation", "tokens/s", "memory", "left"):
        view.add_column(column, justify="right", no_wrap=True)
    for arm in arms:
        view.add_row(
            arm.name,
            f"{arm.step}/{arm.steps}",
            _figure(arm, "loss", "{:.3f}"),
            _figure(arm, "validation_loss", "{:.3f}"),
            _figure(arm, "tokens_per_second", "{:,.0f}"),
            _figure(arm, "memory_gb", "{:.2f} GB"),
            "done" if arm.seconds is not None else f"{arm.seconds_left:.0f} s" if arm.seconds_left else "",
        )
    return view


def checks(
    recipes: Sequence[Recipe], arms: Sequence[Arm], twin: Arm, prepared: Prepared, *, accelerator: str
) -> list[Check]:
    """What a smoke has to show, from the files that its runs wrote, and on the device that they ran on."""
    return [
        _first_losses(recipes, arms),
        _last_losses(arms, prepared),
        _resumed(arms[-1], twin),
        _matched(recipes),
        agreement(accelerator),
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


def _share(machine: Machine) -> tuple[int, str]:
    """Runs at once, and how to start them: a GPU takes one run after the other, cores are shared out."""
    if machine.accelerator == "cuda":
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        return 1, "spawn"
    at_once = min(2, cores())
    os.environ["OMP_NUM_THREADS"] = str(max(1, cores() // at_once))
    return at_once, "forkserver"


def _figure(arm: Arm, column: str, form: str) -> str:
    return form.format(float(arm.latest[column])) if column in arm.latest else ""


def _column(arm: Arm, column: str) -> list[float]:
    return [float(row[column]) for row in runs.read_metrics(arm.folder / "metrics.csv") if row[column]]


def _first_losses(recipes: Sequence[Recipe], arms: Sequence[Arm]) -> Check:
    """The official initialisation gives logits a variance of 0.4, which adds half of that to the loss of a guess."""
    expected = math.log(recipes[0].model.vocab_size) + 0.2
    losses = [_column(arm, "loss")[0] for arm in arms]
    worst = max(losses, key=lambda loss: abs(loss - expected))
    return Check(
        "the first loss is that of a guess, ln V + 0.2",
        abs(worst - expected) <= 0.1,
        f"expected {expected:.3f}, furthest {worst:.3f}",
    )


def _last_losses(arms: Sequence[Arm], prepared: Prepared) -> Check:
    worst = max(arms, key=lambda arm: _column(arm, "validation_loss")[-1])
    loss, unigram = _column(worst, "validation_loss")[-1], prepared.manifest.entropies.unigram
    return Check(
        "every arm learned more than how often a token occurs",
        loss < unigram,
        f"highest validation loss {loss:.3f} ({worst.name}), unigram entropy {unigram:.3f}",
    )


def _resumed(arm: Arm, twin: Arm) -> Check:
    """Equality is to the bit: of the logged means, and of the validation loss of every sequence."""
    logged = all(_column(arm, column) == _column(twin, column) for column in ("loss", "grad_norm", "lr"))
    ours, theirs = (np.load(a.folder / "validation.npy") for a in (arm, twin))
    return Check(
        "an interrupted and resumed run equals the uninterrupted one to the bit",
        twin.interrupted and logged and np.array_equal(ours, theirs),
        f"{ours.size:,} validation losses compared"
        if twin.interrupted
        else "the run ended before it could be interrupted",
    )


def _matched(recipes: Sequence[Recipe]) -> Check:
    matrices = {count(recipe.model).ffn_matrices for recipe in recipes}
    residual = max(abs(ffn_match_residual(recipe.model)) for recipe in recipes)
    return Check(
        "FFN matrices match: as many weights in every arm as in a plain FFN",
        len(matrices) == 1 and residual == 0,
        f"{', '.join(f'{n:,}' for n in sorted(matrices))} weights, mismatch {residual:g}",
    )
