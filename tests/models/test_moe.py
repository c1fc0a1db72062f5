"""The mixture of experts, held to Hugging Face's OLMoE and to a plain loop over experts in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import grad
from transformers import OlmoeConfig, OlmoeForCausalLM

from repro import activations
from repro.models import Decoder, MoE
from repro.models.balance import load_balancing, router_z
from repro.models.moe import PerExpert

VOCAB, D_MODEL, D_FF, EXPERTS, TOP_K = 257, 64, 32, 8, 2


def filled(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.1, generator=generator)
    return module


def moe(activation="swiglu", experts=EXPERTS, top_k=TOP_K):
    gated = activation == "swiglu"
    return filled(MoE(experts, top_k, D_MODEL, D_FF, activations.build(activation), gated=gated))


def rows(n=33, seed=1):
    return torch.randn(2, n, D_MODEL, generator=torch.Generator().manual_seed(seed))


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


@pytest.fixture(scope="module")
def olmoe():
    return OlmoeForCausalLM(
        OlmoeConfig(
            vocab_size=VOCAB,
            hidden_size=D_MODEL,
            intermediate_size=D_FF,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            num_experts=EXPERTS,
            num_experts_per_tok=TOP_K,
            norm_topk_prob=False,
            rms_norm_eps=1e-5,
            eos_token_id=None,
            pad_token_id=None,
            tie_word_embeddings=False,
            attn_implementation="sdpa",
            experts_implementation="grouped_mm",
        )
    )


@pytest.fixture(scope="module")
def decoder():
    return filled(Decoder(vocab_size=VOCAB, d_model=D_MODEL, n_layers=3, n_heads=4, ffn=moe, qk_norm=True))


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(0, VOCAB, (2, 34), generator=torch.Generator().manual_seed(1))


def named_as_theirs(name):
    return name if name.startswith("lm_head") else f"model.{name}"


def test_state_dict_names_are_olmoes(decoder, olmoe):
    assert {named_as_theirs(name) for name in decoder.state_dict()} == olmoe.state_dict().keys()


def test_logits_equal_olmoes_to_the_bit_and_gradients_within_a_millionth(decoder, olmoe, tokens):
    olmoe.load_state_dict({named_as_theirs(name): value for name, value in decoder.state_dict().items()})
    ours, theirs = decoder(tokens), olmoe(tokens).logits
    assert torch.equal(ours, theirs)
    parameters = dict(olmoe.named_parameters())
    dy = torch.randn(ours.shape, generator=torch.Generator().manual_seed(2))
    for (name, _), mine, other in zip(
        decoder.named_parameters(),
        grad(ours, list(decoder.parameters()), dy),
        grad(theirs, [parameters[named_as_theirs(name)] for name, _ in decoder.named_parameters()], dy),
        strict=True,
    ):
        assert (mine - other).norm() <= 1e-6 * other.norm(), name


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


def test_one_expert_is_the_dense_network():
    module, x = moe("polynorm", experts=1, top_k=1), rows()
    y, _ = module(x)
    torch.testing.assert_close(y, expert_of(module)(0, x), rtol=1e-6, atol=1e-6)


def test_the_order_of_experts_does_not_matter():
    module, x = moe("polynorm"), rows()
    before, routing = module(x)
    order = torch.randperm(EXPERTS, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in (module.gate.weight, module.experts.up_proj, module.experts.down_proj):
            parameter.copy_(parameter[order])
    after, permuted = module(x)
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-6)
    assert torch.equal(permuted.counts, routing.counts[order])


def test_it_repeats_to_the_bit():
    module, x = moe("polynorm"), rows()
    gradients = [grad(module(x)[0].sum(), list(module.parameters())) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_an_expert_without_tokens_gets_a_gradient_of_zero():
    module, x = moe("polynorm"), rows().abs()
    with torch.no_grad():
        module.gate.weight[3] = -1  # against inputs that are all positive: never chosen
    y, routing = module(x)
    assert routing.counts[3] == 0
    up, down = grad(y.sum(), [module.experts.up_proj, module.experts.down_proj])
    assert up[3].eq(0).all()
    assert down[3].eq(0).all()
    assert up[:3].ne(0).any()


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
    module, x = moe("polynorm"), rows()
    module.experts.bfloat16()
    y, routing = module(x.bfloat16())
    assert y.dtype == torch.bfloat16
    assert routing.probability.dtype == routing.z.dtype == torch.float32


# Coefficients of each expert


@pytest.mark.parametrize("activation", ["polyrelu", "polynorm"])
def test_experts_with_equal_coefficients_of_their_own_are_experts_that_share_them(activation):
    shared, own = moe(activation), moe(activation)
    own.experts.act_fn = PerExpert(activations.build(activation), EXPERTS)
    x = rows()
    torch.testing.assert_close(own(x)[0], shared(x)[0], rtol=1e-5, atol=1e-6)


def test_each_expert_uses_its_own_coefficients():
    module, x = moe("polynorm"), rows()
    module.experts.act_fn = PerExpert(activations.PolyNorm(), EXPERTS)
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


# Auxiliary losses


def test_losses_are_those_of_olmos_branch():
    """Megablocks: experts w / (layers tokens top_k) sum_l <counts, mean probabilities>; z over layers tokens top_k."""
    routing = [moe()(rows(seed=seed))[1] for seed in (5, 6, 7)]
    tokens = 66
    dots = sum((r.counts * r.probability).sum() for r in routing)
    assert load_balancing(routing).item() == pytest.approx(EXPERTS / (3 * tokens * TOP_K) * dots.item(), rel=1e-6)
    assert router_z(routing, TOP_K).item() == pytest.approx(sum(r.z for r in routing).item() / (3 * TOP_K), rel=1e-6)


def test_z_and_entropy_are_of_the_routers_logits():
    module, x = moe(), rows()
    logits = (x @ module.gate.weight.T).double().flatten(0, 1)
    _, routing = module(x)
    assert routing.z.item() == pytest.approx(logits.logsumexp(-1).square().mean().item(), rel=1e-5)
    probabilities = logits.softmax(-1)
    entropy = -(probabilities * probabilities.log()).sum(-1).mean()
    assert routing.entropy.item() == pytest.approx(entropy.item(), rel=1e-5)
    assert not routing.entropy.requires_grad


def test_balance_is_one_when_all_experts_are_used_alike():
    module = moe()
    with torch.no_grad():
        module.gate.weight.zero_()
    _, routing = module(rows())
    torch.testing.assert_close(routing.probability, torch.full((EXPERTS,), 1 / EXPERTS))
    assert load_balancing([routing]).item() == pytest.approx(1)


def test_balance_moves_the_router_alone():
    module = moe()
    (load_balancing([module(rows())[1]]) + router_z([module(rows())[1]], TOP_K)).backward()
    assert module.gate.weight.grad.ne(0).any()
    assert module.experts.down_proj.grad is None
