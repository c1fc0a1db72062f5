"""Launches of the Triton kernels: buffers, grids, and the tree of sums. Imported when the first kernel is needed."""

from contextlib import AbstractContextManager
from typing import Any

import torch
import triton
from torch import Tensor

from repro.kernels import elementwise, fold, rowwise, tiling

FUSION = {"enable_fp_fusion": True}  # Triton 3.10 turns it off unless asked: the numbers shall not change with that
FLAT = {"BLOCK": 1024, "num_warps": 4}  # elements of PolyReLU in a tile: 16 bytes of 16-bit numbers to a thread
FORWARD_TILES, BACKWARD_TILES = 4, 8  # and tiles in a program
FAN = 2048  # partial sums that one program of the tree adds up


def polynorm(x: Tensor, coeff: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """``y`` like ``x``, ``(..., d_ff)``, and the row scales in float32, ``(rows, order)``."""
    x, coeff = x.contiguous(), coeff.contiguous()
    order, width = len(coeff) - 1, x.shape[-1]
    rows = x.numel() // width
    y, scales = torch.empty_like(x), x.new_empty((rows, order), dtype=torch.float32)
    tile = tiling.forward(width, order)
    kernel = rowwise.forward if tile.resident else rowwise.forward_wide
    if rows:
        with _on(x):
            kernel[(triton.cdiv(rows, tile.rows),)](x, coeff, y, scales, rows, eps, **_options(width, order, tile))
    return y, scales


def polynorm_backward(dy: Tensor, x: Tensor, coeff: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """``dx`` like ``x`` and ``dcoeff`` like ``coeff``."""
    dy, x, coeff = dy.contiguous(), x.contiguous(), coeff.contiguous()
    order, width, rows, dx = len(coeff) - 1, x.shape[-1], len(scales), torch.empty_like(x)
    tile = tiling.backward(width, order)
    kernel = rowwise.backward if tile.resident else rowwise.backward_wide
    partials = x.new_empty((triton.cdiv(rows, tile.rows), order + 1), dtype=torch.float32)
    with _on(x):
        if rows:
            kernel[(len(partials),)](dy, x, coeff, scales, dx, partials, rows, **_options(width, order, tile))
        return dx, _sum(partials, coeff)


def polyrelu(x: Tensor, coeff: Tensor) -> Tensor:
    """``y`` like ``x``, of any shape, in its order in memory."""
    y, coeff = torch.empty_like(x), coeff.contiguous()
    x, n, order = _laid_out_as(y, x), x.numel(), len(coeff) - 1
    programs = triton.cdiv(n, FORWARD_TILES * FLAT["BLOCK"])
    if programs:
        with _on(x):
            elementwise.forward[(programs,)](x, coeff, y, n, ORDER=order, TILES=FORWARD_TILES, **FLAT, **FUSION)
    return y


def polyrelu_backward(dy: Tensor, x: Tensor, coeff: Tensor) -> tuple[Tensor, Tensor]:
    """``dx`` like ``x`` and ``dcoeff`` like ``coeff``."""
    dx, coeff = torch.empty_like(x), coeff.contiguous()
    dy, x, n, order = _laid_out_as(dx, dy), _laid_out_as(dx, x), x.numel(), len(coeff) - 1
    programs = triton.cdiv(n, BACKWARD_TILES * FLAT["BLOCK"])
    partials = x.new_empty((programs, order + 1), dtype=torch.float32)
    with _on(x):
        if programs:
            elementwise.backward[(programs,)](
                dy, x, coeff, dx, partials, n, ORDER=order, TILES=BACKWARD_TILES, **FLAT, **FUSION
            )
        return dx, _sum(partials, coeff)


def _laid_out_as(dense: Tensor, tensor: Tensor) -> Tensor:
    """``tensor`` with the strides of ``dense``, which has no gaps: a copy only where it has others."""
    return tensor if tensor.stride() == dense.stride() else torch.empty_like(dense).copy_(tensor)


def _options(width: int, order: int, tile: tiling.Tiling) -> dict[str, Any]:
    shape = {"WIDTH": width, "ORDER": order, "ROWS": tile.rows, "BLOCK": tile.block, "TILES": tile.tiles}
    return shape | {"num_warps": tile.warps} | FUSION


def _sum(partials: Tensor, coeff: Tensor) -> Tensor:
    """The sum of ``partials``, ``(n, order + 1)``, over n, like ``coeff``."""
    width = len(coeff)
    while True:
        groups = triton.cdiv(len(partials), FAN)
        if groups == 0:
            return torch.zeros_like(coeff)
        sums = torch.empty_like(coeff) if groups == 1 else partials.new_empty((groups, width))
        columns = triton.next_power_of_2(width)
        shape = {"WIDTH": width, "COLUMNS": columns, "FAN": FAN, "num_warps": 8}
        fold.fold[(groups,)](partials, sums, len(partials), **shape, **FUSION)
        if groups == 1:
            return sums
        partials = sums


def _on(x: Tensor) -> AbstractContextManager[Any]:
    """Triton launches on the current device, which need not be that of ``x``."""
    return torch.cuda.device_of(x)
