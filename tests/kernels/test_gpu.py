"""What only a GPU can show of the fused kernels; the rest of ``-m gpu`` are the interpreter's tests, run compiled."""

import pytest
import torch
from torch.autograd import grad

from repro import PolyNorm, PolyReLU, kernels
from repro.activations import reference
from tests.helpers import assert_within_budget
from tests.kernels.inputs import PAIRS, fused, leaf, other

pytestmark = [pytest.mark.gpu, pytest.mark.parametrize("device", ["cuda"], indirect=True)]
BOTH = pytest.mark.parametrize("name", PAIRS)


@BOTH
def test_auto_is_the_fused_kernel(name, device, launched):
    x, coeff = leaf(6, 264, device=device), leaf(4, device=device)
    y = PAIRS[name][0](x, coeff)
    grad(y.sum(), (x, coeff))
    assert launched == [name, f"{name}_backward"]
    assert torch.equal(y, fused(name, x, coeff))


@pytest.mark.parametrize("make", [PolyNorm, PolyReLU])
def test_a_module_in_bfloat16_is_rounded_once(make, device):
    module, x = make().to(device), other(64, 8256, dtype=torch.bfloat16, device=device)
    plain = reference.polynorm if make is PolyNorm else reference.polyrelu
    y, truth = module(x), plain(x.double(), module.coeff.double())
    assert_within_budget(y, truth.to(torch.bfloat16), truth)


@BOTH
@pytest.mark.parametrize("told", ["float64", "order"])
def test_auto_falls_back_where_there_is_no_kernel_and_says_so_once(name, told, device, monkeypatch):
    monkeypatch.setattr(kernels, "_told", set())
    x = other(2, 8, dtype=torch.float64 if told == "float64" else torch.float32, device=device)
    coeff = other(8 if told == "order" else 4, device=device).to(x.dtype)
    reason = {
        "float64": "x is torch.float64 and the kernels take float32, bfloat16 and float16",
        "order": "the order is 7",
    }[told]
    with pytest.warns(UserWarning, match=f"{name}: no fused kernel, torch instead: {reason}"):
        y = PAIRS[name][0](x, coeff)
    assert torch.equal(PAIRS[name][0](x, coeff), y)  # a second warning would be an error


def test_auto_falls_back_for_rows_that_are_too_wide(device, monkeypatch):
    monkeypatch.setattr(kernels, "_told", set())
    x, coeff = other(2, 65_537, device=device), other(4, device=device)
    with pytest.warns(UserWarning, match="rows have 65,537 columns and the kernels take 1 to 65,536"):
        y = kernels.polynorm(x, coeff)
    torch.testing.assert_close(y, reference.polynorm(x, coeff), rtol=1e-5, atol=1e-5)


@BOTH
def test_ten_runs_give_the_same_bits(name, device):
    x, dy = (torch.randn(8192, 8256, dtype=torch.bfloat16, device=device) for _ in range(2))
    x, coeff = x.requires_grad_(), leaf(4, device=device)

    def run():
        y = fused(name, x, coeff)
        return y, *grad(y, (x, coeff), dy)

    first = run()
    for _ in range(9):
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(run(), first, strict=True))


@BOTH
def test_a_tensor_of_more_than_two_to_the_31_elements_is_right_at_both_ends(name, device):
    if torch.cuda.mem_get_info()[0] < 24 * 2**30:
        pytest.skip("the test needs 24 GiB of free GPU memory: x, y, dy and dx of 4.3 GB each")
    rows = 2**31 // 64 + 5
    x = torch.randn(rows, 64, dtype=torch.bfloat16, device=device).requires_grad_()
    dy, coeff = torch.randn(rows, 64, dtype=torch.bfloat16, device=device), other(4, device=device)
    y = fused(name, x, coeff)
    (dx,) = grad(y, x, dy)
    for end in (slice(0, 200), slice(rows - 200, rows)):
        part, truth_part = x[end].detach().requires_grad_(), x[end].detach().double().requires_grad_()
        eager, truth = PAIRS[name][1](part, coeff), PAIRS[name][1](truth_part, coeff.double())
        assert_within_budget(y[end].detach(), eager, truth)
        assert_within_budget(dx[end], *grad(eager, part, dy[end]), *grad(truth, truth_part, dy[end].double()))


@BOTH
def test_a_tensor_on_another_gpu_than_the_current_one_is_served_there(name, device):
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU")
    x, coeff = leaf(6, 264, device="cuda:1"), leaf(4, device="cuda:1")
    dx, dcoeff = grad(fused(name, x, coeff).sum(), (x, coeff))
    plain = grad(PAIRS[name][1](x, coeff).sum(), (x, coeff))
    torch.testing.assert_close((dx, dcoeff), plain, rtol=1e-4, atol=1e-4)


def compiled():
    """Kernels that Triton has compiled for the current GPU in this process."""
    from repro.kernels import elementwise, fold, rowwise

    made = (
        rowwise.forward,
        rowwise.forward_wide,
        rowwise.backward,
        rowwise.backward_wide,
        elementwise.forward,
        elementwise.backward,
        fold.fold,
    )
    return sum(len(kernel.device_caches[torch.cuda.current_device()][0]) for kernel in made)


@BOTH
@pytest.mark.parametrize("width", [1536, 16384])
def test_64_token_counts_need_no_second_compilation(name, width, device):
    def run(tokens):
        x, coeff = leaf(tokens, width, device=device), leaf(4, device=device)
        grad(fused(name, x, coeff).sum(), (x, coeff))

    run(7)
    before = compiled()
    assert before > 0
    for tokens in range(1, 65):
        run(tokens)
    assert compiled() == before
