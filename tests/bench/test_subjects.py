"""What is timed is training: gradients that add up, an optimizer that does its work, and weights that stay."""

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from repro.bench import subjects
from repro.bench.subjects import alone, drawn_on, subject
from repro.recipe import load

SIZES = ["data.size=32", "data.test_size=32", "blocks=[1]", "width=8"]
NAMES = {
    "dense-smoke-polynorm": [],
    "moe-smoke-swiglu": [],
    "resnet50-imagenet-polynorm": SIZES,
    "resnet50-imagenet-relu": [*SIZES, "layout.strategy=fsdp2"],
}


@pytest.fixture
def mesh():
    with alone(torch.device("cpu")) as mesh:
        yield mesh


@pytest.fixture
def seen(monkeypatch):
    """The training modules that are made."""
    made, real = [], subjects._subject
    monkeypatch.setattr(subjects, "_subject", lambda module, *rest: made.append(module) or real(module, *rest))
    return made


def local(tensors):
    return [t.detach().to_local() if isinstance(t, DTensor) else t.detach() for t in tensors]


def gradients(module):
    return torch.cat([g.flatten() for g in local(p.grad for p in module.parameters())])


@pytest.mark.parametrize("name", NAMES)
def test_gradients_add_up_and_the_optimizer_leaves_the_weights_as_they_began(mesh, seen, name):
    each = subject(load(name, NAMES[name]), mesh, 2)
    (module,) = seen
    module.eval()  # or norms would see other statistics the second time
    before = [weight.clone() for weight in local(module.parameters())]
    each.backward()
    once = gradients(module).clone()
    each.backward()
    assert once.norm() > 0
    torch.testing.assert_close(gradients(module), 2 * once, rtol=1e-5, atol=1e-6 * once.abs().max().item())
    each.update()
    assert all(map(torch.equal, before, local(module.parameters())))
    assert module.configure_optimizers()["optimizer"].param_groups[0]["lr"] > 0  # of the recipe's own


def test_a_step_begins_without_gradients(mesh, seen):
    each = subject(load("resnet50-imagenet-relu", SIZES), mesh, 2)
    each.step()
    (module,) = seen
    once = gradients(module).clone()
    module.apply(lambda m: isinstance(m, nn.BatchNorm2d) and m.reset_running_stats())
    each.step()
    torch.testing.assert_close(gradients(module), once)


def test_a_network_lies_as_its_recipe_says(mesh, seen):
    for name in ("resnet50-imagenet-polynorm", "resnet50-imagenet-relu"):
        subject(load(name, NAMES[name]), mesh, 2)
    replicated, sharded = (module.network for module in seen)
    assert isinstance(replicated, DistributedDataParallel)
    assert isinstance(sharded, FSDPModule)


def test_the_process_group_is_gone_afterwards():
    with alone(torch.device("cpu")):
        assert torch.distributed.get_world_size() == 1
    assert not torch.distributed.is_initialized()


def test_made_up_weights_are_a_function_of_the_parameter():
    draw = drawn_on(torch.device("cpu"))
    one, again, other = (draw("w", torch.Size([400, 400]), torch.Generator().manual_seed(n)) for n in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert one.std().item() == pytest.approx(subjects.STD, rel=0.02)  # of 160,000: within 0.2 %, one time in three
