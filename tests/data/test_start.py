"""Preparation as a person asks for it."""

import pytest

from repro.data.start import LARGEST, VOCAB_SIZES, _vocab_size
from repro.errors import DataError
from repro.recipe import load


@pytest.mark.parametrize(("corpus", "recipe"), [("python-stdlib", "smoke"), ("python-packages", "4m")])
def test_without_a_setting_a_set_is_prepared_as_its_recipes_read_it(corpus, recipe):
    assert VOCAB_SIZES[corpus] == load(f"dense-{recipe}-polynorm", [f"corpus={corpus}"]).model.vocab_size


@pytest.mark.parametrize("value", ["many", "", "-1", "1e4", str(LARGEST + 1), "9" * 30])
def test_a_vocabulary_that_cannot_be_is_refused(value):
    with pytest.raises(DataError, match="expected a whole number up to 1000000"):
        _vocab_size([f"vocab_size={value}"])
