"""The tables of sparsity."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from repro.analysis.sites import Site
from repro.analysis.sparsity.cost import WAYS, Way
from repro.analysis.sparsity.effects import Effect
from repro.analysis.sparsity.gathering import Timing
from repro.analysis.sparsity.study import USUAL, Study
from repro.evaluation.bootstrap import exp
from repro.inspection.found import Row


@dataclass(frozen=True)
class Look:
    """What a pass over each half of a sample shows.

    Attributes:
        studies: of layers.
        dense: losses of the second half with all neurons.
        timings: of one token, of some of the layers.
    """

    studies: Mapping[Site, Study]
    dense: Tensor
    timings: Mapping[Site, Mapping[Way, Timing]]


@dataclass(frozen=True)
class Pass:
    """A pass with some neurons left out.

    Attributes:
        by: what named them.
        asked: the share, or the tau, that was asked for; None of a predictor.
        effect: on the loss.
        left_out: shares by the name of the site.
    """

    by: str
    asked: float | None
    effect: Effect
    left_out: Mapping[str, float]


def tables(step: int, look: Look, passes: Sequence[Pass]) -> dict[str, list[Row]]:
    """All of them, by the names of their files."""
    every: dict[str, Iterator[Row]] = {
        "sparsity": _shares(look),
        "sparsity_experts": _experts(look),
        "sparsity_loss": (_loss(each) for each in passes),
        "sparsity_predictor": _predictors(look),
        "sparsity_reuse": _reuse(look),
        "sparsity_machine": _machine(look, passes),
    }
    return {name: [{"step": step} | row for row in there] for name, rows in every.items() if (there := list(rows))}


def _shares(look: Look) -> Iterator[Row]:
    for site, study in look.studies.items():
        for tau, share in study.shares.by_tau.items():
            yield _named(site) | {
                "tau": tau,
                "threshold": share.threshold,
                "cett": share.cett,
                "cett_elsewhere": share.cett_elsewhere,
                "sparsity": share.sparsity,
                "sparsity_low": share.low,
                "sparsity_high": share.high,
                "exact_zeros": study.shares.zeros,
            }


def _experts(look: Look) -> Iterator[Row]:
    for site, study in look.studies.items():
        inactive = study.shares.by_tau[USUAL].by_expert
        if len(inactive) > 1:
            for expert, (share, tokens) in enumerate(zip(inactive, study.shares.rows, strict=True)):
                yield _named(site) | {"expert": expert, "tokens": tokens, "tau": USUAL, "sparsity": share}


def _loss(one: Pass) -> Row:
    effect, by = one.effect, {"by": one.by, "asked": one.asked}
    return by | {
        "sparsity": effect.sparsity,
        "loss_nats": effect.loss,
        "increase_nats": effect.increase,
        "increase_nats_low": effect.low,
        "increase_nats_high": effect.high,
        "perplexity_ratio": exp(effect.increase),
        "perplexity_ratio_low": None if effect.low is None else exp(effect.low),
        "perplexity_ratio_high": None if effect.high is None else exp(effect.high),
        "windows": effect.windows,
    }


def _predictors(look: Look) -> Iterator[Row]:
    for site, study in look.studies.items():
        if guesses := study.guesses:
            yield _named(site) | {
                "rank": study.shape.rank,
                "weights": study.shape.predictor,
                "recall": guesses.recall,
                "recall_of_usual": guesses.recall_of_usual,
                "auc": guesses.auc,
            }


def _reuse(look: Look) -> Iterator[Row]:
    for site, study in look.studies.items():
        reuse, shape = study.reuse, study.shape
        apiece = shape.bytes_each * (shape.inner or shape.d_model) * ((3 if shape.gated else 2) - shape.mixes)
        yield _named(site) | {
            "active": reuse.active,
            "reuse": reuse.share,
            "reuse_low": reuse.low,
            "reuse_high": reuse.high,
            "reuse_by_chance": reuse.by_chance,
            "new_bytes": None if reuse.share is None else (1 - reuse.share) * reuse.active * apiece,
        }


def _machine(look: Look, passes: Sequence[Pass]) -> Iterator[Row]:
    """Of whole matrices: what a product of two factors reads and takes is not that of what they make."""
    for site, study in ((site, study) for site, study in look.studies.items() if not study.shape.inner):
        for way in WAYS:
            active = _active(study, site, way, passes)
            if active is None:
                continue
            weights, timing = study.shape.weights(way, active), look.timings.get(site, {}).get(way)
            dense = look.timings[site]["dense"] if timing else None
            yield _named(site) | {
                "way": way,
                "active": study.shape.experts * active,
                "recall": _recall(study, way),
                "bytes": study.shape.bytes_each * weights,
                "flops": 2 * weights,
                "of_dense_bytes": weights / study.shape.weights("dense", active),
                "us": timing and timing.median,
                "us_p20": timing and timing.low,
                "us_p80": timing and timing.high,
                "of_dense_us": timing and dense and timing.median / dense.median,
            }


def _active(study: Study, site: Site, way: Way, passes: Sequence[Pass]) -> float | None:
    """Neurons that are read of one FFN or expert; None where there is no such way."""
    if way == "dense":
        return study.shape.d_ff
    if way != "predicted":
        return study.reuse.active / study.shape.experts
    left_out = next((each.left_out[site.name] for each in passes if each.by == "predictor"), None)
    return None if left_out is None else (1 - left_out) * study.shape.d_ff


def _recall(study: Study, way: Way) -> float | None:
    """Of neurons that are active."""
    if way == "predicted":
        return study.guesses.recall if study.guesses else None
    return study.gate.recall if way == "computed" and study.gate else 1.0


def _named(site: Site) -> Row:
    return {"layer": site.layer, "name": site.name}
