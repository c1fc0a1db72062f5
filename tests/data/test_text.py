"""Windows of tokens, their loader, and exact resuming."""

import pickle
import resource
from types import SimpleNamespace

import lightning
import numpy as np
import pytest
import torch

from repro.data.manifest import Prepared
from repro.data.order import windows
from repro.data.text import TextData, TokenWindows, epochs, never_read
from repro.errors import DataError, RunError

# From Python 3.12 a fork of a process with threads warns; the workers only read files.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")

CONTEXT = 32


def all_tokens(prepared, split):
    return [prepared.map(shard) for shard in prepared.shards(split)]


def text_data(prepared, **changes):
    options = {"context": CONTEXT, "sequences_per_step": 8, "micro_batch": 8, "steps": 60, "seed": 1, "workers": 0}
    return TextData(prepared, **(options | {"validation_tokens": 9 * CONTEXT + 5} | changes))


def at(data, *, step=0, rank=0, world_size=1):
    """``data`` as a trainer at ``step`` on one rank of several sees it."""
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(global_step=step, global_rank=rank, world_size=world_size, strategy=strategy)
    return data


@pytest.mark.parametrize("context", [1, 7, 32, 100])
def test_windows_follow_each_other_and_overlap_by_one_token(shared_set, context):
    data = TokenWindows(shared_set, "train", context)
    assert len(shared_set.shards("train")) > 2
    index = 0
    for tokens in all_tokens(shared_set, "train"):
        for start in range(0, len(tokens) - context, context):
            if index % 17 == 0:
                assert np.array_equal(data[index].numpy(), tokens[start : start + context + 1])
            index += 1
    assert index == len(data)


def test_every_token_but_a_shards_first_and_its_tail_is_a_target_once(shared_set):
    data = TokenWindows(shared_set, "train", CONTEXT)
    targets = data.__getitems__(np.arange(len(data)))[:, 1:].flatten().numpy()
    kept = [tokens[1 : 1 + (len(tokens) - 1) // CONTEXT * CONTEXT] for tokens in all_tokens(shared_set, "train")]
    assert np.array_equal(targets, np.concatenate(kept))


def test_a_batch_is_its_windows_in_the_order_asked_for(shared_set):
    data = TokenWindows(shared_set, "train", CONTEXT)
    asked = [len(data) - 1, 0, 5, 5, len(data) // 2]
    batch = data.__getitems__(asked)
    assert batch.dtype == torch.uint16
    assert batch.shape == (5, CONTEXT + 1)
    assert torch.equal(batch, torch.stack([data[index] for index in asked]))
    assert batch.long().max() < 320


def test_a_shard_shorter_than_a_window_has_none(shared_set):
    lengths = sorted(len(tokens) for tokens in all_tokens(shared_set, "train"))
    assert lengths[0] < lengths[1]
    assert len(TokenWindows(shared_set, "train", lengths[0]).shards) == len(lengths) - 1


def test_a_split_without_a_window_says_so(shared_set):
    with pytest.raises(DataError, match=r"the validation split of .* holds .* tokens in .*more than context=100000"):
        TokenWindows(shared_set, "validation", 100_000)


def test_a_process_that_is_started_afresh_maps_the_shards_itself(shared_set):
    data = TokenWindows(shared_set, "train", CONTEXT)
    first = data[3]
    sent = pickle.dumps(data)
    assert len(sent) < 10_000, "no tokens are sent"
    assert torch.equal(pickle.loads(sent)[3], first)


@pytest.fixture
def mapped(monkeypatch):
    """The files of the shards that are mapped, in order."""
    files, real = [], Prepared.map
    monkeypatch.setattr(Prepared, "map", lambda self, shard: files.append(shard.file) or real(self, shard))
    return files


def test_a_shard_is_mapped_when_it_is_first_read(shared_set, mapped):
    data = TokenWindows(shared_set, "train", CONTEXT)
    assert mapped == []
    for index in (data.ends[1], data.ends[1], 0, data.ends[1]):
        data.__getitems__([index])
    assert mapped == [data.shards[2].file, data.shards[0].file]


def allow(monkeypatch, files):
    """Has a process be allowed so many open files."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: (files, resource.RLIM_INFINITY))


def test_no_more_shards_are_mapped_than_a_process_may_have_open(shared_set, mapped, monkeypatch):
    data = TokenWindows(shared_set, "train", CONTEXT)
    everything = data.__getitems__(np.arange(len(data)))
    allow(monkeypatch, 8)
    few, first = TokenWindows(shared_set, "train", CONTEXT), [0, *data.ends[:3]]
    del mapped[:]
    for number in (0, 1, 0, 2, 0, 1):  # 1 was read before 0, and makes room for 2; then 2 for 1
        few.__getitems__([first[number]])
    assert mapped == [few.shards[number].file for number in (0, 1, 2, 1)]
    shuffled = np.random.default_rng(0).permutation(len(data))
    assert torch.equal(few.__getitems__(shuffled), everything[shuffled])
    assert len(few._views) == 2


@pytest.mark.parametrize(("files", "most"), [(resource.RLIM_INFINITY, 100), (8, 2), (3, 1)])
def test_each_of_two_splits_takes_a_quarter_of_the_files_that_a_process_may_have_open(
    shared_set, monkeypatch, files, most
):
    """By the limit as it is when they are read, not when the kit was imported."""
    data = TokenWindows(shared_set, "train", CONTEXT)
    allow(monkeypatch, files)
    data.__getitems__(np.arange(len(data)))
    assert len(data._views) == min(most, len(data.shards))


def train_batches(data, **place):
    return [batch.clone() for batch in at(data, **place).train_dataloader()]


def test_the_loader_gives_the_windows_of_the_order(shared_set):
    data = text_data(shared_set, micro_batch=4)
    batches = train_batches(data)
    assert len(batches) == 120
    order = windows(np.arange(60 * 8), len(data.train_windows), 1)
    assert torch.equal(torch.cat(batches), data.train_windows.__getitems__(order))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("world_size", "micro_batch"), [(1, 4), (4, 2), (8, 1)])
def test_global_batches_are_the_same_for_any_ranks_micro_batch_and_workers(
    shared_set, world_size, micro_batch, workers
):
    reference = torch.stack(train_batches(text_data(shared_set, steps=6)))
    data = text_data(shared_set, steps=6, micro_batch=micro_batch, workers=workers)
    ranks = range(world_size) if workers == 0 else [world_size - 1]
    share = 8 // world_size
    for rank in ranks:
        own = torch.cat(train_batches(data, rank=rank, world_size=world_size)).unflatten(0, (6, share))
        assert torch.equal(own, reference[:, rank * share : (rank + 1) * share])


@pytest.mark.parametrize("workers", [0, 2])
def test_resuming_gives_the_rest_mid_epoch_and_over_an_epochs_end(shared_set, workers):
    an_epoch = len(text_data(shared_set).train_windows) / 8  # steps
    steps = int(2.5 * an_epoch)
    whole = train_batches(text_data(shared_set, steps=steps))
    for step in (int(0.5 * an_epoch), int(an_epoch), int(1.5 * an_epoch)):
        rest = train_batches(text_data(shared_set, steps=steps, workers=workers), step=step)
        assert len(rest) == steps - step
        assert all(torch.equal(a, b) for a, b in zip(rest, whole[step:], strict=True))


@pytest.mark.parametrize("world_size", [1, 3, 4])
def test_validation_is_spread_evenly_over_its_split_in_order(shared_set, world_size):
    data = text_data(shared_set, micro_batch=2, validation_tokens=5 * CONTEXT)
    assert data.held_out.sequences == 5
    assert len(data.held_out.windows) == 10
    shares = [
        [batch.clone() for batch in at(data, rank=rank, world_size=world_size).validation_batches()]
        for rank in range(world_size)
    ]
    assert len({tuple(len(batch) for batch in share) for share in shares}) == 1, "ranks step together"
    together = torch.cat([batch for share in shares for batch in share])[:5]
    assert torch.equal(together, data.held_out.windows.__getitems__(np.array([0, 2, 4, 6, 8])))


def test_validation_ends_with_its_split(shared_set):
    data = text_data(shared_set, validation_tokens=10**9)
    assert data.held_out.sequences == len(data.held_out.windows)


def test_a_validation_shorter_than_a_sequence_is_refused(shared_set):
    with pytest.raises(DataError, match=r"^validation\.tokens=31: expected at least one sequence of context=32$"):
        text_data(shared_set, validation_tokens=31)


def test_a_global_batch_that_the_ranks_cannot_share_names_both_sides(shared_set):
    with pytest.raises(DataError, match=r"^8 sequences a step do not divide into micro-batches of 4 on 3 ranks"):
        at(text_data(shared_set, micro_batch=4), world_size=3).train_dataloader()


def test_a_checkpoint_of_other_data_is_refused(shared_set):
    data = text_data(shared_set)
    data.load_state_dict(data.state_dict())
    with pytest.raises(
        RunError, match=r"^the checkpoint was trained on python-packages 0123, but .* holds python-stdlib"
    ):
        data.load_state_dict({"corpus": "python-packages", "fingerprint": "0123"})


def test_reading_draws_no_number_from_the_models_generator(shared_set):
    state = torch.get_rng_state()
    data = at(text_data(shared_set))
    next(iter(data.train_dataloader()))
    next(iter(data.validation_batches()))
    assert torch.equal(torch.get_rng_state(), state)


def test_epochs_are_counted_in_windows(shared_set):
    n_windows = len(TokenWindows(shared_set, "train", CONTEXT))
    assert epochs(shared_set, 3 * n_windows * CONTEXT, CONTEXT) == 3
    lengths = sorted(shard.tokens for shard in shared_set.shards("train"))
    only = TokenWindows(shared_set, "train", lengths[-2]).shards
    assert len(only) == 1
    assert epochs(shared_set, 3 * lengths[-2], lengths[-2]) == 3


def test_what_no_window_holds_is_never_read(shared_set):
    shards = shared_set.shards("train")
    lengths = sorted(shard.tokens for shard in shards)
    assert never_read(shards, 1) == 0
    assert never_read(shards, lengths[-2]) == 1 - (lengths[-2] + 1) / sum(lengths)
    read = {int(start) for start in range(0, lengths[0] - 7, 7)}
    (shortest,) = [shard for shard in shards if shard.tokens == lengths[0]]
    assert never_read([shortest], 7) == pytest.approx(1 - (7 * len(read) + 1) / lengths[0])


class Reader(lightning.LightningModule):
    """Trains nothing and remembers what it was given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch):
        self.seen.append(batch.clone())
        return self.weight * batch.float().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def read(data, until, checkpoint=None):
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_steps=until,
        max_epochs=-1,
        accumulate_grad_batches=2,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    reader = Reader()
    trainer.fit(reader, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    return trainer, reader.seen


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:GPU available")
@pytest.mark.parametrize("workers", [0, 2])
def test_lightning_resumes_on_the_next_sample_and_does_not_warn(shared_set, tmp_path, workers):
    options = {"micro_batch": 4, "steps": 12, "workers": workers}
    _, whole = read(text_data(shared_set, **options), 12)
    trainer, first = read(text_data(shared_set, **options), 5)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    _, rest = read(text_data(shared_set, **options), 12, tmp_path / "a.ckpt")
    assert (len(first), len(rest), len(whole)) == (10, 14, 24)
    assert all(torch.equal(a, b) for a, b in zip([*first, *rest], whole, strict=True))
