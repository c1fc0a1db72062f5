"""The official layout of the coefficients: highest power first, the constant apart."""

import pytest
import torch
from torch import nn

from repro.activations import PolyNorm, PolyNormGLU, PolyPReLU, PolyReLU

OFFICIAL = {"weight": torch.tensor([3.0, 2.0, 1.0]), "bias": torch.tensor([0.5])}


@pytest.mark.parametrize("module", [PolyReLU, PolyNorm, PolyNormGLU])
def test_it_loads_strictly_into_ascending_coefficients(module):
    act = module()
    act.load_state_dict(OFFICIAL, strict=True)
    assert act.coeff.tolist() == [0.5, 1, 2, 3]


def test_it_loads_beside_other_layers_and_leaves_the_given_state_as_it_was():
    model = nn.Sequential(nn.Linear(4, 4), PolyNorm())
    state = {
        "0.weight": torch.eye(4),
        "0.bias": torch.zeros(4),
        "1.weight": OFFICIAL["weight"],
        "1.bias": OFFICIAL["bias"],
    }
    model.load_state_dict(state, strict=True)
    assert model[1].coeff.tolist() == [0.5, 1, 2, 3]
    assert list(state) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_it_loads_beside_an_inner_function_that_has_a_weight_too():
    act = PolyPReLU()
    act.load_state_dict({**OFFICIAL, "rho.weight": torch.tensor([0.1])}, strict=True)
    assert act.coeff.tolist() == [0.5, 1, 2, 3]
    assert act.rho.weight.item() == pytest.approx(0.1)


@pytest.mark.parametrize(("weight", "bias"), [((2,), (1,)), ((3,), ()), ((2,), (2,)), ((3, 1), (1,))], ids=str)
def test_other_shapes_are_told_with_those_that_belong_there(weight, bias):
    model = nn.Sequential(PolyNorm())
    with pytest.raises(RuntimeError) as error:
        model.load_state_dict({"0.weight": torch.ones(weight), "0.bias": torch.ones(bias)})
    expected = "0.weight and 0.bias: expected the official shapes (3,) and (1,) at order 3, got"
    assert str(error.value).splitlines()[1:] == [f"\t{expected} {weight} and {bias}"]
    assert model[0].coeff.tolist() == PolyNorm().coeff.tolist()


def test_half_of_the_layout_is_not_taken_for_it():
    with pytest.raises(RuntimeError, match=r"(?s)Missing key.*coeff.*Unexpected key.*weight") as error:
        PolyNorm().load_state_dict({"weight": OFFICIAL["weight"]})
    assert "official shapes" not in str(error.value)


def test_the_dtype_of_the_module_stays():
    act = PolyNorm().bfloat16()
    act.load_state_dict(OFFICIAL)
    assert act.coeff.dtype == torch.bfloat16
