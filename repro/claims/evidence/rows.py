"""What a run measured as a row of numbers: read from its folder, kept in a CSV that shows if it was edited."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One run of a study. Numbers that do not apply are None.

    Attributes:
        study, form, rung: the study, the form of it that ran, such as ``10m``, and which size of it.
        role: ``bracket`` chooses a learning rate, ``main`` is measured.
        arm: of the study.
        recipe: ``family-scale-activation``; overrides: what else was set, ``key=value`` with spaces between.
        fingerprint: of the recipe's science.
        seed, lr, factor: the factor is of the recipe's own learning rate.
        steps, tokens: that were trained (of images ``tokens`` counts images).
        validation_loss: of the last validation, in nats per token or image; None if it diverged.
        train_loss: mean of the logged over the last twentieth of all steps; None if it diverged.
        top1: share of images.
        diverged_at: the step, or None.
        skipped_steps: by the guard, in all; spikes: logged losses 6 deviations above the mean of the 20 before.
        largest_magnitude: of activations, where it is logged; infinite where it was not finite.
        normalised_rank: mean over layers of the FFN matrices' effective rank over a random matrix's, where
            ``repro analyze`` has looked.
        similarity: mean cosine of the residual stream of two layers, off the diagonal, likewise.
        overflow_fp16: of the inputs of the activation that is worst, the share whose highest power leaves float16,
            likewise; 0 where it takes no power that does.
        inactive: share of neurons whose leaving out loses a fifth of the FFN's output (CETT 0.2), mean over layers,
            likewise.
        loss_at_90: nats more with 90 % of neurons left out by the length of what they add, likewise.
        recall: share of active neurons that a small predictor names, mean over layers, likewise.
        largest_stable_factor: None in a CSV; of a sweep, filled in when it is read.
        parameters, ffn_matrices: counted; ffn_matrices those in FFN matrices alone.
        flops: of the whole run.
        tokens_per_second: median of the logged after the first tenth; seconds: tokens over that; memory_gb: peak.
        precision, device, data, python, repro, torch, lightning, triton, date: where it comes from; the precision is
            the one computed in, data the fingerprint, repro with the commit, and the date the day on which it ended.
        curve: digest of its curve.
    """

    study: str
    form: str
    rung: str
    role: str
    arm: str
    recipe: str
    overrides: str
    fingerprint: str
    seed: int
    lr: float
    factor: float
    steps: int
    tokens: int
    validation_loss: float | None
    train_loss: float | None
    top1: float | None
    diverged_at: int | None
    skipped_steps: int
    spikes: int
    largest_magnitude: float | None
    normalised_rank: float | None
    similarity: float | None
    overflow_fp16: float | None
    inactive: float | None
    loss_at_90: float | None
    recall: float | None
    largest_stable_factor: float | None
    parameters: int
    ffn_matrices: int | None
    flops: float
    tokens_per_second: float | None
    seconds: float | None
    memory_gb: float | None
    precision: str
    device: str
    data: str
    python: str
    repro: str
    torch: str
    lightning: str
    triton: str
    date: str
    curve: str


@dataclass(frozen=True)
class Curve:
    """Losses of a run as it trains: at every validation, and of training at the same steps.

    Attributes:
        arm, rung, seed, factor: which run.
        steps, tokens, seconds: since its start.
        validation_loss, train_loss: nats; None where not known.
    """

    arm: str
    rung: str
    seed: int
    factor: float
    steps: tuple[int, ...]
    tokens: tuple[int, ...]
    seconds: tuple[float, ...]
    validation_loss: tuple[float | None, ...]
    train_loss: tuple[float | None, ...]


@dataclass(frozen=True)
class Named:
    """What a study stated before the first run of a form had ended.

    Attributes:
        primary: the statement of its primary comparison, with the margin if it has one.
        pairs: how many were planned, of each comparison, by its statement.
        setups: a digest of what each arm was, and of how its learning rate was to be chosen.
    """

    primary: str
    pairs: Mapping[str, int]
    setups: Mapping[str, str]


@dataclass(frozen=True)
class Results:
    """Of one form of a study.

    Attributes:
        rows: a run each.
        curves: of the same runs, as far as they are kept.
        edited: runs whose row or curve is not what was written, in words.
        place: the file they are from.
        planned: what was named before; None where that was not kept.
        passed_over: which other file of the same form was left alone, and why; nothing if there is none.
    """

    rows: tuple[Row, ...]
    curves: tuple[Curve, ...]
    edited: tuple[str, ...] = ()
    place: str = ""
    planned: Named | None = None
    passed_over: str = ""
