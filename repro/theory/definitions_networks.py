"""The paper's blocks: the feed-forward network, its diagrams, and PolyNorm inside a mixture of experts."""

import itertools
import random
from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn

from repro import activations
from repro.activations import PolyNorm, PolyReLU
from repro.models import MoE
from repro.models.ffn import GatedFFN, PlainFFN
from repro.recipe.table import rows
from repro.theory.definitions import EXACT, INNER, SEED, Function, Normal, drawn
from repro.theory.findings import Finding
from repro.theory.layers import rationals
from repro.theory.networks import Affine, Network, Number, total

D_MODEL, PLAIN, GATED = 2048, 8256, 5504  # Table 5
EXPERTS = 4
ROUNDINGS = 1e-5  # a hundred of float32, of numbers of about 1


def findings() -> list[Finding]:
    """Those of this module, in the paper's order."""
    return [equation_4(), figure_2(), expert_width(), interactions()]


def small(name: str) -> nn.Module:
    """The kit's FFN of an activation."""
    return _kind(name)(6, 12, activations.build(name))


def equation_4(
    width: Callable[[bool], int] = lambda gated: GATED if gated else PLAIN,
    make: Callable[[str], nn.Module] = small,
) -> Finding:
    """FFNs of every activation: what they compute, and the parameters of their matrices."""
    normal = Normal()
    off = max(_ffn_off(name, make(name), normal) for name in rows())
    sizes = {name: _matrices(name, width(rows()[name].gated)) for name in rows()}
    smallest, largest = min(sizes.values()), max(sizes.values())
    learned = max(row.parameters for row in rows().values())
    return Finding(
        id="equation-4",
        place="Eq. 4",
        claim="An FFN is rho(x W_1) W_2 without biases; activations trade places in it at equal parameters.",
        holds=off < EXACT and smallest == largest,
        measured=(
            f"The networks of all {len(sizes)} activations of the table are within {off:.0g} of the products written "
            f"out, in float64. At Table 5's widths, {PLAIN} and {GATED} where there is a gate, their matrices have "
            f"{smallest:,} to {largest:,} parameters; an activation adds {learned} at most."
        ),
        key=f"{len(sizes)} activations, {largest - smallest:,} parameters apart",
        numbers={"activations": len(sizes), "off": off, "smallest": smallest, "largest": largest},
    )


def figure_2(ffn: Callable[[nn.Module], PlainFFN] | None = None) -> Finding:
    """The stages of the block diagrams, one after the other, next to the modules."""
    make, normal = ffn or (lambda act: PlainFFN(12, 48, act)), Normal()
    stages: dict[str, Function] = {"PolyReLU": INNER["relu"], "PolyNorm": lambda x: x}
    off = max(_staged(make(kind(3)), stages[kind.__name__], normal) for kind in (PolyReLU, PolyNorm))
    called = _called(make(PolyNorm(3)), normal)
    return Finding(
        id="figure-2",
        place="Figure 2",
        claim="The blocks are: a linear layer, powers 1 to r (of ReLU, or of x and then normalised), their sum "
        "weighted by a_j, a linear layer.",
        holds=off < EXACT and called == ["up_proj", "act_fn", "down_proj"],
        measured=f"The modules are called as {', '.join(called)}; the stages done one by one are within {off:.0e}.",
        key=f"stages within {off:.0e}",
        numbers={"off": off},
    )


def expert_width(make: Callable[[], nn.Module] = lambda: PolyNorm(3)) -> Finding:
    """PolyNorm inside a mixture of experts."""
    layer = MoE(EXPERTS, 2, 16, 24, make(), gated=False)
    generator = torch.Generator().manual_seed(SEED)
    for parameter in layer.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.3, generator=generator)
    x = torch.randn(2, 9, 16, generator=generator)
    with torch.no_grad():
        off = float((layer(x)[0] - _mixture(layer, x.double())).abs().max())
    sets = sum(parameter.numel() for parameter in layer.experts.act_fn.parameters())
    return Finding(
        id="expert-width",
        place="Section 4.1, MoE (official code)",
        claim="In a mixture of experts PolyNorm normalises over an expert's whole width, a token at a time, with one "
        "set of coefficients a layer for all experts.",
        holds=off < ROUNDINGS and sets == 4,
        measured=f"The layer is within {off:.0e} of a loop over tokens and experts in float64, and its {EXPERTS} "
        f"experts have {sets} coefficients together.",
        differs="The paper does not say it; it is read off the official code.",
        key=f"within {off:.0e}; {sets} coefficients a layer",
        numbers={"off": off, "coefficients": sets},
    )


def interactions(cube: Sequence[Number] = (0, 0, 0, 1)) -> Finding:
    """Products of inputs in one layer of PolyReLU, from cubes of their sums."""
    network, rng = Network(3), random.Random(SEED)
    x = [network.input(k) for k in range(3)]
    terms = [
        _cube(network, x[0] + s * x[1] + t * x[2], cube) * Fraction(s * t, 24)
        for s, t in itertools.product((1, -1), repeat=2)
    ]
    product, at = total(terms), [rationals(rng, 3, largest=9) for _ in range(200)]
    wrong = sum(network.exact([product], point)[0] != point[0] * point[1] * point[2] for point in at)
    size = network.size([product])
    return Finding(
        id="interactions",
        place="Section 1",
        claim="Polynomial activations capture interactions of higher order: one layer computes products of inputs.",
        holds=wrong == 0 and size.depth == 1,
        measured=f"{wrong} of {len(at)} values of x_1 x_2 x_3 differ, as fractions, of one layer of {size.neurons} "
        "PolyReLU neurons of order 3.",
        differs="That such weights exist does not say that training finds them. One layer of ReLU is piecewise linear, "
        "and comes closer to a product only with more neurons.",
        key=f"{wrong} of {len(at)} values of x_1 x_2 x_3 differ",
        numbers={"values": len(at), "different": wrong, "neurons": size.neurons},
    )


def _cube(network: Network, z: Affine, cube: Sequence[Number]) -> Affine:
    return network.neuron(z, cube) - network.neuron(-z, cube)


def _kind(name: str) -> type[GatedFFN | PlainFFN]:
    """The FFN that an activation needs."""
    return GatedFFN if rows()[name].gated else PlainFFN


def _ffn_off(name: str, ffn: nn.Module, normal: Normal) -> float:
    """How far an FFN is from the products of its matrices and nothing else, written out."""
    act = activations.build(name).double().eval()
    x = normal(4, 6)
    with torch.no_grad():
        weights = _weights(ffn.double().eval(), normal)
        down = weights.pop("down_proj.weight")
        first = [x @ weight.mT for weight in weights.values()]
        return float((ffn(x) - act(*first) @ down.mT).abs().max())


def _weights(ffn: nn.Module, normal: Normal) -> dict[str, Tensor]:
    """The matrices of an FFN by name, drawn."""
    weights: dict[str, Tensor] = {k: each for k, each in ffn.named_parameters() if k.endswith("_proj.weight")}
    for weight in weights.values():
        weight.copy_(normal(*weight.shape) / weight.shape[1] ** 0.5)
    return weights


def _matrices(name: str, d_ff: int) -> int:
    """Parameters of an FFN of the paper's dense model, but for the activation's own."""
    with torch.device("meta"):
        ffn = _kind(name)(D_MODEL, d_ff, nn.Identity())
    return sum(parameter.numel() for parameter in ffn.parameters())


def _staged(ffn: PlainFFN, base: Function, normal: Normal) -> float:
    """How far an FFN is from the stages of the diagram."""
    a, x = drawn(ffn.act_fn, normal), normal(5, 12)
    normalises = isinstance(ffn.act_fn, PolyNorm)
    with torch.no_grad():
        _weights(ffn.double(), normal)
        h = ffn.up_proj(x)
        powers = [base(h) ** i for i in range(1, len(a))]
        terms = [INNER["norm"](power) if normalises else power for power in powers]
        mixed = a[0] + sum(a[i] * term for i, term in enumerate(terms, start=1))
        return float((ffn(x) - ffn.down_proj(mixed)).abs().max())


def _called(ffn: PlainFFN, normal: Normal) -> list[str]:
    """The parts of an FFN in the order in which they compute."""
    called = list[str]()
    for name, part in ffn.named_children():
        part.register_forward_hook(lambda *_, name=name: called.append(name))
    ffn.double()(normal(2, 12))
    return called


def _mixture(layer: MoE, x: Tensor) -> Tensor:
    """A mixture of experts in a loop over tokens, PolyNorm written out."""
    up, down = (layer.experts.get_parameter(name).double() for name in ("up_proj", "down_proj"))
    a, y = layer.experts.act_fn.get_parameter("coeff").double(), torch.zeros_like(x)
    for place in itertools.product(range(x.shape[0]), range(x.shape[1])):
        chances = torch.softmax(layer.gate.weight.double() @ x[place], -1)
        for chance, expert in zip(*chances.topk(layer.top_k), strict=True):
            h = up[expert] @ x[place]
            y[place] += chance * (down[expert] @ (a[0] + sum(a[i] * INNER["norm"](h**i) for i in range(1, len(a)))))
    return y
