"""Chunked cross-entropy against torch's, on the same logits."""

import pytest
import torch
import torch.nn.functional as F

from repro.models import loss as module
from repro.models.loss import IGNORED, next_token_loss

VOCAB, D_MODEL = 50, 16


@pytest.fixture(params=[1, 7, 1000], ids=lambda n: f"{n} tokens a chunk")
def chunk(request, monkeypatch):
    monkeypatch.setattr(module, "_LOGITS_PER_CHUNK", request.param * VOCAB)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(3, 11, D_MODEL, generator=generator)
    head = torch.randn(VOCAB, D_MODEL, generator=generator)
    return hidden.requires_grad_(), head.requires_grad_(), torch.randint(0, VOCAB, (3, 11), generator=generator)


def whole(hidden, head, targets):
    return F.cross_entropy((hidden @ head.T).flatten(0, 1), targets.flatten())


@pytest.mark.usefixtures("chunk")
def test_mean_and_gradients_are_those_of_the_whole_batch(batch):
    hidden, head, targets = batch
    mean, _ = next_token_loss(hidden, head, targets)
    ours = torch.autograd.grad(3 * mean, (hidden, head))
    truth = torch.autograd.grad(3 * whole(hidden.double(), head.double(), targets), (hidden, head))
    for gradient, exact in zip(ours, truth, strict=True):
        assert (gradient - exact).norm() <= 1e-6 * exact.norm()


@pytest.mark.usefixtures("chunk")
def test_without_gradients_the_losses_are_the_same(batch):
    mean, each = next_token_loss(*batch)
    with torch.no_grad():
        quiet_mean, quiet_each = next_token_loss(*batch)
    torch.testing.assert_close(quiet_each, each, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(quiet_mean, mean.detach(), rtol=1e-6, atol=1e-6)
    assert each.shape == (3, 11)
    assert not each.requires_grad


@pytest.mark.usefixtures("chunk")
def test_an_ignored_target_costs_nothing_gives_no_gradient_and_is_divided_by(batch):
    hidden, head, targets = batch
    some = targets.clone()
    some[1], some[2, 4] = IGNORED, IGNORED
    kept = some != IGNORED
    mean, each = next_token_loss(hidden, head, some)
    _, every = next_token_loss(hidden, head, targets)
    assert torch.equal(each, every.masked_fill(~kept, 0))
    torch.testing.assert_close(mean.detach(), each.sum() / targets.numel(), rtol=1e-6, atol=0)
    ours = torch.autograd.grad(mean, (hidden, head))
    assert not ours[0][~kept].any()
    rows = hidden.double()[kept]
    exact = F.cross_entropy(rows @ head.double().T, targets[kept], reduction="sum") / targets.numel()
    for gradient, truth in zip(ours, torch.autograd.grad(exact, (hidden, head)), strict=True):
        assert (gradient - truth).norm() <= 1e-6 * truth.norm()


@pytest.mark.usefixtures("chunk")
def test_where_all_are_ignored_nothing_is_learned(batch):
    hidden, head, targets = batch
    mean, each = next_token_loss(hidden, head, torch.full_like(targets, IGNORED))
    assert mean == 0
    assert not each.any()
    assert not any(gradient.any() for gradient in torch.autograd.grad(mean, (hidden, head)))


def test_without_gradients_an_ignored_target_costs_nothing_either(batch):
    hidden, head, targets = batch
    targets[0] = IGNORED
    with torch.no_grad():
        mean, each = next_token_loss(hidden, head, targets)
    assert not each[0].any()
    assert mean == each.mean()


def test_head_gradients_of_bfloat16_weights_add_up_in_float32(batch, monkeypatch):
    hidden, head, targets = (t.bfloat16() if t.is_floating_point() else t for t in (b.detach() for b in batch))
    head.requires_grad_()

    def error(tokens_a_chunk):
        monkeypatch.setattr(module, "_LOGITS_PER_CHUNK", tokens_a_chunk * VOCAB)
        exact_head = head.detach().double().requires_grad_()
        exact = torch.autograd.grad(whole(hidden.double(), exact_head, targets), exact_head)[0]
        ours = torch.autograd.grad(next_token_loss(hidden, head, targets)[0], head)[0]
        return ((ours - exact).norm() / exact.norm()).item()

    assert error(1) <= 1.25 * error(1000)


def test_a_certain_prediction_costs_nothing():
    head = torch.eye(4) * 100
    mean, _ = next_token_loss(torch.eye(4)[None], head, torch.arange(4)[None])
    assert mean == 0
