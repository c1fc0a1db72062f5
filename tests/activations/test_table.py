"""Every row of the table: what it builds, agrees with the reference, and keeps what the row says."""

import re

import pytest
import torch
from torch import nn
from torch.autograd import grad, gradcheck
from torch.func import functional_call

from repro.activations import build, names, reference
from repro.recipe.table import rows
from tests.helpers import assert_within_budget, kept_bytes

# The name of a row that is not that of its function, and the parameters that the function takes.
OTHERS = {"polynorm_l2": lambda m, x: reference.polynorm(x, m.coeff, norm="l2")}
PARAMETERS = {
    "prelu": lambda m: [m.weight],
    "xielu": lambda m: [m.alpha_p, m.alpha_n],
    "polyprelu": lambda m: [m.coeff, m.rho.weight],
}
EVERY = pytest.mark.parametrize("name", names())
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)


def plain(name, module, inputs):
    """The reference for a module's row, at the module's parameters."""
    if name in OTHERS:
        return OTHERS[name](module, *inputs)
    function = getattr(reference, re.sub(r"_r\d$", "", name))
    parameters = PARAMETERS.get(name, lambda m: [m.coeff] if hasattr(m, "coeff") else [])
    return function(*inputs, *parameters(module))


def learned(name):
    """The module in evaluation (the randomised ReLU then draws nothing), as if trained a little."""
    module = build(name).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return module


def inputs_of(name, *shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(2)
    return [
        (1.5 * torch.randn(*shape, generator=generator)).to(dtype).requires_grad_()
        for _ in range(2 if rows()[name].gated else 1)
    ]


@EVERY
@DTYPES
def test_it_agrees_with_the_reference_forward_and_backward(name, dtype):
    module, inputs = learned(name), inputs_of(name, 64, 264, dtype=dtype)
    roundings = 2 if rows()[name].gated else 1  # the gate and the product
    wide = [x.detach().double().requires_grad_() for x in inputs]
    y, eager, truth = module(*inputs), plain(name, module, inputs), plain(name, module, wide)
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(3)).to(dtype)
    assert_within_budget(y, eager, truth, roundings=roundings)
    if name in {"tanh", "sigmoid", "glu"}:
        roundings = 4  # torch takes their derivative from the rounded value, a product of two that hold its error
    for ours, theirs, exact in zip(
        grad(y, inputs, dy), grad(eager, inputs, dy), grad(truth, wide, dy.double()), strict=True
    ):
        assert_within_budget(ours, theirs, exact, roundings=roundings)


@EVERY
@DTYPES
def test_shape_and_dtype_are_those_of_the_input(name, dtype):
    for shape in ((2, 3, 8), (5,), (0, 8)):
        y = build(name)(*inputs_of(name, *shape, dtype=dtype))
        assert (y.shape, y.dtype) == (shape, dtype)


@EVERY
def test_its_gradients_are_those_of_its_values(name):
    module = learned(name).double()
    inputs = [x.detach().double() for x in inputs_of(name, 3, 4)]
    inputs = [(x + 0.1 * x.sign()).requires_grad_() for x in inputs]  # off the kink at zero
    words = [word for word, _ in module.named_parameters()]

    def of(*tensors):
        own, given = tensors[: len(words)], tensors[len(words) :]
        return functional_call(module, dict(zip(words, own, strict=True)), given)

    assert gradcheck(of, (*module.parameters(), *inputs))


@EVERY
def test_it_learns_as_many_numbers_as_its_row_says(name):
    assert sum(p.numel() for p in build(name).parameters()) == rows()[name].parameters


@EVERY
@DTYPES
def test_it_keeps_as_many_tensors_as_its_row_says(name, dtype):
    inputs = inputs_of(name, 16, 128, dtype=dtype)
    module, down = build(name), nn.Linear(128, 8, bias=False, dtype=dtype)
    weights = [*module.parameters(), down.weight]
    kept = kept_bytes(lambda *x: down(module(*x)), *inputs, apart=weights)
    assert kept / (inputs[0].numel() * inputs[0].element_size()) == pytest.approx(rows()[name].kept, abs=0.02)


@EVERY
def test_it_begins_the_same_when_built_without_memory(name):
    with torch.device("meta"):
        module = build(name)
    module.to_empty(device="cpu")
    for parameter in module.parameters():
        nn.init.constant_(parameter, 7.0)
    for part in module.modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
    expected = build(name).state_dict()
    assert module.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in module.state_dict().items())


@EVERY
def test_what_it_learned_survives_a_state_dict(name):
    module, fresh, inputs = learned(name), build(name).eval(), inputs_of(name, 2, 8)
    fresh.load_state_dict(module.state_dict(), strict=True)
    assert torch.equal(fresh(*inputs), module(*inputs))


@EVERY
def test_coefficients_may_stay_in_float32_while_the_rest_is_in_bfloat16(name):
    module, inputs = learned(name), inputs_of(name, 2, 8, dtype=torch.bfloat16)
    module(*inputs).sum().backward()
    assert {p.grad.dtype for p in module.parameters()} <= {torch.float32}


@EVERY
def test_a_plain_one_takes_one_input_and_a_gated_one_two(name):
    x = torch.randn(2, 8)
    with pytest.raises(TypeError):
        build(name)(*([x] if rows()[name].gated else [x, x]))


def test_in_training_the_randomised_relu_draws_its_slopes():
    x = -torch.rand(1000, generator=torch.Generator().manual_seed(0)) - 0.1
    slopes = build("rrelu").train()(x) / x
    assert slopes.min() >= 1 / 8 - 1e-6
    assert slopes.max() <= 1 / 3 + 1e-6
    assert slopes.std() > 0.05
    torch.testing.assert_close(reference.rrelu(x, slopes), slopes * x)


def test_the_table_has_every_name_of_the_design():
    plain_ones = (
        "relu relu2 relu6 leaky_relu leaky_relu2 rrelu prelu tanh softplus mish sigmoid silu elu celu gelu poly xielu"
    )
    gated_ones = "glu swiglu geglu reglu drelu powlu polyrelu_glu polynorm_glu"
    papers = "polyrelu polynorm polyprelu polyrelunorm polynorm_l2"
    orders = [f"{name}_r{order}" for name in ("polyrelu", "polynorm") for order in range(1, 7)]
    assert set(names()) >= {*plain_ones.split(), *gated_ones.split(), *papers.split(), *orders}
    assert {name for name, row in rows().items() if row.gated} >= set(gated_ones.split())
