"""How layers are made ready for FSDP2, and what is said of tensors that lie elsewhere."""

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore

from repro import models
from repro.recipe import load
from repro.training import sharding
from repro.training.placement import misplaced
from repro.training.sharding import Sharding, mesh, shard


@pytest.fixture
def eight():
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=8)
    yield
    dist.destroy_process_group()


def lying(shape, placements, ranks=8):
    return DTensor.from_local(torch.empty(shape), mesh("cpu", 8, ranks), placements, run_check=False)


@pytest.mark.parametrize(
    ("local", "placements", "ranks"),
    [((2, 3), [Shard(0)], 8), ((4, 3), [Replicate(), Shard(0)], 4), ((3, 2), [Shard(1)], 8)],
)
def test_a_share_on_each_device_is_as_it_should_be(eight, local, placements, ranks):
    assert misplaced(lying(local, placements, ranks), ranks, 8) == ""


def test_what_lies_elsewhere_is_told(eight):
    assert misplaced(torch.empty(2), 8, 8) == "is whole on each device"
    assert misplaced(lying((2, 3), [Replicate()]), 8, 8) == "lies as (Replicate(),) on devices (8,)"
    assert misplaced(lying((2, 3), [Partial(), Shard(0)], 4), 4, 8).startswith("lies as (Partial(sum), Shard(dim=0))")
    assert misplaced(lying((2, 3), [Shard(0)]), 4, 8) == "lies as (Shard(dim=0),) on devices (8,)"


def test_experts_that_devices_do_not_share_evenly_are_told(eight):
    uneven = DTensor.from_local(
        torch.empty(2, 3, 3), mesh("cpu", 8, 8), [Shard(0)], run_check=False, shape=(12, 3, 3), stride=(9, 3, 1)
    )
    assert misplaced(uneven, 8, 8) == "of shape (12, 3, 3) has a part of (2, 3, 3) on the first device"


def test_each_block_is_compiled_in_place_before_it_is_shared_out_and_keeps_its_names(eight, monkeypatch):
    done = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: done.append(("compiled", type(self).__name__)))
    share = sharding.fully_shard
    monkeypatch.setattr(
        sharding,
        "fully_shard",
        lambda module, **how: (done.append(("shared", type(module).__name__)), share(module, **how)),
    )
    with torch.device("meta"):
        network = models.from_recipe(load("dense-smoke-relu").model)
    names = list(network.state_dict())
    shard(network, mesh("cpu", 8, 8), Sharding(ranks=8, compile=True, recompute=True))
    assert done == [("compiled", "Block"), ("shared", "Block")] * 2 + [("shared", "Decoder")]
    assert list(network.state_dict()) == names
