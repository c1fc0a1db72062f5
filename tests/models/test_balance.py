"""The routers' losses, held to the definitions of OLMo's branch."""

import pytest
import torch
from torch.autograd import grad

from repro.models.balance import load_balancing, router_z
from tests.models.mixtures import EXPERTS, TOP_K, moe, rows


def as_olmos_branch(modules, inputs):
    """Both losses from the logits, in float64, as megablocks pools layers: a product of concatenated counts and mean
    probabilities, times experts / (layers tokens top_k); and the sum of squares, over layers tokens top_k.
    """
    logits = torch.stack([(x @ m.gate.weight.T).double().flatten(0, 1) for m, x in zip(modules, inputs, strict=True)])
    probabilities = logits.softmax(-1)
    chosen = probabilities.topk(TOP_K, dim=-1).indices
    counts = torch.cat([layer.flatten().bincount(minlength=EXPERTS) for layer in chosen]).double()
    assignments = chosen.numel()  # layers tokens top_k
    balance = EXPERTS / assignments * counts @ probabilities.mean(1).flatten()
    return balance, logits.logsumexp(-1).square().sum() / assignments


def test_losses_and_their_gradients_are_those_of_olmos_branch():
    modules, inputs = [moe(), moe(), moe()], [rows(seed=seed) for seed in (5, 6, 7)]
    routing = [module(x)[1] for module, x in zip(modules, inputs, strict=True)]
    gates = [module.gate.weight for module in modules]
    ours = load_balancing(routing), router_z(routing, TOP_K)
    for loss, exact in zip(ours, as_olmos_branch(modules, inputs), strict=True):
        assert loss.item() == pytest.approx(exact.item(), rel=1e-6)
        gradients = (grad(of, gates, retain_graph=True) for of in (loss, exact))
        for mine, right in zip(*gradients, strict=True):
            assert (mine - right).norm() <= 1e-5 * right.norm()


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
