"""What is timed is training: gradients that add up, an optimizer that does its work, and weights that stay."""

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from repro.bench import subjects
from repro.bench.subjects import InBfloat16, alone, bare, drawn_on, subject
from repro.models.parameters import kinds
from repro.recipe import load
from repro.recipe.layout import Fit
from repro.training import text
from repro.training.sharding import Sharding, shard

SIZES = ["data.size=32", "data.test_size=32", "blocks=[1]", "width=8"]
NAMES = {
    "dense-smoke-polynorm": [],
    "moe-smoke-swiglu": [],
    "resnet50-imagenet-polynorm": SIZES,
    "resnet50-imagenet-relu": [*SIZES, "layout.strategy=fsdp2"],
}

TWO = Fit(2, 1)


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
    each = subject(load(name, NAMES[name]), mesh, TWO)
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
    each = subject(load("resnet50-imagenet-relu", SIZES), mesh, TWO)
    each.step()
    (module,) = seen
    once = gradients(module).clone()
    module.apply(lambda m: isinstance(m, nn.BatchNorm2d) and m.reset_running_stats())
    each.step()
    torch.testing.assert_close(gradients(module), once)


def test_a_network_lies_as_its_recipe_says(mesh, seen):
    for name in ("resnet50-imagenet-polynorm", "resnet50-imagenet-relu"):
        subject(load(name, NAMES[name]), mesh, TWO)
    replicated, sharded = (module.network for module in seen)
    assert isinstance(replicated, DistributedDataParallel)
    assert isinstance(sharded, FSDPModule)


@pytest.mark.parametrize("reshard", [False, True])
def test_blocks_are_given_back_after_their_forward_pass_as_the_layout_says(mesh, seen, reshard):
    each = subject(load("dense-smoke-relu"), mesh, Fit(2, 1, reshard=reshard))
    (module,) = seen
    with torch.no_grad():
        module.training_step(torch.zeros(1, 65, dtype=torch.long))
    assert isinstance(module.decoder.layers[0].mlp.up_proj.weight, DTensor) == reshard
    each.backward()


def test_the_bare_model_has_fsdps_numbers_to_the_bit(mesh):
    recipe, batch = load("dense-smoke-polynorm"), torch.randint(4096, (2, 65))
    sharded, plain = text.module(recipe), text.module(recipe)
    shard(sharded.decoder, mesh, Sharding(ranks=1, precision="bf16"))
    for module in (sharded, plain):
        subjects._fill(module, torch.device("cpu"), drawn_on(torch.device("cpu")))
    plain.decoder = InBfloat16(plain.decoder)
    for module in (sharded, plain, sharded, plain):  # two micro-batches, whose gradients add up
        module.training_step(batch)["loss"].backward()
    assert {weight.grad.dtype for weight in plain.parameters()} == {torch.float32}
    theirs, ours = (local(each.grad for each in module.parameters()) for module in (sharded, plain))
    assert all(map(torch.equal, theirs, ours))


def test_the_bare_model_computes_in_bfloat16_on_a_gpu_but_for_coefficients(mesh, seen, monkeypatch):
    monkeypatch.setattr(subjects, "_precision", lambda recipe, mesh: recipe.precision)
    each = bare(load("dense-smoke-polynorm"), mesh, TWO)
    each.step()
    (module,) = seen
    learned = {name for name, kind in kinds(module.decoder.network).items() if kind == "coefficients"}
    assert learned
    assert set(module.decoder.cast) == {name for name, _ in module.decoder.network.named_parameters()} - learned
    assert not any(isinstance(weight, DTensor) for weight in module.parameters())


def test_what_a_checkpoint_holds_are_weights_and_moments(mesh):
    each = subject(load("dense-smoke-polynorm"), mesh, TWO)
    each.step()
    state = each.state()
    assert len(state["optimizer"]["state"]) == len(state["model"])
    assert all({"exp_avg", "exp_avg_sq"} <= moments.keys() for moments in state["optimizer"]["state"].values())


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
