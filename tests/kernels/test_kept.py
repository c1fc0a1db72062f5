"""What a fused call writes, keeps and repeats."""

import pytest
import torch
from torch.autograd import grad
from torch.utils._python_dispatch import TorchDispatchMode

from repro.kernels import tiling
from tests.helpers import kept_bytes
from tests.kernels.inputs import DTYPES, ORDERS, PAIRS, fused, leaf, other

BOTH = pytest.mark.parametrize("name", PAIRS)


@BOTH
@ORDERS
@DTYPES
def test_the_input_and_a_number_a_row_and_power_are_all_that_is_kept_for_the_backward_pass(name, order, dtype, device):
    x, coeff = leaf(16, 128, dtype=dtype, device=device), leaf(order + 1, device=device)
    scales = 16 * order * 4 if name == "polynorm" else 0
    kept = kept_bytes(lambda *inputs: fused(name, *inputs), x, coeff, apart=[coeff])
    assert kept == x.numel() * x.element_size() + scales


class _Calls(TorchDispatchMode):
    """The names of what torch is asked to compute."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


@BOTH
def test_a_backward_pass_is_one_operator(name, device):
    x, coeff, dy = leaf(16, 128, device=device), leaf(4, device=device), other(16, 128, device=device)
    y = fused(name, x, coeff)
    with _Calls() as calls:
        grad(y, (x, coeff), dy)
    assert [call for call in calls.names if "detach" not in call] == [f"repro.{name}_backward.default"]


@BOTH
@ORDERS
def test_the_incoming_gradient_is_not_written_to(name, order, device):
    x, coeff, dy = leaf(4, 64, device=device), leaf(order + 1, device=device), other(4, 64, device=device)
    before = dy.clone()
    grad(fused(name, x, coeff), (x, coeff), dy)
    assert torch.equal(dy, before)


@BOTH
def test_an_incoming_gradient_that_others_share_stays_right_for_them(name, device):
    x, z = leaf(4, 64, device=device), leaf(4, 64, device=device)
    (fused(name, x, torch.ones(4, device=device)) + 3 * z).backward(torch.ones(4, 64, device=device))
    assert z.grad.eq(3).all()


@BOTH
@pytest.mark.parametrize("shape", [(70, 64), (3, 8256), (2, 20000)], ids=str)
def test_the_same_input_gives_the_same_bits(name, shape, device):
    x, coeff, dy = leaf(*shape, device=device), leaf(4, device=device), other(*shape, device=device)

    def run():
        y = fused(name, x, coeff)
        return y, *grad(y, (x, coeff), dy)

    first = run()
    for _ in range(2):
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(run(), first, strict=True))


@pytest.mark.parametrize(("rows", "width"), [(1, 8256), (8192, 8256), (1_000_003, 64), (3_211_264, 64), (5, 65_536)])
def test_sums_over_rows_are_cut_by_shape_alone(rows, width, device):
    """Noted on tensors without values or device: there are no multiprocessors to ask for their number."""
    from tests.kernels.compiled import backward

    first, *tree = backward("polynorm", (rows, width), 3, torch.bfloat16)
    count = -(-rows // tiling.backward(width, 3).rows)
    assert first.grid == (count,)
    assert first.args[5].shape == (count, 4)
    for level in tree:
        assert level.args[2] == count
        count = -(-count // 2048)
        assert level.grid == (count,)
    assert count == 1
