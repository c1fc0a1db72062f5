"""PolyNorm as Triton kernels: the algebra of :mod:`repro.kernels.eager`, one pass over memory each way.

Forward and backward exist twice: for rows that stay in a thread's registers, read once, and for wide rows, read twice.
The second reading goes from the end to the beginning: what was read last is nearest in the cache.

Coefficient gradients leave a program as one partial sum a coefficient; :mod:`repro.kernels.fold` adds those up.
"""

import triton
import triton.language as tl

from repro.kernels.polynomial import add_products, horner, number, place, read, write, zeros


@triton.jit(do_not_specialize=["rows"])
def forward(
    x_ptr, coeff_ptr, y_ptr, scales_ptr, rows, eps,
    WIDTH: tl.constexpr, ORDER: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """``y`` of rows held in registers, and their scales, ``(rows, ORDER)``."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    x = _tiles(x_ptr, row, rows, WIDTH, BLOCK, TILES)
    squares = zeros(ORDER, ROWS, BLOCK)
    for t in tl.static_range(TILES):
        squares = add_products(squares, x[t] * x[t], x[t] * x[t], ORDER)
    coeff = _scaled(squares, coeff_ptr, scales_ptr, row, rows, eps, WIDTH, ORDER)
    for t in tl.static_range(TILES):
        offsets, inside = place(row, rows, t * BLOCK, WIDTH, BLOCK)
        write(y_ptr, offsets, inside, horner(x[t], coeff, ORDER + 1))


@triton.jit(do_not_specialize=["rows"])
def forward_wide(
    x_ptr, coeff_ptr, y_ptr, scales_ptr, rows, eps,
    WIDTH: tl.constexpr, ORDER: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """As :func:`forward`, for rows too wide to be held."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    squares = zeros(ORDER, ROWS, BLOCK)
    for t in tl.range(TILES):
        offsets, inside = place(row, rows, t * BLOCK, WIDTH, BLOCK)
        x = read(x_ptr, offsets, inside)
        squares = add_products(squares, x * x, x * x, ORDER)
    coeff = _scaled(squares, coeff_ptr, scales_ptr, row, rows, eps, WIDTH, ORDER)
    for t in tl.range(TILES):
        offsets, inside = place(row, rows, (TILES - 1 - t) * BLOCK, WIDTH, BLOCK)
        write(y_ptr, offsets, inside, horner(read(x_ptr, offsets, inside), coeff, ORDER + 1))


@triton.jit(do_not_specialize=["rows"])
def backward(
    dy_ptr, x_ptr, coeff_ptr, scales_ptr, dx_ptr, partials_ptr, rows,
    WIDTH: tl.constexpr, ORDER: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """``dx`` of rows held in registers, and the program's share of ``dcoeff``, ``(programs, ORDER + 1)``."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    x = _tiles(x_ptr, row, rows, WIDTH, BLOCK, TILES)
    dy = _tiles(dy_ptr, row, rows, WIDTH, BLOCK, TILES)
    moments = zeros(ORDER + 1, ROWS, BLOCK)
    for t in tl.static_range(TILES):
        moments = add_products(moments, dy[t], x[t], ORDER + 1)
    p, q = _slopes(moments, coeff_ptr, scales_ptr, partials_ptr, row, rows, WIDTH, ORDER)
    for t in tl.static_range(TILES):
        offsets, inside = place(row, rows, t * BLOCK, WIDTH, BLOCK)
        write(dx_ptr, offsets, inside, dy[t] * horner(x[t], p, ORDER) - x[t] * horner(x[t] * x[t], q, ORDER))


@triton.jit(do_not_specialize=["rows"])
def backward_wide(
    dy_ptr, x_ptr, coeff_ptr, scales_ptr, dx_ptr, partials_ptr, rows,
    WIDTH: tl.constexpr, ORDER: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """As :func:`backward`, for rows too wide to be held."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    moments = zeros(ORDER + 1, ROWS, BLOCK)
    for t in tl.range(TILES):
        offsets, inside = place(row, rows, t * BLOCK, WIDTH, BLOCK)
        dy, x = read(dy_ptr, offsets, inside), read(x_ptr, offsets, inside)
        moments = add_products(moments, dy, x, ORDER + 1)
    p, q = _slopes(moments, coeff_ptr, scales_ptr, partials_ptr, row, rows, WIDTH, ORDER)
    for t in tl.range(TILES):
        offsets, inside = place(row, rows, (TILES - 1 - t) * BLOCK, WIDTH, BLOCK)
        dy, x = read(dy_ptr, offsets, inside), read(x_ptr, offsets, inside)
        write(dx_ptr, offsets, inside, dy * horner(x, p, ORDER) - x * horner(x * x, q, ORDER))


@triton.jit
def _tiles(ptr, row, rows, WIDTH: tl.constexpr, BLOCK: tl.constexpr, TILES: tl.constexpr):
    tiles = ()
    for t in tl.static_range(TILES):
        offsets, inside = place(row, rows, t * BLOCK, WIDTH, BLOCK)
        tiles = tiles + (read(ptr, offsets, inside),)
    return tiles


@triton.jit
def _scaled(squares, coeff_ptr, scales_ptr, row, rows, eps, WIDTH: tl.constexpr, ORDER: tl.constexpr):
    """``a_0`` and ``a_i s_i``, one a row, from the sums of squares of the powers; stores the ``s_i``."""
    coeff = (number(coeff_ptr, 0),)
    for i in tl.static_range(ORDER):
        scale = tl.rsqrt(tl.sum(squares[i], axis=1) / WIDTH + eps)
        tl.store(scales_ptr + row * ORDER + i, scale, mask=row < rows)
        coeff = coeff + ((number(coeff_ptr, i + 1) * scale)[:, None],)
    return coeff


@triton.jit
def _slopes(
    moments, coeff_ptr, scales_ptr, partials_ptr, row, rows, WIDTH: tl.constexpr, ORDER: tl.constexpr
):  # fmt: skip
    """``p_i`` and ``q_i``, one a row, from the moments; stores the sums over this program's rows for ``dcoeff``."""
    share_ptr = partials_ptr + tl.program_id(0).to(tl.int64) * (ORDER + 1)
    tl.store(share_ptr, tl.sum(tl.sum(moments[0], axis=1), axis=0))
    p, q = (), ()
    for i in tl.static_range(1, ORDER + 1):
        moment = tl.sum(moments[i], axis=1)
        scale = tl.load(scales_ptr + row * ORDER + i - 1, mask=row < rows, other=0.0)
        scaled = scale * moment  # first: the cube of a scale underflows long before the forward pass overflows
        tl.store(share_ptr + i, tl.sum(scaled, axis=0))
        slope = i * number(coeff_ptr, i) * scale
        p = p + (slope[:, None],)
        q = q + ((slope * scale * (scaled / WIDTH))[:, None],)
    return p, q
