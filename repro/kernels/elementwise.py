"""PolyReLU as Triton kernels: the algebra of :mod:`repro.kernels.eager`, one pass over memory each way.

NaN passes through, as in the reference: comparisons are written so that it falls on the side of the polynomial.
"""

import triton
import triton.language as tl

from repro.kernels.polynomial import add_products, horner, number, read, write, zeros


@triton.jit
def forward(x_ptr, coeff_ptr, y_ptr, n, ORDER: tl.constexpr, BLOCK: tl.constexpr, TILES: tl.constexpr):
    """``y`` of ``TILES`` tiles of ``BLOCK`` elements of ``n``."""
    coeff = ()
    for i in tl.static_range(ORDER + 1):
        coeff = coeff + (number(coeff_ptr, i),)
    for t in tl.static_range(TILES):
        offsets = _place(t, BLOCK, TILES)
        x = read(x_ptr, offsets, offsets < n)
        write(y_ptr, offsets, offsets < n, horner(tl.where(x < 0, 0.0, x), coeff, ORDER + 1))


@triton.jit
def backward(
    dy_ptr, x_ptr, coeff_ptr, dx_ptr, partials_ptr, n, ORDER: tl.constexpr, BLOCK: tl.constexpr, TILES: tl.constexpr
):
    """``dx`` of as many elements, and the program's share of ``dcoeff``, ``(programs, ORDER + 1)``."""
    slopes = ()
    for i in tl.static_range(1, ORDER + 1):
        slopes = slopes + (i * number(coeff_ptr, i),)
    moments = zeros(ORDER + 1, 1, BLOCK)
    for t in tl.static_range(TILES):
        offsets = _place(t, BLOCK, TILES)
        x, dy = read(x_ptr, offsets, offsets < n), read(dy_ptr, offsets, offsets < n)
        z = tl.where(x < 0, 0.0, x)
        moments = add_products(moments, dy, z, ORDER + 1)
        write(dx_ptr, offsets, offsets < n, tl.where(x <= 0, 0.0, dy * horner(z, slopes, ORDER)))
    share_ptr = partials_ptr + tl.program_id(0).to(tl.int64) * (ORDER + 1)
    for i in tl.static_range(ORDER + 1):
        tl.store(share_ptr + i, tl.sum(tl.sum(moments[i], axis=1), axis=0))


@triton.jit
def _place(t, BLOCK: tl.constexpr, TILES: tl.constexpr):
    """Offsets of tile ``t``, ``(1, BLOCK)``; int64, since a tensor may have more than 2^31 elements."""
    return (tl.program_id(0).to(tl.int64) * TILES + t) * BLOCK + tl.arange(0, BLOCK)[None, :]
