"""Losses of documents: against arithmetic in float64, on several ranks, and after a kill."""

import signal

import numpy as np
import pytest
import torch
from torch import nn

from repro.evaluation import losses
from repro.evaluation.documents import Documents
from repro.evaluation.losses import evaluate
from repro.evaluation.parts import Kept
from repro.evaluation.sets import rows
from tests.evaluation.made import CONTEXT, EOS, a_set, subject, text
from tests.training.ranks import World, in_turn

SUBSETS = {"books": [[text(1), text(2, 3)], [text(3, 100)]], "web": [[text(seed, 5) for seed in range(5, 25)]]}
# float32 was seen to differ from float64 by 2e-8 of the nats of a document; ten times that, for other processors.
ROUNDING = {"rtol": 2e-7}


@pytest.fixture
def prepared(tmp_path):
    return a_set(tmp_path / "two" / "bpe-300", SUBSETS)


def kept(tmp_path, identity="this"):
    return Kept(tmp_path / ".two.part", identity)


def found(of, tmp_path, **options):
    return evaluate(subject(**options), of, kept=kept(tmp_path), told=lambda tokens: None)


def plainly(prepared, model, *, mask):
    """Nats of each document in float64: each token of a shard from those before it in its window."""
    network = model.network.double()
    nats = []
    for shard in prepared.shards("validation"):
        stream = prepared.map(shard).astype(np.int64)
        for start in range(0, len(stream), CONTEXT):
            target = stream[start : start + CONTEXT]
            source = np.append(stream[start - 1] if start else EOS, target[:-1])
            document = np.cumsum(source == EOS) - (source == EOS)
            own = (torch.from_numpy(document)[None],) if mask else ()
            logits = network(torch.from_numpy(source)[None], None, *own)[0]
            nats.append(-torch.log_softmax(logits, -1)[range(len(target)), target].numpy())
    tokens = np.concatenate([prepared.map(shard) for shard in prepared.shards("validation")])
    numbers = np.append(0, np.cumsum(tokens == EOS)[:-1])
    return np.bincount(numbers, np.concatenate(nats)), np.bincount(numbers)


@pytest.mark.parametrize("within", [False, True])
def test_the_nats_of_each_document_are_those_of_float64(prepared, tmp_path, within):
    of = Documents(prepared, name="two", context=CONTEXT)
    ours = found(of, tmp_path, within_documents=within)
    nats, tokens = plainly(prepared, subject(), mask=within)
    np.testing.assert_allclose(ours.nats, nats, **ROUNDING)
    np.testing.assert_array_equal(ours.tokens, tokens)
    assert ours.tokens.sum() == prepared.tokens("validation")


def test_a_row_s_figures_are_ratios_of_sums(prepared, tmp_path):
    of = Documents(prepared, name="two", context=CONTEXT)
    ours = found(of, tmp_path)
    n_bytes = np.arange(1, len(ours.nats) + 1)
    books, web = rows(of, ours, n_bytes)
    assert (books["subset"], web["subset"], books["documents"], web["documents"]) == ("books", "web", 3, 20)
    loss = ours.nats[3:].sum() / ours.tokens[3:].sum()
    assert web["nats_per_token"] == pytest.approx(loss)
    assert web["perplexity"] == pytest.approx(np.exp(loss))
    assert web["bits_per_byte"] == pytest.approx(ours.nats[3:].sum() / np.log(2) / n_bytes[3:].sum())
    assert web["nats_per_token_low"] < loss < web["nats_per_token_high"]
    assert web["perplexity_high"] == pytest.approx(np.exp(web["nats_per_token_high"]))
    assert web["interval"] == "95 % interval, documents resampled"


def test_one_document_has_no_interval_and_says_so(tmp_path):
    of = Documents(a_set(tmp_path / "one", {"": [[text(1)]]}), name="one", context=CONTEXT)
    (row,) = rows(of, found(of, tmp_path), np.array([100]))
    assert row["interval"] == "no interval of one document"
    assert row["nats_per_token"] > 0
    assert row["nats_per_token_low"] is row["perplexity_high"] is row["bits_per_byte_low"] is None


def test_batches_and_blocks_change_nothing_but_rounding(prepared, tmp_path, monkeypatch):
    of = Documents(prepared, name="two", context=CONTEXT)
    expected = found(of, tmp_path)
    (tmp_path / ".two.part").unlink()
    monkeypatch.setattr(losses, "AT_A_TIME", {"cpu": 3 * CONTEXT})
    np.testing.assert_allclose(found(of, tmp_path).nats, expected.nats, **ROUNDING)


def test_a_mixture_of_experts_is_evaluated_too(prepared, tmp_path):
    assert found(Documents(prepared, name="two", context=CONTEXT), tmp_path, family="moe").nats.min() > 0


RANKS = """
import numpy as np
from repro.data.manifest import Prepared
from repro.evaluation import losses
from repro.evaluation.documents import Documents
from repro.evaluation.parts import Kept
from tests.evaluation.made import CONTEXT, subject

losses.AT_A_TIME, losses.BATCHES = {"cpu": 2 * CONTEXT}, 1
token_losses, calls = losses.token_losses, []

def counted(*args):
    calls.append(1)
    if len(calls) == STOP and rank == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return token_losses(*args)

losses.token_losses = counted
of = Documents(Prepared.open(Path("two/bpe-300")), name="two", context=CONTEXT)
found = losses.evaluate(subject(), of, kept=Kept(Path("NAME.part"), "this"), told=lambda tokens: None)
np.savez(f"NAME-{ranks}-{rank}", nats=found.nats, tokens=found.tokens, calls=len(calls))
"""


def body(name, stop=0):
    return RANKS.replace("NAME", name).replace("STOP", str(stop))


def test_ranks_find_the_same_and_a_kill_loses_nothing_that_was_kept(prepared, tmp_path):
    undisturbed = [World(ranks, body("whole" + str(ranks))) for ranks in (1, 2, 4)]
    killed = [World(1, body("killed", stop=4), end=-signal.SIGKILL), World(1, body("killed"))]
    in_turn([*undisturbed, *killed], tmp_path)
    one, two, four = (np.load(tmp_path / f"whole{ranks}-{ranks}-{ranks - 1}.npz") for ranks in (1, 2, 4))
    for other in (two, four):
        np.testing.assert_allclose(other["nats"], one["nats"], **ROUNDING)
        np.testing.assert_array_equal(other["tokens"], one["tokens"])
    resumed = np.load(tmp_path / "killed-1-0.npz")
    assert resumed["calls"] == one["calls"] - 3
    assert resumed["nats"].tobytes() == one["nats"].tobytes()


def test_what_another_evaluation_kept_or_is_damaged_is_not_read(tmp_path):
    kept(tmp_path, "that").write(done=np.array(3))
    assert kept(tmp_path, "that").read()["done"] == 3
    assert kept(tmp_path).read() == {}
    path = kept(tmp_path).path
    path.write_bytes(path.read_bytes()[:50])
    assert kept(tmp_path, "that").read() == {}


def test_a_loss_that_is_not_finite_is_kept_as_it_is(prepared, tmp_path):
    model = subject()
    nn.init.constant_(model.network.lm_head.weight, float("nan"))
    of = Documents(prepared, name="two", context=CONTEXT)
    ours = evaluate(model, of, kept=kept(tmp_path), told=lambda tokens: None)
    assert np.isnan(ours.nats).all()
    assert np.isnan(rows(of, ours, ours.tokens)[0]["nats_per_token"])
