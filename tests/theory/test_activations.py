"""What PolyNorm and Type II are as functions; and that activations that are what the paper says would be found so."""

import numpy as np
import pytest

from repro.activations import reference
from repro.theory.activations import equivalent, type_ii


def test_polynorm_does_not_see_scales_and_is_bounded():
    found = equivalent()
    assert not found.holds
    assert found.numbers["moved"] < 1e-14
    assert found.numbers["longest"] <= found.numbers["bound"]
    assert found.numbers["spread_of_one_input"] < 1e-15


def test_an_activation_that_sees_scales_and_grows_is_as_expressive():
    assert equivalent(reference.polyrelu).holds


def test_one_layer_of_type_ii_is_not_relu_squared_and_two_are():
    found = type_ii()
    assert found.holds
    assert not found.as_stated
    assert found.numbers["residual_of_one_layer"] == pytest.approx(0.0206, abs=5e-4)
    assert not type_ii(np.abs).holds


def test_one_function_is_called_an_example_and_no_equivalence():
    found = type_ii()
    assert found.claim.startswith("ReLU squared, of Type I, is a network of Type II units")
    assert "One function is no equivalence, and the other direction is not looked at." in found.differs
