"""Recipes of mixtures: what cannot be, and what `repro plan` says of the paper's."""

import pytest

from repro.errors import RecipeError
from repro.recipe import load, machine
from repro.recipe.plan import plan

PAPER = "moe-1b7b-polynorm"


@pytest.mark.parametrize(
    ("activation", "override", "message"),
    [
        ("relu", "top_k=5", "the command line and recipes/moe/smoke.yaml: top_k=5 is above experts=4"),
        (
            "relu",
            "d_model=60",
            "the command line: d_model=60 is not a multiple of 8, as the grouped product of experts",
        ),
        (
            "relu",
            "d_ff=100",
            (
                "the command line: d_ff=100 gives experts of width 100 with relu; the grouped product of experts needs "
                "a multiple of 8"
            ),
        ),
        ("swiglu", "d_ff=102", "the command line: d_ff=102 gives experts of width 68 with swiglu; the grouped product"),
        (
            "swiglu",
            "coefficients=expert",
            "the command line: coefficients=expert needs polynorm or polyrelu, and the activation is swiglu",
        ),
        (
            "relu",
            "schedule_tokens=1024",
            (
                "the command line and recipes/moe/smoke.yaml: optim.schedule_tokens=1024 is less than "
                "budget.tokens=256000"
            ),
        ),
        ("relu", "scope=world", "the command line: balance.scope is 'world'; expected 'local' or 'global'"),
        ("relu", "router_z=-1", "the command line: balance.router_z is -1; expected 0 or more"),
    ],
)
def test_a_mixture_that_cannot_be(activation, override, message):
    with pytest.raises(RecipeError) as refused:
        load(f"moe-smoke-{activation}", [override])
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_the_papers_mixture_does_not_fit_one_gpu_of_80_gb():
    planned = plan(load(PAPER), machine("gpu"))
    assert planned.fit is None
    assert planned.misfit.startswith(f"{PAPER} does not fit on machine 'gpu': one sequence at a time needs ")
    assert "110.7 GB of it for float32 weights, gradients and moments of 6,919,161,920 parameters" in planned.misfit
    assert "a device has 80.0 GB" in planned.misfit


@pytest.mark.parametrize("on", ["gpu-x8", "a100-8x8", "h100-8x8"])
def test_it_fits_nodes_of_eight_which_share_its_states(on):
    planned = plan(load(PAPER), machine(on))
    assert planned.fit is not None
    assert planned.fit.shard == 8
    assert planned.memory_parts_gb.states == pytest.approx(110.7 / 8, abs=0.01)


def test_the_plan_for_an_a100_says_that_its_grouped_product_waits():
    (note,) = plan(load(PAPER), machine("a100-8x8")).notes
    assert note.startswith("the grouped product of experts waits for the processor on this device")
    assert plan(load(PAPER), machine("h100-8x8")).notes == ()
    assert plan(load("dense-1b-polynorm"), machine("a100-8x8")).notes == ()


def test_a_mixture_as_released_differs_from_the_papers_in_its_auxiliary_losses():
    released = plan(load(PAPER, ["load_balancing=0", "router_z=0"]), machine("h100-8x8"))
    assert [(found.key, found.here) for found in released.differences] == [
        ("balance.load_balancing", 0),
        ("balance.router_z", 0),
    ]
    assert plan(load(PAPER), machine("h100-8x8")).differences == ()
