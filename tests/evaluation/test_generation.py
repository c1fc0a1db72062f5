"""What a model goes on with: the same with a cache and without, alone and beside others, and where it ends."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from repro.errors import RunError
from repro.evaluation.generating import generation
from repro.evaluation.generating.generation import Cached, Recomputed, Sampling, generate, reader
from repro.models.attention import documents
from tests.evaluation.made import CONTEXT, EOS, VOCABULARY, subject

FAMILIES = ["dense", "moe", "rnn"]
PROMPTS = [[5, 6, 7], [8], [9, 10, 11], [12, 13, 14, 15, 16], [], [17]]


class Counting(nn.Module):
    """Holds the id after the last one likeliest, and the end of text after ``last``."""

    def __init__(self, last=VOCABULARY):
        super().__init__()
        self.last = last

    def forward(self, tokens, *, wanted):
        following = tokens[wanted] + 1
        return nn.functional.one_hot(following.where(following <= self.last, EOS) % VOCABULARY, VOCABULARY).double()


class Fixed(nn.Module):
    """Has the same logits everywhere."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, tokens, *, wanted):
        return self.logits.expand(int(wanted.sum()), -1)


def of(network):
    return dataclasses.replace(subject(), network=network)


def likeliest(model, prompt, tokens):
    """One token after another, each from all before it, read anew; up to the end of text."""
    ids = list(prompt) or [EOS]
    for _ in range(tokens):
        given = torch.tensor([ids])
        mask = {"document": documents(given, EOS)} if model.within_documents else {}
        ids.append(int(model.network(given, **mask)[0, -1].argmax()))
    new = ids[-tokens:]
    return new[: new.index(EOS)] if EOS in new else new


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_generation_is_the_likeliest_token_each_time(family):
    model = subject(family=family)
    assert generate(model, PROMPTS, tokens=9) == [likeliest(model, prompt, 9) for prompt in PROMPTS]


def test_a_decoder_reads_with_a_cache_and_a_recurrent_network_reads_again():
    assert isinstance(reader(subject().network, 8), Cached)
    assert isinstance(reader(subject(family="rnn").network, 8), Recomputed)


def test_each_token_is_read_once():
    model, read = subject(), []
    model.network.embed_tokens.register_forward_pre_hook(lambda _, inputs: read.append(tuple(inputs[0].shape)))
    generate(model, [[5, 6, 7], [8, 9, 10]], tokens=4)
    assert read == [(2, 3), (2, 1), (2, 1), (2, 1)]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_prompt_is_beside_does_not_matter(family, monkeypatch):
    model, drawn = subject(family=family), Sampling(temperature=0.7, seed=3)
    together = generate(model, PROMPTS, tokens=6, sampling=drawn)
    monkeypatch.setattr(generation, "AT_A_TIME", 1)
    assert generate(model, PROMPTS, tokens=6, sampling=drawn) == together


def test_more_prompts_of_a_length_than_go_at_a_time_are_all_answered():
    prompts = [[5 + i, 6] for i in range(2 * generation.AT_A_TIME + 1)]
    model = subject()
    assert generate(model, prompts, tokens=3) == [likeliest(model, prompt, 3) for prompt in prompts]


def test_nothing_is_kept_for_a_backward_pass():
    model = subject()
    model.network.requires_grad_(True)
    seen = []
    model.network.register_forward_hook(lambda *_: seen.append(torch.is_grad_enabled()))
    generate(model, [[5]], tokens=2)
    assert seen == [False, False]


def test_the_end_of_text_ends_it_and_is_no_part_of_it():
    assert generate(of(Counting(last=12)), [[10], [3], [12]], tokens=5) == [[11, 12], [4, 5, 6, 7, 8], []]


def test_an_empty_prompt_is_the_beginning_of_a_document():
    assert generate(of(Counting()), [[]], tokens=3) == [[EOS + 1, EOS + 2, EOS + 3]]


def test_a_text_ends_it_wherever_tokens_divide():
    model = of(Counting())
    spelt = model.tokenizer.decode(list(range(11, 19)))
    (found,) = generate(model, [[10]], tokens=12, until=("never", spelt[4:6]))
    assert found == list(range(11, 11 + len(found)))
    assert spelt[4:6] in model.tokenizer.decode(found)
    assert spelt[4:6] not in model.tokenizer.decode(found[:-1])


def test_a_text_in_the_prompt_ends_nothing():
    model = of(Counting())
    assert generate(model, [[20]], tokens=3, until=(model.tokenizer.decode([20]),)) == [[21, 22, 23]]


def test_of_equal_logits_the_lower_id_is_taken():
    logits = [0.0] * VOCABULARY
    logits[7] = logits[200] = 1.0
    assert generate(of(Fixed(logits)), [[5]], tokens=2) == [[7, 7]]


def test_after_the_end_of_text_nothing_before_it_is_seen_within_documents():
    model = subject(within_documents=True)
    prompts = [[5, 6, EOS, 7, 8], [5, 6, EOS], [], [9]]
    found = generate(model, prompts, tokens=6)
    assert found == [likeliest(model, prompt, 6) for prompt in prompts]
    assert found[0] == generate(model, [[7, 8]], tokens=6)[0]
    assert found[1] == found[2]


def test_across_documents_it_is():
    model = subject()
    assert generate(model, [[5, 6, EOS, 7, 8]], tokens=6) == [likeliest(model, [5, 6, EOS, 7, 8], 6)]


def test_the_context_can_be_filled():
    model, prompt = subject(), list(range(5, 5 + CONTEXT - 3))
    assert generate(model, [prompt], tokens=3) == [likeliest(model, prompt, 3)]


@pytest.mark.parametrize(
    ("length", "tokens", "said"),
    [
        (13, 4, "tokens=4: there is room for 3 after the prompt's 13 of the 16 that the model sees"),
        (16, 1, "the prompt has 16 tokens, and the model sees 16 with what follows"),
    ],
)
def test_what_the_context_has_no_room_for_is_refused_before_anything_is_written(length, tokens, said):
    model = of(Fixed([0.0]))
    with pytest.raises(RunError) as refused:
        generate(model, [[5], [5] * length], tokens=tokens)
    assert str(refused.value) == said


def frequencies(sampling, logits, draws=20_000):
    generators = [torch.Generator().manual_seed(number) for number in range(draws)]
    ids = sampling.draw(torch.tensor(logits).expand(draws, -1), generators)
    return torch.bincount(ids, minlength=len(logits)) / draws


@pytest.mark.parametrize("temperature", [5e-324, 1e-310, 1e-30])
def test_the_lowest_temperature_takes_the_likeliest(temperature):
    found = frequencies(Sampling(temperature), [-5.0, 700.0, 699.0, -math.inf], draws=100)
    assert found.tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
@pytest.mark.parametrize("sampling", [None, Sampling(top_k=1)], ids=["the likeliest", "drawn"])
def test_nothing_is_chosen_of_logits_that_are_not_finite(sampling, wrong):
    model = of(Fixed([0.0] * (VOCABULARY - 1) + [wrong]))
    with pytest.raises(RunError, match="the model's logits are not finite"):
        generate(model, [[5]], tokens=1, sampling=sampling)


def test_a_token_that_is_ruled_out_is_no_mistake():
    logits = [-math.inf] * VOCABULARY
    logits[7] = 0.0
    assert generate(of(Fixed(logits)), [[5]], tokens=2, sampling=Sampling()) == [[7, 7]]


P = torch.tensor([0.1, 0.4, 0.05, 0.25, 0.2])


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), P),
        (Sampling(temperature=0.5), P**2 / (P**2).sum()),
        (Sampling(top_k=2), torch.tensor([0, 0.4, 0, 0.25, 0]) / 0.65),
        (Sampling(top_p=0.6), torch.tensor([0, 0.4, 0, 0.25, 0]) / 0.65),
        (Sampling(top_p=0.7), torch.tensor([0, 0.4, 0, 0.25, 0.2]) / 0.85),
        (Sampling(top_p=0.01), torch.tensor([0, 1.0, 0, 0, 0])),
        (Sampling(top_k=3, top_p=0.7), torch.tensor([0, 0.4, 0, 0.25, 0]) / 0.65),  # 0.65 of 0.85 is above 0.7
        (Sampling(top_k=99, top_p=1.0), P),
    ],
    ids=str,
)
def test_tokens_are_drawn_as_often_as_they_are_likely(sampling, expected):
    found = frequencies(sampling, P.log().tolist())
    assert not found[expected == 0].any()
    deviation = (expected * (1 - expected) / 20_000).sqrt()
    assert ((found - expected).abs() <= 4 * deviation).all()


def test_of_equally_likely_tokens_the_lower_ids_are_kept():
    assert frequencies(Sampling(top_k=2), [0.0] * 5, draws=200)[2:].sum() == 0


def test_a_seed_repeats_and_another_does_not():
    model = subject()
    first, again, other = (generate(model, [[5]], tokens=10, sampling=Sampling(2.0, seed=seed)) for seed in (1, 1, 2))
    assert first == again != other
