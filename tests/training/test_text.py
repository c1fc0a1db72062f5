"""What surrounds a language model, by its family."""

import pytest

from repro.recipe import load
from repro.training import text
from repro.training.callbacks.magnitudes import Magnitudes
from repro.training.callbacks.metrics import Coefficients
from repro.training.callbacks.routers import Routers
from repro.training.callbacks.validation import Validation


@pytest.mark.parametrize(("family", "own"), [("dense", []), ("moe", [Routers]), ("rnn", [Magnitudes])])
def test_each_family_is_watched_where_it_may_fail(family, own, tmp_path):
    """A mixture at its routers; what no norm keeps stable at its activations."""
    callbacks = text.callbacks(load(f"{family}-smoke-polynorm"), tmp_path)
    assert [type(callback) for callback in callbacks] == [*own, Coefficients, Validation]
    assert all(callback.every == 1 for callback in callbacks if isinstance(callback, Magnitudes))
