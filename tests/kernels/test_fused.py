"""The fused PolyNorm and PolyReLU against the reference in float64, forward and gradients.

The same tests run the kernels' source in Triton's interpreter, here, and compiled, on a GPU (``-m gpu``).
"""

import pytest
import torch
from torch.autograd import grad

from repro import kernels
from repro.activations import reference
from tests.kernels.inputs import BIG, DTYPES, ORDERS, PAIRS, assert_agrees, fused, leaf, other

BOTH = pytest.mark.parametrize("name", PAIRS)
# The interpreter computes with NumPy, which warns of NaN, and of a power too many that nobody uses; a GPU does not.
QUIET = pytest.mark.filterwarnings("ignore:(invalid value|overflow) encountered:RuntimeWarning")


@pytest.fixture(autouse=True)
def poison(monkeypatch):
    """What is allocated and not written is NaN: torch sees to it where algorithms are to be deterministic."""
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)  # which a run turns off
    torch.use_deterministic_algorithms(True)
    assert torch.empty_like(torch.ones(3)).isnan().all()
    assert torch.ones(3).new_empty((2, 2), dtype=torch.bfloat16).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


def inputs(*shape, order=3, dtype=torch.float32, device="cpu"):
    x, dy = leaf(*shape, dtype=dtype, device=device), other(*shape, dtype=dtype, device=device)
    return x, leaf(order + 1, seed=2, device=device), dy


@BOTH
@ORDERS
@DTYPES
def test_every_order_agrees_with_the_reference(name, order, dtype, device):
    assert_agrees(name, *inputs(2, 7, 101, order=order, dtype=dtype, device=device))


SHAPES = [
    (131, 16),  # many rows to a program, the last one ragged
    (70, 64),
    (3, 5, 101),
    (300,),
    (33, 264),
    (5, 1536),  # six tiles of 256, four rows to a program
    (5, 2112),
    (3, 8256),  # nine tiles of 1024, the last one mostly empty
    (2, 10944),  # as a ResNet or a DeepSeek has; the first that differs between forward and backward
    (2, 16384),  # forward in registers, backward twice from memory
    (2, 20000),  # both twice from memory, the last tile ragged
    (1, 65536),
]


@DTYPES
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_kind_of_tiling_agrees_with_the_reference(dtype, shape, device):
    assert_agrees("polynorm", *inputs(*shape, dtype=dtype, device=device))


@pytest.mark.parametrize("order", [1, 2, 4, 5, 6])
@pytest.mark.parametrize("width", [1536, 8256, 10944, 16384])
def test_tilings_that_depend_on_the_order_agree_with_the_reference(order, width, device):
    assert_agrees("polynorm", *inputs(2, width, order=order, device=device))


@DTYPES
@pytest.mark.parametrize("shape", [(1,), (1023,), (4096,), (8193,), (3, 5, 101), (2, 20000)], ids=str)
def test_any_number_of_elements_agrees_with_the_reference(dtype, shape, device):
    assert_agrees("polyrelu", *inputs(*shape, dtype=dtype, device=device))


@DTYPES
def test_rows_of_one_number_agree_with_the_reference(dtype, device):
    eps = 0.5  # with a small one nothing is left of the gradient but rounding: the number's size cancels
    assert_agrees("polynorm", *inputs(300, 1, dtype=dtype, device=device), eps)


@BOTH
@pytest.mark.parametrize("fan", [2, 4])
def test_sums_over_many_programs_agree_whatever_the_depth_of_their_tree(name, fan, device, monkeypatch):
    monkeypatch.setattr("repro.kernels.launch.FAN", fan)
    shape = (37, 1536) if name == "polynorm" else (5 * 8192 + 3,)  # 10 and 6 partial sums
    assert_agrees(name, *inputs(*shape, device=device))


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # NumPy's, of rows that are not there
@QUIET
def test_no_eps_is_an_eps_too(device):
    assert_agrees("polynorm", *inputs(5, 264, device=device), 0.0)


def test_rows_of_zeros_give_the_constant_term_and_the_gradient_of_the_reference(device):
    x, coeff, dy = inputs(4, 264, device=device)
    with torch.no_grad():
        x[1] = 0
    assert fused("polynorm", x, coeff)[1].eq(coeff[0]).all()
    assert_agrees("polynorm", x, coeff, dy)


def test_nothing_flows_where_polyrelu_is_cut_off(device):
    x, coeff, dy = inputs(4, 64, device=device)
    with torch.no_grad():
        x[1], x[2] = 0, -x[2].abs()
    y = fused("polyrelu", x, coeff)
    assert y[1:3].eq(coeff[0]).all()
    assert grad(y, x, dy)[0][1:3].eq(0).all()


SPECIAL = pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")], ids=str)


def with_special(value, where, device, *, coeff=(0.5, 0.25, 1.0, 2.0)):
    x, _, dy = inputs(5, 64, device=device)
    with torch.no_grad():
        (x if where == "x" else dy)[2, 7] = value
    return x, torch.tensor(coeff, device=device, requires_grad=True), dy


@BOTH
@SPECIAL
@pytest.mark.parametrize("where", ["x", "dy"])
@QUIET
def test_nan_and_infinity_give_what_the_reference_gives(name, value, where, device):
    x, coeff, dy = with_special(value, where, device)
    y, plain = fused(name, x, coeff), PAIRS[name][1](x, coeff)
    dx, plain_dx = grad(y, x, dy)[0], grad(plain, x, dy)[0]
    torch.testing.assert_close(y, plain, rtol=1e-5, atol=1e-5, equal_nan=True)
    torch.testing.assert_close(dx, plain_dx, rtol=1e-5, atol=1e-5, equal_nan=True)


@BOTH
@SPECIAL
@pytest.mark.parametrize("where", ["x", "dy"])
@QUIET
def test_nan_and_infinity_give_what_plain_torch_gives_to_the_coefficients_too(name, value, where, device):
    x, coeff, dy = with_special(value, where, device, coeff=(0.5, -0.25, 1.0, -2.0))
    y, eager = fused(name, x, coeff), PAIRS[name][0](x, coeff, backend="torch")
    torch.testing.assert_close(y, eager, rtol=1e-5, atol=1e-5, equal_nan=True)
    for ours, theirs in zip(grad(y, (x, coeff), dy), grad(eager, (x, coeff), dy), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4, equal_nan=True)


@BOTH
@SPECIAL
@QUIET
def test_nan_and_infinity_leave_the_other_rows_alone(name, value, device):
    spoilt, coeff, dy = with_special(value, "x", device)
    clean = torch.where(spoilt.isfinite(), spoilt, 1.0).detach().requires_grad_()
    y, whole = fused(name, spoilt, coeff), fused(name, clean, coeff)
    dx, whole_dx = grad(y, spoilt, dy)[0], grad(whole, clean, dy)[0]
    rest = [0, 1, 3, 4]
    assert torch.equal(y[rest], whole[rest])
    assert torch.equal(dx[rest], whole_dx[rest])


LAYOUTS = {
    "transposed": lambda x: x[:64, :9].t(),
    "every other column": lambda x: x[:9, ::2],
    "one row shown nine times": lambda x: x[:1].expand(9, 128),
    "a middle dimension swapped": lambda x: x.view(3, 32, 128).transpose(0, 1),
}


@BOTH
@DTYPES
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_layout_in_memory_does_not_matter(name, dtype, layout, device):
    x = layout(other(96, 128, dtype=dtype, device=device)).requires_grad_()
    packed = x.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    coeff, wide_dy = leaf(4, device=device), layout(other(96, 128, dtype=dtype, device=device))
    y, same = fused(name, x, coeff), fused(name, packed, coeff)
    assert torch.equal(y, same)
    dx, dcoeff = grad(y, (x, coeff), wide_dy)
    same_dx, same_dcoeff = grad(same, (packed, coeff), wide_dy.clone())
    assert torch.equal(dx, same_dx)
    torch.testing.assert_close(dcoeff, same_dcoeff, rtol=1e-5, atol=1e-5)  # PolyReLU adds up in the order of memory


@BOTH
@DTYPES
def test_rows_need_not_begin_where_a_word_of_16_bytes_does(name, dtype, device):
    x, dy = (make(1 + 9 * 64, dtype=dtype, device=device).detach()[1:].view(9, 64) for make in (leaf, other))
    assert x.data_ptr() % 16
    assert_agrees(name, x.requires_grad_(), leaf(4, device=device), dy)


@BOTH
def test_one_number_may_stand_for_all_coefficients_and_for_the_incoming_gradient(name, device):
    x, number = leaf(9, 64, device=device), leaf(1, device=device)
    dx, dnumber = grad(fused(name, x, number.expand(4)).sum(), (x, number))
    plain = grad(PAIRS[name][1](x, number.expand(4)).sum(), (x, number))
    torch.testing.assert_close((dx, dnumber), plain, rtol=1e-4, atol=1e-4)


EMPTY = [("polynorm", (0, 64)), ("polynorm", (2, 0, 64)), ("polyrelu", (0,)), ("polyrelu", (3, 0))]


@pytest.mark.parametrize(("name", "shape"), EMPTY, ids=str)
def test_nothing_in_gives_nothing_out_and_coefficients_do_not_move(name, shape, device):
    x, coeff = leaf(*shape, device=device), leaf(4, device=device)
    y = fused(name, x, coeff)
    dx, dcoeff = grad(y.sum(), (x, coeff))
    assert y.shape == dx.shape == shape
    assert dcoeff.tolist() == [0, 0, 0, 0]


@BOTH
@DTYPES
def test_numbers_are_rounded_once(name, dtype, device):
    x, coeff = leaf(8, 64, dtype=dtype, device=device), leaf(4, device=device)
    whole = x.detach().float()
    rounded = fused(name, whole, coeff).to(dtype)
    difference = (fused(name, x, coeff).float() - rounded.float()).abs()
    float32 = 4 * torch.finfo(torch.float32).eps * rounded.float().abs().max()  # other tiles, another order of summing
    assert (difference <= torch.finfo(dtype).eps * rounded.float().abs() + float32).all()


def test_the_scale_of_a_row_is_its_own_wherever_it_stands(device):
    x, coeff = other(70, 64, device=device), torch.ones(4, device=device)
    together = fused("polynorm", x, coeff)
    assert torch.equal(together[69], fused("polynorm", x[69:], coeff)[0])


def test_l2_and_the_root_mean_square_differ_by_the_coefficients_alone(device):
    x, coeff = other(3, 264, device=device), torch.rand(4, device=device)
    truth = reference.polynorm(x.double(), coeff.double(), norm="l2")
    torch.testing.assert_close(kernels.polynorm(x, coeff / 264**0.5, backend="triton").double(), truth)


@BIG
@QUIET
def test_gradients_hold_where_the_cube_of_a_scale_would_underflow(order, size, device):
    x, coeff = (size * leaf(16, 264, device=device)).detach().requires_grad_(), leaf(order + 1, device=device)
    assert_agrees("polynorm", x, coeff, other(16, 264, device=device))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_polyrelu_leaves_channels_last_where_they_are(dtype, device):
    x = leaf(2, 24, 5, 7, dtype=dtype, device=device).detach().to(memory_format=torch.channels_last).requires_grad_()
    coeff, dy = leaf(4, device=device), other(2, 24, 5, 7, dtype=dtype, device=device)
    assert_agrees("polyrelu", x, coeff, dy)  # with a gradient laid out in another way
    y = fused("polyrelu", x, coeff)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert grad(y, x, dy)[0].is_contiguous(memory_format=torch.channels_last)
