"""What decides a run's numbers, and where it differs from the paper."""

import re

import pytest

from repro.recipe import fingerprint, load
from repro.recipe.science import differences, science

NAME = "dense-smoke-polynorm"
ORIGINAL = fingerprint(load(NAME))


def test_a_fingerprint_is_eight_hexadecimal_characters_and_always_the_same():
    assert re.fullmatch("[0-9a-f]{8}", ORIGINAL)
    assert fingerprint(load(NAME)) == fingerprint(load(NAME, ["lr=0.01", "clip=1"])) == ORIGINAL


@pytest.mark.parametrize(
    ("name", "before"),
    [
        (NAME, "8f3e370e"),
        ("dense-1b-polynorm", "427da860"),
        ("moe-smoke-swiglu", "d13d6bb2"),
        ("moe-1b7b-polynorm", "7ab45561"),
        ("rnn-smoke-polynorm", "35af4704"),
        ("resnet50-smoke-polynorm", "5e616c25"),
    ],
)
def test_runs_of_before_the_latest_keys_go_on(name, before):
    """Pinned: they change where science does, or where a new key is not left out at what was done before it."""
    assert fingerprint(load(name)) == before


def test_a_new_key_at_its_earlier_value_is_science_all_the_same():
    found = science(load(NAME))
    assert (found["model.ffn_rank"], found["optim.rank_penalty"]) == (None, 0.0)
    assert fingerprint(load(NAME, ["rank_penalty=0", "ffn_rank=null"])) == ORIGINAL


@pytest.mark.parametrize(
    "override",
    [
        "workers=2",
        "tasks=[piqa]",
        "validation.sets=[held-out, c4]",
        "checkpoints.keep=9",
        "analysis.every=null",
        "about=another",
        "deterministic=false",
    ],
)
def test_what_changes_no_number_keeps_the_fingerprint(override):
    assert fingerprint(load(NAME, [override])) == ORIGINAL


def test_how_a_model_lies_on_devices_keeps_the_fingerprint():
    name = "resnet50-smoke-relu"
    assert fingerprint(load(name, ["strategy=fsdp2"])) == fingerprint(load(name, ["strategy=ddp"]))


@pytest.mark.parametrize(
    "override",
    [
        "n_layers=3",
        "validation.every=7",
        "validation.tokens=8192",
        "validation.sets=[c4]",
        "corpus=python-packages",
        "context=32",
        "mixture={a: 1}",
        "repetition={period: 13, times: 32}",
        "document_mask=true",
        "lr=9e-3",
        "matrices=0.2",
        "ffn_rank=8",
        "rank_penalty=0.1",
        "budget.tokens=1024",
        "precision=fp32",
    ],
)
def test_science_changes_the_fingerprint(override):
    assert fingerprint(load(NAME, [override])) != ORIGINAL


def test_another_activation_changes_the_fingerprint():
    assert fingerprint(load("dense-smoke-polyrelu")) != ORIGINAL


def test_other_options_of_the_activation_change_the_fingerprint(copied):
    table = copied / "activations.yaml"
    before = table.read_text()
    table.write_text(before.replace("polynorm: {builds: PolyNorm, options: {order: 3}", "polynorm: {builds: PolyNorm"))
    assert table.read_text() != before
    assert fingerprint(load(NAME)) != ORIGINAL


def test_the_papers_own_recipes_do_not_differ_from_it():
    for activation in ("swiglu", "gelu", "relu", "polyrelu", "polynorm", "relu2"):
        assert differences(load(f"dense-1b-{activation}")) == ()


def test_a_difference_has_both_values():
    (found,) = differences(load("dense-1b-polynorm", ["min_lr=3e-5"]))
    assert (found.key, found.paper, found.here) == ("optim.min_lr", 1.5e-5, 3e-5)


def test_a_mapping_is_one_value():
    (found,) = differences(load("moe-1b7b-polynorm", ["repetition=null"]))
    assert (found.key, found.paper, found.here) == ("data.repetition", {"period": 13, "times": 32}, None)
    assert differences(load("moe-1b7b-polynorm", ["repetition={times: 32, period: 13}"])) == ()


def test_an_activation_that_the_paper_did_not_train_is_a_difference():
    (found,) = differences(load("dense-1b-xielu"))
    assert (found.key, found.here) == ("model.activation", "xielu")
    assert "polynorm" in found.paper


def test_science_is_model_data_optimizer_budget_and_precision():
    assert {key.partition(".")[0] for key in science(load(NAME))} == {"model", "data", "optim", "budget", "precision"}
    assert "data.workers" not in science(load(NAME))
