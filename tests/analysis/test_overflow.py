"""Which powers leave a format's range: thresholds against rounding itself, and counts."""

import math
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch

from repro import activations
from repro.analysis.overflow import FORMATS, Counter, overflows_from, underflows_to
from repro.models.moe import PerExpert

WITHOUT_E4M3 = [name for name in FORMATS if name != "e4m3"]
SMALLEST = {"float16": 2.0**-24, "bfloat16": 2.0**-133, "float32": 2.0**-149}  # that is not 0
POWERS = [1, 2, 3, 4, 6, 8, 12]


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("name", WITHOUT_E4M3)
def test_the_threshold_is_the_first_number_whose_power_is_infinite(power, name):
    at = np.float32(overflows_from(power, name))
    before = np.nextafter(at, np.float32(0))
    if np.isfinite(at):
        assert torch.tensor(float(at), dtype=torch.float64).pow(power).to(FORMATS[name]).isinf()
    else:
        assert (power, name) == (1, "float32"), "of which none is too large"
    assert torch.tensor(float(before), dtype=torch.float64).pow(power).to(FORMATS[name]).isfinite()


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("name", WITHOUT_E4M3)
def test_the_other_is_the_last_number_whose_power_is_zero(power, name):
    """By fractions: torch rounds a float64 to 16 bits by way of float32, twice."""
    half = Fraction(SMALLEST[name]) / 2
    at = np.float32(underflows_to(power, name))
    assert Fraction(float(at)) ** power <= half
    assert Fraction(float(np.nextafter(at, np.float32(1)))) ** power > half
    assert torch.tensor([SMALLEST[name], SMALLEST[name] / 2], dtype=torch.float64).to(FORMATS[name]).tolist() == [
        SMALLEST[name],
        0,
    ]


def test_the_cubes_inside_a_norm_leave_float16_at_6_35():
    assert overflows_from(6, "float16") == pytest.approx(6.3493, abs=1e-4)
    assert overflows_from(8, "float16") == pytest.approx(4.0, abs=1e-3)
    assert overflows_from(6, "float32") == pytest.approx(2.64e6, rel=1e-2)


def test_e4m3_ends_at_448_to_which_464_is_rounded_and_begins_above_2_to_the_minus_10():
    assert overflows_from(1, "e4m3") == np.nextafter(np.float32(464), np.float32(500))
    assert underflows_to(1, "e4m3") == 2**-10


# Counts


def lost(activation, *parts):
    counter = Counter(activation)
    for x in parts:
        counter.add(x)
    return {(one.what, one.power, one.format): one for one in counter.lost}


def test_counts_are_exact_at_the_boundary():
    edge = overflows_from(6, "float16")
    below = float(np.nextafter(np.float32(edge), np.float32(0)))
    x = torch.tensor([[edge, -edge, below, 0.0], [1.0, -1e-9, 500.0, math.inf]])
    found = lost(activations.build("polynorm"), x[:1], x[1:])
    norm, term = found["norm", 6, "float16"], found["term", 3, "float16"]
    assert (norm.numbers, norm.overflow, norm.underflow) == (7, 4, 1)
    assert (term.overflow, term.underflow) == (2, 1)
    stored = found["input", 1, "e4m3"]
    assert (stored.overflow, stored.underflow) == (2, 1)
    assert found["input", 1, "float32"].overflow == 1, "the one that is infinite"


def test_an_activation_has_the_powers_that_it_takes():
    x = torch.ones(2, 3)
    assert {key[:2] for key in lost(activations.build("polynorm_r2"), x)} == {
        *(("input", 1), ("term", 2), ("norm", 2), ("norm", 4)),
    }
    assert {key[:2] for key in lost(activations.build("polyrelu_r4"), x)} == {
        *(("input", 1), ("term", 2), ("term", 3), ("term", 4)),
    }
    assert {key[:2] for key in lost(activations.build("swiglu"), x)} == {("input", 1)}
    assert {key[:2] for key in lost(activations.build("relu2"), x)} == {("input", 1), ("term", 2)}


def test_of_relus_powers_negative_inputs_are_no_part():
    x = torch.tensor([[-100.0, 100.0, 1e-9, -1e-9]])
    cube = lost(activations.build("polyrelu"), x)["term", 3, "float16"]
    assert (cube.numbers, cube.overflow, cube.underflow) == (2, 1, 1)
    cube = lost(activations.build("polynorm"), x)["term", 3, "float16"]
    assert (cube.numbers, cube.overflow, cube.underflow) == (4, 2, 2)


@pytest.mark.parametrize("word", ["polyrelu", "polynorm"])
def test_coefficients_for_each_expert_change_nothing(word):
    x = torch.randn(8, 5, generator=torch.Generator().manual_seed(0)) * 5
    activation = activations.build(word)
    assert lost(PerExpert(activation, 3), x) == lost(activation, x)


@pytest.mark.parametrize("word", activations.names())
def test_every_activation_of_the_table_is_counted(word):
    found = lost(activations.build(word), torch.randn(4, 6))
    assert found["input", 1, "float16"].numbers == 24


def test_numbers_of_16_bits_are_counted_as_they_are():
    x = torch.tensor([[7.0, 6.25, 65504.0]], dtype=torch.float16)
    assert lost(activations.build("polynorm"), x)["norm", 6, "float16"].overflow == 2


@pytest.mark.parametrize("word", ["polynorm", "polynorm_l2", "polyrelu"])
def test_coefficients_of_each_expert_change_nothing_of_what_is_counted(word):
    one = activations.build(word)
    alone, each = Counter(one), Counter(PerExpert(one, 2))
    assert each.parts == alone.parts
    assert torch.equal(each.inner(torch.tensor([-1.0])), alone.inner(torch.tensor([-1.0])))


def test_a_function_bound_to_options_is_not_a_norm_by_that():
    bound = PerExpert(activations.build("polyrelu"), 2)
    bound.function = partial(bound.function)
    assert {what for what, _ in Counter(bound).parts} == {"term"}
