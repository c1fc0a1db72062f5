"""Activations by name."""

import pytest
from torch import nn

from repro.activations import Gated, PolyNorm, build, names
from repro.errors import RecipeError
from repro.recipe.table import rows


def test_names_are_words_in_the_tables_order():
    assert names()[:3] == ("relu", "relu2", "relu6")
    assert all(name.isidentifier() for name in names())


@pytest.mark.parametrize("name", names())
def test_each_name_builds_a_new_module(name):
    first, second = build(name), build(name)
    assert isinstance(first, nn.Module)
    assert first is not second
    assert not {id(p) for p in first.parameters()} & {id(p) for p in second.parameters()}


def test_torch_serves_what_it_has():
    assert type(build("gelu")) is nn.GELU
    assert build("gelu").approximate == "none"
    assert isinstance(build("swiglu").rho, nn.SiLU)


@pytest.mark.parametrize("order", range(1, 7))
@pytest.mark.parametrize("family", ["polyrelu", "polynorm"])
def test_orders_have_names(family, order):
    assert build(f"{family}_r{order}").order == order


def test_options_take_precedence_over_the_rows():
    assert build("polynorm", order=5, eps=1e-5).extra_repr() == "order=5, eps=1e-05, norm='rms'"
    assert build("polynorm_l2").norm == "l2"
    assert build("leaky_relu", negative_slope=0.3).negative_slope == 0.3
    assert isinstance(build("polynorm"), PolyNorm)
    assert isinstance(build("glu", rho="gelu"), Gated)


BAD = {
    "activation 'polynrom' is not in recipes/activations.yaml. Did you mean 'polynorm'?": ("polynrom", {}),
    "activation 'xyzzy' is not in recipes/activations.yaml.": ("xyzzy", {}),
    "activation 'polynorm' has no option 'ordr'; it has order, eps, norm. Did you mean 'order'?": (
        "polynorm",
        {"ordr": 4},
    ),
    "activation 'tanh' has no option 'order'; it has none.": ("tanh", {"order": 4}),
}


@pytest.mark.parametrize("message", BAD)
def test_a_name_or_option_that_there_is_not_is_told_in_one_line(message):
    name, options = BAD[message]
    with pytest.raises(RecipeError) as error:
        build(name, **options)
    assert str(error.value) == message


def test_a_row_that_builds_what_there_is_not_is_told(monkeypatch):
    row = rows()["relu"].model_copy(update={"builds": "SquaredRelu"})
    monkeypatch.setattr("repro.recipe.table.rows", lambda: {"mine": row})
    with pytest.raises(RecipeError, match=r"mine builds 'SquaredRelu', which neither .* Did you mean 'SquaredReLU'\?"):
        build("mine")
