"""The sum of partial sums, by a tree that depends on their number alone.

torch's own sum over millions of rows chooses its tree by the number of multiprocessors; this one gives the same bits
on every run and on GPUs of one architecture with different numbers of them, and uses no atomics.
"""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["n"])
def fold(partials_ptr, sums_ptr, n, WIDTH: tl.constexpr, COLUMNS: tl.constexpr, FAN: tl.constexpr):
    """Sums over ``FAN`` of the ``n`` rows of ``partials``, ``(n, WIDTH)``; ``COLUMNS`` is the power of two above."""
    row = tl.program_id(0).to(tl.int64) * FAN + tl.arange(0, FAN)
    column = tl.arange(0, COLUMNS)
    inside = (row < n)[:, None] & (column < WIDTH)[None, :]
    tile = tl.load(partials_ptr + row[:, None] * WIDTH + column[None, :], mask=inside, other=0.0)
    total = tl.sum(tile, axis=0).to(sums_ptr.dtype.element_ty)
    tl.store(sums_ptr + tl.program_id(0).to(tl.int64) * WIDTH + column, total, mask=column < WIDTH)
