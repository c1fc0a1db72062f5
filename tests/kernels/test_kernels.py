"""The seam: what may be asked of a kernel, and what it says to the rest."""

import warnings
from types import SimpleNamespace

import pytest
import torch

from repro import kernels
from repro.errors import KernelError
from repro.kernels import support

BOTH = pytest.mark.parametrize("name", ["polynorm", "polyrelu"])
TORCH_FUNC = pytest.mark.filterwarnings("ignore:`torch.jit:")  # which torch 2.15 uses to import torch.func's formulas
BACKENDS = pytest.mark.parametrize("backend", ["auto", "torch", "triton"])


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


def on_a_gpu(dtype):
    """All that the choice of a backend looks at."""
    return SimpleNamespace(is_cuda=True, dtype=dtype, device=torch.device("cuda"))


@pytest.fixture
def in_the_interpreter(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")


def refusal(name, *tensors):
    said = complaint(name, *tensors, backend="triton")
    before, after = f"{name}: backend='triton' cannot serve: ", "; use 'auto' or 'torch'"
    assert said.startswith(before)
    assert said.endswith(after)
    return said.removeprefix(before).removesuffix(after)


@BOTH
def test_triton_on_a_cpu_needs_its_interpreter(name, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    expected = "x is on cpu and Triton needs a GPU (or, on a CPU, its interpreter: TRITON_INTERPRET=1)"
    assert refusal(name) == expected


@BOTH
def test_triton_that_is_not_there_is_said_to_be_missing(name, monkeypatch, in_the_interpreter):
    monkeypatch.setattr(support, "INSTALLED", False)
    assert refusal(name) == "Triton is not installed (pip install triton, on Linux)"


@BOTH
def test_triton_does_not_compute_in_float64(name, in_the_interpreter):
    assert (
        refusal(name, torch.randn(2, 8).double())
        == "x is torch.float64 and the kernels take float32, bfloat16 and float16"
    )


@BOTH
def test_triton_goes_up_to_order_6(name, in_the_interpreter):
    assert refusal(name, None, torch.ones(8)) == "the order is 7 and the kernels go up to 6"


@pytest.mark.parametrize(("width", "said"), [(0, "0"), (65_537, "65,537")])
def test_polynorm_in_triton_takes_rows_of_1_to_65_536_columns(width, said, in_the_interpreter):
    assert refusal("polynorm", torch.ones(2, width)) == f"rows have {said} columns and the kernels take 1 to 65,536"


@BOTH
def test_auto_on_a_cpu_is_torch_and_says_nothing(name, in_the_interpreter):
    with warnings.catch_warnings(record=True) as said:
        call(name, torch.randn(2, 8).double())
    assert not said


@BOTH
def test_auto_on_a_gpu_that_it_cannot_serve_says_so_once_for_each_reason(name, monkeypatch):
    monkeypatch.setattr(kernels, "_told", set())
    x, coeff = on_a_gpu(torch.float64), torch.ones(4)
    other = on_a_gpu(torch.float32)
    with warnings.catch_warnings(record=True, action="always") as said:
        for asked in ((x, coeff), (x, coeff), (other, torch.ones(8))):
            assert not kernels._fused(name, *asked, "auto")
    assert [str(warning.message) for warning in said] == [
        f"{name}: no fused kernel, torch instead: {reason}"
        for reason in (
            "x is torch.float64 and the kernels take float32, bfloat16 and float16",
            "the order is 7 and the kernels go up to 6",
        )
    ]


@BOTH
def test_auto_on_a_gpu_is_the_fused_kernel_without_a_word(name):
    assert kernels._fused(name, on_a_gpu(torch.bfloat16), torch.ones(4), "auto", width=8256)


@BOTH
def test_a_gpu_before_the_a100_is_served_by_torch(name, monkeypatch):
    monkeypatch.setattr(kernels, "_told", set())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.warns(UserWarning, match=r"torch instead: the GPU has compute capability below 8\.0"):
        assert not kernels._fused(name, on_a_gpu(torch.float16), torch.ones(4), "auto")


@BOTH
@TORCH_FUNC
def test_forward_mode_and_torch_func_are_refused_rather_than_given_a_derivative_of_zero(name, in_the_interpreter):
    x, coeff = torch.randn(2, 8), torch.ones(4)

    def fused(x):
        return call(name, x, coeff, backend="triton")

    for transformed in (lambda: torch.func.jvp(fused, (x,), (x,)), lambda: torch.func.vmap(fused)(x[None])):
        with pytest.raises(KernelError, match=r"forward-mode differentiation or a .* transform is under way"):
            transformed()


@BOTH
@TORCH_FUNC
def test_torch_func_maps_and_differentiates_the_torch_backend(name):
    x, coeff = torch.randn(3, 5, 8), torch.randn(4)
    y = call(name, x, coeff)
    torch.testing.assert_close(torch.func.vmap(lambda x: call(name, x, coeff))(x), y)
    dx = torch.func.vmap(torch.func.grad(lambda x: call(name, x, coeff).sum()))(x)
    leaf = x.clone().requires_grad_()
    torch.testing.assert_close(dx, *torch.autograd.grad(call(name, leaf, coeff).sum(), leaf))


@BOTH
def test_an_unknown_backend_gets_the_nearest_word(name):
    said = complaint(name, backend="troch")
    assert said == f"{name}: backend='troch' is not one of auto, torch, triton. Did you mean 'torch'?"


@BOTH
@BACKENDS
@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64], ids=str)
def test_whole_and_complex_numbers_are_refused(name, backend, dtype):
    said = complaint(name, torch.ones(2, 8, dtype=dtype), backend=backend)
    assert said == f"{name}: expected x in float16, bfloat16, float32 or float64, got {dtype}"


@BOTH
@BACKENDS
@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 4)], ids=str)
def test_coefficients_of_another_shape_are_refused(name, backend, shape):
    said = complaint(name, coeff=torch.ones(shape), backend=backend)
    expected = f"expected coeff of shape (order + 1,), order at least 1, floating; got {shape} of torch.float32"
    assert said == f"{name}: {expected}"


@BOTH
@BACKENDS
def test_coefficients_on_another_device_are_refused(name, backend):
    said = complaint(name, coeff=torch.ones(4, device="meta"), backend=backend)
    assert said == f"{name}: x is on cpu and coeff on meta; both must be on one device"


@BACKENDS
def test_polynorm_needs_a_dimension_to_normalise_over(backend):
    said = complaint("polynorm", torch.tensor(1.0), backend=backend)
    assert said == "polynorm: expected x of shape (..., d_ff) to normalise over its last dimension, got ()"


@BOTH
def test_shapes_are_known_without_values(name):
    y = call(name, torch.randn(2, 3, 8, device="meta", dtype=torch.bfloat16), torch.ones(4, device="meta"))
    assert (y.shape, y.dtype) == ((2, 3, 8), torch.bfloat16)
