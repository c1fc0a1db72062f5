"""What the kernels are made of: tiles of rows, sums of products, and Horner's rule, in float32."""

import triton
import triton.language as tl


@triton.jit
def place(row, rows, start, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """Offsets of columns ``start`` to ``start + BLOCK`` of the given rows, and which of them exist.

    ``row`` is int64: a tensor of rows may have more than 2^31 elements.
    """
    column = start + tl.arange(0, BLOCK)
    return row[:, None] * WIDTH + column[None, :], (row < rows)[:, None] & (column < WIDTH)[None, :]


@triton.jit
def read(ptr, offsets, inside):
    """Elements in float32, before the first product: a cube in 16 bits has three roundings. Zero where none exist."""
    return tl.load(ptr + offsets, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def write(ptr, offsets, inside, value):
    """The one rounding, to the dtype of what ``ptr`` points to."""
    tl.store(ptr + offsets, value.to(ptr.dtype.element_ty), mask=inside)


@triton.jit
def number(ptr, i):
    """Element ``i`` in float32."""
    return tl.load(ptr + i).to(tl.float32)


@triton.jit
def zeros(COUNT: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """``COUNT`` tiles to sum into, which stay apart by thread until :func:`tl.sum` brings them together."""
    tiles = ()
    for _ in tl.static_range(COUNT):
        tiles = tiles + (tl.zeros([ROWS, BLOCK], tl.float32),)
    return tiles


@triton.jit
def add_products(sums, first, factor, COUNT: tl.constexpr):
    """``sums`` plus ``first``, ``first factor``, ``first factor^2``, each to its own."""
    added = ()
    product = first
    for i in tl.static_range(COUNT):
        added = added + (sums[i] + product,)
        product = product * factor
    return added


@triton.jit
def horner(x, coeff, COUNT: tl.constexpr):
    """``c_0 + x (c_1 + x (c_2 + ...))``, each coefficient a number or one a row."""
    y = coeff[COUNT - 1]
    for i in tl.static_range(COUNT - 1):
        y = y * x + coeff[COUNT - 2 - i]
    return y
