"""Results with a known answer: made up, so that what judges them can be judged."""

import dataclasses

import numpy as np

from repro.claims.evidence import cells
from repro.claims.evidence.naming import named
from repro.claims.evidence.rows import Curve, Results, Row
from repro.claims.evidence.study import Bracket, Comparison, Study

BASE = 3.2  # nats
POINTS = 8  # of a curve
FLOPS_PER_TOKEN = 1e8


def comparison(text, *, margin=None, measure="validation_loss"):
    """Of ``a < b``, ``a > b in measure`` or ``a ~ b``, which alone has a margin."""
    statement, _, of = text.partition(" in ")
    a, says, b = statement.split()
    return Comparison(a=a, says=says, b=b, measure=of or measure, margin=(margin or 0.005) if says == "~" else None)


def study(
    *,
    name="made",
    primary="polynorm < swiglu",
    secondary=("polynorm < relu",),
    forms=(("smoke", ("smoke",)), ("10m", ("10m",))),
    seeds=6,
    secondary_seeds=3,
    bracket=True,
    sweep=(),
    margin=None,
    **values,
):
    """A study of dense models; its arms are those that its comparisons name."""
    comparisons = [comparison(text, margin=margin) for text in (primary, *secondary)]
    arms = dict.fromkeys(arm for each in comparisons for arm in (each.a, each.b))
    content = {
        "name": name,
        "about": "a study that was made up",
        "paper": "Table 1",
        "question": "Is the loss lower?",
        "family": "dense",
        "arms": {arm: {"activation": arm} for arm in arms},
        "forms": {form: _rungs(rungs) for form, rungs in dict(forms).items()},
        "primary": comparisons[0],
        "secondary": tuple(comparisons[1:]),
        "seeds": seeds,
        "secondary_seeds": secondary_seeds,
        "bracket": Bracket() if bracket else None,
        "sweep": tuple(sweep),
    }
    return Study(**(content | values))


def _rungs(rungs):
    """Of their names, which are those of their scales, or as a study's file has them."""
    return rungs if isinstance(rungs, dict) else {rung: {"scale": rung} for rung in rungs}


def row(**values):
    """A run that came to its end, with whatever else is given."""
    made = {
        "study": "made",
        "form": "10m",
        "rung": "10m",
        "role": "main",
        "arm": "polynorm",
        "recipe": "dense-10m-polynorm",
        "overrides": "",
        "fingerprint": "0123abcd",
        "seed": 0,
        "lr": 0.005,
        "factor": 1.0,
        "steps": 1600,
        "tokens": 104_857_600,
        "validation_loss": BASE,
        "train_loss": BASE - 0.02,
        "top1": None,
        "diverged_at": None,
        "skipped_steps": 0,
        "spikes": 0,
        "largest_magnitude": None,
        "normalised_rank": None,
        "similarity": None,
        "overflow_fp16": None,
        "inactive": None,
        "loss_at_90": None,
        "recall": None,
        "largest_stable_factor": None,
        "parameters": 16_909_842,
        "ffn_matrices": 7_077_888,
        "flops": 104_857_600 * FLOPS_PER_TOKEN,
        "tokens_per_second": 1_600_000.0,
        "seconds": 104_857_600 / 1_600_000.0,
        "memory_gb": 11.5,
        "precision": "bf16",
        "device": "NVIDIA H100 80GB HBM3",
        "data": "9cfb50ba3a57",
        "python": "3.11.7",
        "repro": "0.1.0+0ce561f",
        "torch": "2.15.0",
        "lightning": "2.6.6",
        "triton": "3.9.0",
        "date": "2026-11-22",
        "curve": "",
    }
    return Row(**(made | values))


def curve(of):
    """A curve that falls like a power to the loss of a row; of one that diverged, an empty one."""
    shares = [] if of.validation_loss is None else [(i + 1) / POINTS for i in range(POINTS)]
    losses = [of.validation_loss + 0.4 * (share**-0.5 - 1) for share in shares]
    return Curve(
        arm=of.arm,
        rung=of.rung,
        seed=of.seed,
        factor=of.factor,
        steps=tuple(round(of.steps * share) for share in shares),
        tokens=tuple(round(of.tokens * share) for share in shares),
        seconds=tuple(of.seconds * share for share in shares),
        validation_loss=tuple(losses),
        train_loss=tuple(loss - 0.02 for loss in losses),
    )


def diverged(of, at=100):
    """The same run, had it diverged."""
    part = at / of.steps
    return dataclasses.replace(
        of,
        diverged_at=at,
        steps=at,
        tokens=round(of.tokens * part),
        flops=of.flops * part,
        seconds=of.seconds * part,
        validation_loss=None,
        train_loss=None,
        top1=None,
    )


def gather(rows, **values):
    """Results of rows, a curve each, with digests that are right."""
    curves = [curve(each) for each in rows]
    of = [dataclasses.replace(each, curve=cells.curve_digest(c)) for each, c in zip(rows, curves, strict=True)]
    return Results(rows=tuple(of), curves=tuple(curves), **values)


def results(
    study,
    form,
    effects=None,
    sd=0.003,
    seeds=None,
    *,
    seed=0,
    best=None,
    diverging=(),
    stable=None,
    changed=None,
    planned=None,
    **values,
):
    """Simulated runs of all arms at all sizes of a form.

    Args:
        study: which is answered.
        form: of it.
        effects: by arm, what is added to its measure; 0 where none is given.
        sd: of the difference of two arms over seeds, which share four times that.
        seeds: of main runs; those of the study if None, fewer for arms of secondary comparisons alone.
        seed: of the noise.
        best: by arm, the factor at which its bracket has its lowest loss; 1 where none is given.
        diverging: pairs of arm and seed whose main run diverged.
        stable: by arm, the largest factor of the sweep that does not diverge; all where none is given.
        changed: by arm, fields of its rows that are set.
        planned: what was named before they ran; what the study states if None.
        values: of all rows.
    """
    noise = np.random.default_rng(seed)
    of = [
        row
        for rung in study.forms[form]
        for row in (
            *_brackets(study, form, rung, effects or {}, best or {}),
            *_mains(study, rung, effects or {}, sd, seeds, noise, best or {}, stable or {}),
        )
    ]
    of = [diverged(each) if each.role == "main" and (each.arm, each.seed) in set(diverging) else each for each in of]
    own = {"study": study.name, "form": form}
    return gather(
        [dataclasses.replace(each, **(own | values | (changed or {}).get(each.arm, {}))) for each in of],
        planned=planned or named(study),
    )


def _brackets(study, form, rung, effects, best):
    bracket = study.bracket_at(form)
    for arm in study.arms if bracket else ():
        for factor in bracket.factors:
            off = np.log2(factor / best.get(arm, 1.0))
            loss = float(BASE + effects.get(arm, 0.0) + 0.01 * off**2)
            yield _run(study, rung, arm, bracket.seed, factor, "bracket", {"validation_loss": loss})


def _mains(study, rung, effects, sd, seeds, noise, best, stable):
    measures = {each.measure for each in study.comparisons} - {"largest_stable_factor"} or {"validation_loss"}
    for number in range(seeds or study.seeds):
        shared = noise.normal(0, 4 * sd)
        for arm in study.arms:
            value = float(BASE + effects.get(arm, 0.0) + shared + noise.normal(0, sd / 2**0.5))
            if seeds is None and number >= _seeds(study, arm):
                continue
            for factor in study.sweep or (best.get(arm, 1.0),):
                made = _run(
                    study, rung, arm, number, factor, "main", dict.fromkeys({*measures, "validation_loss"}, value)
                )
                yield diverged(made) if factor > stable.get(arm, factor) else made


def _seeds(study, arm):
    return study.seeds if arm in {study.primary.a, study.primary.b} else study.secondary_seeds


def _run(study, rung, arm, seed, factor, role, measured):
    name = f"{study.family}-{rung}-{arm}"
    return row(rung=rung, role=role, arm=arm, recipe=name, seed=seed, lr=0.005 * factor, factor=factor, **measured)
