"""What is timed: tokens from all over the sample, and each way by its own."""

import torch

from repro.analysis.sites import sites
from repro.analysis.sparsity import study
from repro.analysis.sparsity.inputs import Given
from repro.analysis.sparsity.neurons import Layer
from tests.analysis.decoders import decoder
from tests.analysis.sparsity.planted import stream


def test_tokens_are_spread_evenly_over_all(monkeypatch):
    layer, given = Layer(sites(decoder("relu"))[0]), [Given(stream(330, 16, seed=seed), None) for seed in (1, 2)]
    found = study.Study.of(layer, *given, context=10)
    timed = []
    monkeypatch.setattr(study.Gathering, "dense", lambda self, x: timed.append(x))
    dense = study.turns(layer, found, given[1])["dense"]
    for number in range(33):
        dense(number)
    assert torch.equal(torch.cat(timed), given[1].x[::10])
