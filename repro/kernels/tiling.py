"""How rows are cut into tiles: a fixed table in arithmetic, so that a shape always runs, and rounds, the same way.

A program reads its rows as ``tiles`` tiles of ``block`` columns, eight columns of 16-bit numbers (16 bytes) to a thread
and tile. Where a thread's registers hold a whole row, or two in the backward pass, the row is read once. Wider rows are
read twice, the second time from the cache. The bounds come from the compiler's register reports for sm_80 and sm_90.
"""

import math
from dataclasses import dataclass

MAX_ORDER = 6
MAX_WIDTH = 65_536
TILES = 9  # of x and dy in registers still leave two or three programs of four warps on a multiprocessor
PADDING = 1 / 8  # more idle columns than this and the block is halved, as far as TILES allows


@dataclass(frozen=True)
class Tiling:
    """One program's share: ``rows`` rows, each read as ``tiles`` tiles of ``block`` columns by ``warps`` warps.

    ``resident`` says that the row stays in registers between the sums over it and their use.
    """

    block: int
    tiles: int
    rows: int
    warps: int
    resident: bool


def forward(width: int, order: int) -> Tiling:
    """The tiling of a forward pass over rows of ``width`` columns."""
    if width <= TILES * 1024:
        return _narrow(width, TILES)
    if width <= 16 * 1024 and order <= 4:
        return Tiling(1024, math.ceil(width / 1024), 1, 4, True)
    return _wide(width, order)


def backward(width: int, order: int) -> Tiling:
    """The tiling of a backward pass, which holds the input and the gradient: half as many columns fit."""
    tiles = TILES if order <= 3 else 6
    if width <= tiles * 1024:
        return _narrow(width, tiles)
    if width <= 12 * 1024 and order <= 3:
        return Tiling(2048, math.ceil(width / 2048), 1, 8, True)
    return _wide(width, order)


def _narrow(width: int, tiles: int) -> Tiling:
    """Four warps: one to a row of up to 256 ``tiles`` 16-bit numbers, whose sums cross no warp; then two, then all."""
    block = min(256, max(16, 1 << (width - 1).bit_length()))
    while math.ceil(width / block) > tiles:
        block *= 2
    while block > 16 and _padded(width, block) > (1 + PADDING) * width and math.ceil(2 * width / block) <= tiles:
        block //= 2
    count = math.ceil(width / block)
    at_once = 2048 if count == 1 else 1024  # columns: 16 to a thread, where that is all there is to do, or 8
    return Tiling(block, count, max(1, at_once // block), 4, True)


def _wide(width: int, order: int) -> Tiling:
    """Many warps to a row, so that few rows are under way and all fit in the cache; two programs a multiprocessor."""
    warps = 16 if order <= 3 else 8
    block = 256 * warps
    return Tiling(block, math.ceil(width / block), 1, warps, False)


def _padded(width: int, block: int) -> int:
    return math.ceil(width / block) * block
