"""What one token has a layer read and compute, by how it is known which neurons are active."""

from dataclasses import dataclass
from typing import Literal

Way = Literal["dense", "known", "computed", "predicted"]
WAYS: tuple[Way, ...] = ("dense", "known", "computed", "predicted")


@dataclass(frozen=True)
class Shape:
    """Of the FFN that a token passes, or of one expert.

    Attributes:
        d_model: width of the residual stream.
        d_ff: neurons.
        gated: whether it has a gate.
        mixes: whether the activation needs every pre-activation, as PolyNorm: then no row of the first matrix, which
            is the gate's if there is one, can be left unread.
        constant: whether the activation has a constant part: a bias, or where it is gated a map of the stream.
        rank: of the predictor.
        experts: that a token passes; 1 without.
        bytes_each: of a weight.
        inner: rank of the two factors that each matrix is stored as, of which only the one next to the neurons has
            weights of a neuron; None where matrices are whole. Ways are of whole ones.
    """

    d_model: int
    d_ff: int
    gated: bool
    mixes: bool
    constant: bool
    rank: int
    experts: int = 1
    bytes_each: int = 4
    inner: int | None = None

    def weights(self, way: Way, active: float) -> float:
        """Weights that a token reads, of all experts that it passes, with so many active neurons in each.

        ``dense``: all. ``known``: those of active neurons, as if somebody had told, the least there can be.
        ``computed``: the first matrix, whose product tells: ungated exactly, gated only as far as the gate does.
        ``predicted``: the predictor, and those of neurons that it takes for active.
        """
        d, f = self.d_model, self.d_ff
        if way == "dense":
            return self.experts * d * f * (3 if self.gated else 2)
        first = f if self.mixes or way == "computed" else active
        bias = (d * d if self.gated else d) if self.constant else 0
        told = self.predictor if way == "predicted" else 0
        return self.experts * (d * (first + active * (2 if self.gated else 1)) + bias + told)

    @property
    def predictor(self) -> int:
        """Weights of a predictor of this FFN."""
        return self.rank * (self.d_model + self.d_ff) + self.d_ff
