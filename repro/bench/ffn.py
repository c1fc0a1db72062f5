"""What one feed-forward network of the 1b scale costs with each activation: time, and memory for the backward pass."""

import functools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from repro import kernels
from repro.activations import Gated, PolyNorm, reference
from repro.bench import agreement, cost
from repro.bench.measurement import Case
from repro.bench.rows import append, expect
from repro.bench.tables import digits, say
from repro.bench.timing import GpuClock, Timing, Work, interleaved
from repro.models import GatedFFN, PlainFFN

# Appendix B: plain networks are half as wide again as the gated one.
D_MODEL, PLAIN, GATED = 2048, 8256, 5504
TOKENS = {"cuda": 8192, "cpu": 8}
SECONDS = 20.0
FILE = "bench-ffn.csv"

TORCH, COMPILED, OURS = "torch", "torch.compile", "ours"


@dataclass(frozen=True)
class Arm:
    """An activation, and what computes it: torch's operations, torch.compile of the reference, or our kernels."""

    activation: str
    backend: str

    @property
    def d_ff(self) -> int:
        """The width of the network."""
        return GATED if self.activation == "swiglu" else PLAIN


ARMS = [
    *(Arm(activation, backend) for activation in ("polynorm", "polyrelu") for backend in (TORCH, COMPILED, OURS)),
    *(Arm(activation, backend) for activation in ("swiglu", "gelu", "relu") for backend in (TORCH, COMPILED)),
]
MODULES: dict[str, Callable[[], nn.Module]] = {
    "swiglu": lambda: Gated("silu"),
    "gelu": nn.GELU,
    "relu": nn.ReLU,
}


@dataclass(frozen=True)
class Cost:
    """What one arm costs.

    ``kept`` is in bytes for the backward pass, weights apart, by dtype. Without a GPU there is neither time nor peak.
    """

    arm: Arm
    tokens: int
    kept: Counter[torch.dtype]
    peak: int | None = None
    timing: Timing | None = None

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens a second through both passes."""
        return 1000 * self.tokens / self.timing.median if self.timing else None

    def row(self) -> dict[str, object]:
        """The cost as a row of the CSV; what is not known is empty."""
        return {
            "activation": self.arm.activation,
            "backend": self.arm.backend,
            "d_model": D_MODEL,
            "d_ff": self.arm.d_ff,
            "tokens": self.tokens,
            "dtype": "bfloat16",
            "median_ms": self.timing and self.timing.median,
            "p20_ms": self.timing and self.timing.low,
            "p80_ms": self.timing and self.timing.high,
            "rounds": self.timing and self.timing.rounds,
            "tokens_per_s": self.tokens_per_s,
            "kept_bytes_per_token": self.kept.total() // self.tokens,
            "kept_float32_bytes_per_token": self.kept[torch.float32] // self.tokens,
            "peak_bytes": self.peak,
        }


def start(out: Path | None, console: Console) -> None:
    """Check the kernels, then measure, print and append to ``bench-ffn.csv``; on a CPU the memory alone.

    Raises:
        CheckFailed: a kernel of ours is not right, and no speed is told.
    """
    device = agreement.place()
    if out:
        expect(out / FILE, Cost(ARMS[0], 1, Counter()).row())
    for function in ("polynorm", "polyrelu"):
        agreement.check(Case(function, PLAIN, 5), device)
    measured = _report(device, TOKENS[device.type], console)
    if out:
        append(out / FILE, [each.row() for each in measured])


def _report(device: torch.device, tokens: int, console: Console) -> list[Cost]:
    """Measure, and print a line an arm and the verdict."""
    sizes = f"{D_MODEL} to {PLAIN} or gated {GATED} and back"
    say(console, f"One FFN, {sizes}, bfloat16, {tokens:,} tokens, on {_on(device)}")
    if device.type == "cpu":
        say(console, "There is no GPU here: no times, and nothing compiled; bytes kept are the same everywhere.")
    say(console, f"\n{'':26s}{'both ms':>10s}{'p80/p20':>9s}{'tokens/s':>12s}{'peak MB':>10s}  kept bytes per token")
    measured = measure(device, tokens)
    for each in measured:
        say(console, _line(each))
    say(console, f"\n{_verdict(measured)}")
    return measured


def measure(device: torch.device, tokens: int) -> list[Cost]:
    """Every arm, timed by turns where there is a GPU."""
    torch.compiler.reset()
    x = torch.randn(tokens, D_MODEL, device=device, dtype=torch.bfloat16, requires_grad=True)
    dy = torch.randn_like(x, requires_grad=False)
    arms = [arm for arm in ARMS if device.type == "cuda" or arm.backend != COMPILED]
    networks = {arm: network(arm, device) for arm in arms}
    works = {arm: _both(ffn, x, dy) for arm, ffn in networks.items()}
    kept = {arm: _kept(ffn, x) for arm, ffn in networks.items()}
    if device.type == "cpu":
        return [Cost(arm, tokens, kept[arm]) for arm in arms]
    turns = {arm: functools.partial(_ready, work) for arm, work in works.items()}
    timings = interleaved(turns, GpuClock(), seconds=SECONDS)
    return [Cost(arm, tokens, kept[arm], cost.peak(works[arm]), timings[arm]) for arm in arms]


class _Polynomial(nn.Module):
    """PolyNorm or PolyReLU by a function of choice, with the coefficients in float32."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function, self.coeff = function, PolyNorm().coeff

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.coeff)


def network(arm: Arm, device: torch.device) -> nn.Module:
    """The FFN of an arm, with the paper's initial weights in bfloat16."""
    with torch.device(device):
        activation = MODULES[arm.activation]() if arm.activation in MODULES else _Polynomial(_function(arm))
        ffn = (GatedFFN if arm.activation == "swiglu" else PlainFFN)(D_MODEL, arm.d_ff, activation)
    for linear in (module for module in ffn.modules() if isinstance(module, nn.Linear)):
        nn.init.normal_(linear.to(torch.bfloat16).weight, std=math.sqrt(2 / (5 * D_MODEL)))
    if arm.backend == COMPILED:
        ffn.compile(dynamic=False)
    return ffn


def _function(arm: Arm) -> Callable[[Tensor, Tensor], Tensor]:
    if arm.backend == COMPILED:
        written: Callable[[Tensor, Tensor], Tensor] = getattr(reference, arm.activation)
        return written
    backend = "triton" if arm.backend == OURS else "torch"
    return functools.partial(getattr(kernels, arm.activation), backend=backend)


def _both(ffn: nn.Module, x: Tensor, dy: Tensor) -> Work:
    leaves = [x, *ffn.parameters()]
    return lambda: torch.autograd.grad(ffn(x), leaves, dy)


def _ready(work: Work) -> Work:
    """A turn without preparation."""
    return work


def _kept(ffn: nn.Module, x: Tensor) -> Counter[torch.dtype]:
    ffn(x)  # compiled now, if at all
    return cost.kept(lambda: ffn(x), apart=ffn.parameters())


def _on(device: torch.device) -> str:
    return agreement.name(device) if device.type == "cuda" else "a CPU, our kernels in Triton's interpreter"


def _line(each: Cost) -> str:
    arm, timing, peak = each.arm, each.timing, each.peak
    median, spread = (timing.median, timing.spread) if timing else (None, None)
    times = digits(median, 10) + digits(spread, 9) + digits(each.tokens_per_s, 12)
    return f"{arm.activation:10s}{arm.backend:16s}{times}{digits(peak and peak / 1e6, 10)}  {_per_token(each)}"


def _per_token(each: Cost) -> str:
    """Such as ``37,120 + 12 in float32``: the activations, and the numbers a row that come with them."""
    scales = each.kept[torch.float32] // each.tokens
    rest = each.kept.total() // each.tokens - scales
    return f"{rest:,} + {scales:,} in float32" if scales else f"{rest:,}"


def _verdict(measured: list[Cost]) -> str:
    by_arm = {each.arm: each for each in measured}
    ours, gated = by_arm[Arm("polynorm", OURS)], by_arm[Arm("swiglu", TORCH)]
    activations = ours.kept[torch.bfloat16] // ours.tokens
    reached = activations <= 37_120 and ours.kept.total() < gated.kept.total()
    return (
        f"{'reached' if reached else 'missed'}: fused PolyNorm keeps at most 37,120 bytes a token beside its row "
        f"scales, and less than\nSwiGLU: {_per_token(ours)} against {_per_token(gated)}"
    )
