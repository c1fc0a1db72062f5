"""A mixture of experts in training: nothing waits for the device, and the same bits come again."""

import pytest
import torch
from torch.autograd import grad

from repro.models.balance import load_balancing, router_z
from tests.models.mixtures import D_MODEL, TOP_K, moe

LAYERS = [("swiglu", False), ("relu", False), ("polyrelu", False), ("polynorm", False), ("polynorm", True)]


def layer_and_tokens(activation, own, device):
    """A layer whose experts compute in bfloat16, as on a GPU, and tokens for it."""
    module = moe(activation, own=own)
    for name, parameter in module.experts.named_parameters(recurse=False):
        setattr(module.experts, name, torch.nn.Parameter(parameter.detach().bfloat16()))
    x = torch.randn(2, 33, D_MODEL, generator=torch.Generator().manual_seed(1))
    return module.to(device), x.to(device, torch.bfloat16).requires_grad_()


def trained(module, x):
    """Gradients of what a layer adds to a training step."""
    y, routing = module(x)
    loss = y.float().square().sum() + load_balancing([routing]) + router_z([routing], TOP_K)
    return grad(loss, [x, *module.parameters()])


@pytest.mark.parametrize(("activation", "own"), LAYERS)
def test_no_value_is_read_and_no_shape_depends_on_one(activation, own):
    """The meta device has no values: what would wait for one on a GPU fails here."""
    module, x = layer_and_tokens(activation, own, "meta")
    assert [g.shape for g in trained(module, x)] == [p.shape for p in (x, *module.parameters())]


@pytest.mark.parametrize(("activation", "own"), LAYERS)
def test_it_repeats_to_the_bit(activation, own):
    module, x = layer_and_tokens(activation, own, "cpu")
    assert all(torch.equal(a, b) for a, b in zip(trained(module, x), trained(module, x), strict=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize(("activation", "own"), LAYERS)
def test_a_gpu_is_never_waited_for_and_repeats_to_the_bit(activation, own):
    if torch.cuda.get_device_capability() < (9, 0):
        pytest.skip("torch has no fused grouped product for this GPU, as `repro plan` says")
    module, x = layer_and_tokens(activation, own, "cuda")
    first = trained(module, x)  # compiles kernels, which waits
    torch.cuda.set_sync_debug_mode("error")
    try:
        second = trained(module, x)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
