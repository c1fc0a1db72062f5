"""The fused kernels as torch sees them: operators that autograd, export, checkpointing and sharding can work with."""

import pytest
import torch
from torch import nn
from torch.autograd import grad
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.utils.checkpoint import checkpoint

from repro import PolyNorm, PolyReLU
from repro.activations import PolyReLUNorm
from repro.errors import KernelError
from repro.kernels import operators
from tests.kernels.inputs import DTYPES, PAIRS, fused, leaf, other

BOTH = pytest.mark.parametrize("name", PAIRS)
MODULES = {
    "PolyNorm": PolyNorm,
    "PolyNorm of Eq. 3": lambda: PolyNorm(norm="l2"),
    "PolyReLU": PolyReLU,
    "PolyReLUNorm": PolyReLUNorm,
}


@BOTH
@DTYPES
@pytest.mark.parametrize("coeff_dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_dtypes_follow_the_input_and_each_gradient_its_own_leaf(name, dtype, coeff_dtype, device):
    x, coeff = leaf(2, 64, dtype=dtype, device=device), leaf(4, dtype=coeff_dtype, device=device)
    y = fused(name, x, coeff)
    dx, dcoeff = grad(y.sum(), (x, coeff))
    assert (y.dtype, dx.dtype, dcoeff.dtype) == (dtype, dtype, coeff_dtype)
    same = fused(name, x, coeff.float())
    assert torch.equal(y, same)


@BOTH
def test_a_frozen_side_gets_no_gradient_and_changes_none(name, device):
    x, coeff = leaf(4, 64, device=device), leaf(4, device=device)
    dx, dcoeff = grad(fused(name, x, coeff).sum(), (x, coeff))
    assert torch.equal(grad(fused(name, x, coeff.detach()).sum(), x)[0], dx)
    assert torch.equal(grad(fused(name, x.detach(), coeff).sum(), coeff)[0], dcoeff)
    assert not fused(name, x.detach(), coeff.detach()).requires_grad


@BOTH
def test_autocast_does_not_lower_the_precision(name, device):
    x, coeff = leaf(4, 64, device=device), leaf(4, device=device)
    with torch.autocast(device, torch.bfloat16):
        y = fused(name, x, coeff)
    assert y.dtype == torch.float32
    assert torch.equal(y, fused(name, x, coeff))


@BOTH
def test_activation_checkpointing_gives_the_same_bits(name, device, launched):
    x, coeff, dy = leaf(4, 64, device=device), leaf(4, device=device), other(4, 64, device=device)
    plain = grad(fused(name, 2 * x, coeff), (x, coeff), dy)
    launched.clear()
    y = checkpoint(lambda *inputs: fused(name, *inputs), 2 * x, coeff, use_reentrant=False)
    again = grad(y, (x, coeff), dy)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(again, plain, strict=True))
    assert launched == [name, name, f"{name}_backward"]


@BOTH
def test_a_second_derivative_says_where_to_find_one(name, device):
    x, coeff = leaf(2, 64, device=device), leaf(4, device=device)
    dx, _ = grad(fused(name, x, coeff).sum(), (x, coeff), create_graph=True)
    with pytest.raises(KernelError) as error:
        dx.sum().backward()
    said = str(error.value)
    assert said == "the fused kernels have no second derivative: call polynorm or polyrelu with backend='torch'"


OPERATORS = {
    "polynorm": lambda x, coeff, dy: (x, coeff, 1e-6),
    "polynorm_backward": lambda x, coeff, dy: (dy, x.detach(), coeff.detach(), operators.polynorm(x, coeff, 1e-6)[1]),
    "polyrelu": lambda x, coeff, dy: (x, coeff),
    "polyrelu_backward": lambda x, coeff, dy: (dy, x.detach(), coeff.detach()),
}


# opcheck reads the gradients of copies that it makes itself
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("shape", [(6, 64), (2, 3, 101)], ids=str)
def test_torch_finds_nothing_wrong_with_the_operators(operator, shape, device):
    x, coeff, dy = leaf(*shape, device=device), leaf(4, device=device), other(*shape, device=device)
    torch.library.opcheck(getattr(operators, operator), OPERATORS[operator](x, coeff, dy))


class Twice(nn.Module):
    def __init__(self, name):
        super().__init__()
        self.name = name

    def forward(self, x, coeff):
        return fused(self.name, 2 * x, coeff)


@BOTH
def test_export_keeps_one_operator_for_any_number_of_rows(name, device):
    x, coeff = other(6, 264, device=device), other(4, device=device)
    rows = {0: torch.export.Dim("rows")}
    program = torch.export.export(Twice(name), (x, coeff), dynamic_shapes=(rows, None))
    called = [str(node.target) for node in program.graph.nodes if "repro" in str(node.target)]
    assert called == [f"repro.{name}.default"]
    longer = other(11, 264, device=device)
    assert torch.equal(program.module()(longer, coeff), fused(name, 2 * longer, coeff))


def run(module, x, dy):
    y = module(x)
    return y, *grad(y, (x, *module.parameters()), dy)


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
def test_modules_agree_with_themselves_in_plain_torch(make, request):
    module, x, dy = make(), leaf(6, 264), other(6, 264)
    with torch.no_grad():
        module.coeff.copy_(other(4))
    plain = run(module, x, dy)
    called = request.getfixturevalue("modules_are_fused")
    torch.testing.assert_close(run(module, x, dy), plain, rtol=1e-5, atol=1e-5)
    name = "polyrelu" if make is PolyReLU else "polynorm"
    assert called == [name, f"{name}_backward"]


@pytest.fixture
def one_process_group():
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def sharded(make):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 64, bias=False), make(), nn.Linear(64, 16, bias=False))
    return fully_shard(
        model, mesh=init_device_mesh("cpu", (1,)), mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16)
    )


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
@pytest.mark.usefixtures("one_process_group")
def test_fsdp2_with_bfloat16_parameters_agrees_with_plain_torch(make, request):
    def train():
        model = sharded(make)
        y = model(other(8, 16))
        y.float().square().mean().backward()
        return y, *(parameter.grad.full_tensor() for parameter in model.parameters())

    plain = train()
    called = request.getfixturevalue("modules_are_fused")
    ours = train()
    assert len(called) == 2
    assert [t.dtype for t in ours] == [torch.bfloat16, *[torch.float32] * 3]
    for a, b in zip(ours, plain, strict=True):
        # The interpreter cuts off what torch rounds, and products and sums pass that on: two units of bfloat16.
        assert (a - b).norm() <= 2 * torch.finfo(torch.bfloat16).eps * b.norm()
