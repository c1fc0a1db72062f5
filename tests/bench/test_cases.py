"""What is timed on one GPU is what is planned for many, as far as it fits."""

import pytest

from repro.bench import training
from repro.bench.cases import BARE, CASES, at_a_time, laid_out, need
from repro.recipe import machine
from repro.recipe.layout import USABLE, fit
from repro.recipe.memory import memory
from repro.recipe.parameters import ffn_width

GPU = machine("gpu")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_h100_takes_as_many_at_a_time_as_planned(case):
    for recipe in case.whole().values():
        assert at_a_time(case, GPU) == fit(recipe, machine(case.planned_on)).micro_batch


@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_that_take_turns_fit_side_by_side(case):
    held = [memory(recipe, GPU, laid_out(case, at_a_time(case, GPU))) for recipe in case.timed().values()]
    largest = max(part.gathered + part.activations + part.loss for part in held)
    needed = sum(part.weights + part.gradients for part in held) + largest + 2**31 / 1e9  # and the clock's
    assert need(case, GPU, at_a_time(case, GPU)) == pytest.approx(needed)
    assert needed <= USABLE * GPU.memory_gb


def test_a_smaller_gpu_takes_fewer_or_none():
    dense, _, _, moe, *_ = CASES
    assert [at_a_time(dense, GPU.model_copy(update={"memory_gb": gb})) for gb in (80, 52, 43, 20)] == [4, 2, 1, 0]
    assert [at_a_time(moe, GPU.model_copy(update={"memory_gb": gb})) for gb in (80, 60, 40)] == [4, 2, 0]


def test_two_depths_are_of_the_shapes_of_the_whole():
    case = CASES[3]
    (whole,) = case.whole().values()
    for (name, recipe), depth in zip(case.timed().items(), (2, 6), strict=True):
        assert name == f"moe-1b7b-swiglu, {depth} layers"
        assert recipe.model == whole.model.model_copy(update={"n_layers": depth})


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_network_lies_on_one_gpu_as_it_is_planned(case):
    lies = laid_out(case, 2)
    assert (lies.micro_batch, lies.accumulation, lies.shard) == (2, 2, 1)
    for recipe in case.whole().values():
        planned = fit(recipe, machine(case.planned_on))
        assert (lies.reshard, lies.recompute) == (planned.reshard, planned.recompute)


def test_a_network_takes_turns_with_itself_as_nothing_shares_it_out():
    case = CASES[2]
    bare, shared = case.timed()
    assert bare == f"{shared}{BARE}"
    assert case.timed()[bare] == case.timed()[shared]


def test_polynorm_is_checked_at_every_width_that_it_has_there():
    dense, _, _, _, moe, resnet = (list(case.whole().values())[-1].model for case in CASES)
    channels = {resnet.width << n for n in range(6)}  # of bottlenecks, and of what leaves them
    assert set(training.WIDTHS) == {ffn_width(dense), ffn_width(moe)} | channels
