"""Linear CKA: how alike two sets of states are, whatever their width and rotation (Kornblith et al., arXiv 1905.00414).

Of minibatches of tokens and unbiased (Nguyen et al., arXiv 2010.15327): the biased one is large for independent states
as soon as these are wider than there are tokens.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MINIBATCH = 256  # tokens, or up to twice as many; memory grows with its square (as in arXiv 2010.15327)
FEWEST = 4  # tokens, of which the unbiased estimate is defined


class CKA:
    """``HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y))`` between layers, HSIC being summed over minibatches in float64.

    Args:
        skip: tokens at the start of each window that are left out.
    """

    def __init__(self, *, skip: int = 0) -> None:
        self.skip = skip
        self.between: NDArray[np.float64] | float = 0.0
        self.first: NDArray[np.float64] | float = 0.0
        self.second: NDArray[np.float64] | float = 0.0

    def add(self, first: Sequence[Tensor], second: Sequence[Tensor] | None = None) -> None:
        """Add a batch: a tensor a layer, ``(windows, tokens, width)``.

        Minibatches are spread over the batch, so that tokens of one window are seldom neighbours. A batch of fewer than
        :data:`FEWEST` tokens adds nothing.

        Args:
            first: of one model.
            second: of another on the same tokens; without it layers are compared with each other.
        """
        own = [state[:, self.skip :].flatten(0, 1) for state in first]
        other = [state[:, self.skip :].flatten(0, 1) for state in second] if second else None
        tokens = len(own[0])
        parts = max(1, tokens // MINIBATCH)
        for start in range(parts if tokens >= FEWEST else 0):
            ours = _centred([state[start::parts] for state in own])
            self._add(ours, ours if other is None else _centred([state[start::parts] for state in other]))

    def _add(self, ours: Tensor, theirs: Tensor) -> None:
        self.between = self.between + (ours @ theirs.T).cpu().numpy()
        self.first = self.first + ours.square().sum(1).cpu().numpy()
        self.second = self.second + theirs.square().sum(1).cpu().numpy()

    @property
    def matrix(self) -> NDArray[np.float64]:
        """``(layers, layers of the second)``; nan where the states of a layer do not differ from token to token."""
        norms = np.sqrt(np.outer(self.first, self.second))
        found: NDArray[np.float64] = np.divide(self.between, norms, out=np.full_like(norms, np.nan), where=norms > 0)
        return found


def _centred(states: Sequence[Tensor]) -> Tensor:
    """Each layer's products of tokens, U-centred, as a row: ``(layers, tokens^2)``; HSIC is a product of two rows.

    Divided by ``sqrt(n (n - 3))``, so that minibatches of different sizes weigh alike.
    """
    return torch.stack([_u_centred(state.double()).flatten() for state in states])


def _u_centred(x: Tensor) -> Tensor:
    """``(tokens, width)`` to ``(tokens, tokens)``, with zeros on the diagonal (Székely and Rizzo, 2014)."""
    x, n = x - x.mean(0), len(x)  # which the estimate does not depend on; rounding does
    products: Tensor = (x @ x.T).fill_diagonal_(0)
    rows = products.sum(0) / (n - 2)
    centred: Tensor = products - rows - rows[:, None] + products.sum() / ((n - 1) * (n - 2))
    return centred.fill_diagonal_(0) / math.sqrt(n * (n - 3))
