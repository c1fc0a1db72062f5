"""The paper's definitions as the kit's modules compute them, held to formulas that are written out here once more.

Each statement is a function that takes what it looks at, so that it can be seen to find a wrong one.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from repro.activations import PolyCom, PolyNorm, PolyReLU, reference
from repro.theory.findings import Finding

SEED = 0
EXACT = 1e-12  # of numbers of about 1 in float64
EPS = 1e-6  # of norms, from the official code; not in the paper
ORDERS = (1, 2, 3, 4, 5, 6)

Function = Callable[[Tensor], Tensor]
Make = Callable[[str, str, int], nn.Module]

# What stands in Eq. 1 for rho, written without the kit's own.
INNER: dict[str, Function] = {
    "relu": lambda x: (x + x.abs()) / 2,
    "prelu": lambda x: (x + x.abs()) / 2 - 0.25 * (x.abs() - x) / 2,
    "sigmoid": lambda x: 1 / (1 + torch.exp(-x)),
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "norm": lambda x: x / ((x * x).mean(-1, keepdim=True) + EPS) ** 0.5,
}


def findings() -> list[Finding]:
    """Those of this module, in the paper's order."""
    return [equation_1(), equation_2(), polynorm_rms(), initial()]


def polycom(kind: str, rho: str, order: int) -> nn.Module:
    """The kit's own."""
    return PolyCom(kind, rho, order)  # type: ignore[arg-type]  # words that are admitted


def equation_1(make: Make = polycom) -> Finding:
    """Both types of composition, around each inner function that the paper names."""
    normal = Normal()
    x = normal(5, 7)
    cases = list(itertools.product(("I", "II"), INNER, ORDERS))
    off = max(_off(make(*case), _expanded(*case), x, normal) for case in cases)
    kinds = itertools.product(("I", "II"), INNER)
    checked = all(_has_its_gradient(make(kind, rho, 3), normal) for kind, rho in kinds)
    return Finding(
        id="equation-1",
        place="Eq. 1",
        claim="Polynomial composition is sum a_i rho(x)^i (Type I) or sum a_i rho(x^i) (Type II).",
        holds=off < EXACT and checked,
        measured=(
            f"{len(cases)} modules, of both types, {len(INNER)} inner functions and orders {ORDERS[0]} to "
            f"{ORDERS[-1]}, are within {off:.0e} of the sums written out, in float64; gradients "
            f"{'agree' if checked else 'do not agree'} with finite differences."
        ),
        differs=(
            "To the letter the term of i = 0 is a_0 in Type I and a_0 rho(1) in Type II: with a sigmoid "
            f"{float(INNER['sigmoid'](torch.ones(()))):.3f} a_0."
        ),
        key=f"{len(cases)} modules within {off:.0e}",
        numbers={"modules": len(cases), "off": off},
    )


def equation_2(make: Callable[[int], nn.Module] = PolyReLU) -> Finding:
    """PolyReLU, and its constant term left of zero."""
    normal = Normal()
    x = normal(40, 25)
    off = max(_off(make(order), _expanded("I", "relu", order), x, normal) for order in ORDERS)
    module = make(3)
    a = drawn(module, normal)
    left = float((module(-x.abs()).detach() - a[0]).abs().max())
    return Finding(
        id="equation-2",
        place="Eq. 2",
        claim="PolyReLU is sum a_i max(x, 0)^i, with a_0 also where x <= 0.",
        holds=off < EXACT and left == 0 and _has_its_gradient(make(3), normal),
        measured=f"Modules of orders {ORDERS[0]} to {ORDERS[-1]} are within {off:.0e} of the sum at {x.numel()} "
        f"points, in float64; at x <= 0 the module is {left:g} off a_0.",
        key=f"within {off:.0e} of the sum",
        numbers={"points": x.numel(), "off": off, "off_left_of_zero": left},
    )


def polynorm_rms(widths: Sequence[int] = (4, 64, 2048, 8256), norm: str = "l2") -> Finding:
    """PolyNorm as it was trained, next to Eq. 3."""
    normal = Normal()
    ratios = [_ratio(normal(3, width), norm) for width in widths]
    off = max(abs(ratio / math.sqrt(width) - 1) for ratio, width in zip(ratios, widths, strict=True))
    return Finding(
        id="polynorm-rms",
        place="Eq. 3 and the official code",
        claim="PolyNorm as the official code computes it is sqrt(d) times Eq. 3's, its constant term apart.",
        holds=off < EXACT,
        measured="Without constant term and eps the ratio is "
        + ", ".join(f"{ratio:.4g} at a width of {width}" for ratio, width in zip(ratios, widths, strict=True))
        + f", sqrt(d) to {off:.0e}.",
        differs=(
            f"The code divides by the root mean square where Eq. 3 has the L2 norm: {ratios[-1]:.3g} times as much at "
            f"d = {widths[-1]}. The projection after it can undo that; its initial weights do not."
        ),
        key=f"{ratios[-1]:.3g} times Eq. 3 at a width of {widths[-1]}",
        numbers={f"ratio_at_{width}": ratio for width, ratio in zip(widths, ratios, strict=True)},
    )


def initial(kinds: Sequence[Callable[[int], nn.Module]] = (PolyReLU, PolyNorm)) -> Finding:
    """Coefficients before training, of modules built here and of ones that come from the meta device."""
    wrong = [_wrong(kind, order, meta) for kind in kinds for order in ORDERS for meta in (False, True)]
    at_3 = torch.full((), 1 / 3).item()
    return Finding(
        id="initial-coefficients",
        place="Sections 2 and 4.1",
        claim="With r = 3, coefficients begin as a_i = 1/3 and a_0 = 0.",
        holds=sum(wrong) == 0,
        measured=(
            f"{sum(wrong)} of {len(wrong)} modules, of orders {ORDERS[0]} to {ORDERS[-1]}, built here or reset after "
            f"the meta device, begin otherwise than with a_0 = 0 and a_i = 1/r; 1/3 is {at_3:.9f} in float32."
        ),
        differs="That a_i is 1/r at other orders is the reading of section 2; the paper's own runs are of r = 3.",
        key=f"{sum(wrong)} of {len(wrong)} modules begin otherwise",
        numbers={"modules": len(wrong), "wrong": sum(wrong)},
    )


class Normal:
    """Normal numbers in float64 for one finding: the same each time that it is computed, and never the same twice."""

    def __init__(self) -> None:
        self._generator = torch.Generator().manual_seed(SEED)

    def __call__(self, *shape: int) -> Tensor:
        """Those that come next."""
        return torch.randn(*shape, dtype=torch.float64, generator=self._generator)


def drawn(module: nn.Module, normal: Normal) -> Tensor:
    """New coefficients of a module, which is float64 from here on."""
    coeff = module.double().get_parameter("coeff")
    with torch.no_grad():
        coeff.copy_(normal(len(coeff)))
    return coeff.detach()


def _expanded(kind: str, rho: str, order: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Eq. 1, term by term."""
    inner = INNER[rho]

    def value(x: Tensor, a: Tensor) -> Tensor:
        y = torch.zeros_like(x)
        for i in range(order + 1):
            y += a[i] * (inner(x).pow(i) if kind == "I" else inner(x.pow(i)))
        return y

    return value


def _off(module: nn.Module, truth: Callable[[Tensor, Tensor], Tensor], x: Tensor, normal: Normal) -> float:
    """How far a module is from the truth, beside the size of what it computes."""
    a = drawn(module, normal)
    with torch.no_grad():
        y = truth(x, a)
        return float(((module(x) - y).abs() / (1 + y.abs())).max())


def _has_its_gradient(module: nn.Module, normal: Normal) -> bool:
    """Whether finite differences agree, of the input and of every parameter."""
    drawn(module, normal)
    names, parameters = zip(*module.named_parameters(), strict=True)

    def value(x: Tensor, *own: Tensor) -> Tensor:
        y: Tensor = torch.func.functional_call(module, dict(zip(names, own, strict=True)), x)
        return y

    own = [parameter.detach().clone().requires_grad_() for parameter in parameters]
    return torch.autograd.gradcheck(value, (normal(2, 4).requires_grad_(), *own), raise_exception=False)


def _ratio(x: Tensor, norm: str) -> float:
    """Of PolyNorm by the root mean square over the other, without constant term: the one furthest from sqrt(d)."""
    a = torch.tensor([0, 1, 1, 1], dtype=torch.float64) / 3
    ours, other = (reference.polynorm(x, a, 0.0, each) for each in ("rms", norm))  # type: ignore[arg-type]
    ratios = (ours / other).flatten()
    return float(ratios[(ratios - math.sqrt(x.shape[-1])).abs().argmax()])


def _wrong(kind: Callable[[int], nn.Module], order: int, meta: bool) -> bool:
    with torch.device("meta" if meta else "cpu"):
        module = kind(order)
    if meta:
        module.to_empty(device="cpu").reset_parameters()  # type: ignore[operator]  # every activation has one
    begins = [0.0, *[torch.full((), 1 / order).item()] * order]
    return module.get_parameter("coeff").tolist() != begins
