"""Norms of gradients and updates by layer and kind: a plain computation's."""

import math
from typing import ClassVar

import pytest
import torch

from repro.training import text
from repro.training.callbacks.gradients import Gradients, layer_of
from repro.training.callbacks.guard import GradientGuard
from tests.training.test_states import scalars

LOOKING = {"analysis.every": 8}


class Told(Gradients):
    """Keeps weights before and after, and gradients, of each step it measures."""

    seen: ClassVar = {}

    def on_after_backward(self, trainer, pl_module):
        if self.due:
            self.seen["gradients"] = {name: p.grad.clone() for name, p in pl_module.decoder.named_parameters()}
            self.seen["before"] = {name: p.detach().clone() for name, p in pl_module.decoder.named_parameters()}
        super().on_after_backward(trainer, pl_module)

    def on_train_batch_end(self, trainer, pl_module, *others):
        if self.due:
            self.seen["after"] = {name: p.detach().clone() for name, p in pl_module.decoder.named_parameters()}
        super().on_train_batch_end(trainer, pl_module, *others)


def norm(tensors):
    return torch.cat([tensor.flatten().double() for tensor in tensors]).norm().item()


def test_norms_are_those_of_a_plain_computation(small, train, tmp_path, monkeypatch):
    monkeypatch.setattr(text, "Gradients", Told)
    train(small(LOOKING))
    logged = scalars(tmp_path / "run", "gradient/", "update/")
    assert all([step for step, _ in values] == [8, 16, 24] for values in logged.values())
    seen, layer = Told.seen, "layers.1."
    matrices = [name for name in seen["before"] if name.startswith(layer) and name.endswith("proj.weight")]
    kinds = {"matrices": matrices, "coefficients": [f"{layer}mlp.act_fn.coeff"]}
    for kind, names in kinds.items():
        moved = [seen["after"][name] - seen["before"][name] for name in names]
        expected = norm(moved) / norm(seen["before"][name] for name in names)
        assert logged[f"update/layers.1/{kind}"][-1][1] == pytest.approx(expected, rel=1e-5)
        expected = norm(seen["gradients"][name] for name in names)
        assert logged[f"gradient/layers.1/{kind}"][-1][1] == pytest.approx(expected, rel=1e-5)


def test_all_gradients_together_have_the_norm_that_is_logged_before_clipping(small, train, tmp_path):
    train(small(LOOKING | {"optim.clip": 0.01}))
    logged = scalars(tmp_path / "run", "gradient/", "train/gradient_norm")
    whole = dict(logged.pop("train/gradient_norm"))[24]
    squares = sum(dict(values)[24] ** 2 for values in logged.values())
    assert whole == pytest.approx(squares**0.5, rel=1e-5)
    assert whole > 0.01


def test_each_step_is_there_once_also_after_a_stop(small, train, tmp_path):
    train(small(LOOKING), stop_at=(9, 19))
    logged = scalars(tmp_path / "run", "gradient/", "update/")
    assert all([step for step, _ in values] == [8, 16, 24] for values in logged.values())


def test_parts_are_apart(small, train, tmp_path):
    train(small(LOOKING))
    layers = {f"layers.{i}/{kind}" for i in (0, 1) for kind in ("matrices", "norms", "coefficients")}
    own = {"embed_tokens/embeddings", "lm_head/matrices", "norm/norms"} | layers
    logged = scalars(tmp_path / "run", "gradient/", "update/")
    assert set(logged) == {f"{what}/{part}" for what in ("gradient", "update") for part in own}


def test_a_skipped_step_has_a_gradient_and_moves_nothing(small, train, tmp_path, monkeypatch):
    monkeypatch.setattr(GradientGuard, "_sound", lambda self: False)
    train(small(LOOKING | {"optim.guard.patience": 100}))
    logged = scalars(tmp_path / "run", "gradient/", "update/")
    assert {value for tag, values in logged.items() if tag.startswith("update/") for _, value in values} == {0.0}
    assert all(value > 0 for tag, values in logged.items() if tag.startswith("gradient/") for _, value in values)


class Poisoned(Gradients):
    """Finds a gradient that is not finite in the steps it measures."""

    def on_after_backward(self, trainer, pl_module):
        if self.due:
            pl_module.decoder.lm_head.weight.grad[0, 0] = torch.nan
        super().on_after_backward(trainer, pl_module)


def test_a_gradient_that_is_not_finite_is_logged_as_it_is(small, train, tmp_path, monkeypatch):
    monkeypatch.setattr(text, "Gradients", Poisoned)
    train(small(LOOKING))
    logged = scalars(tmp_path / "run", "gradient/", "update/")
    assert all(math.isnan(value) for _, value in logged.pop("gradient/lm_head/matrices"))
    assert all(math.isfinite(value) for values in logged.values() for _, value in values)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("layers.3.mlp.up_proj.weight", "layers.3"),
        ("layer2.0.conv1.weight", "layer2.0"),
        ("embed_tokens.weight", "embed_tokens"),
        ("conv1.weight", "conv1"),
        ("layers.0.linear.bias", "layers.0"),
    ],
)
def test_a_parameter_belongs_to_its_layer(name, layer):
    assert layer_of(name) == layer
