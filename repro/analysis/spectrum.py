"""How many directions a matrix uses, by its singular values."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

AT_ONCE = 2**28  # bytes in float64 of matrices that are multiplied together


@dataclass(frozen=True)
class Spectrum:
    """What the singular values ``s`` of a matrix come to; all of it is 0 of a matrix of zeros.

    Attributes:
        effective_rank: ``exp(-sum p log p)`` with ``p = s / sum s`` (Eq. 36, which counts from 0 and means 1): from 1,
            where one direction has all, to the smaller side, where all have the same.
        stable_rank: ``sum s^2 / max s^2``.
        participation_ratio: ``(sum s^2)^2 / sum s^4``.
        largest: ``max s``.
    """

    effective_rank: float
    stable_rank: float
    participation_ratio: float
    largest: float

    @classmethod
    def of(cls, matrix: Tensor) -> Self:
        """Of a matrix ``(rows, columns)``.

        Raises:
            ValueError: it is not finite.
        """
        return cls.from_values(singular_values(matrix[None])[0])

    @classmethod
    def from_values(cls, values: Tensor) -> Self:
        """Of singular values ``(n,)``, in float64, from the largest on."""
        largest = values[0].item()
        if not largest:
            return cls(0.0, 0.0, 0.0, 0.0)
        share, squares = values / values.sum(), (values / largest).square()
        entropy = torch.special.entr(share).sum()  # 0 log 0 is 0
        participation = squares.sum().square() / squares.square().sum()
        return cls(entropy.exp().item(), squares.sum().item(), participation.item(), largest)


def singular_values(matrices: Tensor) -> Tensor:
    """Of matrices ``(n, rows, columns)``, the largest first, ``(n, smaller side)`` in float64.

    They are the roots of the eigenvalues of the smaller Gram matrix, which takes a fifth of the time of a decomposition
    or less. In float64 that is accurate enough for weights in float32: it moves an effective rank by 5e-5 of itself at
    most, that of 1,024 x 4,128 numbers of rank one. In float32 ranks of 1.4 came out as 1.6.

    Raises:
        ValueError: one of them is not finite; it is named by its place.
    """
    sizes = matrices.abs().amax((-2, -1)).double()
    if bad := (~sizes.isfinite()).nonzero().flatten().tolist():
        raise ValueError(f"matrix {bad[0] + 1} of {len(matrices)} is not finite" if len(matrices) > 1 else "not finite")
    at_once = max(1, AT_ONCE // (8 * matrices[0].numel()))
    found = [_values(*part) for part in zip(matrices.split(at_once), sizes.split(at_once), strict=True)]
    return torch.cat(found)


def _values(matrices: Tensor, sizes: Tensor) -> Tensor:
    """Divided by the largest entry, so that no square leaves the range of numbers."""
    scaled = matrices.double() / sizes.where(sizes > 0, 1.0)[:, None, None]
    wide = scaled if scaled.shape[-2] <= scaled.shape[-1] else scaled.mT
    squares = torch.linalg.eigvalsh(wide @ wide.mT)
    values: Tensor = squares.clamp(min=0).sqrt().flip(-1) * sizes[:, None]
    return values
