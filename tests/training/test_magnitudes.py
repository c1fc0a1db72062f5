"""Magnitudes of activations: a plain computation's, of the steps that log and no others."""

import math
import warnings

import lightning
import pytest
import torch
from lightning.pytorch.loggers import Logger
from torch import nn

from repro import activations
from repro.models import PlainFFN
from repro.models.init import initialise
from repro.models.mlp import MLP, scaled
from repro.models.recurrent import Recurrent, elman
from repro.training.callbacks.magnitudes import Magnitudes

VOCAB, STEPS = 17, 5


class Rows(Logger):
    """Keeps what is logged."""

    name, version = "rows", ""

    def __init__(self):
        super().__init__()
        self.rows = {}

    def log_hyperparams(self, *args, **kwargs):
        pass

    def log_metrics(self, metrics, step=None):
        self.rows[step] = dict(metrics)


class Module(lightning.LightningModule):
    """Trains a network on numbers of its own; notes which hooks a forward pass found."""

    def __init__(self, decoder, batches):
        super().__init__()
        self.decoder, self.batches = decoder, batches
        self.hooked = []

    def training_step(self, batch):
        acts = [module for name, module in self.named_modules() if name.rpartition(".")[2].startswith("act")]
        self.hooked.append(sum(len(module._forward_hooks) for module in acts))
        return self.decoder(batch).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-3)

    def train_dataloader(self):
        return torch.utils.data.DataLoader(self.batches, batch_size=None)


def fit(network, batches, *, every, accumulate=1, callbacks=()):
    """What was logged, by step, and how many hooks each forward pass found."""
    module, rows = Module(network, batches), Rows()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_steps=STEPS,
        accumulate_grad_batches=accumulate,
        callbacks=[Magnitudes(every), *callbacks],
        logger=rows,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Lightning says about loaders
        trainer.fit(module)
    logged = {step: row for step, row in rows.rows.items() if "largest_magnitude" in row}
    return logged, module.hooked


def recurrent(activation="polynorm"):
    network = Recurrent(vocab_size=VOCAB, d_model=8, n_layers=2, activation=activation)
    initialise(network, 0, elman(8))
    return network


def tokens(n):
    return list(torch.randint(0, VOCAB, (n, 3, 7), generator=torch.Generator().manual_seed(0)))


def root_mean_squares(network, batch):
    x, sizes = network.embed_tokens(batch), {}
    for i, layer in enumerate(network.layers):
        x = layer(x)
        sizes[f"magnitude/layers.{i}.act"] = x.double().square().mean().sqrt().item()
    return sizes


def test_magnitudes_are_those_of_a_plain_computation_over_all_tokens():
    network, batches = recurrent(), tokens(STEPS)
    expected = root_mean_squares(network, batches[0])
    logged, _ = fit(network, batches, every=2)
    largest = logged[1].pop("largest_magnitude")
    assert logged[1] == pytest.approx(expected, rel=1e-6)
    assert largest == max(logged[1].values())


def test_the_first_step_every_other_one_and_the_last_are_logged_and_no_other_is_hooked():
    logged, hooked = fit(recurrent(), tokens(STEPS), every=2)
    assert list(logged) == [1, 2, 4, 5]
    assert hooked == [2, 2, 0, 2, 2]


def test_of_an_accumulated_step_the_last_micro_batch_is_measured():
    network, batches = recurrent(), tokens(2 * STEPS)
    expected = root_mean_squares(network, batches[1])
    logged, hooked = fit(network, batches, every=3, accumulate=2)
    assert hooked == [0, 2, 0, 0, 0, 2, 0, 0, 0, 2]
    assert list(logged) == [1, 3, 5]
    assert {name: logged[1][name] for name in expected} == pytest.approx(expected, rel=1e-6)


def test_what_another_callback_evaluates_is_not_measured():
    class Evaluation(lightning.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            pl_module.decoder(1000 * torch.ones(1, 3, 4, 4))

    def network():
        model = MLP(inputs=48, classes=3, width=8, n_layers=2, activation="relu")
        initialise(model, 0, scaled)
        return model

    images = list(torch.randn(STEPS, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0)))
    with_it, _ = fit(network(), images, every=2, callbacks=[Evaluation()])
    without, _ = fit(network(), images, every=2)
    assert with_it == without
    assert set(without[1]) == {"magnitude/layers.0.act", "magnitude/layers.1.act", "largest_magnitude"}


def test_any_model_is_measured_whose_activations_are_called_so():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.mlp = PlainFFN(6, 9, activations.build("polynorm"))
            self.act3 = nn.Tanh()
            self.act_unused = nn.ReLU()

        def forward(self, x):
            return self.act3(self.mlp(x))

    logged, _ = fit(Two(), list(torch.randn(STEPS, 4, 6)), every=2)
    assert set(logged[1]) == {"magnitude/mlp.act_fn", "magnitude/act3", "largest_magnitude"}


def test_a_network_beside_the_trained_one_is_not_measured():
    class Both(Module):
        def __init__(self, decoder, batches):
            super().__init__(decoder, batches)
            self.network = recurrent("relu")

    network, batches = recurrent(), tokens(STEPS)
    module, callback = Both(network, batches), Magnitudes(1)

    class Trainer:
        accumulate_grad_batches, global_step, max_steps, loggers = 1, 0, 1, [Rows()]

    trainer = Trainer()
    callback.on_train_batch_start(trainer, module, None, 0)
    network(batches[0])
    callback.on_before_backward(trainer, module, None)
    trainer.global_step = 1
    callback.on_train_batch_end(trainer, module, None, None, 0)
    row = trainer.loggers[0].rows[1]
    del row["largest_magnitude"]
    assert row == pytest.approx(root_mean_squares(network, batches[0]), rel=1e-6)


@pytest.mark.parametrize(("factor", "first"), [(1e30, "finite"), (math.inf, "inf"), (math.nan, "nan")])
def test_sizes_beyond_all_bounds_are_logged_as_they_are(factor, first):
    """1e30 has no square in float32, but a root mean square it has."""

    class Large(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale, self.act1, self.act2 = nn.Parameter(torch.ones(1)), nn.Identity(), nn.Tanh()

        def forward(self, x):
            return self.act2(self.act1(self.scale * x))

    logged, _ = fit(Large(), [torch.full((2, 3), factor)] * STEPS, every=1)
    assert list(logged) == [1, 2, 3, 4, 5]
    size, largest = logged[1]["magnitude/act1"], logged[1]["largest_magnitude"]
    if first == "finite":
        assert size == largest == pytest.approx(1e30, rel=1e-6)
    else:
        assert str(size) == str(largest) == first
