"""Shares of inactive neurons: what is counted, of whom, and how sure it is."""

import pytest
import torch

from repro.analysis.sites import sites
from repro.analysis.sparsity.effects import interval
from repro.analysis.sparsity.inputs import Given
from repro.analysis.sparsity.neurons import Layer
from repro.analysis.sparsity.shares import Shares
from tests.analysis.decoders import decoder
from tests.analysis.sparsity.planted import stream


def of(layer, *, context=10, chosen=None, taus=(0.2,)):
    given = [Given(stream(40, 16, seed=seed), chosen) for seed in (1, 2)]
    return Shares.of(layer, *given, taus, (0.5,), context=context)


def test_zeros_are_of_values_and_not_of_the_columns_they_go_to():
    (site, _) = sites(decoder("relu"))
    zeros = of(Layer(site)).zeros
    assert 0.3 < zeros < 0.7
    site.ffn.down_proj.weight.zero_()
    found = of(Layer(site))
    assert found.zeros == zeros
    assert found.by_tau[0.2].sparsity == 1.0
    (smooth, _) = sites(decoder("gelu"))
    smooth.ffn.down_proj.weight.zero_()
    assert of(Layer(smooth)).zeros == 0.0


def test_a_share_of_tokens_is_that_of_neurons_and_has_an_interval_over_windows():
    layer = Layer(sites(decoder("relu"))[0])
    (own,), share = layer.neurons, of(layer).by_tau[0.2]
    (lengths,) = own.magnitudes(stream(40, 16, seed=2))
    of_windows = (lengths <= share.threshold).double().mean(-1).view(4, 10).mean(-1)
    assert share.sparsity == pytest.approx(float(of_windows.mean()))
    # Student's t for three degrees is 3.1824.
    assert share.high - share.sparsity == pytest.approx(3.18245 * float(of_windows.std()) / 2, rel=1e-5)
    assert share.low + share.high == pytest.approx(2 * share.sparsity)
    assert of(layer, context=40).by_tau[0.2].low is None


def test_experts_make_up_the_share_of_their_tokens():
    layer = Layer(sites(decoder("swiglu", "moe"))[0])
    chosen = torch.tensor([[0, 1], [2, 1]]).repeat(20, 1)
    found = of(layer, chosen=chosen)
    share = found.by_tau[0.2]
    assert found.rows == (20, 40, 20, 0)
    assert share.by_expert[3] is None
    whole = sum(n * each for n, each in zip(found.rows, share.by_expert, strict=True) if n) / 80
    assert share.sparsity == pytest.approx(whole)


def test_windows_with_unequal_numbers_of_tokens_weigh_what_they_hold():
    values, counted = torch.tensor([1.0, 3.0, 5.0, 9.0]), torch.tensor([True, True, True, False])
    # The mean is 3; sums lack 2 and exceed by 2, a spread of sqrt(8) in windows of 1.5; t for one degree is 12.706.
    low, high = interval(values, context=2, counted=counted)
    assert (low + high) / 2 == pytest.approx(3)
    assert high - 3 == pytest.approx(12.7062 * 8**0.5 / 1.5 / 2**0.5, rel=1e-5)
    assert interval(values, context=2, counted=counted & torch.tensor([True, True, False, False])) == (None, None)
