"""Formulas and numbers of the paper's tables and appendix: Table 4, Eq. 36, what overflows, which neurons are inactive.

Each statement is a function that takes what it looks at, so that it can be seen to find a wrong one.
"""

import math
from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor, nn

from repro import activations
from repro.activations import PolyReLU
from repro.analysis import random_matrices
from repro.analysis.overflow import overflows_from
from repro.analysis.sparsity.neurons import Neurons
from repro.analysis.sparsity.thresholds import Curve
from repro.analysis.spectrum import Spectrum
from repro.theory.definitions import Normal
from repro.theory.findings import Finding

TAU = 0.2  # of CETT, as arXiv 2402.03804 sets it
CLOSE = 1e-12  # of numbers of about 1 in float64
ROUNDINGS = 1e-6  # of float32
RANK = 1e-5  # of an effective rank, from eigenvalues of a Gram matrix

Closed = Callable[..., float]
Rank = Callable[[Tensor], float]
LARGEST = {  # of each format, and half of what is between it and the next number, had it one
    "float16": (Fraction(65504), Fraction(16)),
    "bfloat16": (Fraction(255 * 2**120), Fraction(2**119)),
    "float32": (Fraction((2**24 - 1) * 2**104), Fraction(2**103)),
}


def findings() -> list[Finding]:
    """Those of this module, in the paper's order."""
    return [overflow(), table_4(), equation_36(), shapes(), inactive_neurons()]


# Table 4, of numbers; learned ones at what they begin with, RReLU with the slope it has when nothing is trained
TABLE_4: dict[str, Closed] = {
    "relu": lambda x: max(x, 0.0),
    "relu2": lambda x: max(x, 0.0) ** 2,
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "rrelu": lambda x: x if x > 0 else (1 / 8 + 1 / 3) / 2 * x,
    "prelu": lambda x: x if x > 0 else 0.25 * x,
    "tanh": lambda x: (math.exp(x) - math.exp(-x)) / (math.exp(x) + math.exp(-x)),
    "softplus": lambda x: math.log(1 + math.exp(x)),
    "mish": lambda x: x * math.tanh(math.log(1 + math.exp(x))),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "celu": lambda x: max(x, 0.0) + min(0.0, math.exp(x) - 1),
    "gelu": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    "glu": lambda gate, up: up / (1 + math.exp(-gate)),
    "swiglu": lambda gate, up: up * gate / (1 + math.exp(-gate)),
    "poly": lambda x: (x + x**2 + x**3) / 3,
}


def table_4(build: Callable[[str], nn.Module] = activations.build) -> Finding:
    """The activations that the paper compares with, next to their formulas."""
    off = {name: _off(build(name), closed) for name, closed in TABLE_4.items()}
    worst = max(off, key=off.__getitem__)
    return Finding(
        id="table-4",
        place="Table 4",
        claim="The 17 activations of Table 4 are what their formulas say.",
        holds=off[worst] < ROUNDINGS,
        measured=f"{len(off)} modules are within {off[worst]:.0e} of the formulas, which {worst} is furthest from.",
        differs="CELU's line writes its alpha in two ways, alpha and a. RReLU is random in training: its mean slope is "
        "what is looked at.",
        key=f"{len(off)} modules within {off[worst]:.0e}",
        numbers=off,
    )


def equation_36(rank: Rank = lambda matrix: Spectrum.of(matrix).effective_rank) -> Finding:
    """The effective rank where its answer is known."""
    normal = Normal()
    matrix, thin = normal(12, 20), normal(12, 3) @ normal(3, 20)
    turn = torch.linalg.qr(normal(12, 12)).Q
    own, one = rank(matrix), rank(normal(12, 1) @ normal(1, 20))
    known = {
        "identity of 12": rank(torch.eye(12, dtype=torch.float64)) - 12,
        "rank one": one - 1,
        "2, 1 and 1": rank(torch.diag(torch.tensor([2.0, 1, 1]))) - 2**1.5,
        "a thousand times the matrix": rank(1000 * matrix) / own - 1,
        "the matrix turned": rank(turn @ matrix) / own - 1,
        "zeros": rank(torch.zeros(4, 4, dtype=torch.float64)),
    }
    off, bounded = max(map(abs, known.values())), 1 <= rank(thin) <= 3 + RANK and 1 <= own <= 12
    return Finding(
        id="equation-36",
        place="Eq. 36",
        claim="The effective rank is exp(-sum p ln p), p = s / sum s of the singular values.",
        holds=off < RANK and bounded,
        measured=f"{len(known)} known answers ({', '.join(known)}) are met to {off:.0e}; a matrix of rank 3 has "
        f"{rank(thin):.2f}.",
        differs="It is written as a sum from 0: of n singular values that would be n + 1 terms; 1 to n is meant.",
        key=f"{len(known)} known answers to {off:.0e}",
        numbers={"off": off, "of_rank_3": rank(thin), "terms_as_written": 13, "singular_values": 12},
    )


def shapes(rank: Callable[[int, int], float] = random_matrices.effective_rank) -> Finding:
    """What Figure 6 compares, before anything is learned."""
    pairs = {"dense": ((2048, 5504), (2048, 8256)), "expert": ((1024, 2048), (1536, 2048))}
    share = {
        f"{name}_{rows}x{columns}": rank(rows, columns) / min(rows, columns)
        for name, both in pairs.items()
        for rows, columns in both
    }
    return Finding(
        id="figure-6-shapes",
        place="Figure 6, shapes (ours)",
        claim="Whether the matrices of Figure 6 have equal effective ranks before training, so that raw ranks compare.",
        holds=None,
        measured="In parts of the smaller side a random matrix has "
        + ", ".join(f"{value:.4f} ({name.replace('_', ', ')})" for name, value in share.items())
        + ", SwiGLU's first of each pair.",
        differs="They have not: Figure 6 compares matrices of unequal shape, whose ranks differ without training. In "
        "the dense model SwiGLU's begin lower, in experts higher beside a smaller side.",
        key="no: " + ", ".join(f"{value:.3f}" for value in share.values()),
        numbers=share,
    )


def overflow(first: Callable[[int, str], float] = overflows_from) -> Finding:
    """From which input on the square of a power, inside PolyNorm's norm, is too large for a format."""
    at = {(order, word): first(2 * order, word) for order in (2, 3, 4, 5, 6) for word in LARGEST}
    wrong = sum(not _is_first(value, 2 * order, *LARGEST[word]) for (order, word), value in at.items())
    falls = all(at[order, word] > at[order + 1, word] for order in (2, 3, 4, 5) for word in LARGEST)
    return Finding(
        id="overflow-thresholds",
        place="Section 4.4, the order",
        claim="Higher orders come nearer to overflow.",
        holds=wrong == 0 and falls,
        measured=(
            f"In float16 x^6, which the norm of order 3 takes, is too large from {at[3, 'float16']:.4g} on, and x^8 of "
            f"order 4 from {at[4, 'float16']:.4g}; in float32 from {at[3, 'float32']:.3g} and {at[4, 'float32']:.3g}, "
            f"in bfloat16 likewise. {wrong} of {len(at)} thresholds are not the first such number of float32, by "
            "fractions."
        ),
        key=f"x^6 overflows float16 from {at[3, 'float16']:.4g} on, x^8 from {at[4, 'float16']:.4g}",
        numbers={f"order_{order}_{word}": value for (order, word), value in at.items()} | {"wrong": wrong},
    )


def inactive_neurons(curve: Callable[[Neurons, Tensor], Curve] = lambda own, x: Curve.of([(own, x)])) -> Finding:
    """What leaving out the neurons with the shortest outputs does to a random FFN."""
    normal, act = Normal(), PolyReLU(3)
    up, down, x = normal(96, 24) / 5, normal(24, 96) / 10, normal(64, 24)
    neurons = Neurons((up.float(),), down.float(), act.float().forward)
    with torch.no_grad():
        threshold = curve(neurons, x.float()).largest(TAU)
        h = act.double()(x @ up.T)
        short = h.abs() * down.norm(dim=0) <= threshold
        whole = h @ down.T
        sums = float((sum(h[:, i, None] * down[:, i] for i in range(96)) - whole).abs().max())
        left_out = float(((torch.where(short, h, 0) @ down.T).norm(dim=-1) / whole.norm(dim=-1)).mean())
    sparsity = float(short.double().mean())
    return Finding(
        id="inactive-neurons",
        place="ReLU² Wins, inactive neurons",
        claim="An FFN is the sum of its neurons' outputs, and those that are short can be left out at a chosen error.",
        holds=sums < 1e-9 and 0 < left_out <= TAU + ROUNDINGS and sparsity > 0,
        measured=f"The neurons of a random FFN add up to it to {sums:.0e}; leaving out the {sparsity:.1%} with "
        f"the shortest outputs loses {left_out:.4f} of a token's output on average, where {TAU:g} was allowed.",
        differs="Of random weights: it shows that the measure is right, and nothing about trained ones.",
        key=f"{sparsity:.0%} inactive at a CETT of {left_out:.3f}",
        numbers={"off": sums, "cett": left_out, "sparsity": sparsity, "tau": TAU},
    )


def _off(module: nn.Module, closed: Closed) -> float:
    """How far a module is from a formula, over numbers from -8 to 8, beside the size of what it computes."""
    own = module.double().eval()
    inputs = [torch.linspace(-8, 8, 401, dtype=torch.float64)]
    if closed.__code__.co_argcount == 2:
        inputs.append(torch.linspace(3, -5, 401, dtype=torch.float64))
    truth = torch.tensor([closed(*numbers) for numbers in zip(*(x.tolist() for x in inputs), strict=True)]).double()
    with torch.no_grad():
        return float(((own(*inputs) - truth).abs() / (1 + truth.abs())).max())


def _is_first(value: float, power: int, largest: Fraction, half: Fraction) -> bool:
    """Whether a float32 is the smallest whose power rounds to more than the largest number of a format."""
    below = torch.nextafter(torch.tensor(value, dtype=torch.float32), torch.tensor(0.0)).item()
    return Fraction(below) ** power < largest + half <= Fraction(value) ** power
