"""The reference against hand expansions, the official formula and other people's code."""

import math

import pytest
import torch
from torch.nn import functional as F

from repro.activations import XIELU, PolyNorm, PolyReLU, reference

X = torch.randn(6, 17, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def assert_close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def coefficients(order):
    return torch.randn(order + 1, dtype=torch.float64, generator=torch.Generator().manual_seed(order))


def rms_norm(x):
    return x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()


INNER = {
    "relu": torch.relu,
    "prelu": lambda x: F.prelu(x, torch.tensor([0.25], dtype=x.dtype)),
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "norm": rms_norm,
}
EACH_INNER = pytest.mark.parametrize("rho", INNER.values(), ids=INNER)
ORDERS = pytest.mark.parametrize("order", range(1, 7))

TABLE_4 = {
    "relu": F.relu,
    "relu2": lambda x: F.relu(x) * F.relu(x),
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "rrelu": lambda x: F.rrelu(x, training=False),
    "tanh": lambda x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()),
    "softplus": lambda x: torch.log(1 + x.exp()),
    "mish": F.mish,
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "silu": F.silu,
    "elu": F.elu,
    "celu": F.celu,
    "gelu": F.gelu,
}


@pytest.mark.parametrize("name", TABLE_4)
def test_table_4(name):
    assert_close(getattr(reference, name)(X), TABLE_4[name](X))


def test_table_4s_celu_has_one_alpha():
    assert_close(reference.celu(X, alpha=0.7), F.celu(X, alpha=0.7))


@EACH_INNER
@ORDERS
def test_type_i_is_the_sum_of_the_powers_of_the_inner_function(rho, order):
    a, y = coefficients(order), rho(X)
    by_hand = a[0] + a[1] * y
    for i in range(2, order + 1):
        by_hand = by_hand + a[i] * math.prod([y] * i)
    assert_close(reference.polycom(X, a, rho, "I"), by_hand.expand_as(X))


@EACH_INNER
@ORDERS
def test_type_ii_is_the_sum_of_the_inner_function_of_the_powers(rho, order):
    a = coefficients(order)
    by_hand = a[0] * rho(torch.ones_like(X)) + a[1] * rho(X)
    for i in range(2, order + 1):
        by_hand = by_hand + a[i] * rho(math.prod([X] * i))
    assert_close(reference.polycom(X, a, rho, "II"), by_hand)


@ORDERS
def test_polyrelu_is_type_i_of_relu_and_so_is_polyprelu_at_slope_zero(order):
    a = coefficients(order)
    assert_close(reference.polyrelu(X, a), reference.polycom(X, a, torch.relu, "I"))
    assert_close(reference.polyprelu(X, a, torch.zeros(1)), reference.polyrelu(X, a))


@ORDERS
def test_polynorm_is_type_ii_of_normalisation(order):
    a = coefficients(order)
    a[0] = 0  # norm(x^0) = 1 / sqrt(1 + eps) where the official code has a bias
    assert_close(reference.polynorm(X, a), reference.polycom(X, a, rms_norm, "II"))


def test_polyrelunorm_is_polynorm_of_relu():
    a = coefficients(3)
    assert_close(reference.polyrelunorm(X, a), reference.polynorm(X.clamp(min=0), a))


def test_eq_3_to_the_letter():
    a, d = coefficients(3), X.shape[-1]
    powers = [X**i for i in range(4)]  # x^0 is a row of ones, of length sqrt(d)
    letter = sum(a[i] * p / torch.linalg.vector_norm(p, dim=-1, keepdim=True) for i, p in enumerate(powers))
    assert_close(reference.polynorm(X, a, eps=0.0, norm="l2"), letter)
    assert_close(
        letter - reference.polynorm(X, torch.tensor([0.0, *a[1:]]), eps=0.0, norm="l2"), a[0] / math.sqrt(d) + 0 * X
    )


@ORDERS
def test_the_official_norm_is_sqrt_d_times_that_of_eq_3(order):
    a, d = coefficients(order), X.shape[-1]
    a[0] = 0
    assert_close(reference.polynorm(X, a), math.sqrt(d) * reference.polynorm(X, a, norm="l2"))


@pytest.mark.parametrize(("norm", "constant"), [("rms", 0.5), ("l2", 0.5 / math.sqrt(8))])
def test_a_row_of_zeros_gives_the_constant_term(norm, constant):
    y = reference.polynorm(torch.zeros(3, 8, dtype=torch.float64), torch.tensor([0.5, 1.0, 1.0, 1.0]), norm=norm)
    assert_close(y, torch.full_like(y, constant))


def official_polynorm(x, weight, bias):
    """The released dense model's PolyNorm restated: highest power first, normalised by the root mean square."""
    return weight[0] * rms_norm(x**3) + weight[1] * rms_norm(x**2) + weight[2] * rms_norm(x) + bias


def official_polyrelu(x, weight, bias):
    z = x.relu()
    return weight[0] * z**3 + weight[1] * z**2 + weight[2] * z + bias


OFFICIAL = {"PolyNorm": (PolyNorm, official_polynorm), "PolyReLU": (PolyReLU, official_polyrelu)}


@pytest.mark.parametrize(("module", "formula"), OFFICIAL.values(), ids=OFFICIAL)
def test_an_official_checkpoint_gives_what_the_official_formula_gives(module, formula):
    weight, bias = coefficients(2), coefficients(3)[:1]
    act = module().double()
    act.load_state_dict({"weight": weight, "bias": bias})
    assert_close(act(X), formula(X, weight, bias))


def test_xielu_is_that_of_transformers():
    activations = pytest.importorskip("transformers.activations")
    theirs, ours = activations.XIELUActivation(dtype=torch.float64), XIELU().double()
    assert_close(ours.alpha_p.float(), theirs.alpha_p.float())
    assert_close(ours.alpha_n.float(), theirs.alpha_n.float())
    with torch.no_grad():
        for act in (ours, theirs):
            act.alpha_p.fill_(0.3)
            act.alpha_n.fill_(-0.4)
    assert_close(ours(X), theirs(X))


def test_powlu_is_swiglu_below_zero_and_bends_above():
    up = torch.ones_like(X)
    below = X.clamp(max=0)
    assert_close(reference.powlu(below, up), F.silu(below))
    four = torch.full((1,), 4.0, dtype=torch.float64)
    assert_close(reference.powlu(four, 2 * torch.ones_like(four)), 2 * 4 ** (3 / (2 + 1)) * torch.sigmoid(four))


def test_powlu_has_a_gradient_at_zero():
    gate = torch.zeros(3, requires_grad=True)
    reference.powlu(gate, torch.ones(3)).sum().backward()
    assert gate.grad.isfinite().all()


def test_motifs_gate_has_sigmoid_coefficients_and_half_the_scale():
    a, up = coefficients(3), X.flip(0)
    powers = [torch.sigmoid(a[i]) * rms_norm(X**i) for i in (1, 2, 3)]
    assert_close(reference.polynorm_glu(X, up, a), 0.5 * (a[0] + sum(powers)) * up)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_it_computes_in_float32_and_rounds_once(dtype):
    x, a = X.to(dtype), coefficients(3).float()
    y = reference.polynorm(x, a)
    assert y.dtype == dtype
    assert torch.equal(y, reference.polynorm(x.float(), a).to(dtype))


def test_it_computes_in_float64_where_the_input_is():
    assert reference.polyrelu(X, torch.ones(4)).dtype == torch.float64


def test_leaky_relu2_squares_the_negative_side_too():
    y = reference.leaky_relu2(torch.tensor([-2.0, 0.0, 3.0]))
    assert y.tolist() == [1.0, 0.0, 9.0]
