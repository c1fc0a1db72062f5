"""What devices tell each other: volumes by hand and as torch exchanges them, rates, and what is waited for."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode

from repro.recipe import load, machine
from repro.recipe.communication import EFFICIENCY, communication, rates, volumes
from repro.recipe.counting import count
from repro.recipe.display import print_plan
from repro.recipe.layout import Fit, fit
from repro.recipe.plan import plan
from repro.training import text
from repro.training.sharding import Sharding, mesh, shard

PAPER = "dense-1b-relu"
PARAMETERS, ROOT, BLOCK = 1_345_423_360, 131_072_000, 50_597_888
SMALL = 624_968  # of dense-smoke-polynorm, 8 of them coefficients
ONE_NODE = machine("gpu-x8")


def told(recipe, on, layout, computation=1.0):
    return communication(recipe, machine(on) if isinstance(on, str) else on, layout, computation)


def test_one_device_has_nobody_to_talk_to():
    for on in ("gpu", "cpu"):
        recipe, where = load("dense-smoke-polynorm"), machine(on)
        assert told(recipe, where, fit(recipe, where)) is None
        assert plan(recipe, where).communication is None


def test_a_copy_over_four_devices_gathers_in_bfloat16_and_sums_in_float32():
    once = volumes(load("dense-smoke-polynorm"), ONE_NODE.model_copy(update={"devices": 4}), Fit(1, 1, shard=4))
    weights = 2 * (SMALL - 8) + 4 * 8  # coefficients stay in float32
    assert once.gather * 1e9 == pytest.approx(3 / 4 * weights)
    assert once.reduce * 1e9 == pytest.approx(3 / 4 * 4 * SMALL)
    assert once.average == 0


def test_copies_average_the_share_that_a_device_holds():
    once = volumes(load("dense-smoke-polynorm"), ONE_NODE, Fit(1, 1, shard=2))
    assert once.reduce * 1e9 == pytest.approx(1 / 2 * 4 * SMALL)
    assert once.average * 1e9 == pytest.approx(2 * 3 / 4 * 4 * SMALL / 2)


def test_a_mixture_gathers_its_routers_in_float32():
    recipe = load("moe-smoke-relu")
    model, parameters = recipe.model, count(recipe.model).total
    routers = model.n_layers * model.experts * model.d_model
    once = volumes(recipe, ONE_NODE, Fit(1, 1, shard=8))
    assert once.gather * 1e9 == pytest.approx(7 / 8 * (2 * parameters + 2 * routers))


def test_under_ddp_gradients_are_averaged_and_nothing_else():
    recipe = load("resnet50-imagenet-relu")
    once = volumes(recipe, ONE_NODE, fit(recipe, ONE_NODE))
    assert (once.gather, once.reduce) == (0, 0)
    assert once.average * 1e9 == pytest.approx(2 * 7 / 8 * 4 * 25_557_032)


def test_a_sharded_classifier_is_gathered_in_float32_and_hides_nothing():
    recipe = load("resnet50-imagenet-relu", ["layout.strategy=fsdp2"])
    found = told(recipe, ONE_NODE, Fit(32, 1, shard=8))
    assert found.gathered_gb == found.reduced_gb == pytest.approx(7 / 8 * 4 * 25_557_032 / 1e9)
    assert found.exposed_seconds == pytest.approx(found.seconds)


def test_a_cpu_gathers_in_float32_and_does_one_thing_at_a_time():
    recipe, where = load("dense-smoke-relu"), machine("cpu-x2")
    found = told(recipe, where, fit(recipe, where))
    assert found.gathered_gb == found.reduced_gb == pytest.approx(1 / 2 * 4 * count(recipe.model).total / 1e9)
    assert found.exposed_seconds == pytest.approx(found.seconds)


def test_weights_are_gathered_for_every_micro_batch_and_gradients_summed_once_unless_said_otherwise():
    recipe, layout = load(PAPER), Fit(1, 4, shard=8)
    once = volumes(recipe, ONE_NODE, layout)
    plain, again, each = (
        told(recipe, ONE_NODE, option)
        for option in (layout, replace(layout, reshard=True), replace(layout, reduce_each=True))
    )
    assert (plain.gathered_gb, plain.reduced_gb) == (4 * once.gather, once.reduce)
    assert (again.gathered_gb, again.reduced_gb) == (8 * once.gather, once.reduce)
    assert (each.gathered_gb, each.reduced_gb) == (4 * once.gather, 4 * once.reduce)
    assert plain.seconds < again.seconds
    assert plain.seconds < each.seconds


class Exchanged(TorchDispatchMode):
    """Counts the bytes of what is gathered, summed and averaged, whole, on one rank of a process group."""

    def __init__(self):
        super().__init__()
        self.bytes = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == "c10d":
            tensors = [each for each in torch.utils._pytree.tree_leaves(args) if isinstance(each, torch.Tensor)]
            self.bytes[func._opname] += max(tensor.nbytes for tensor in tensors)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def eight_ranks():
    """The first of eight ranks, where the others only seem to be."""
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=8)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("reshard", [False, True])
@pytest.mark.parametrize("name", ["dense-smoke-polynorm", "moe-smoke-polynorm"])
def test_volumes_are_what_torch_exchanges(eight_ranks, name, reshard):
    recipe, layout = load(name), Fit(2, 2, shard=4, reshard=reshard, reduce_each=True)
    module = text.module(recipe)
    shard(module.decoder, mesh("cpu", 8, 4), Sharding(ranks=4, precision="bf16", reshard=reshard))
    module.to_empty(device="cpu")
    for weight in module.parameters():
        torch.nn.init.normal_(weight.to_local(), std=0.02)
    batch = torch.zeros(2, recipe.data.context + 1, dtype=torch.long)
    with Exchanged() as seen:
        for _ in range(layout.accumulation):
            module.training_step(batch)["loss"].backward()
    found = told(recipe, ONE_NODE, layout)
    assert seen.bytes["_allgather_base_"] * 3 / 4 == pytest.approx(found.gathered_gb * 1e9, rel=1e-12)
    assert seen.bytes["_reduce_scatter_base_"] * 3 / 4 == pytest.approx(found.reduced_gb * 1e9, rel=1e-12)
    # Two copies average after each micro-batch here; training has them wait for the last (FSDP2.block_backward_sync).
    assert seen.bytes["allreduce_"] / layout.accumulation == pytest.approx(found.copies_gb * 1e9, rel=1e-12)


@pytest.mark.parametrize(
    ("on", "shard", "within", "between"),
    [
        ("gpu-x8", 8, 450, 450),
        ("gpu-x8", 4, 450, 450),
        ("a100-4x8", 8, 300, 200 / 8),  # eight rings between copies share a node's network
        ("a100-4x8", 4, 300, 200 / 4),
        ("a100-4x8", 1, 300, 200),
        ("a100-4x8", 16, 200, 200 / 8),  # over two nodes
        ("a100-4x8", 32, 200, 200 / 8),
        ("h100-8x8", 64, 400, 400 / 8),
    ],
)
def test_rings_that_leave_a_node_go_at_the_rate_of_its_network(on, shard, within, between):
    assert rates(machine(on), Fit(1, 1, shard=shard)) == pytest.approx((EFFICIENCY * within, EFFICIENCY * between))


def test_a_network_faster_than_the_links_does_not_speed_them_up():
    fast = machine("a100-4x8").model_copy(update={"network_gb_s": 10_000})
    assert rates(fast, Fit(1, 1, shard=32)) == pytest.approx((EFFICIENCY * 300, EFFICIENCY * 300))


def test_the_papers_model_on_64_a100_by_hand():
    """Eight copies, each over a node. Of 1,345,423,360 parameters a device

    - gathers 7/8 of 2 bytes each, 2.354 GB at 210 GB/s: 11.2 ms;
    - sums 7/8 of 4 bytes each, 4.709 GB at 210 GB/s: 22.4 ms;
    - averages 2 x 7/8 of an eighth of 4 bytes each, 1.177 GB at 140 / 8 = 17.5 GB/s: 67.3 ms;

    100.9 ms, of which the root and one block, 13.5 % of the parameters, are waited for: 13.6 ms. The rest, 9.7 ms
    forward and 77.6 ms backward, hides behind 86 and 173 ms: 262,144 tokens of 8.89 GFLOP at 45 % of 64 x 312 TFLOP/s.
    """
    planned = plan(load(PAPER), machine("a100-8x8"))
    found = planned.communication
    assert found.gathered_gb == pytest.approx(7 / 8 * 2 * PARAMETERS / 1e9) == pytest.approx(2.354, abs=1e-3)
    assert found.reduced_gb == pytest.approx(4.709, abs=1e-3)
    assert found.copies_gb == pytest.approx(1.177, abs=1e-3)
    assert (found.rate_gb_s, found.copies_rate_gb_s) == pytest.approx((210, 17.5))
    assert found.seconds == pytest.approx(0.1009, abs=1e-4)
    assert found.exposed_seconds == pytest.approx((BLOCK + ROOT) / PARAMETERS * found.seconds)
    assert found.exposed_seconds == pytest.approx(0.0136, abs=1e-4)
    assert found.computation_seconds == pytest.approx(262_144 * 8.887e9 / (0.45 * 64 * 312e12), rel=1e-3)
    assert planned.tokens_per_second == pytest.approx(262_144 / (0.2592 + 0.0136), rel=1e-3)


@pytest.mark.parametrize("name", [PAPER, "moe-1b7b-polynorm", "resnet50-imagenet-relu", "rnn-smoke-relu"])
@pytest.mark.parametrize("on", ["gpu-x8", "a100-4x8"])
def test_what_is_waited_for_is_part_of_all_and_grows_as_there_is_less_to_hide_behind(name, on):
    recipe, where = load(name), machine(on)
    layout = fit(recipe, where)
    waited = [told(recipe, where, layout, seconds) for seconds in (1e3, 1e-1, 1e-2, 1e-3, 0.0)]
    assert len({each.seconds for each in waited}) == 1
    exposed = [each.exposed_seconds for each in waited]
    assert 0 < exposed[0] <= exposed[-1] == pytest.approx(waited[0].seconds)
    assert exposed == sorted(exposed)


def test_faster_links_and_networks_are_waited_for_less():
    recipe, where = load(PAPER), machine("a100-8x8")
    layout = fit(recipe, where)
    seconds = told(recipe, where, layout).seconds
    for faster in ({"link_gb_s": 600.0}, {"network_gb_s": 400.0}):
        assert told(recipe, where.model_copy(update=faster), layout).seconds < seconds


def test_where_blocks_are_computed_again_a_quarter_of_the_computation_is_the_forward_pass():
    recipe, layout = load(PAPER), Fit(8, 1, shard=8)
    edge = (BLOCK + ROOT) / PARAMETERS
    gathering = volumes(recipe, ONE_NODE, layout).gather / (EFFICIENCY * 450)
    with_a_neighbour = (1 - edge) * gathering
    computation = 3.5 * with_a_neighbour  # a third of it hides them, a quarter does not
    once, twice = (
        told(recipe, ONE_NODE, replace(layout, recompute=again), computation).exposed_seconds for again in (False, True)
    )
    assert once == pytest.approx(3 * edge * gathering)  # the gradients take twice as long as the weights
    assert twice - once == pytest.approx(with_a_neighbour - computation / 4)


def test_a_plan_says_what_is_exchanged_and_what_that_supposes(capsys):
    recipe, where = load("dense-1b-polynorm"), machine("a100-4x8")
    print_plan(plan(recipe, where), recipe, where)
    assert (
        "network 2.35 GB of weights and 4.71 GB of gradients at 210 GB/s, 1.01 GB between copies at 17.5 GB/s: 91.3 ms "
        "a step on each device, of which 12.3 ms do not hide behind 519 ms of computation (a model, untried: 70% of "
        "300 GB/s a device and 200 GB/s a node; no latency)"
    ) in " ".join(capsys.readouterr().out.split())
    print_plan(plan(recipe, machine("gpu")), recipe, machine("gpu"))
    assert "network" not in capsys.readouterr().out
