"""Preparation as a person asks for it."""

import pytest
from rich.console import Console

from repro.data.preparing.start import LARGEST, VOCAB_SIZES, start
from repro.errors import ReproError
from repro.recipe import load


@pytest.mark.parametrize(("corpus", "recipe"), [("python-stdlib", "smoke"), ("python-packages", "4m")])
def test_without_a_setting_a_set_is_prepared_as_its_recipes_read_it(corpus, recipe):
    assert VOCAB_SIZES[corpus] == load(f"dense-{recipe}-polynorm", [f"corpus={corpus}"]).model.vocab_size


@pytest.mark.parametrize("value", ["many", "0", "-1", "1e4", str(LARGEST + 1)])
def test_a_vocabulary_that_cannot_be_is_refused(value):
    with pytest.raises(ReproError, match="expected a whole number from 1 to 1000000"):
        start(["python-stdlib", f"vocab_size={value}"], console=Console(quiet=True))


@pytest.mark.parametrize(("word", "near"), [("python-stdlb", "python-stdlib"), ("image", "images")])
def test_a_misspelt_data_set_is_told_the_nearest(word, near):
    told = f"^no data set is called '{word}'. Did you mean '{near}'. Known: .*, images, tasks$"
    with pytest.raises(ReproError, match=told):
        start([word], console=Console(quiet=True))
