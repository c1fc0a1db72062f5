"""Reading with a cache gives the logits of reading all at once, and wanted logits are those of all logits."""

import pytest
import torch

from repro.models import Decoder
from repro.models.cache import Cache
from tests.models.mixtures import filled, moe
from tests.models.test_recurrent import network as recurrent
from tests.models.test_transformer import D_MODEL, VOCAB, decoder, polynorm, swiglu

# Float32 with 3 layers of sums over at most 96 numbers of order 1: a cache changes the order of sums alone. Norms and
# rotations are in float32 in float64 networks too, but from equal inputs they give equal bits.
BUDGET = {torch.float32: 2e-5, torch.float64: 1e-12}


def mixture():
    make = {"vocab_size": VOCAB, "d_model": D_MODEL, "n_layers": 2, "n_heads": 4, "qk_norm": True}
    return filled(Decoder(ffn=lambda: moe("polynorm", own=True), **make))


def normalised():
    make = {"vocab_size": VOCAB, "d_model": D_MODEL, "n_layers": 2, "n_heads": 4, "qk_norm": True}
    return filled(Decoder(ffn=swiglu, **make))


NETWORKS = {
    "gated": lambda: decoder(swiglu).double(),
    "plain": lambda: decoder(polynorm).double(),
    "gated, float32": lambda: decoder(swiglu),
    "qk_norm": lambda: normalised().double(),
    "moe": mixture,  # grouped products are in float32
}
WAYS = {
    "token by token": [1] * 34,
    "a prompt, then token by token": [20] + [1] * 14,
    "in chunks": [5, 1, 11, 2, 15],
    "at once": [34],
}


@pytest.fixture
def tokens():
    return torch.randint(0, VOCAB, (2, 34), generator=torch.Generator().manual_seed(1))


def read(network, tokens, lengths, cache):
    return torch.cat([network(part, cache=cache) for part in tokens.split(lengths, dim=1)], dim=1)


@pytest.mark.parametrize("lengths", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
@torch.no_grad()
def test_logits_with_a_cache_are_those_without(make, lengths, tokens):
    network, cache = make(), Cache(34)
    atol = BUDGET[network.lm_head.weight.dtype]
    torch.testing.assert_close(read(network, tokens, lengths, cache), network(tokens), rtol=0, atol=atol)
    assert cache.length == 34


@torch.no_grad()
def test_a_cache_with_room_to_spare_gives_the_same(tokens):
    network = decoder(polynorm).double()
    tight, roomy = (read(network, tokens, [20, 14], Cache(most)) for most in (34, 50))
    assert torch.equal(tight, roomy)


@torch.no_grad()
def test_what_is_forgotten_is_not_seen(tokens):
    network, cache = decoder(swiglu).double(), Cache(34)
    network(tokens.flip(1), cache=cache)
    cache.length = 0
    torch.testing.assert_close(read(network, tokens, [20, 14], cache), network(tokens), rtol=0, atol=1e-12)


@torch.no_grad()
def test_a_cache_takes_its_memory_once_and_as_the_keys_are(tokens):
    network, cache = decoder(swiglu).bfloat16(), Cache(40)
    assert cache.size == 0
    network(tokens[:, :3], cache=cache)
    assert cache.size == 2 * 3 * 2 * 40 * D_MODEL * 2  # keys and values, layers, batch, tokens, width, bytes
    kept = cache.extend(0, *torch.zeros(2, 2, 4, 1, D_MODEL // 4, dtype=torch.bfloat16))
    again = cache.extend(0, *torch.zeros(2, 2, 4, 1, D_MODEL // 4, dtype=torch.bfloat16))
    assert kept[0].data_ptr() == again[0].data_ptr()
    assert kept[0].dtype == torch.bfloat16


@torch.no_grad()
def test_no_room_and_another_batch_are_refused_and_change_nothing(tokens):
    network, cache = decoder(swiglu).double(), Cache(30)
    network(tokens[:, :20], cache=cache)
    with pytest.raises(ValueError, match=r"a cache of \(2, 4, 30, 16\) cannot take \(2, 4, 14, 16\) after 20"):
        network(tokens[:, 20:], cache=cache)
    with pytest.raises(ValueError, match=r"cannot take \(1, 4, 1, 16\)"):
        network(tokens[:1, 20:21], cache=cache)
    torch.testing.assert_close(
        network(tokens[:, 20:30], cache=cache), network(tokens[:, :30])[:, 20:], rtol=0, atol=1e-12
    )


def test_documents_are_refused_with_a_cache(tokens):
    with pytest.raises(ValueError, match="attention within documents does not go with a cache"):
        decoder(swiglu)(tokens, document=torch.zeros_like(tokens), cache=Cache(34))


@pytest.mark.parametrize("make", [lambda: decoder(polynorm), mixture, lambda: recurrent("relu")])
def test_wanted_logits_are_those_of_all_logits_row_by_row(make, tokens):
    network, tokens = make(), tokens % 61
    wanted = torch.rand(tokens.shape, generator=torch.Generator().manual_seed(2)) < 0.3
    found = network(tokens, wanted=wanted)
    assert found.shape == (int(wanted.sum()), network.lm_head.weight.shape[0])
    torch.testing.assert_close(found, network(tokens)[wanted], rtol=1e-5, atol=1e-5)


def test_no_wanted_position_gives_no_logits(tokens):
    assert decoder(swiglu)(tokens, wanted=torch.zeros_like(tokens, dtype=torch.bool)).shape == (0, VOCAB)


@torch.no_grad()
def test_the_head_is_multiplied_with_wanted_positions_alone(tokens):
    network, seen = decoder(swiglu), []
    network.lm_head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    wanted = torch.zeros_like(tokens, dtype=torch.bool)
    wanted[:, -1] = True
    network(tokens, wanted=wanted, cache=Cache(34))
    assert seen == [(2, D_MODEL)]
