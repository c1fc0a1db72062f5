"""A run is validated on other prepared sets too, each subset apart, and nothing else of it changes."""

import numpy as np
import pytest
import torch

from repro import cli
from repro.data import sets
from repro.data.manifest import TOKENIZER
from repro.data.preparing import parallel
from repro.data.text import Sample
from repro.errors import DataError
from repro.recipe import machine
from repro.recipe.layout import fit
from repro.recipe.runs import read_metrics
from repro.training import text
from repro.training.trained import Trained
from repro.training.validation_file import changed
from tests.conftest import SMALL
from tests.data.written import in_place
from tests.training.conftest import CALM, SUBSETS, Numbers, assert_nearly_equal, make
from tests.training.ranks import World, in_turn

BOTH = {"validation.sets": "[held-out, letters]"}


@pytest.fixture
def here(letters, monkeypatch):
    """The set is found."""
    monkeypatch.setenv("REPRO_DATA", str(letters))


def rows(folder):
    return read_metrics(folder / "validation.csv")


@pytest.mark.usefixtures("here")
def test_each_subset_has_a_row_at_each_validation(small, train, prepared, tmp_path):
    train(small(BOTH))
    found = rows(tmp_path / "run")
    expected = [(step, subset) for step in ("8", "16", "24") for subset in SUBSETS]
    assert [(row["step"], row["subset"]) for row in found] == expected
    assert [int(row["tokens"]) for row in found] == [128 * int(row["step"]) for row in found]
    assert {row["set"] for row in found} == {"letters"}
    assert {int(row["sequences"]) for row in found} == {512 // 16}, "validation.tokens of each subset"
    fingerprint = sets.find("letters", tokenizer=prepared.folder / TOKENIZER).fingerprint
    assert {row["fingerprint"] for row in found} == {fingerprint}


@pytest.mark.usefixtures("here")
def test_the_loss_is_that_of_evenly_spread_windows_of_the_subset(small, train, prepared, tmp_path):
    train(small(BOTH))
    (trained,) = [each for each in Trained.every(tmp_path / "run") if each.step == 24]
    network, letters = trained.network(torch.device("cpu")), sets.find("letters", tokenizer=prepared.folder / TOKENIZER)
    for row in rows(tmp_path / "run")[-2:]:
        tokens = [shard for shard in letters.shards("validation") if shard.subset == row["subset"]]
        windows = [w for shard in tokens for w in letters.map(shard)[: shard.windows(16) * 16 + 1][None].tolist()]
        every = [stream[i : i + 17] for stream in windows for i in range(0, len(stream) - 16, 16)]
        chosen = torch.tensor([every[i * len(every) // 32] for i in range(32)])
        loss = network(chosen[:, :-1], chosen[:, 1:]).tokens.double().mean().item()
        assert float(row["nats_per_token"]) == pytest.approx(loss, rel=1e-6)


@pytest.mark.usefixtures("here")
def test_what_is_held_out_and_all_that_is_trained_stay_the_same_to_the_bit(small, train, tmp_path):
    assert train(small(BOTH), "both") == train(small(), "alone")
    assert not (tmp_path / "alone" / "validation.csv").exists()


@pytest.mark.usefixtures("here")
def test_the_rows_of_an_interrupted_run_are_those_of_the_uninterrupted_one(small, train, tmp_path):
    train(small(BOTH), "whole")
    train(small(BOTH), "interrupted", stop_at=(9, 17))
    assert (tmp_path / "interrupted" / "validation.csv").read_text() == (tmp_path / "whole/validation.csv").read_text()


@pytest.mark.usefixtures("here")
def test_a_run_may_do_without_what_is_held_out(small, prepared, tmp_path):
    told = run_as_typed(small, tmp_path, "[letters]", prepared)
    assert told[0] == 0
    (folder,) = (path.parent for path in tmp_path.rglob("result.json"))
    assert len(rows(folder)) == 6
    assert not (folder / "validation.npy").exists()
    assert "validation" not in (folder / "result.json").read_text()


def run_as_typed(small, tmp_path, named, prepared, capsys=None):
    """Train the small recipe as the command line does, on the small corpus."""
    words = [f"{key}={value}" for key, value in (SMALL | {"validation.sets": named}).items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("repro.training.start.ready", lambda data, vocab_size, progress: prepared)
        code = cli.status(["run", "dense-smoke-polynorm", *words, "--on", "cpu", "--out", str(tmp_path / "runs")])
    return code, " ".join("".join(capsys.readouterr()).split()) if capsys else ""


@pytest.mark.usefixtures("here")
def test_an_unknown_set_is_told_before_data_are_prepared(small, prepared, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("repro.training.start.bars", None)  # preparing shows bars
    code, told = run_as_typed(small, tmp_path, "[held-out, leters]", prepared, capsys)
    assert code == 2
    assert "no data set is called 'leters'. Did you mean 'letters'?" in told
    assert told.endswith("or train without it: validation.sets=[held-out]")
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("here")
def test_a_set_that_is_not_prepared_with_this_tokenizer_comes_with_the_command(small, prepared, tmp_path, capsys):
    code, told = run_as_typed(small, tmp_path, "[held-out, c4]", prepared, capsys)
    assert code == 2
    command = f"run `repro prepare c4 tokenizer={prepared.folder / TOKENIZER}`"
    assert f"c4 is not prepared with the tokenizer of this model: {command}; or train without it" in told
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("here")
def test_what_it_is_validated_on_is_said(small, prepared, tmp_path, capsys):
    _, told = run_as_typed(small, tmp_path, "[held-out, letters]", prepared, capsys)
    assert "validation held-out, letters, every 8 steps" in told


def test_another_set_under_the_same_name_is_told_on_resume(small, prepared, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(parallel, "workers", in_place)
    make(tmp_path / "one", prepared.folder / TOKENIZER)
    before = sets.find("letters", tokenizer=prepared.folder / TOKENIZER).fingerprint
    run_as_typed(small, tmp_path, "[held-out, letters]", prepared)
    (result,) = tmp_path.rglob("result.json")
    result.unlink()
    (tmp_path / "data" / "letters").rename(tmp_path / "old")
    make(tmp_path / "two", prepared.folder / TOKENIZER, seed=7)
    now = sets.find("letters", tokenizer=prepared.folder / TOKENIZER).fingerprint
    assert changed(result.parent, {"letters": now}) == {"letters": before}
    code, told = run_as_typed(small, tmp_path, "[held-out, letters]", prepared, capsys)
    assert code == 0, "what is trained on is as it was"
    assert f"letters has fingerprint {now} and had {before}: validation.csv goes on with another set" in told


def test_a_subset_too_short_for_a_window_is_told(prepared):
    with pytest.raises(DataError, match=r"^the validation split of .* expected one of more than context=100000"):
        Sample("mine", prepared, context=100_000, tokens=100_000)
    with pytest.raises(DataError, match=r"^the subset news of the validation split of .* holds 0 tokens in 0 shards"):
        Sample("mine", prepared, context=16, tokens=64, subset="news")


@pytest.mark.usefixtures("here")
def test_a_set_beside_its_own_changes_neither_fingerprint_nor_order(small, prepared):
    one = text.data(small(BOTH), prepared, fit(small(BOTH), machine("cpu")), seed=0)
    other = text.data(small(), prepared, fit(small(), machine("cpu")), seed=0)
    assert all(torch.equal(a, b) for a, b in zip(one.train_dataloader(), other.train_dataloader(), strict=True))
    assert [(sample.tag, sample.sequences) for sample in one.samples] == [
        ("validation/letters/home", 32),
        ("validation/letters/work", 32),
    ]
    assert other.samples == []


def test_ranks_share_each_sample(small, prepared, train, letters, tmp_path, monkeypatch):
    overrides = [f"{key}={value}" for key, value in (SMALL | CALM | BOTH).items()]
    body = f"""
from repro.data.manifest import Prepared
recipe = load("dense-smoke-polynorm", {overrides})
run(recipe, cpus, Prepared.open(Path({str(prepared.folder)!r})), seed=0, folder=Path(f"on {{ranks}}"))
"""
    in_turn([World(2, body)], tmp_path, REPRO_DATA=str(letters))
    monkeypatch.setenv("REPRO_DATA", str(letters))
    alone = train(small(CALM | BOTH))
    assert_nearly_equal(Numbers.of(tmp_path / "on 2"), alone)
    losses = [np.array([float(row["nats_per_token"]) for row in rows(tmp_path / name)]) for name in ("on 2", "run")]
    np.testing.assert_allclose(*losses, rtol=1e-6)
    assert len(losses[0]) == 6
