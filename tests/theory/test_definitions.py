"""The paper's definitions in the kit's modules; and that a module which is not quite the definition is found out."""

import math

import pytest
import torch
from torch import nn

from repro import activations
from repro.activations import PolyCom, PolyNorm, PolyReLU
from repro.analysis import random_matrices
from repro.analysis.overflow import overflows_from
from repro.analysis.sparsity.thresholds import Curve
from repro.models.ffn import GatedFFN, PlainFFN, whole
from repro.recipe.table import rows
from repro.theory import definitions, definitions_networks, definitions_numbers
from repro.theory.definitions import Normal, equation_1, equation_2, initial, polynorm_rms
from repro.theory.definitions_networks import equation_4, expert_width, figure_2, interactions
from repro.theory.definitions_numbers import equation_36, inactive_neurons, overflow, shapes, table_4


@pytest.fixture(scope="module")
def found():
    parts = (definitions, definitions_networks, definitions_numbers)
    return {finding.id: finding for part in parts for finding in part.findings()}


def test_all_of_them_hold_as_they_are_stated_but_what_is_observed(found):
    assert {name for name, each in found.items() if each.holds is not True} == {"figure-6-shapes"}
    assert found["figure-6-shapes"].holds is None
    assert all(finding.as_stated and finding.key for finding in found.values())


def test_no_two_draws_of_a_finding_share_a_number_and_each_finding_begins_anew():
    normal = Normal()
    first, second = normal(64), normal(64)
    assert not set(first.tolist()) & set(second.tolist())
    assert Normal()(64).equal(first)


def test_tokens_are_not_the_weights_of_neurons_nor_are_matrices_each_other():
    seen = []

    def looked(own, x):
        seen.extend((own.first[0], own.down, x))
        return Curve.of([(own, x)])

    inactive_neurons(looked)
    for i, a in enumerate(seen):
        for b in seen[i + 1 :]:
            both = torch.stack([a.flatten()[:1536], b.flatten()[:1536]])
            assert torch.corrcoef(both)[0, 1].abs() < 4 / 1536**0.5


def test_coefficients_of_a_composition_are_not_its_inputs():
    met = []

    class Looked(PolyReLU):
        def forward(self, x):
            met.append(set(x.flatten().tolist()) & set(self.coeff.tolist()))
            return super().forward(x)

    equation_2(Looked)
    assert met
    assert not any(met)


class Off(nn.Module):
    """An activation whose cube is slightly off."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.coeff = inner, inner.coeff

    def forward(self, x):
        return self.inner(x) + 1e-9 * x**3


def test_a_composition_that_is_slightly_off_is_found():
    assert not equation_1(lambda kind, rho, order: Off(PolyCom(kind, rho, order))).holds
    assert not equation_2(lambda order: Off(PolyReLU(order))).holds


def test_types_that_are_swapped_are_found():
    swapped = {"I": "II", "II": "I"}
    assert not equation_1(lambda kind, rho, order: PolyCom(swapped[kind], rho, order)).holds


class Detached(PolyReLU):
    """Computes what it should, and has a gradient that is not its own."""

    def forward(self, x):
        y = super().forward(x)
        return y.detach() + (0.5 * y - (0.5 * y).detach())


def test_a_wrong_gradient_is_found():
    assert not equation_2(Detached).holds


def test_a_constant_that_ends_at_zero_is_found():
    class Half(PolyReLU):
        def forward(self, x):
            return super().forward(x).where(x > 0, 0)

    assert not equation_2(Half).holds


def test_the_codes_norm_is_the_root_of_the_width_times_the_papers(found):
    assert found["polynorm-rms"].numbers["ratio_at_8256"] == pytest.approx(math.sqrt(8256))
    assert not polynorm_rms(norm="rms").holds


def test_widths_that_do_not_match_are_told_with_their_parameters():
    unequal = equation_4(lambda gated: 5505 if gated else 8256)
    assert not unequal.holds
    assert unequal.numbers["largest"] - unequal.numbers["smallest"] == 3 * 2048


def ffn(name, matrix=whole):
    kind = GatedFFN if rows()[name].gated else PlainFFN
    return kind(6, 12, activations.build(name), matrix)


def test_an_ffn_with_biases_is_found():
    assert equation_4(make=ffn).holds
    assert not equation_4(make=lambda name: ffn(name, nn.Linear)).holds


class Without(PlainFFN):
    """Leaves its activation out."""

    def forward(self, x):
        return self.down_proj(self.up_proj(x))


def test_an_ffn_that_leaves_its_activation_out_is_found():
    assert not figure_2(lambda act: Without(12, 48, act)).holds
    plain = "polynorm"
    assert not equation_4(make=lambda name: Without(6, 12, nn.Identity()) if name == plain else ffn(name)).holds


class Skipping(PlainFFN):
    """Adds the linear path to what the diagram has."""

    def forward(self, x):
        return super().forward(x) + 1e-6 * self.down_proj(self.up_proj(x))


def test_an_ffn_with_another_path_than_the_diagrams_is_found():
    assert not figure_2(lambda act: Skipping(12, 48, act)).holds


def test_coefficients_begin_exactly_and_another_beginning_is_found():
    class Even(PolyNorm):
        def reset_parameters(self):
            nn.init.constant_(self.coeff, 1 / (self.order + 1))

    assert PolyNorm(3).coeff.tolist() == [0, *[torch.tensor(1 / 3).item()] * 3]
    assert initial((Even,)).numbers["wrong"] == 12


def test_a_module_that_forgets_its_beginning_on_the_meta_device_is_found():
    class Once(PolyReLU):
        def __init__(self, order):
            super().__init__(order)
            self.reset_parameters = lambda: nn.init.zeros_(self.coeff)

    assert initial((Once,)).numbers["wrong"] == 6


def test_a_norm_over_half_an_expert_is_found():
    class Halves(PolyNorm):
        def forward(self, x):
            return super().forward(x.unflatten(-1, (2, -1))).flatten(-2)

    assert not expert_width(lambda: Halves(3)).holds


def test_a_product_of_three_inputs_takes_eight_neurons_and_squares_do_not_make_it(found):
    assert found["interactions"].numbers == {"values": 200, "different": 0, "neurons": 8}
    assert not interactions((0, 0, 1)).holds


def test_table_4_has_17_and_each_of_them_is_told_from_its_neighbours(found):
    assert len(found["table-4"].numbers) == 17
    tanh = table_4(lambda name: nn.GELU("tanh") if name == "gelu" else activations.build(name))
    assert not tanh.holds
    assert "gelu is furthest" in tanh.measured.replace("which gelu", "gelu")


def test_table_4_is_what_torch_calls_by_these_names():
    x = 1.5
    closed = definitions_numbers.TABLE_4
    assert closed["mish"](x) == pytest.approx(nn.functional.mish(torch.tensor(x)).item())
    assert closed["celu"](-x) == pytest.approx(nn.functional.celu(torch.tensor(-x)).item())
    assert closed["swiglu"](x, 2.0) == pytest.approx(2 * nn.functional.silu(torch.tensor(x)).item())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda matrix: float(torch.linalg.matrix_rank(matrix)),
        lambda matrix: float(matrix.square().sum() / torch.linalg.matrix_norm(matrix, 2) ** 2),
        lambda matrix: float(torch.special.entr(torch.linalg.svdvals(matrix)).sum().exp()),
    ],
    ids=["rank", "stable rank", "without dividing by the sum"],
)
def test_another_rank_than_the_effective_one_is_found(wrong):
    assert not equation_36(wrong).holds


def test_figure_6_compares_what_is_unequal_before_training(found):
    share = found["figure-6-shapes"].numbers
    assert share["dense_2048x5504"] == pytest.approx(0.9476, abs=1e-4)
    assert share["dense_2048x8256"] == pytest.approx(0.9665, abs=1e-4)
    assert share["expert_1024x2048"] == pytest.approx(0.9261, abs=1e-4)
    assert share["expert_1536x2048"] == pytest.approx(0.8760, abs=1e-4)
    assert shapes(random_matrices.effective_rank).numbers == share


def test_overflow_begins_where_it_was_worked_out_by_hand(found):
    at = found["overflow-thresholds"].numbers
    assert at["order_3_float16"] == pytest.approx(65520 ** (1 / 6))
    assert at["order_4_float16"] == pytest.approx(4, abs=1e-3)
    assert at["order_3_float32"] == pytest.approx(2.64e6, rel=1e-3)
    assert at["order_4_bfloat16"] == pytest.approx(65536, rel=1e-3)


@pytest.mark.parametrize("direction", [0.0, math.inf])
def test_a_threshold_that_is_one_float_off_is_found(direction):
    def off(power, word):
        return torch.nextafter(torch.tensor(overflows_from(power, word)), torch.tensor(direction)).item()

    assert overflow(off).numbers["wrong"] == 15


def test_a_threshold_that_leaves_out_too_much_is_found():
    class Longer(Curve):
        def largest(self, tau):
            return 1.5 * super().largest(tau)

    assert not inactive_neurons(lambda own, x: Longer.of([(own, x)])).holds
