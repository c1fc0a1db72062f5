"""The table of tilings: every width has one, and each keeps to what the compiler's reports were taken for."""

import pytest

from repro.kernels import tiling
from repro.kernels.tiling import MAX_ORDER, MAX_WIDTH, Tiling

ORDERS = range(1, MAX_ORDER + 1)
WIDTHS = [*range(1, 1025), *range(1025, MAX_WIDTH, 61), *(2**i + j for i in range(10, 17) for j in (-1, 0, 1))]
TABLE = [
    (width, order, make(width, order))
    for make in (tiling.forward, tiling.backward)
    for order in ORDERS
    for width in WIDTHS
    if width <= MAX_WIDTH
]


def exceptions(holds):
    return [(width, order, tile) for width, order, tile in TABLE if not holds(width, tile)][:5]


def test_a_tiling_covers_its_row_and_no_tile_is_outside():
    assert not exceptions(lambda width, tile: (tile.tiles - 1) * tile.block < width <= tile.tiles * tile.block)


def test_blocks_rows_and_warps_are_powers_of_two_as_triton_needs_them():
    numbers = {n for _, _, tile in TABLE for n in (tile.block, tile.rows, tile.warps)}
    assert all(n & (n - 1) == 0 for n in numbers)


def test_each_thread_has_eight_columns_of_a_tile_to_read_at_once_or_sixteen_of_one_that_is_all():
    assert not exceptions(
        lambda width, tile: (
            tile.rows * tile.block // (32 * tile.warps) in ({16} if tile.tiles == 1 and tile.rows > 1 else {8})
        )
    )


def test_wide_rows_have_a_program_each():
    assert not exceptions(lambda width, tile: tile.resident or tile.rows == 1)


def test_no_more_is_held_in_registers_than_reports_were_taken_for():
    def columns(order, make):  # of the widest row that stays, to a thread
        tiles = [make(width, order) for width in WIDTHS if width <= MAX_WIDTH]
        return max(tile.tiles * tile.block * tile.rows // (32 * tile.warps) for tile in tiles if tile.resident)

    assert [columns(order, tiling.forward) for order in ORDERS] == [128, 128, 128, 128, 72, 72]
    assert [columns(order, tiling.backward) for order in ORDERS] == [72, 72, 72, 48, 48, 48]


@pytest.mark.parametrize(
    ("width", "forward", "backward"),
    [
        (64, Tiling(64, 1, 32, 4, True), Tiling(64, 1, 32, 4, True)),
        (264, Tiling(32, 9, 32, 4, True), Tiling(32, 9, 32, 4, True)),
        (1536, Tiling(256, 6, 4, 4, True), Tiling(256, 6, 4, 4, True)),
        (2112, Tiling(256, 9, 4, 4, True), Tiling(256, 9, 4, 4, True)),
        (8256, Tiling(1024, 9, 1, 4, True), Tiling(1024, 9, 1, 4, True)),
        (10944, Tiling(1024, 11, 1, 4, True), Tiling(2048, 6, 1, 8, True)),
        (16384, Tiling(1024, 16, 1, 4, True), Tiling(4096, 4, 1, 16, False)),
        (32768, Tiling(4096, 8, 1, 16, False), Tiling(4096, 8, 1, 16, False)),
    ],
)
def test_the_widths_of_the_paper_and_of_others_at_order_3(width, forward, backward):
    assert tiling.forward(width, 3) == forward
    assert tiling.backward(width, 3) == backward


@pytest.mark.parametrize("width", [64, 264, 1536, 2112, 8256, 16384, 32768])
def test_the_named_widths_leave_at_most_an_eighth_of_the_lanes_idle_up_to_order_3(width):
    for order in (1, 2, 3):
        for tile in (tiling.forward(width, order), tiling.backward(width, order)):
            assert tile.tiles * tile.block <= (1 + 1 / 8) * width
