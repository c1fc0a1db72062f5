"""The paper's activations as modules: what section 2 and Lemma 1 say of them, and what bad options get."""

import pytest
import torch
from torch import nn

from repro.activations import PolyCom, PolyNorm, PolyNormGLU, PolyPReLU, PolyReLU, PolyReLUNorm, SquaredReLU, reference
from repro.errors import RecipeError

X = torch.randn(4, 33, generator=torch.Generator().manual_seed(0))


def with_coefficients(module, *coeff):
    with torch.no_grad():
        module.coeff.copy_(torch.tensor(coeff))
    return module


@pytest.mark.parametrize("module", [PolyReLU, PolyNorm, PolyPReLU, PolyReLUNorm])
def test_third_order_and_equal_coefficients_without_a_constant_to_begin_with(module):
    third = torch.tensor(1 / 3).item()
    assert module().coeff.tolist() == [0, third, third, third]


@pytest.mark.parametrize("order", range(1, 7))
def test_coefficients_begin_at_one_over_the_order(order):
    assert PolyNorm(order).coeff.tolist() == pytest.approx([0] + order * [1 / order])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_lemma_1_relu_and_relu2_are_special_cases_of_polyrelu(dtype):
    x = X.to(dtype)
    assert torch.equal(with_coefficients(PolyReLU(), 0.0, 1.0, 0.0, 0.0)(x), x.relu())
    assert torch.equal(with_coefficients(PolyReLU(2), 0.0, 0.0, 1.0)(x), SquaredReLU()(x))


def test_the_constant_term_of_polyrelu_holds_below_zero_too():
    assert with_coefficients(PolyReLU(), 0.5, 1.0, 1.0, 1.0)(-X.abs() - 1).eq(0.5).all()


@pytest.mark.parametrize("norm", ["rms", "l2"])
def test_polynorm_does_not_see_the_scale_of_its_input(norm):
    act = PolyNorm(eps=0.0, norm=norm)
    assert torch.equal(act(1024 * X), act(X))  # a power of two, so that nothing is rounded otherwise


def test_eps_tells_small_inputs_from_zero():
    act = PolyNorm()
    assert act(torch.zeros(2, 8)).eq(0).all()
    assert act(1e-3 * X).abs().mean() < 0.5 * act(X).abs().mean()


@pytest.mark.parametrize("width", [1, 8, 100])
def test_the_letter_of_eq_3_is_the_official_form_over_sqrt_d(width):
    x = torch.randn(5, width, generator=torch.Generator().manual_seed(width))
    official, letter = (with_coefficients(PolyNorm(norm=norm), 0.5, 0.2, 0.3, 0.4) for norm in ("rms", "l2"))
    torch.testing.assert_close(letter(x) * width**0.5, official(x))


@pytest.mark.parametrize("kind", ["I", "II"])
@pytest.mark.parametrize("rho", ["relu", "prelu", "sigmoid", "silu", "gelu", "norm"])
def test_polycom_takes_its_inner_function_by_word(kind, rho):
    act = with_coefficients(PolyCom(kind, rho, 2), 0.5, 1.0, -1.0)
    assert torch.equal(act(X), reference.polycom(X, act.coeff, act.rho, kind))


def test_polycom_takes_a_function_or_a_module():
    word, function, module = (PolyCom("I", rho, 3)(X) for rho in ("silu", nn.functional.silu, nn.SiLU()))
    assert torch.equal(word, function)
    assert torch.equal(word, module)


def test_polycom_trains_what_is_inside():
    act = PolyCom("II", nn.Linear(33, 33), 2)
    act(X).sum().backward()
    assert {name for name, p in act.named_parameters() if p.grad is not None} == {"coeff", "rho.weight", "rho.bias"}


def test_a_random_inner_function_draws_the_same_in_the_backward_pass():
    torch.manual_seed(0)
    x = X.clone().requires_grad_()
    y = with_coefficients(PolyCom("I", nn.Dropout(0.5), 1), 0.0, 1.0)(x)
    y.sum().backward()
    assert torch.equal(x.grad, (y.detach() / x.detach()).round())


def test_polyprelu_learns_a_slope():
    act = PolyPReLU()
    act(X).sum().backward()
    assert act.rho.weight.item() == 0.25
    assert act.rho.weight.grad.abs() > 0


def test_modules_say_what_they_are():
    assert repr(PolyNorm(2, norm="l2")) == "PolyNorm(order=2, eps=1e-06, norm='l2')"
    assert repr(PolyReLU()) == "PolyReLU(order=3)"
    assert repr(PolyNormGLU()) == "PolyNormGLU(order=3, eps=1e-06)"
    assert repr(PolyCom("I", "relu", 2)) == "PolyCom(\n  kind='I', order=2\n  (rho): ReLU()\n)"


BAD = {
    "PolyReLU: order must be a whole number of at least 1, got 0": lambda: PolyReLU(0),
    "PolyNorm: order must be a whole number of at least 1, got '3'": lambda: PolyNorm("3"),
    "PolyNorm: norm must be 'rms' or 'l2', got 'rsm'. Did you mean 'rms'?": lambda: PolyNorm(norm="rsm"),
    "PolyCom: kind must be 'I' or 'II', got 1": lambda: PolyCom(1, "relu"),
    "rho must be one of relu, prelu, sigmoid, silu, gelu, norm, a module or a function, got 'sigmiod'. "
    "Did you mean 'sigmoid'?": lambda: PolyCom("I", "sigmiod"),
    "rho must be one of relu, prelu, sigmoid, silu, gelu, norm, a module or a function, got 3.": lambda: PolyCom(
        "I", 3
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_an_option_that_there_is_not_is_told_in_one_line(message):
    with pytest.raises(RecipeError) as error:
        BAD[message]()
    assert str(error.value) == message
