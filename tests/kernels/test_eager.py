"""PolyNorm and PolyReLU in plain PyTorch against the reference, forward and gradients, and what they keep."""

import pytest
import torch
from torch.autograd import grad, gradcheck, gradgradcheck

from repro import kernels
from repro.activations import reference
from tests.helpers import assert_sum_within_budget, assert_within_budget, kept_bytes
from tests.kernels.inputs import BIG, DTYPES, ORDERS, PAIRS, leaf, other

BOTH = pytest.mark.parametrize(("kernel", "plain"), PAIRS.values(), ids=PAIRS)


@BOTH
@ORDERS
@DTYPES
@pytest.mark.parametrize("shape", [(16, 264), (2, 3, 64), (300,), (2, 7, 101)], ids=str)
def test_values_and_gradients_agree_with_the_reference(kernel, plain, order, dtype, shape):
    x, coeff, dy = leaf(*shape, dtype=dtype), leaf(order + 1), other(*shape, dtype=dtype)
    x64, coeff64, dy64 = (t.detach().double().requires_grad_() for t in (x, coeff, dy))
    y, eager, truth = kernel(x, coeff), plain(x, coeff), plain(x64, coeff64)
    assert_within_budget(y, eager, truth)
    dx, dcoeff = grad(y, (x, coeff), dy)
    truth_dx, truth_dcoeff = grad(truth, (x64, coeff64), dy64)
    assert_within_budget(dx, *grad(eager, x, dy), truth_dx)
    assert_sum_within_budget(dcoeff, truth_dcoeff, *grad(plain(x64.abs(), coeff64), coeff64, dy64.abs()))


@BOTH
@ORDERS
def test_first_and_second_derivatives_are_right(kernel, plain, order):
    x, coeff = leaf(3, 5, dtype=torch.float64), leaf(order + 1, dtype=torch.float64)
    assert gradcheck(kernel, (x, coeff))
    assert gradgradcheck(kernel, (x, coeff))


@BOTH
def test_float64_is_computed_in_float64(kernel, plain):
    x, coeff = leaf(4, 9, dtype=torch.float64), leaf(4, dtype=torch.float64)
    torch.testing.assert_close(kernel(x, coeff), plain(x, coeff), rtol=1e-14, atol=1e-14)


@BOTH
@DTYPES
def test_dtypes_follow_the_input_and_each_gradient_its_own_leaf(kernel, plain, dtype):
    for coeff in (leaf(4), leaf(4, dtype=dtype)):
        x = leaf(2, 8, dtype=dtype)
        y = kernel(x, coeff)
        dx, dcoeff = grad(y.sum(), (x, coeff))
        assert (y.dtype, dx.dtype, dcoeff.dtype) == (dtype, dtype, coeff.dtype)


@BOTH
@pytest.mark.parametrize("shape", [(0, 8), (3, 0), (0,), (2, 0, 0)], ids=str)
def test_nothing_in_gives_nothing_out_and_coefficients_do_not_move(kernel, plain, shape):
    x, coeff = leaf(*shape), leaf(4)
    y = kernel(x, coeff)
    dx, dcoeff = grad(y.sum(), (x, coeff))
    assert y.shape == dx.shape == shape
    assert dcoeff.tolist() == [0, 0, 0, 0]


LAYOUTS = {
    "transposed": lambda: leaf(9, 6).t(),
    "every other column": lambda: leaf(6, 18)[:, ::2],
    "one row shown six times": lambda: leaf(1, 9).expand(6, 9),
    "a middle dimension swapped": lambda: leaf(3, 2, 9).transpose(0, 1),
}


@BOTH
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_layout_in_memory_does_not_matter(kernel, plain, layout):
    x, coeff = layout().detach().requires_grad_(), leaf(4)
    packed = x.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    dy = other(*x.shape)
    y, same = kernel(x, coeff), kernel(packed, coeff)
    torch.testing.assert_close(y, same, rtol=1e-6, atol=1e-6)
    for ours, theirs in zip(grad(y, (x, coeff), dy), grad(same, (packed, coeff), dy), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@BOTH
@ORDERS
def test_the_incoming_gradient_is_not_written_to(kernel, plain, order):
    x, coeff, dy = leaf(4, 8), leaf(order + 1), other(4, 8)
    before = dy.clone()
    grad(kernel(x, coeff), (x, coeff), dy)
    assert torch.equal(dy, before)


@BOTH
def test_an_input_that_is_used_elsewhere_keeps_its_other_gradient(kernel, plain):
    x, z = leaf(4, 8), leaf(4, 8)
    (kernel(x, torch.ones(4)) + 3 * z).backward(torch.ones(4, 8))
    assert z.grad.eq(3).all()


@BOTH
def test_a_frozen_side_gets_no_gradient_and_changes_none(kernel, plain):
    x, coeff = leaf(4, 8), leaf(4)
    dx, dcoeff = grad(kernel(x, coeff).sum(), (x, coeff))
    assert torch.equal(grad(kernel(x, coeff.detach()).sum(), x)[0], dx)
    assert torch.equal(grad(kernel(x.detach(), coeff).sum(), coeff)[0], dcoeff)


@BOTH
@DTYPES
def test_the_input_is_all_that_is_kept_for_the_backward_pass(kernel, plain, dtype):
    x, coeff = leaf(16, 128, dtype=dtype), leaf(4)
    kept = kept_bytes(kernel, x, coeff, apart=[coeff])
    assert kept == x.numel() * x.element_size()
    assert kept_bytes(plain, x, coeff, apart=[coeff]) > 4 * kept


@BOTH
def test_half_precision_is_rounded_once(kernel, plain):
    x, coeff = leaf(8, 64, dtype=torch.bfloat16), leaf(4)
    assert torch.equal(kernel(x, coeff), kernel(x.float(), coeff).bfloat16())


@BOTH
def test_autocast_does_not_lower_the_precision_inside(kernel, plain):
    x, coeff = leaf(8, 64), leaf(4)
    with torch.autocast("cpu", torch.bfloat16):
        y = kernel(x, coeff)
    assert torch.equal(y, kernel(x, coeff))


def test_the_scale_of_a_row_is_its_own():
    x = leaf(2, 16)
    alone = torch.cat([kernels.polynorm(row, torch.ones(4)) for row in x.split(1)])
    torch.testing.assert_close(kernels.polynorm(x, torch.ones(4)), alone, rtol=1e-6, atol=1e-6)


def test_a_row_of_one_number_shows_nothing_but_its_sign():
    y = kernels.polynorm(torch.tensor([[0.5], [-3.0]]), torch.tensor([0.25, 0.5, 1.0, 2.0]), eps=0.0)
    torch.testing.assert_close(y, torch.tensor([[0.25 + 0.5 + 1 + 2], [0.25 - 0.5 + 1 - 2]]))


@BIG
def test_gradients_hold_where_the_cube_of_a_scale_would_underflow(order, size):
    x, coeff, dy = (size * leaf(16, 264)).detach().requires_grad_(), leaf(order + 1), other(16, 264)
    truth = grad(reference.polynorm(x.double(), coeff.double()), x, dy.double())[0].double()
    assert (grad(kernels.polynorm(x, coeff), x, dy)[0] - truth).norm() <= 1e-6 * truth.norm()
