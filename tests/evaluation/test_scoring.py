"""How likely text is after a context."""

import math

import pytest
import torch

from repro import models
from repro.evaluation.subject import Subject
from repro.evaluation.tasks import scoring
from repro.evaluation.tasks.scoring import Pair, Score, scores, windows
from tests.evaluation.questions import CPU, uniform
from tests.training.ranks import on_ranks


@pytest.fixture
def subject(prepared, small):
    recipe = small()
    torch.manual_seed(0)
    network = models.from_recipe(recipe.model).requires_grad_(False).eval()
    return Subject(network, prepared.tokenizer(), 0, 16, False, CPU)


def drawn(count, *, longest=12, context=4):
    generator = torch.Generator().manual_seed(1)

    def ids(most):
        size = torch.randint(1, most + 1, (), generator=generator)
        return tuple(torch.randint(512, (size,), generator=generator).tolist())

    return [Pair(ids(context), ids(longest)) for _ in range(count)]


def directly(subject, pair):
    """One token after the other, in float64, with what the context has room for before it."""
    network = subject.network.double()
    together, total, greedy = pair.context + pair.continuation, 0.0, True
    for end in range(len(pair.context), len(together)):
        inputs = torch.tensor([together[max(0, end - subject.context) : end]])
        log_p = network(inputs)[0, -1].log_softmax(-1)
        total += float(log_p[together[end]])
        greedy &= int(log_p.argmax()) == together[end]
    subject.network.float()
    return Score(total, greedy)


def test_scores_are_sums_of_log_probabilities(subject):
    pairs = drawn(40)
    found, expected = scores(subject, pairs), [directly(subject, pair) for pair in pairs]
    for one, other in zip(found, expected, strict=True):
        # float32 logits of a few units are off by 1e-6 at most, and there are twelve of them
        assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=2e-5)
        assert one.greedy == other.greedy


def test_a_continuation_of_the_likeliest_tokens_is_greedy(subject):
    tokens = [7, 8]
    for _ in range(3):
        tokens.append(int(subject.network(torch.tensor([tokens]))[0, -1].argmax()))
    other = [*tokens[:-1], (tokens[-1] + 1) % 512]
    found = scores(subject, [Pair((7, 8), tuple(tokens[2:])), Pair((7, 8), tuple(other[2:]))])
    assert [score.greedy for score in found] == [True, False]


def test_what_does_not_fit_the_context_is_cut_from_the_left(subject):
    long = Pair(tuple(range(100, 140)), (1, 2, 3))
    assert list(windows(long, 16)) == [((*range(126, 140), 1, 2), (1, 2, 3))]
    cut = Pair(long.context[-14:], long.continuation)
    assert scores(subject, [long]) == scores(subject, [cut])


def test_a_continuation_longer_than_the_context_is_scored_by_windows_each_token_once():
    pair = Pair((9,), tuple(range(1, 11)))
    assert list(windows(pair, 4)) == [
        ((9, 1, 2, 3), (1, 2, 3, 4)),
        ((4, 5, 6, 7), (5, 6, 7, 8)),
        ((6, 7, 8, 9), (9, 10)),
    ]
    (score,) = scores(uniform(context=4), [pair])
    assert score.log_likelihood == pytest.approx(-10 * math.log(257), rel=1e-6)


def test_a_continuation_of_nothing_is_certain(subject):
    assert scores(subject, [Pair((1,), ())]) == [Score(0.0, True)]


def test_no_pair_and_no_input_is_read_twice():
    subject = uniform()
    # Two answers of one token have the same inputs; a pair that is asked for again, all the same.
    pairs = [
        Pair((1, 2, 3), (4,)),
        Pair((1, 2, 3), (5,)),
        Pair((1, 2), (3, 4)),
        Pair((1, 2, 3), (4,)),
        Pair((1,), (4,)),
    ]
    found = scores(subject, pairs)
    assert sorted(tuple(row) for batch in subject.network.read for row in batch.tolist()) == [(1, 0, 0), (1, 2, 3)]
    nats = math.log(257)
    assert [score.log_likelihood for score in found] == pytest.approx([-nats, -nats, -2 * nats, -nats, -nats])


def test_batches_hold_what_was_asked_for_longest_first():
    found = scoring.readings({pair: number for number, pair in enumerate(drawn(50))}, 16)
    groups = scoring.batches(found, 32)
    lengths = [len(one.inputs) for group in groups for one in group]
    assert lengths == sorted(lengths, reverse=True)
    assert sum(map(len, groups)) == len(found)
    assert all(len(group) * len(group[0].inputs) <= 32 for group in groups)
    assert len(scoring.batches(found, 1)) == len(found)


def test_scores_do_not_depend_on_what_else_is_asked_for(subject, monkeypatch):
    pairs = drawn(30)
    together = scores(subject, pairs)
    monkeypatch.setitem(scoring.TOKENS, "cpu", 1)
    monkeypatch.setattr(scoring, "ROWS", 2)
    apart = scores(subject, pairs[::-1])[::-1]
    for one, other in zip(together, apart, strict=True):
        assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=2e-5)


def test_progress_ends_with_all_tokens(subject):
    told = []
    scores(subject, drawn(40), lambda stage, done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0
    assert told == sorted(told)


BODY = """
import torch
import torch.distributed as dist
from repro.evaluation.tasks import scoring
from repro.evaluation.tasks.scoring import Pair
from tests.evaluation.questions import uniform

subject = uniform(context=5)
subject.network.table.copy_(torch.randn(257, 257, generator=torch.Generator().manual_seed(2)))
pairs = [Pair((n, 1), tuple(range(2, 4 + n % 11))) for n in range(1, 60)]
scoring.TOKENS["cpu"] = 40
found = scoring.scores(subject, pairs)
passes = torch.tensor([len(subject.network.read)])
everywhere = [torch.zeros_like(passes) for _ in range(ranks)]
dist.all_gather(everywhere, passes)
assert len({int(each) for each in everywhere}) == 1, everywhere
everyone = [None] * ranks
dist.all_gather_object(everyone, found)
assert all(each == found for each in everyone)
dist_ready, dist.is_initialized = dist.is_initialized, lambda: False
alone = scoring.scores(subject, pairs)
dist.is_initialized = dist_ready
assert [one.greedy for one in alone] == [one.greedy for one in found]
difference = max(abs(a.log_likelihood - b.log_likelihood) for a, b in zip(alone, found))
assert difference < 1e-9, difference
"""


def test_three_ranks_find_what_one_finds_by_equally_many_passes(tmp_path):
    on_ranks(3, BODY, tmp_path)
