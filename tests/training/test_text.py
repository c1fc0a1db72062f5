"""What a language model trains with: what surrounds it, what it leaves out, and what it is told of its data."""

import io
import os
import signal

import pytest
import torch
from rich.console import Console

from repro.data.manifest import Prepared
from repro.data.mixture import Mixture
from repro.errors import DataError, Preempted
from repro.models import distribution
from repro.models.init import initialise
from repro.recipe import load, machine
from repro.training import start, text
from repro.training.build import build
from repro.training.callbacks.gradients import Gradients
from repro.training.callbacks.magnitudes import Magnitudes
from repro.training.callbacks.metrics import Coefficients
from repro.training.callbacks.rank_penalty import RankPenalty
from repro.training.callbacks.routers import Routers
from repro.training.callbacks.spectra import Spectra
from repro.training.callbacks.states import States
from repro.training.callbacks.summary import Shapes
from repro.training.callbacks.validation import Validation
from repro.training.run import run
from repro.training.sharding import Sharding, mesh, shard
from repro.training.telling import introduce
from tests.training.conftest import Numbers

FILTER = {"data.repetition": "{period: 3, times: 4}"}


@pytest.mark.parametrize(("family", "own"), [("dense", []), ("moe", [Routers]), ("rnn", [Magnitudes])])
def test_each_family_is_watched_where_it_may_fail(family, own, tmp_path):
    """A mixture at its routers; what no norm keeps stable at its activations."""
    callbacks = text.callbacks(load(f"{family}-smoke-polynorm", ["analysis.every=null"]), tmp_path)
    assert [type(callback) for callback in callbacks] == [*own, Coefficients, Shapes, Validation]
    assert all(callback.every == 1 for callback in callbacks if isinstance(callback, Magnitudes))


@pytest.mark.parametrize("family", ["dense", "moe", "rnn"])
def test_the_analysis_looks_as_often_as_the_recipe_says_after_what_moves_the_gradient(family, tmp_path):
    found = text.callbacks(load(f"{family}-smoke-polynorm", ["analysis.every=7"]), tmp_path)
    analysing = [callback for callback in found if isinstance(callback, Spectra | States | Gradients)]
    assert [(type(callback), callback.every) for callback in analysing] == [(Spectra, 7), (States, 7), (Gradients, 7)]
    if family != "rnn":
        moved = text.callbacks(load(f"{family}-smoke-polynorm", ["analysis.every=7", "rank_penalty=1"]), tmp_path)
        assert [type(callback) for callback in moved] == [RankPenalty, *(type(callback) for callback in found)]


def trained(recipe, **options):
    module = text.module(recipe, **options).to_empty(device="cpu")
    initialise(module.decoder, 0, distribution(recipe.model))
    return module


def windows(repetitive):
    """Four windows of 17 tokens, of which some repeat two tokens; but for their last one, which is a target only."""
    batch = torch.randint(100, 512, (4, 17), generator=torch.Generator().manual_seed(0))
    for row in repetitive:
        batch[row, 4:16] = torch.tensor([2 * row, 2 * row + 1]).repeat(6)
    return batch


def gradients(module, batch):
    module.zero_grad()
    module.training_step(batch)["loss"].backward()
    return {name: weight.grad.clone() for name, weight in module.named_parameters()}


# Repetitions


@pytest.mark.parametrize("family", ["dense", "moe"])
def test_a_window_of_repetition_is_divided_by_and_otherwise_not_there(small, family):
    module = trained(small(FILTER, family=family))
    module.auxiliary = None
    batch = windows([1, 2])
    given = module.training_step(batch)["cross_entropy"]
    torch.testing.assert_close(given, module.sequence_losses(batch)[[0, 3]].sum() / 4, rtol=1e-6, atol=0)
    all_four, kept = gradients(module, batch), gradients(module, batch[[0, 3]])
    for name in kept:
        assert (all_four[name] - kept[name] / 2).norm() <= 1e-5 * kept[name].norm(), name
    assert not all_four["decoder.embed_tokens.weight"][2:6].any(), "nothing of the tokens that only repeat"


@pytest.mark.parametrize("family", ["dense", "moe"])
def test_where_all_windows_are_left_out_nothing_is_learned(small, family):
    module = trained(small(FILTER, family=family))
    module.auxiliary = None
    assert not any(gradient.any() for gradient in gradients(module, windows(range(4))).values())
    assert module.training_step(windows(range(4)))["cross_entropy"] == 0


def test_routers_see_what_is_left_out(small):
    module = trained(small(FILTER, family="moe"))
    found = gradients(module, windows(range(4)))
    assert found["decoder.layers.0.mlp.gate.weight"].any()
    given = module.training_step(windows(range(4)))
    assert given["loss"] == module.auxiliary(given["routing"])
    assert given["routing"][0].counts.sum() == 4 * 16 * 2


def test_validation_leaves_nothing_out(small):
    filtered, plain = trained(small(FILTER)), trained(small())
    assert torch.equal(filtered.sequence_losses(windows([1])), plain.sequence_losses(windows([1])))


def test_a_filter_that_finds_nothing_changes_no_bit(small):
    ours, plain = (gradients(trained(recipe), windows([])) for recipe in (small(FILTER), small()))
    assert all(torch.equal(ours[name], plain[name]) for name in plain)


def test_only_inputs_are_looked_at(small):
    """OLMo looks at the inputs of a model, and our window has one more."""
    module = trained(small({"data.repetition": "{period: 1, times: 3}"}))
    batch = torch.arange(34).view(2, 17)
    batch[0, -3:], batch[1, -4:] = 7, 7
    assert module.left_out(batch[:, :-1]).tolist() == [False, True]


# Documents


@pytest.mark.parametrize("family", ["dense", "moe"])
def test_a_document_does_not_see_the_one_before_it(small, family):
    module, batch = trained(small({"data.document_mask": "true"}, family=family), eos_id=3), windows([])
    batch[:, 8] = 3
    changed = batch.clone()
    changed[:, :8] = 9
    each, other = (module._losses(b[:, :-1], b[:, 1:]).tokens[:, 9:] for b in (batch, changed))
    torch.testing.assert_close(each, other, rtol=1e-5, atol=1e-5)
    assert not torch.equal(module.sequence_losses(batch), trained(small(family=family)).sequence_losses(batch))


@pytest.mark.parametrize("masked", [True, False])
def test_the_end_of_text_is_that_of_the_data(small, prepared, tmp_path, masked):
    recipe = small({"data.document_mask": str(masked).lower()})
    manifest = prepared.manifest.model_copy(update={"eos_id": 77})
    built = build(recipe, machine("cpu"), Prepared(prepared.folder, manifest), seed=0, folder=tmp_path, loggers=[])
    assert built.module.document_end == (77 if masked else None)


def test_a_mask_has_the_precision_of_the_products(small, one_process_group):
    recipe = small({"data.document_mask": "true"}, family="moe")
    module = text.module(recipe, eos_id=101)
    shard(module.decoder, mesh("cpu", 1, 1), Sharding(ranks=1, precision="bf16", recompute=True))
    module.to_empty(device="cpu")
    initialise(module.decoder, 0, distribution(recipe.model))
    module.training_step(windows([]))["loss"].backward()
    assert all(weight.grad.full_tensor().isfinite().all() for weight in module.parameters())


# Mixtures


@pytest.fixture
def mixed(prepared):
    """The small corpus as two shards of two subsets, the second of which begins in the middle of the first's tokens."""
    (train,) = prepared.shards("train")
    half = train.tokens // 2
    parts = [{"subset": "a", "tokens": half}, {"subset": "b", "tokens": train.tokens - half, "start": half}]
    shards = (*(train.model_copy(update=part) for part in parts), *prepared.shards("validation"))
    piece = prepared.manifest.pieces[0].model_copy(update={"shards": shards})
    return Prepared(prepared.folder, prepared.manifest.model_copy(update={"pieces": (piece,)}))


def told(recipe, data, tmp_path):
    console = Console(file=io.StringIO(), width=300)
    introduce(recipe, machine("cpu"), data, tmp_path, 0, console)
    return dict(line.split("  ", 1) for line in console.file.getvalue().splitlines())


def cut(prepared, lengths):
    """The training split of the small corpus in shards of so many tokens, called as a folder of one's own may be."""
    (train,) = prepared.shards("train")
    parts = [{"subset": f"[red]{i}", "tokens": n, "start": sum(lengths[:i])} for i, n in enumerate(lengths)]
    shards = (*(train.model_copy(update=part) for part in parts), *prepared.shards("validation"))
    piece = prepared.manifest.pieces[0].model_copy(update={"shards": shards})
    totals = prepared.manifest.totals
    totals = totals | {"train": totals["train"].model_copy(update={"tokens": sum(lengths)})}
    return Prepared(prepared.folder, prepared.manifest.model_copy(update={"pieces": (piece,), "totals": totals}))


def test_a_run_tells_of_tokens_that_it_never_reads_and_counts_epochs_without_them(small, prepared, tmp_path):
    lines = told(small(), cut(prepared, [16 * 48 + 1] + 39 * [16]), tmp_path)
    assert f"{768 + 1 + 39 * 16:,} tokens: 4 epochs" in lines["data"], "3,072 tokens, of which each epoch reads 768"
    assert (
        lines["never read"]
        == "45% of the training tokens, which are in shards of at most context=16 tokens, or at a shard's end"
    )
    assert "never read" not in told(small(), prepared, tmp_path)
    assert "never read" not in told(small({"data.mixture": "{'[red]0': 1}"}), cut(prepared, [769, 16]), tmp_path)
    assert told(small({"data.mixture": "{'[red]0': 1}"}), cut(prepared, [784, 16]), tmp_path)["never read"].startswith(
        "2%"
    )


def test_a_subset_is_told_as_it_is_called(small, prepared, tmp_path):
    lines = told(small({"data.mixture": "{'[red]0': 1, '[red]1': 1}"}), cut(prepared, [800, 800]), tmp_path / "[/]")
    assert lines["mixture"].startswith("[red]0 0.5 (")
    assert ", [red]1 0.5 (" in lines["mixture"]
    assert lines["folder"] == str(tmp_path / "[/]")


def test_a_run_tells_the_share_of_each_subset_and_its_epochs(small, mixed, tmp_path):
    lines = told(small({"data.mixture": "{b: 3, a: 1}"}), mixed, tmp_path)
    epochs = Mixture(mixed, {"a": 1, "b": 3}, 16).epochs(24 * 8)
    assert lines["mixture"] == f"a 0.25 ({epochs['a']:.2g} epochs), b 0.75 ({epochs['b']:.2g} epochs)"
    assert "epochs" not in lines["data"]
    assert told(small({"data.mixture": "{b: 3}"}), mixed, tmp_path)["mixture"].endswith("epochs); none of a")
    assert "mixture" not in told(small(), mixed, tmp_path)


def test_a_run_on_a_mixture_goes_on_to_the_bit(small, mixed, tmp_path, at_step):
    """With documents apart and repetitions left out."""
    recipe = small({"data.mixture": "{a: 0.7, b: 0.3}", "data.document_mask": "true", **FILTER})
    run(recipe, machine("cpu"), mixed, seed=0, folder=tmp_path / "whole")
    at_step(13, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Preempted):
        run(recipe, machine("cpu"), mixed, seed=0, folder=tmp_path / "stopped")
    run(recipe, machine("cpu"), mixed, seed=0, folder=tmp_path / "stopped")
    assert Numbers.of(tmp_path / "stopped") == Numbers.of(tmp_path / "whole")


def test_what_cannot_be_mixed_is_told_before_anything_is_written(small, mixed, tmp_path, monkeypatch):
    recipe = small({"data.mixture": "{a: 1, c: 1}"})
    job = start.Job(recipe, machine("cpu"), (), 0, tmp_path / "run")
    monkeypatch.setattr(start, "_data", lambda recipe: mixed)
    with pytest.raises(DataError, match=r"^data\.mixture: .* has no subset 'c'\. It has: a, b$"):
        start._begin(job, lambda recipe, data, folder: (), lambda recipe, folder: "")
    assert not (tmp_path / "run").exists()
