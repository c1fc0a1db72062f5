"""A run of a study as its row and its curve, from its folder alone."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from repro.claims.evidence import cells, series
from repro.claims.evidence.kept import Kept, damages, read_run
from repro.claims.evidence.looked import looked_at
from repro.claims.evidence.rows import Curve, Row
from repro.recipe import Recipe, fingerprint
from repro.recipe.counting import count, per_image, per_token
from repro.recipe.images import ImageRecipe
from repro.recipe.schema import LanguageRecipe

POINTS = 60  # of a curve that is kept


def row(run: Path, *, study: str, form: str, rung: str, role: str, arm: str, factor: float) -> Row:
    """The row of a finished run.

    Args:
        run: its folder.
        study, form, rung, role, arm, factor: what it is in the study.

    Raises:
        RunError: it is not finished, others trained its weights, or a file of it is damaged.
    """
    kept = read_run(run)
    with damages(run):
        found = Row(
            study=study,
            form=form,
            rung=rung,
            role=role,
            arm=arm,
            factor=float(factor),
            curve="",
            **_trained(kept),
            **_came_to(kept),
            **looked_at(run, kept.recipe),
            **_counted(kept),
            **_from(kept),
        )
        return replace(found, curve=cells.curve_digest(_curve(kept, found)))


def curve(run: Path, row: Row) -> Curve:
    """The losses of the run of a row at its validations, at most ``POINTS`` of them, evenly thinned.

    A training loss is the mean of the logged over a twentieth of all steps, up to the validation. Seconds are tokens
    over the run's median speed, so that compiling, validating and resuming do not count.

    Raises:
        RunError: a file of it is damaged.
    """
    with damages(run):
        return _curve(read_run(run), row)


def _curve(kept: Kept, row: Row) -> Curve:
    points = series.thinned(series.logged(kept.metrics, "validation_loss"), POINTS)
    losses, a_step = series.logged(kept.metrics, "loss"), _a_step(kept.recipe)
    tokens = tuple(step * a_step for step, _ in points)
    if points and not row.tokens_per_second:
        raise ValueError("metrics.csv has validations and no speed")
    return Curve(
        arm=row.arm,
        rung=row.rung,
        seed=row.seed,
        factor=row.factor,
        steps=tuple(step for step, _ in points),
        tokens=tokens,
        seconds=tuple(each / (row.tokens_per_second or math.nan) for each in tokens),
        validation_loss=tuple(_finite(loss) for _, loss in points),
        train_loss=tuple(series.last_twentieth(losses, kept.recipe.steps, until=step) for step, _ in points),
    )


def _trained(kept: Kept) -> dict[str, Any]:
    """Which run it is."""
    recipe, steps = kept.recipe, int(kept.result["steps"])
    return {
        "recipe": recipe.name,
        "overrides": kept.overrides,
        "fingerprint": fingerprint(recipe),
        "seed": kept.seed,
        "lr": _rate(recipe),
        "steps": steps,
        "tokens": steps * _a_step(recipe),
    }


def _came_to(kept: Kept) -> dict[str, Any]:
    """What it was trained for, and how that went."""
    result, steps, losses = kept.result, kept.recipe.steps, series.logged(kept.metrics, "loss")
    diverged_at = result.get("diverged_at")
    return {
        "validation_loss": kept.validation,
        "train_loss": series.last_twentieth(losses, steps) if diverged_at is None else None,
        "top1": result.get("top1") if diverged_at is None else None,
        "diverged_at": None if diverged_at is None else int(diverged_at),
        "skipped_steps": int(result.get("skipped_steps") or 0),
        "spikes": series.spikes(losses),
        "largest_magnitude": series.largest(series.logged(kept.metrics, "largest_magnitude")),
        "largest_stable_factor": None,
    }


def _counted(kept: Kept) -> dict[str, Any]:
    """Its size and what it cost."""
    recipe, parameters = kept.recipe, count(kept.recipe.model)
    trained = int(kept.result["steps"]) * _a_step(recipe)
    rate = "samples_per_second" if isinstance(recipe, ImageRecipe) else "tokens_per_second"
    speed = series.speed(series.logged(kept.metrics, rate), recipe.steps)
    return {
        "parameters": parameters.total,
        "ffn_matrices": parameters.ffn_matrices or None,
        "flops": float(_flops(recipe) * trained),
        "tokens_per_second": speed,
        "seconds": trained / speed if speed else None,
        "memory_gb": series.largest(series.logged(kept.metrics, "memory_gb")),
    }


def _from(kept: Kept) -> dict[str, Any]:
    """Where its numbers come from. A CPU computes in float32, whatever the recipe says."""
    versions, device = kept.versions, kept.versions["device"]
    return {
        "precision": "float32" if kept.accelerator == "cpu" else str(kept.recipe.precision),
        "device": device if kept.devices == 1 else f"{kept.devices} x {device}",
        "date": kept.date,
        **{name: versions[name] for name in ("data", "python", "repro", "torch", "lightning", "triton")},
    }


def _a_step(recipe: Recipe) -> int:
    """Tokens or images of a step."""
    if isinstance(recipe, ImageRecipe):
        return recipe.budget.samples_per_step
    assert isinstance(recipe, LanguageRecipe)
    return recipe.budget.tokens_per_step


def _rate(recipe: Recipe) -> float:
    assert isinstance(recipe, LanguageRecipe | ImageRecipe)
    return recipe.optim.lr


def _flops(recipe: Recipe) -> int:
    """Of training, a token or an image; attention as far as it is causal."""
    if isinstance(recipe, ImageRecipe):
        return per_image(recipe)
    assert isinstance(recipe, LanguageRecipe)
    return per_token(recipe).causal


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
