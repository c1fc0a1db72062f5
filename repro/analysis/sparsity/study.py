"""What is found of one layer, its thresholds on one part of a sample and all else on another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
from torch import Tensor

from repro.analysis.sparsity.cost import Shape, Way
from repro.analysis.sparsity.gathering import ROUNDS, WARM_UP, Gathering, Turn
from repro.analysis.sparsity.inputs import Given
from repro.analysis.sparsity.neurons import Layer
from repro.analysis.sparsity.reuse import Reuse
from repro.analysis.sparsity.shares import Shares
from repro.analysis.sparsity.telling import NARROWER, Gate, Guesses, active
from repro.models.ffn import LowRank

TAUS = (0.05, 0.1, 0.2, 0.3)
USUAL = 0.2  # as ReLU² Wins has it; who is active is looked at closer there
SHARES = (0.5, 0.7, 0.8, 0.9, 0.95)  # of neurons that are left out


@dataclass(frozen=True)
class Study:
    """Of one layer.

    Attributes:
        shares: inactive neurons.
        reuse: of active ones by the next token.
        gate: what gates tell; None without.
        guesses: of a predictor; None of experts.
        constant: what the activation gives at 0, of each FFN or expert.
        shape: of the FFN, or of one expert.
    """

    shares: Shares
    reuse: Reuse
    gate: Gate | None
    guesses: Guesses | None
    constant: tuple[float, ...]
    shape: Shape

    @classmethod
    def of(cls, layer: Layer, fitted: Given, others: Given, *, context: int) -> Self:
        """Of what a layer is given in two parts of a sample, in windows of ``context``."""
        shares = Shares.of(layer, fitted, others, TAUS, SHARES, context=context)
        threshold = shares.by_tau[USUAL].threshold
        return cls(
            shares=shares,
            reuse=Reuse.of(layer.neurons, others, partial(active, threshold=threshold), context=context),
            gate=Gate.of(layer, fitted, others, threshold),
            guesses=Guesses.of(layer, fitted, others, threshold),
            constant=tuple(float(own.constant) for own in layer.neurons),
            shape=_shape(layer, others),
        )

    @property
    def threshold(self) -> float:
        """Of lengths, at the usual tau."""
        return self.shares.by_tau[USUAL].threshold


def turns(layer: Layer, study: Study, given: Given) -> Mapping[Way, Turn]:
    """Ways to do one token's work, to be timed: of the FFN, or of the expert that most tokens are sent to."""
    busiest = max(range(len(study.shares.rows)), key=study.shares.rows.__getitem__)
    own, x = layer.neurons[busiest], _spread(given.of(busiest)[0], ROUNDS + WARM_UP)
    gathering, tokens = Gathering(own), x.split(1)
    named = [on.nonzero()[:, 0] for on in active(own, x, study.threshold)]
    limit, guesses = study.gate.threshold if study.gate else study.threshold, study.guesses
    ways: dict[Way, Turn] = {
        "dense": _each(tokens, lambda token, number: gathering.dense(token)),
        "known": _each(tokens, lambda token, number: gathering.named(token, named[number])),
        "computed": _each(tokens, lambda token, number: gathering.computed(token, limit)),
    }
    if guesses:
        ways["predicted"] = _each(tokens, lambda token, number: gathering.predicted(token, guesses.predictor))
    return ways


def _spread(x: Tensor, n: int) -> Tensor:
    """``n`` of the rows, or all if there are fewer, evenly spread: what one window's tokens have in common is not all
    there is.
    """
    taken = min(n, len(x))
    return x[torch.arange(taken, device=x.device) * len(x) // taken]


def _each(tokens: Sequence[Tensor], work: Callable[[Tensor, int], object]) -> Turn:
    return lambda number: work(tokens[number % len(tokens)], number % len(tokens))


def _inner(layer: Layer) -> int | None:
    down = getattr(layer.site.ffn, "down_proj", None)
    return down.right.out_features if isinstance(down, LowRank) else None


def _shape(layer: Layer, given: Given) -> Shape:
    own = layer.neurons[0]
    d_model, d_ff = own.down.shape
    return Shape(
        d_model,
        d_ff,
        gated=own.gated,
        mixes=own.mixes,
        constant=any(bool(each.constant) for each in layer.neurons),
        rank=max(1, d_model // NARROWER),
        experts=1 if given.chosen is None else given.chosen.shape[1],
        bytes_each=own.down.element_size(),
        inner=_inner(layer),
    )
