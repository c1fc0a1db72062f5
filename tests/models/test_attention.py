"""Attention within documents: a packed window is its documents, each alone."""

import pytest
import torch

from repro.models import Decoder
from repro.models.attention import documents, within
from tests.helpers import kept_bytes
from tests.models.mixtures import filled, moe
from tests.models.test_transformer import D_MODEL, VOCAB, decoder, polynorm, swiglu

END = 0
LENGTHS = (7, 1, 15, 11)  # of the documents in a window, of which the last one goes on in the next


def window(seed=0):
    """Tokens of a window, ``(1, 34)``, and the slices of its documents."""
    tokens = torch.randint(1, VOCAB, (1, sum(LENGTHS)), generator=torch.Generator().manual_seed(seed))
    ends = torch.tensor(LENGTHS).cumsum(0)
    tokens[0, ends[:-1] - 1] = END
    return tokens, [slice(int(end) - length, int(end)) for end, length in zip(ends, LENGTHS, strict=True)]


def mixture():
    make = {"vocab_size": VOCAB, "d_model": D_MODEL, "n_layers": 2, "n_heads": 4, "qk_norm": True}
    return filled(Decoder(ffn=moe, **make))


def test_the_end_of_text_belongs_to_the_document_that_it_ends():
    tokens = torch.tensor([[5, END, 6, 7, END, END, 8], [END, 5, 5, 5, 5, 5, END]])
    assert documents(tokens, END).tolist() == [[0, 0, 1, 1, 1, 2, 3], [0, 1, 1, 1, 1, 1, 1]]


def test_a_token_sees_itself_and_those_before_it_in_its_document():
    bias = within(torch.tensor([[0, 0, 1, 1]]), torch.bfloat16)
    assert (bias.shape, bias.dtype) == ((1, 1, 4, 4), torch.bfloat16)
    seen = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]
    assert torch.equal(bias[0, 0] == 0, torch.tensor(seen, dtype=torch.bool))
    assert torch.equal(bias[0, 0] == -torch.inf, ~torch.tensor(seen, dtype=torch.bool))


@pytest.mark.parametrize(
    "model",
    [lambda: decoder(swiglu).double(), lambda: decoder(polynorm).double(), mixture],  # grouped products are in float32
    ids=["gated", "plain", "moe"],
)
@torch.no_grad()
def test_logits_of_a_packed_window_are_those_of_each_document_alone(model):
    """But for rotary positions, which begin with the window: cosines of other angles in float32."""
    network, (tokens, parts) = model(), window()
    packed = network(tokens, document=documents(tokens, END))
    for part in parts:
        torch.testing.assert_close(packed[:, part], network(tokens[:, part]), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_without_a_mask_they_are_not():
    network, (tokens, parts) = decoder(swiglu), window()
    across = network(tokens)
    torch.testing.assert_close(across[:, parts[0]], network(tokens[:, parts[0]]), rtol=1e-5, atol=1e-5)
    assert (across[:, parts[2]] - network(tokens[:, parts[2]])).abs().max() > 0.1


def test_gradients_of_a_packed_window_are_the_sum_of_its_documents():
    network, (tokens, parts) = decoder(polynorm).double(), window()
    weights = list(network.parameters())

    def gradients(logits, targets):
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
        return torch.autograd.grad(loss, weights)

    targets = tokens.roll(-1, dims=1)
    packed = gradients(network(tokens, document=documents(tokens, END)), targets)
    alone = [gradients(network(tokens[:, part]), targets[:, part]) for part in parts]
    for ours, each in zip(packed, zip(*alone, strict=True), strict=True):
        truth = sum(each)
        assert (ours - truth).norm() <= 1e-5 * truth.norm()


def test_windows_of_a_batch_have_documents_of_their_own():
    network = decoder(swiglu)
    (first, _), (second, _) = window(0), window(1)
    second[second == END] = 1
    both = torch.cat([first, second])
    with torch.no_grad():
        together = network(both, document=documents(both, END))
        alone = [network(each, document=documents(each, END)) for each in (first, second)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(together[1:], network(second).detach(), rtol=1e-5, atol=1e-5)


def test_one_mask_serves_all_layers():
    """Of bools torch would make numbers in each layer, and keep them for its backward pass."""
    tokens = torch.randint(1, VOCAB, (1, 256), generator=torch.Generator().manual_seed(0))
    tokens[0, 100] = END

    def kept(n_layers, document=None):
        network = decoder(swiglu, n_layers)
        return kept_bytes(lambda: network(tokens, document=document), apart=network.parameters())

    mask = 4 * 256**2
    masked = [kept(n, documents(tokens, END)) for n in (1, 3)]
    plain = [kept(n) for n in (1, 3)]
    assert masked[1] - masked[0] < plain[1] - plain[0] + mask / 2
