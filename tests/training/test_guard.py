"""Steps whose gradient is not finite or explodes are skipped and counted, and a run that only skips is stopped."""

import math

import pytest
import torch
from torch import nn

from repro.errors import Diverged
from repro.recipe.schema import Guard
from repro.training.callbacks.guard import GradientGuard


class Trainer:
    global_step = 41


@pytest.fixture
def guard():
    return GradientGuard(clip=1.0, guard=Guard(spike=100.0, patience=2))


@pytest.fixture
def model():
    return nn.Linear(3, 1, bias=False)


def step(guard, model, gradient):
    """One step with a given gradient in every weight; whether the weights moved."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    before = model.weight.detach().clone()
    model.weight.grad = torch.full_like(model.weight, gradient)
    guard.on_before_optimizer_step(Trainer(), model, optimizer)
    optimizer.step()
    return not torch.equal(model.weight, before)


def test_a_gradient_above_the_limit_is_scaled_down_to_it(guard, model):
    model.weight.grad = torch.full_like(model.weight, 10.0)
    guard.on_before_optimizer_step(Trainer(), model, torch.optim.AdamW(model.parameters()))
    assert model.weight.grad.norm().item() == pytest.approx(1.0, rel=1e-5)
    assert guard.norm == pytest.approx(10 * math.sqrt(3))


@pytest.mark.parametrize("gradient", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_moves_nothing_and_counts(guard, model, gradient):
    assert step(guard, model, 0.1)
    assert not step(guard, model, gradient)
    assert model.weight.isfinite().all()
    assert guard.skipped == 1


def test_a_gradient_a_hundred_times_the_usual_is_skipped(guard, model):
    assert step(guard, model, 0.1)
    assert step(guard, model, 9.0)
    assert not step(guard, model, 30.0)
    assert guard.skipped == 1


def test_an_accepted_step_ends_a_row_of_skipped_ones(guard, model):
    for gradient in (0.1, math.nan, math.nan, 0.1, math.nan, math.nan):
        step(guard, model, gradient)
    assert guard.skipped == 4


def test_more_skipped_steps_in_a_row_than_allowed_stop_the_run(guard, model):
    step(guard, model, math.nan)
    step(guard, model, math.nan)
    with pytest.raises(Diverged, match=r"stopped at step 42: 3 steps in a row .*not finite or exploded \(norm nan\)"):
        step(guard, model, math.nan)


def test_a_resumed_guard_judges_as_the_one_that_was_saved(guard, model):
    step(guard, model, 0.1)
    step(guard, model, math.nan)
    resumed = GradientGuard(clip=1.0, guard=guard.guard)
    resumed.load_state_dict(guard.state_dict())
    assert resumed.state_dict() == guard.state_dict()
    assert not step(resumed, model, 30.0)
