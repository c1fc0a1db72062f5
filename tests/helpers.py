"""How close is close enough: measured, not guessed."""

from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor, nn


def assert_within_budget(ours: Tensor, eager: Tensor, truth: Tensor, *, roundings: int = 1) -> None:
    """The error of ``ours`` is at most that of ``eager``, which rounds once to its dtype; ``truth`` is float64.

    Errors are root mean squares: they see a loss of precision everywhere, which the largest one hides behind an
    outlier. Independent roundings to 16 bits add like sqrt(n). Two units of float32 are for the order of operations
    inside: measured over 12 seeds, orders 1 to 6 and five shapes, PolyNorm and PolyReLU differ from the reference by
    about a unit either way in float32, and not at all, but for that, in 16 bits.
    """
    assert ours.dtype == eager.dtype
    assert ours.isfinite().all(), "a value is not finite"
    error, eager_error, size = (y.double().square().mean().sqrt().item() for y in (ours - truth, eager - truth, truth))
    budget = roundings**0.5 * 1.1 * eager_error + 2 * torch.finfo(torch.float32).eps * size
    assert error <= budget, f"error {error:.2e} is above the budget of {budget:.2e}"


def assert_sum_within_budget(ours: Tensor, truth: Tensor, magnitude: Tensor) -> None:
    """Sums made in float32, of terms whose sizes add up to ``magnitude``: each may be four units off."""
    budget = 4 * torch.finfo(torch.float32).eps * magnitude
    if ours.dtype != torch.float64:
        budget = budget + torch.finfo(ours.dtype).eps * truth.abs()
    error = (ours.double() - truth).abs()
    assert (error <= budget).all(), f"error {error.tolist()} is above the budget of {budget.tolist()}"


def kept_bytes(function: Callable[..., Tensor], *inputs: Tensor, apart: Iterable[Tensor] = ()) -> int:
    """Bytes that autograd keeps between forward and backward, each storage once, without those of ``apart``."""
    parameters = {parameter.untyped_storage().data_ptr() for parameter in apart}
    kept = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = function(*inputs)  # held until after the count, or its storage could be given out twice
    assert y.requires_grad
    return sum(size for place, size in kept.items() if place not in parameters)


def assert_a_step_lowers_the_loss_as_promised(model: nn.Module, loss: Callable[[], Tensor]) -> Tensor:
    """A step down the gradient lowers ``loss()`` by what the gradient promises, in float64: cubes of cubes are steep.

    Every parameter has a gradient. Returns the loss before the step.
    """
    before = loss()
    before.backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in model.parameters())
    promised = 1e-6
    steepness = sum(p.grad.square().sum() for p in model.parameters())
    torch.optim.SGD(model.parameters(), lr=promised / steepness.item()).step()
    assert (before - loss()).item() == pytest.approx(promised, rel=0.01)
    return before
