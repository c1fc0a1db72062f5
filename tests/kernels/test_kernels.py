"""The seam: what may be asked of a kernel, and what it says to the rest."""

import pytest
import torch

from repro import kernels
from repro.errors import KernelError

BOTH = pytest.mark.parametrize("name", ["polynorm", "polyrelu"])


def call(name, x=None, coeff=None, **options):
    x = torch.randn(2, 8) if x is None else x
    coeff = torch.ones(4) if coeff is None else coeff
    return getattr(kernels, name)(x, coeff, **options)


def complaint(name, *args, **options):
    with pytest.raises(KernelError) as error:
        call(name, *args, **options)
    message = str(error.value)
    assert "\n" not in message
    return message


@BOTH
def test_auto_is_the_backend_that_torch_names(name):
    x = torch.randn(2, 8)
    assert torch.equal(call(name, x), call(name, x, backend="torch"))


@BOTH
def test_asking_for_triton_in_float64_says_why_not_and_the_way_out(name):
    said = complaint(name, torch.randn(2, 8, dtype=torch.float64), backend="triton")
    assert said.startswith(f"{name}: backend='triton' cannot serve: ")
    assert said.endswith("; use 'auto' or 'torch'")


@BOTH
def test_an_unknown_backend_gets_the_nearest_word(name):
    said = complaint(name, backend="troch")
    assert said == f"{name}: backend='troch' is not one of auto, torch, triton. Did you mean 'torch'?"


@BOTH
def test_whole_numbers_are_refused(name):
    said = complaint(name, torch.ones(2, 8, dtype=torch.int64))
    assert said == f"{name}: expected x of a floating dtype, got torch.int64"


@BOTH
@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 4)], ids=str)
def test_coefficients_of_another_shape_are_refused(name, shape):
    said = complaint(name, coeff=torch.ones(shape))
    expected = f"expected coeff of shape (order + 1,), order at least 1, floating; got {shape} of torch.float32"
    assert said == f"{name}: {expected}"


@BOTH
def test_coefficients_on_another_device_are_refused(name):
    said = complaint(name, coeff=torch.ones(4, device="meta"))
    assert said == f"{name}: x is on cpu and coeff on meta; both must be on one device"


def test_polynorm_needs_a_dimension_to_normalise_over():
    assert "expected x of shape (..., d_ff)" in complaint("polynorm", torch.tensor(1.0))


@BOTH
def test_shapes_are_known_without_values(name):
    y = call(name, torch.randn(2, 3, 8, device="meta", dtype=torch.bfloat16), torch.ones(4, device="meta"))
    assert (y.shape, y.dtype) == ((2, 3, 8), torch.bfloat16)
