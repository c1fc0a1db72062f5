"""Networks that are trained, beside the ones that are built: that a network exists does not say that training finds it.

One hidden layer of each activation, of as many parameters as Theorem 3's network of the same function. Adam on all
points at once, in float64; of three learning rates a seed gets the one that was best for the other seeds.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from repro.activations import build
from repro.data.progress import Progress, silent
from repro.errors import CheckFailed
from repro.recipe.table import rows
from repro.theory import construction
from repro.theory.ball import Member
from repro.theory.findings import Finding
from repro.theory.fitting import curve
from repro.theory.measuring import sample
from repro.theory.spread import Spread

ACTIVATIONS = ("relu", "gelu", "swiglu", "polyrelu", "polynorm")
SMOOTHNESS, WAVES, DRAW = 2, 4, 0  # of the function
CELLS = (1, 4, 12)  # of the built networks
RATES = (0.02, 0.06, 0.2)
STEPS, POINTS = 1000, 256
BETAS, EPS = (0.9, 0.99), 1e-12
SLACK = 0.25  # of a slope over three sizes
STAGE = "training small networks"


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


@dataclass(frozen=True)
class Trained:
    """Networks of one size.

    Attributes:
        parameters: of each.
        errors: the largest error of each seed's network on ``[-1, 1]``.
    """

    parameters: int
    errors: tuple[float, ...]


def findings(seeds: int, progress: Progress = silent) -> list[Finding]:
    """Errors of trained networks against those of built ones."""
    function = Member.drawn(SMOOTHNESS, waves=WAVES, seed=DRAW)
    built = _built(function)
    trained = dict[str, list[Trained]]()
    for done, (name, parameters) in enumerate((name, size) for name in ACTIVATIONS for size in built):
        progress(STAGE, done, len(ACTIVATIONS) * len(built))
        trained.setdefault(name, []).append(train(name, parameters, function, seeds=seeds))
    return [_finding(built, trained, seeds)]


def train(activation: str, parameters: int, function: Member, *, seeds: int, steps: int = STEPS) -> Trained:
    """Networks of about so many parameters, at every learning rate, a seed each; of each seed the one that is kept."""
    networks = [_seeded(activation, width(activation, parameters), seed) for _ in RATES for seed in range(seeds)]
    rates = torch.tensor(RATES, dtype=torch.float64).repeat_interleave(seeds)
    x = torch.linspace(-1, 1, POINTS, dtype=torch.float64)[:, None]
    target = torch.from_numpy(function(x.numpy()))
    scale = float(target.std())
    evaluate = _fit(networks, rates, x, target / scale, steps)
    points = sample(1)
    wrong = (evaluate(torch.from_numpy(points)) * scale - torch.from_numpy(function(points))).abs().amax(1)
    errors = kept(wrong.view(len(RATES), seeds))
    return Trained(_count(networks[0]), finite(errors, activation, parameters))


def width(activation: str, parameters: int) -> int:
    """Of the hidden layer with which a network has about so many parameters."""
    one, two = (_count(Shallow(activation, hidden)) for hidden in (1, 2))
    return max(1, round(1 + (parameters - one) / (two - one)))


def kept(errors: Tensor) -> tuple[float, ...]:
    """Of errors ``(rates, seeds)`` each seed's at the rate with the smallest median over the other seeds.

    So no seed chooses for itself. What did not stay finite counts as infinitely wrong.
    """
    rows = errors.nan_to_num(nan=math.inf, posinf=math.inf).tolist()
    best = []
    for seed in range(errors.shape[1]):
        of_others = [median(row[:seed] + row[seed + 1 :]) for row in rows]
        best.append(rows[of_others.index(min(of_others))][seed])
    return tuple(best)


def finite(errors: tuple[float, ...], activation: str, parameters: int) -> tuple[float, ...]:
    """The errors, if they are numbers.

    Raises:
        CheckFailed: some are not.
    """
    if not all(map(math.isfinite, errors)):
        raise CheckFailed(f"a network of {activation} with {parameters} parameters did not stay finite in training")
    return errors


def _seeded(activation: str, hidden: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return Shallow(activation, hidden).double()


def _count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def _fit(networks: list[nn.Module], rates: Tensor, x: Tensor, target: Tensor, steps: int) -> Callable[[Tensor], Tensor]:
    """Train all at once, each on its own loss; returned is what gives their values, ``(networks, points)``."""
    stacked, _ = stack_module_state(networks)
    weights = {name: weight.detach().requires_grad_() for name, weight in stacked.items()}

    def evaluate(points: Tensor) -> Tensor:
        values: Tensor = vmap(lambda own: functional_call(networks[0], own, (points,)))(weights)
        return values[..., 0]

    adam = _Adam(list(weights.values()), rates)
    for done in range(steps):
        loss = (evaluate(x) - target).square().mean(1).sum()
        adam.step(torch.autograd.grad(loss, adam.weights), share=(1 + math.cos(math.pi * done / steps)) / 2)
    return torch.no_grad()(evaluate)


class _Adam:
    """Adam with a learning rate for each of the networks, which torch's own does not have."""

    def __init__(self, weights: list[Tensor], rates: Tensor) -> None:
        self.weights, self._steps = weights, 0
        self._rates = [rates.view(-1, *[1] * (weight.ndim - 1)) for weight in weights]
        self._means = [torch.zeros_like(weight) for weight in weights]
        self._squares = [torch.zeros_like(weight) for weight in weights]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], *, share: float) -> None:
        """One step, of ``share`` of the learning rates."""
        self._steps += 1
        (first, second), n = BETAS, self._steps
        of_all = zip(self.weights, gradients, self._means, self._squares, self._rates, strict=True)
        for weight, gradient, mean, square, rate in of_all:
            mean.lerp_(gradient, 1 - first)
            square.lerp_(gradient.square(), 1 - second)
            weight -= share * rate * (mean / (1 - first**n)) / ((square / (1 - second**n)).sqrt() + EPS)


def _built(function: Member) -> dict[int, float]:
    """Errors of Theorem 3's networks by their parameters."""
    points = sample(1)
    networks = [construction.build(construction.POLYRELU, function, cells) for cells in CELLS]
    wrong = [float(np.abs(network(points) - function(points)).max()) for network in networks]
    return {network.size.parameters: error for network, error in zip(networks, wrong, strict=True)}


def _finding(built: Mapping[int, float], trained: Mapping[str, Sequence[Trained]], seeds: int) -> Finding:
    lines = {
        name: Spread.of(f"{name}, trained", [each.parameters for each in found], [each.errors for each in found])
        for name, found in trained.items()
    }
    exists = curve("PolyReLU, built", list(built), list(built.values()), expected=-float(SMOOTHNESS))
    largest = max(built)
    slopes = ", ".join(f"{name} {line.slope:.2f}" for name, line in lines.items())
    ends = ", ".join(
        f"{name} {line.y[-1]:.1e} ({line.low[-1]:.1e} to {line.high[-1]:.1e})" for name, line in lines.items()
    )
    return Finding(
        id="learned",
        place="Beside Theorem 3: learned (ours)",
        claim="Training finds networks whose errors fall with size as those of the networks that exist. The paper does "
        "not say so; its theorems are about existence.",
        holds=any(line.slope <= SLACK - SMOOTHNESS for line in lines.values()),
        measured=f"On a function of F({SMOOTHNESS},1) of {WAVES} waves, one hidden layer, {seeds} seeds. Slopes of the "
        f"error over parameters: built {exists.slope:.2f} (theory -{SMOOTHNESS}); trained {slopes}. At {largest:,} "
        f"parameters the built network has an error of {built[largest]:.1e}; of trained ones the median (smallest to "
        f"largest) is {ends}. PolyNorm divides by the size of the whole hidden row, so that a neuron is no function of "
        "its own input alone: the theorems do not cover it.",
        numbers={
            f"{name}_{each.parameters}_seed{seed}": error
            for name, found in trained.items()
            for each in found
            for seed, error in enumerate(each.errors)
        },
        curves=(exists, *lines.values()),
        x_label="parameters",
        y_label="largest error",
    )
