"""What the paper says of its activations as functions: that PolyNorm is as expressive as PolyReLU, and Type II as I."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repro.activations import reference
from repro.theory.findings import Finding

Norm = Callable[[Tensor, Tensor], Tensor]
Column = Callable[[NDArray[np.float64]], NDArray[np.float64]]
ORDER, WIDTH, SEED = 3, 64, 0
SCALES = (0.01, 0.5, 3.0, 1000.0)
EXACT = 1e-9  # of numbers of about 1: rounding is far below
ONE = (0.5, 1.0, 2.0)  # of one sign


def findings() -> list[Finding]:
    """Those of this module, in the paper's order."""
    return [type_ii(), equivalent()]


def without_eps(x: Tensor, coeff: Tensor) -> Tensor:
    """PolyNorm as Eq. 3 has it."""
    return reference.polynorm(x, coeff, eps=0.0, norm="l2")


def equivalent(norm: Norm = without_eps) -> Finding:
    """PolyNorm where PolyReLU tells numbers apart: along a ray, and of one input."""
    generator = torch.Generator().manual_seed(SEED)
    x = torch.randn(100, WIDTH, dtype=torch.float64, generator=generator)
    coeff = torch.full((ORDER + 1,), 1 / ORDER, dtype=torch.float64)
    values = norm(x, coeff)
    moved = max(float((norm(x * scale, coeff) - values).abs().max()) for scale in SCALES)
    largest, bound = float(values.norm(dim=-1).max()), float(coeff.abs().sum())
    ones = norm(torch.tensor(ONE, dtype=torch.float64)[:, None], coeff)[:, 0].tolist()
    poly = [sum(float(c) * p**i for i, c in enumerate(coeff)) for p in ONE]
    return Finding(
        id="equivalent-expressivity",
        place="Section 3, PolyNorm",
        claim="PolyReLU and PolyNorm have equivalent expressivity.",
        holds=moved > EXACT and largest > bound + EXACT and max(ones) - min(ones) > EXACT,
        measured=(
            f"Without its eps PolyNorm does not change with the scale of its input: over factors from {SCALES[0]:g} to "
            f"{SCALES[-1]:g} values of a row of {WIDTH} move by {moved:.1e}. It is bounded: the longest of "
            f"{len(x)} rows is {largest:.3g}, and none can be longer than sum |a_i| = {bound:.3g}. Of one input it "
            f"sees the sign alone: at {_listed(ONE)} it is {_listed(ones)}, where PolyReLU is {_listed(poly)}."
        ),
        differs="The theorems are about PolyReLU. Of a layer with biases PolyNorm sees sizes again, and stays bounded.",
        key=f"scaled, PolyNorm moves by {moved:.0e}; length up to {bound:.3g}",
        numbers={"moved": moved, "longest": largest, "bound": bound, "spread_of_one_input": max(ones) - min(ones)},
    )


def type_ii(second: Column = np.square) -> Finding:
    """ReLU squared, which is of Type I, of Type II units in one layer, and in two."""
    x = np.linspace(-1, 1, 2001)
    target = np.maximum(x, 0) ** 2
    units = [np.ones_like(x), *(np.maximum(sign * x**i, 0) for i in range(1, ORDER + 1) for sign in (1, -1))]
    residual = _residual(units, target)
    deeper = float(np.abs(np.maximum(second(np.maximum(x, 0)), 0) - target).max())
    return Finding(
        id="type-ii",
        place="Section 2, Type I and II",
        claim="ReLU squared, of Type I, is a network of Type II units: an example of their equivalent expressivity.",
        holds=deeper < EXACT,
        as_stated=residual < EXACT and deeper < EXACT,
        measured=(
            f"ReLU squared is of Type I. Of Type II units of order {ORDER} with their kink at 0, in one layer, the "
            f"best by least squares on [-1, 1] is up to {residual:.3f} off; two, ReLU and then ReLU(x^2), {deeper:g}."
        ),
        differs=f"Stated of the types, layer for layer: {residual:.3f} is left, and one more layer is needed. One "
        "function is no equivalence, and the other direction is not looked at.",
        key=f"ReLU squared of Type II units: one layer is {residual:.3f} off, two {deeper:g}",
        numbers={"residual_of_one_layer": residual, "residual_of_two": deeper},
    )


def _residual(units: list[NDArray[np.float64]], target: NDArray[np.float64]) -> float:
    """The largest, of the best sum by least squares."""
    matrix = np.stack(units, 1)
    return float(np.abs(matrix @ np.linalg.lstsq(matrix, target, rcond=None)[0] - target).max())


def _listed(values: tuple[float, ...] | list[float]) -> str:
    return ", ".join(f"{value:.3g}" for value in values)
