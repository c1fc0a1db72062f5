"""What networks are looked at with: the run's own held-out text or images, as training's losses see them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from repro.data.images.mixing import normalise
from repro.errors import DataError, RunError
from repro.evaluation.losses import token_losses
from repro.evaluation.subject import Subject
from repro.inspection.sample import IMAGES, no_sample, sample
from repro.recipe.runs import IMPORTED
from repro.training.trained import Trained
from tests.evaluation.made import a_set, text

CPU = torch.device("cpu")


@pytest.fixture
def newest(a_run):
    return Trained.at(a_run)


def stream(prepared):
    return torch.from_numpy(np.concatenate([prepared.map(each) for each in prepared.shards("validation")]).astype(int))


def test_windows_are_whole_and_targets_are_what_follows_their_inputs(newest, prepared):
    found = sample(newest, CPU, size=100)
    assert found.what == "96 held-out tokens of python-stdlib"
    assert (found.context, found.windows, found.size, found.inputs.shape) == (16, 6, 96, (6, 16))
    assert torch.equal(found.inputs[:, 1:], found.targets[:, :-1])
    text = stream(prepared)
    assert torch.equal(found.targets[0], text[:16])
    assert torch.equal(found.inputs[0, :1], torch.tensor([prepared.manifest.eos_id]))


def test_windows_are_spread_evenly_over_the_set(newest, prepared):
    found, text = sample(newest, CPU, size=64), stream(prepared)
    every = len(text) // 16
    for window, number in zip(found.targets, [i * every // 4 for i in range(4)], strict=True):
        assert torch.equal(window, text[16 * number : 16 * number + 16])


def test_of_a_small_set_all_whole_windows_are_taken_once(newest, prepared):
    found = sample(newest, CPU)
    assert found.size == len(stream(prepared)) // 16 * 16
    assert len(torch.unique(found.targets, dim=0)) == found.windows


@pytest.mark.parametrize("document_mask", ["false", "true"])
def test_losses_are_those_that_evaluation_finds(newest, small, document_mask):
    recipe = small({"data.document_mask": document_mask})
    of = Trained(newest.folder, recipe, newest.step, newest.checkpoint)
    found, subject = sample(of, CPU, size=512), Subject.of(of, CPU)
    assert subject.within_documents == (document_mask == "true")
    theirs = token_losses(subject, found.inputs, found.targets, subject.eos_id)
    ours = found.losses(subject.network)
    assert ours.shape == (512,)
    assert torch.allclose(ours, theirs.flatten(), rtol=0, atol=2e-6)  # of losses near 6, in other batches
    assert not ours.requires_grad


def test_losses_come_window_by_window_however_they_are_batched(newest):
    found = sample(newest, CPU, size=512)
    network = newest.network(CPU)
    some = type(found)(**{**vars(found), "at_a_time": 5})
    assert [len(batch) for batch, _ in some.batches()] == [5, 5, 5, 5, 5, 5, 2]
    assert torch.allclose(found.losses(network), some.losses(network), rtol=0, atol=2e-6)


def test_text_of_another_set_is_taken_by_its_name(newest, here, prepared):
    a_set(here / "data" / "other" / "own-512", {"a": [[text(seed) for seed in range(9)]]}, made_with=_by(prepared))
    (here / "data" / "other" / "own-512" / "tokenizer.json").write_bytes(_tokenizer(prepared))
    found = sample(newest, CPU, size=32, name="other")
    assert found.what == "32 tokens of other"


def test_a_set_that_holds_no_whole_window_is_refused(newest, here, prepared):
    a_set(here / "data" / "other" / "own-512", {"a": [[text(1, words=1)]]}, made_with=_by(prepared), ended=False)
    (here / "data" / "other" / "own-512" / "tokenizer.json").write_bytes(_tokenizer(prepared))
    with pytest.raises(DataError, match="other has no 64 tokens that follow each other, which is the run's context"):
        sample(_of_context(newest, 64), CPU, name="other")


def test_an_imported_run_has_no_text_of_its_own(newest):
    (newest.folder / IMPORTED).write_text("from: official\n")
    with pytest.raises(RunError, match="nothing here was held out for it: name a prepared set, set=NAME"):
        sample(newest, CPU)


def test_images_are_spread_evenly_and_losses_are_cross_entropies(a_classifier):
    from tests.training.test_replicated import IMAGES as PICTURES

    of = Trained.at(a_classifier)
    found, network = sample(of, CPU, size=8), of.network(CPU)
    assert found.what == "8 validation images of a few glyphs"
    assert (found.context, found.windows, found.size) == (1, 8, 8)
    numbers = [i * 37 // 8 for i in range(8)]
    assert found.targets.tolist() == PICTURES.validation.labels[numbers].tolist()
    ((images, labels),) = found.batches()
    assert torch.equal(images, normalise(found.inputs))
    assert torch.equal(found.losses(network), F.cross_entropy(network(images), labels, reduction="none"))


def test_there_are_no_more_images_than_there_are(a_classifier):
    assert IMAGES > 37
    assert sample(Trained.at(a_classifier), CPU).size == 37


def test_weights_alone_need_no_sample():
    assert next(iter(no_sample(CPU).batches()))[0].numel() == 0


def _by(prepared):
    return prepared.tokenizer()


def _tokenizer(prepared):
    return (prepared.folder / "tokenizer.json").read_bytes()


def _of_context(of, context):
    data = of.recipe.data.model_copy(update={"context": context})
    return Trained(of.folder, of.recipe.model_copy(update={"data": data}), of.step, of.checkpoint)
