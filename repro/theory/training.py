"""Small networks of one hidden layer, trained many at once, each at its own learning rate and on its own function."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from repro.activations import build
from repro.recipe.table import rows
from repro.theory.ball import Member
from repro.theory.rates import sample

STEPS, POINTS = 800, 128
BETAS, EPS = (0.9, 0.99), 1e-12


class Shallow(nn.Module):
    """One hidden layer, from one number to one; a gated activation has two inputs to it."""

    def __init__(self, activation: str, width: int) -> None:
        super().__init__()
        self.gated = rows()[activation].gated
        self.up = nn.Linear(1, width * (1 + self.gated))
        self.act = build(activation)
        self.down = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(points, 1)`` of ``(points, 1)``."""
        hidden = self.up(x)
        y: Tensor = self.down(self.act(*hidden.chunk(2, -1)) if self.gated else self.act(hidden))
        return y


def errors(
    activation: str, parameters: int, functions: Sequence[Member], *, seeds: Sequence[int], rate: float, steps: int
) -> list[list[float]]:
    """The largest errors on ``[-1, 1]`` of trained networks of about so many parameters, by function and seed.

    Adam on all points at once, in float64, on a cosine. What did not stay finite is infinitely wrong.
    """
    networks = [seeded(activation, width(activation, parameters), seed) for _ in functions for seed in seeds]
    x, held = torch.linspace(-1, 1, POINTS, dtype=torch.float64)[:, None], torch.from_numpy(sample(1))
    scales = _of_each(functions, x, len(seeds)).std(1, keepdim=True)
    evaluate = _fit(networks, rate, x, _of_each(functions, x, len(seeds)) / scales, steps)
    wrong = (evaluate(held) * scales - _of_each(functions, held, len(seeds))).abs().amax(1)
    found: list[list[float]] = wrong.nan_to_num(nan=math.inf, posinf=math.inf).view(len(functions), -1).tolist()
    return found


def width(activation: str, parameters: int) -> int:
    """Of the hidden layer with which a network has about so many parameters."""
    one, two = (count(Shallow(activation, hidden)) for hidden in (1, 2))
    return max(1, round(1 + (parameters - one) / (two - one)))


def count(network: nn.Module) -> int:
    """Of its parameters."""
    return sum(weight.numel() for weight in network.parameters())


def seeded(activation: str, hidden: int, seed: int) -> nn.Module:
    """A network as it is before training."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return Shallow(activation, hidden).double()


def _of_each(functions: Sequence[Member], points: Tensor, seeds: int) -> Tensor:
    """``(networks, points)``: a network's own function."""
    return torch.stack([torch.from_numpy(function(points.numpy())) for function in functions for _ in range(seeds)])


def _fit(networks: list[nn.Module], rate: float, x: Tensor, target: Tensor, steps: int) -> Callable[[Tensor], Tensor]:
    """Train all at once, each on its own loss; returned is what gives their values, ``(networks, points)``."""
    stacked, _ = stack_module_state(networks)
    weights = {name: weight.detach().requires_grad_() for name, weight in stacked.items()}

    def evaluate(points: Tensor) -> Tensor:
        values: Tensor = vmap(lambda own: functional_call(networks[0], own, (points,)))(weights)
        return values[..., 0]

    adam = torch.optim.Adam(weights.values(), lr=rate, betas=BETAS, eps=EPS)
    falling = torch.optim.lr_scheduler.LambdaLR(adam, lambda done: (1 + math.cos(math.pi * done / max(1, steps))) / 2)
    for _ in range(steps):
        adam.zero_grad()
        (evaluate(x) - target).square().mean(1).sum().backward()
        adam.step()
        falling.step()
    return torch.no_grad()(evaluate)
