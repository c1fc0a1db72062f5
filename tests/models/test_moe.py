"""The mixture of experts, held to Hugging Face's OLMoE, to the dense networks and to a loop over experts in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import grad
from transformers import OlmoeConfig, OlmoeForCausalLM

from repro import activations
from repro.models import Decoder, GatedFFN, PlainFFN
from tests.models.mixtures import D_FF, D_MODEL, EXPERTS, TOP_K, filled, moe, rows

VOCAB = 257


def in_a_loop(module, x, ffn):
    """Every token through each of its experts, one after the other; ``ffn(expert, x)`` is one expert."""
    probabilities = F.softmax(x @ module.gate.weight.to(x.dtype).T, -1)
    weights, chosen = probabilities.topk(module.top_k, -1)
    y = torch.zeros_like(x)
    for expert in range(module.gate.out_features):
        weight = (weights * (chosen == expert)).sum(-1, keepdim=True)
        y = y + weight * ffn(expert, x)
    return y


def expert_of(module):
    """One expert of ``module`` in the precision of its input."""
    own = module.experts

    def ffn(expert, x):
        up = (own.gate_up_proj if own.gated else own.up_proj)[expert].to(x.dtype)
        h = x @ up.T
        h = own.act_fn(*h.chunk(2, -1)) if own.gated else own.act_fn(h)
        return h @ own.down_proj[expert].to(x.dtype).T

    return ffn


# Against Hugging Face


@pytest.fixture
def one_thread():
    """With several, the last bits of a row of a small product depend on its place, and their sort is not stable."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def olmoe(implementation, experts, top_k):
    return OlmoeForCausalLM(
        OlmoeConfig(
            vocab_size=VOCAB,
            hidden_size=D_MODEL,
            intermediate_size=D_FF,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            num_experts=experts,
            num_experts_per_tok=top_k,
            norm_topk_prob=False,
            rms_norm_eps=1e-5,
            eos_token_id=None,
            pad_token_id=None,
            tie_word_embeddings=False,
            attn_implementation="sdpa",
            experts_implementation=implementation,
        )
    )


def decoder(experts, top_k):
    def ffn():
        return moe(experts=experts, top_k=top_k)

    return filled(Decoder(vocab_size=VOCAB, d_model=D_MODEL, n_layers=3, n_heads=4, ffn=ffn, qk_norm=True))


def named_as_theirs(name):
    return name if name.startswith("lm_head") else f"model.{name}"


def test_state_dict_names_are_olmoes():
    ours, theirs = decoder(EXPERTS, TOP_K).state_dict(), olmoe("eager", EXPERTS, TOP_K).state_dict()
    assert {named_as_theirs(name) for name in ours} == theirs.keys()


# Their loop, "eager", adds a token's experts up by number, we do as "grouped_mm" by probability. Of two the sum is the
# same; of eight both are off by what float32 rounds, in logits and, measured against float64, 8e-7 in gradients.
@pytest.mark.parametrize(
    ("implementation", "experts", "top_k", "logits", "gradients"),
    [("grouped_mm", 64, 8, 0, 1e-6), ("eager", EXPERTS, TOP_K, 0, 1e-6), ("eager", 64, 8, 5e-6, 2e-6)],
)
def test_logits_and_gradients_equal_olmoes(one_thread, implementation, experts, top_k, logits, gradients):
    model, theirs = decoder(experts, top_k), olmoe(implementation, experts, top_k)
    theirs.load_state_dict({named_as_theirs(name): value for name, value in model.state_dict().items()})
    tokens = torch.randint(0, VOCAB, (2, 34), generator=torch.Generator().manual_seed(1))
    y, expected = model(tokens), theirs(tokens).logits
    torch.testing.assert_close(y, expected, rtol=0, atol=logits)
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(2))
    ours, named = dict(model.named_parameters()), dict(theirs.named_parameters())
    right = grad(expected, [named[named_as_theirs(name)] for name in ours], dy)
    for name, mine, other in zip(ours, grad(y, list(ours.values()), dy), right, strict=True):
        assert (mine - other).norm() <= gradients * other.norm(), name


# Against a loop


@pytest.mark.parametrize("activation", ["swiglu", "relu", "polyrelu", "polynorm"])
@pytest.mark.parametrize("top_k", [1, 2, EXPERTS])
def test_values_and_gradients_are_those_of_a_loop_in_float64(activation, top_k):
    module, x = moe(activation, top_k=top_k), rows().requires_grad_()
    wide = moe(activation, top_k=top_k).double()
    x64 = x.detach().double().requires_grad_()
    y, truth = module(x)[0], in_a_loop(wide, x64, expert_of(wide))
    dy = rows(seed=3)
    ours = grad(y, [x, *module.parameters()], dy)
    exact = grad(truth, [x64, *wide.parameters()], dy.double())
    for mine, right in zip((y, *ours), (truth, *exact), strict=True):
        assert (mine - right).norm() <= 2e-6 * right.norm()


def dense(module):
    """The FFN that the only expert of ``module`` is."""
    own = module.experts
    ffn = (GatedFFN if own.gated else PlainFFN)(D_MODEL, D_FF, own.act_fn)
    first = own.gate_up_proj[0].chunk(2) if own.gated else [own.up_proj[0]]
    names = ["gate_proj", "up_proj", "down_proj"] if own.gated else ["up_proj", "down_proj"]
    weights = dict(zip(names, [*first, own.down_proj[0]], strict=True))
    ffn.load_state_dict({f"{name}.weight": weight for name, weight in weights.items()}, strict=False)
    return ffn


@pytest.mark.parametrize("activation", ["swiglu", "polynorm"])
def test_one_expert_is_the_dense_network(activation):
    module, x = moe(activation, experts=1, top_k=1), rows().requires_grad_()
    ffn, (y, _) = dense(module), module(x)
    expected = ffn(x)
    torch.testing.assert_close(y, expected, rtol=1e-6, atol=1e-6)
    matrices = [p.weight for name, p in ffn.named_children() if name != "act_fn"]
    ours = grad(y, [x, module.gate.weight, *module.experts.parameters(recurse=False)], torch.ones_like(y))
    right = grad(expected, [x, *matrices], torch.ones_like(y))
    assert ours[1].eq(0).all()  # its probability is 1 whatever the router says
    torch.testing.assert_close(ours[0], right[0], rtol=1e-5, atol=1e-5)
    for mine, other in zip(ours[2:], (torch.cat(right[1:-1]), right[-1]), strict=True):
        torch.testing.assert_close(mine[0], other, rtol=1e-5, atol=1e-5)


def test_the_order_of_experts_does_not_matter():
    module, other, x = moe("polynorm"), moe("polynorm"), rows()
    order = torch.randperm(EXPERTS, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in (other.gate.weight, other.experts.up_proj, other.experts.down_proj):
            parameter.copy_(parameter[order])
    (before, routing), (after, permuted) = module(x), other(x)
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-6)
    assert torch.equal(permuted.counts, routing.counts[order])
    dy = rows(seed=3)
    for mine, moved in zip(grad(before, matrices(module), dy), grad(after, matrices(other), dy), strict=True):
        torch.testing.assert_close(moved, mine[order], rtol=1e-5, atol=1e-5)


def matrices(module):
    return [module.gate.weight, module.experts.up_proj, module.experts.down_proj]


@pytest.mark.parametrize("own", [False, True], ids=["layer", "expert"])
def test_an_expert_without_tokens_gets_a_gradient_of_zero(own):
    module, x = moe("polynorm", own=own), rows().abs()
    with torch.no_grad():
        module.gate.weight[3] = -1  # against inputs that are all positive: never chosen
    y, routing = module(x)
    assert routing.counts[3] == 0
    coeff = [module.experts.act_fn.coeff] if own else []
    for gradient in grad(y.square().sum(), [module.experts.up_proj, module.experts.down_proj, *coeff]):
        assert torch.equal(gradient.flatten(1).ne(0).any(1), routing.counts > 0)


def test_no_token_is_dropped_and_weights_are_not_renormalised():
    module, x = moe("relu"), rows()
    _, routing = module(x)
    assert routing.counts.sum() == x[..., 0].numel() * TOP_K
    same = moe("relu", experts=2, top_k=2)  # whose probabilities sum to 1
    with torch.no_grad():
        for parameter in (same.experts.up_proj, same.experts.down_proj):
            parameter[1] = parameter[0]
    torch.testing.assert_close(same(x)[0], expert_of(same)(0, x), rtol=1e-5, atol=1e-6)
    half = moe("relu", experts=2, top_k=1)
    with torch.no_grad():
        half.gate.weight.zero_()
    torch.testing.assert_close(half(x)[0], expert_of(half)(0, x) / 2, rtol=1e-5, atol=1e-6)


def test_bfloat16_routes_in_float32():
    """To the bit as a mixture in float32 would route the same tokens."""
    module, x = moe("polynorm"), rows().bfloat16()
    module.experts.bfloat16()
    y, routing = module(x)
    _, exact = moe("polynorm")(x.float())
    assert y.dtype == torch.bfloat16
    for found, right in zip(routing, exact, strict=True):
        assert found.dtype == torch.float32
        assert torch.equal(found, right)


# Coefficients of each expert


@pytest.mark.parametrize("activation", ["polyrelu", "polynorm", "polyrelu_r5", "polynorm_l2"])
def test_experts_with_equal_coefficients_of_their_own_are_experts_that_share_them(activation):
    shared, own, x = moe(activation), moe(activation, own=True), rows()
    ours, theirs = own(x)[0], shared(x)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    each = grad(ours, own.experts.act_fn.coeff, rows(seed=3))[0]
    together = grad(theirs, shared.experts.act_fn.coeff, rows(seed=3))[0]
    torch.testing.assert_close(each.sum(0), together, rtol=1e-4, atol=1e-5)


def test_each_expert_uses_its_own_coefficients():
    module, x = moe("polynorm", own=True), rows()
    with torch.no_grad():
        module.experts.act_fn.coeff.normal_(generator=torch.Generator().manual_seed(4))

    def ffn(expert, x):
        act = activations.PolyNorm().requires_grad_(False)
        act.coeff.copy_(module.experts.act_fn.coeff[expert])
        return act(x @ module.experts.up_proj[expert].T) @ module.experts.down_proj[expert].T

    with torch.no_grad():
        torch.testing.assert_close(module(x)[0], in_a_loop(module, x, ffn), rtol=1e-5, atol=1e-5)
    dcoeff = grad(module(x)[0].sum(), module.experts.act_fn.coeff)[0]
    assert dcoeff.shape == (EXPERTS, 4)
    assert dcoeff.ne(0).all()
