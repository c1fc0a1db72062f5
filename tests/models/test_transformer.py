"""The decoder of section 4.1, held to Hugging Face's Llama."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from repro import activations
from repro.models import Decoder, GatedFFN, PlainFFN
from repro.models.attention import rotate, rotation

VOCAB, D_MODEL, D_FF = 257, 64, 96


def swiglu():
    return GatedFFN(D_MODEL, D_FF, activations.build("swiglu"))


def polynorm():
    return PlainFFN(D_MODEL, D_FF, activations.PolyNorm())


def decoder(ffn, n_layers=3):
    torch.manual_seed(0)
    model = Decoder(vocab_size=VOCAB, d_model=D_MODEL, n_layers=n_layers, n_heads=4, ffn=ffn)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.1)
    return model


@pytest.fixture(scope="module")
def llama():
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=D_MODEL,
        intermediate_size=D_FF,
        num_hidden_layers=3,
        num_attention_heads=4,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        attn_implementation="sdpa",
    )
    return LlamaForCausalLM(config)


def hugging_face_names(state):
    return {name if name.startswith("lm_head") else f"model.{name}": value for name, value in state.items()}


@pytest.fixture
def tokens():
    return torch.randint(0, VOCAB, (2, 34), generator=torch.Generator().manual_seed(1))


def test_state_dict_names_are_llamas(llama):
    assert hugging_face_names(decoder(swiglu).state_dict()).keys() == llama.state_dict().keys()


def test_logits_equal_llamas_to_the_bit(llama, tokens):
    ours = decoder(swiglu)
    llama.load_state_dict(hugging_face_names(ours.state_dict()))
    with torch.no_grad():
        assert torch.equal(ours(tokens), llama(tokens).logits)


def test_gradients_equal_llamas_within_a_millionth(llama, tokens):
    ours = decoder(swiglu)
    llama.load_state_dict(hugging_face_names(ours.state_dict()))
    llama.zero_grad()
    ours(tokens[:, :-1], tokens[:, 1:])[0].backward()
    llama(tokens, labels=tokens).loss.backward()
    theirs = {name: parameter.grad for name, parameter in llama.named_parameters()}
    for name, gradient in hugging_face_names({n: p.grad for n, p in ours.named_parameters()}).items():
        assert (gradient - theirs[name]).norm() <= 1e-6 * theirs[name].norm(), name


def test_a_token_sees_none_that_follow(tokens):
    model, changed = decoder(polynorm), tokens.clone()
    changed[:, 20:] = 0
    assert torch.equal(model(tokens)[:, :20], model(changed)[:, :20])


def test_blocks_share_no_coefficients():
    model = decoder(polynorm)
    coefficients = [block.mlp.act_fn.coeff for block in model.layers]
    assert len({id(c) for c in coefficients}) == 3


def test_rotation_depends_on_relative_position_only():
    q, k = torch.randn(2, 1, 1, 1, 16, dtype=torch.float32)
    at = rotation(64, 16, 10_000.0, torch.device("cpu"))

    def score(i, j):
        return (rotate(q, (at[0][i], at[1][i])) * rotate(k, (at[0][j], at[1][j]))).sum()

    torch.testing.assert_close(score(7, 3), score(50, 46), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("ffn", [swiglu, polynorm], ids=["gated", "plain"])
def test_the_loss_is_the_cross_entropy_of_the_logits(ffn, tokens):
    model, targets = decoder(ffn), tokens.roll(-1, dims=1)
    mean, each, routing = model(tokens, targets)
    assert routing == ()
    expected = F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
    torch.testing.assert_close(each, expected.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(mean, expected.mean(), rtol=1e-6, atol=0)
