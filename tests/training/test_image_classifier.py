"""A step of an image classifier, against the same written out plainly, and whole runs of a tiny one."""

import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from repro.data.images.glyphs import CLASSES, Glyphs
from repro.data.images.pictures import ImageSet
from repro.errors import Preempted
from repro.models.resnet import ResNet
from repro.recipe import load, machine
from repro.recipe.runs import read_metrics
from repro.training.image_classifier import ImageClassifier, binary_cross_entropy
from repro.training.run import run

TINY = {
    "model.width": 4,
    "model.blocks": [1, 1],
    "data.images": 128,
    "optim.optimizer": "sgd",
    "optim.lr": 0.1,
    "budget.samples_per_step": 16,
    "budget.epochs": 2,
    "checkpoints.every": 6,
}


def tiny(changes=(), activation="polynorm"):
    settings = TINY | dict(changes)
    return load(f"resnet50-smoke-{activation}", [f"{key}={value}" for key, value in settings.items()])


def batch(n=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randint(0, 256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8),
        torch.randint(0, 62, (n,), generator=generator),
    )


def classifier(changes=(), **options):
    recipe, seed = tiny(changes), options.pop("seed", 0)
    torch.manual_seed(0)
    network = ResNet("polynorm", blocks=(1, 1), width=4, classes=62, zero_init_residual=False)
    return ImageClassifier(network, recipe, seed=seed)


def normalised(images):
    """By the mean and the deviation of ImageNet's training images that torchvision and timm print."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (images / 255 - mean) / std


def gradients(network):
    return torch.cat([parameter.grad.flatten() for parameter in network.parameters()])


def test_the_loss_and_its_gradient_are_those_of_a_plain_cross_entropy_with_smoothing():
    module, (images, labels) = classifier({"optim.label_smoothing": 0.1}), batch()
    loss = module.loss(images, labels, step=0, part=0)
    loss.backward()
    ours = gradients(module.network)
    module.zero_grad()
    plain = F.cross_entropy(module.network(normalised(images)), labels, label_smoothing=0.1)
    plain.backward()
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    torch.testing.assert_close(ours, gradients(module.network), rtol=1e-3, atol=1e-5)


def test_the_binary_loss_wants_each_class_of_a_mixed_image_whole():
    logits = torch.tensor([[2.0, -1.0, 0.5]])
    shares = torch.tensor([[0.7, 0.3, 0.0]])
    wanted = -(F.logsigmoid(logits[0, 0]) + F.logsigmoid(logits[0, 1]) + F.logsigmoid(-logits[0, 2])) / 3
    assert binary_cross_entropy(logits, shares).item() == pytest.approx(wanted.item(), rel=1e-6)


def test_a_recipe_s_binary_loss_is_what_is_minimised():
    module, (images, labels) = classifier({"optim.loss": "binary"}), batch()
    loss = module.loss(images, labels, step=0, part=0)
    plain = F.binary_cross_entropy_with_logits(module.network(normalised(images)), F.one_hot(labels, 62).float())
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)


def test_the_binary_loss_leaves_out_a_class_with_a_small_share_as_timms_does():
    loss = pytest.importorskip("timm.loss").BinaryCrossEntropy(target_threshold=0.2, smoothing=0)
    logits, shares = torch.randn(4, 5), torch.tensor([0.85, 0.15, 0, 0, 0]).expand(4, 5)
    assert binary_cross_entropy(logits, shares).item() == pytest.approx(loss(logits, shares).item(), rel=1e-6)


@pytest.mark.parametrize("mixing", [{"data.mixup": 0.4}, {"data.cutmix": 1.0}], ids=["mixup", "cutmix"])
def test_mixing_is_a_function_of_seed_step_and_place_in_the_step(mixing):
    images, labels = batch()

    def loss(seed=0, **place):
        return classifier(mixing, seed=seed).loss(images, labels, **({"step": 3, "part": 0} | place)).item()

    torch.manual_seed(17)  # what was drawn elsewhere does not matter
    first = loss()
    assert loss() == first
    assert len({first, loss(step=4), loss(part=1), loss(seed=1)}) == 4


def test_each_micro_batch_of_a_step_has_a_place_of_its_own_on_all_ranks(monkeypatch):
    module, seen = classifier(), []
    monkeypatch.setattr(module, "loss", lambda *_, **place: seen.append(place) or torch.zeros(()))
    for rank in range(2):
        for batch_idx in range(6):
            module._trainer = SimpleNamespace(accumulate_grad_batches=3, global_rank=rank, global_step=batch_idx // 3)
            module.training_step(batch(), batch_idx)
    assert [place["step"] for place in seen] == 2 * [0, 0, 0, 1, 1, 1]
    assert [place["part"] for place in seen] == 2 * [0, 1, 2] + 2 * [3, 4, 5]


def test_a_mixed_batch_is_trained_on_the_same_shares_of_images_and_labels():
    module, (images, labels) = classifier({"data.mixup": 1.0}), batch()
    module.network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 62))
    seen = {}
    module.network[0].register_forward_hook(lambda _, inputs, out: seen.update(images=inputs[0]))
    loss = module.loss(images, labels, step=0, part=0)
    x = normalised(images)
    before = x.roll(1, 0)
    share = ((seen["images"] - before) * (x - before)).sum() / (x - before).square().sum()
    logits = module.network(seen["images"])
    plain = share * F.cross_entropy(logits, labels) + (1 - share) * F.cross_entropy(logits, labels.roll(1))
    assert 0 < share < 1
    assert loss.item() == pytest.approx(plain.item(), rel=1e-4)


def test_images_reach_the_network_with_their_channels_last():
    module, (images, labels) = classifier({"data.cutmix": 1.0}), batch()
    seen = []
    module.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    module.loss(images, labels, step=0, part=0)
    module.classify(images)
    assert all(x.is_contiguous(memory_format=torch.channels_last) and x.dtype == torch.float32 for x in seen)


def test_a_cpu_computes_in_float32_whatever_the_recipe_says():
    module = classifier({"precision": "bf16"})
    seen = []
    module.network.conv1.register_forward_hook(lambda _, inputs, out: seen.append(out.dtype))
    module.classify(batch()[0])
    assert seen == [torch.float32]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu_convolves_in_bfloat16_and_keeps_weights_statistics_and_loss_in_float32():
    module = classifier({"precision": "bf16"}).cuda()
    seen = []
    module.network.conv1.register_forward_hook(lambda _, inputs, out: seen.append(out.dtype))
    loss = module.loss(*(tensor.cuda() for tensor in batch()), step=0, part=0)
    loss.backward()
    assert seen == [torch.bfloat16]
    assert loss.dtype == torch.float32
    assert {t.dtype for t in [*module.network.parameters(), module.network.bn1.running_var]} == {torch.float32}
    assert gradients(module.network).isfinite().all()


@pytest.fixture(scope="module")
def pictures():
    return ImageSet("a few glyphs", CLASSES, Glyphs("train", 128), Glyphs("validation", 37), "0" * 16)


def numbers(folder):
    columns = ("step", "loss", "validation_loss", "top1", "top5", "lr", "grad_norm", "skipped_steps")
    rows = [tuple(row[c] for c in columns) for row in read_metrics(folder / "metrics.csv")]
    return rows, np.load(folder / "validation.npy").tobytes()


@pytest.fixture
def train(pictures, tmp_path, monkeypatch):
    """Trains and returns all numbers; ``stop_at`` sends Ctrl-C in that step and starts it again."""

    def interrupt(step):
        training_step = ImageClassifier.training_step
        asked = []

        def acting(self, batch, batch_idx):
            if self.trainer.global_step + 1 == step and not asked:
                asked.append(os.kill(os.getpid(), signal.SIGINT))
            return training_step(self, batch, batch_idx)

        monkeypatch.setattr(ImageClassifier, "training_step", acting)

    def train(recipe, name="run", stop_at=None):
        if stop_at:
            interrupt(stop_at)
            with pytest.raises(Preempted, match=f"stopped after step {stop_at} of 16"):
                run(recipe, machine("cpu"), pictures, seed=0, folder=tmp_path / name)
        run(recipe, machine("cpu"), pictures, seed=0, folder=tmp_path / name)
        return numbers(tmp_path / name)

    return train


EVERYTHING = {"optim.ema": 0.8, "data.mixup": 0.2, "data.cutmix": 1.0, "optim.loss": "binary"}


@pytest.mark.parametrize(("optimizer", "stop_at"), [("sgd", 5), ("lamb", 8), ("adamw", 11)])
def test_an_interrupted_run_equals_the_uninterrupted_one(train, optimizer, stop_at):
    recipe = tiny(EVERYTHING | {"optim.optimizer": optimizer, "optim.lr": 0.01})
    assert train(recipe, "interrupted", stop_at=stop_at) == train(recipe, "whole")


def test_sgd_without_momentum_has_no_state_and_resumes_all_the_same(train):
    recipe = tiny({"optim.momentum": 0})
    assert train(recipe, "interrupted", stop_at=5) == train(recipe, "whole")


def test_a_run_validates_every_epoch_and_logs_what_is_right(train):
    rows, _ = train(tiny())
    validated = [row for row in rows if row[2]]
    assert [row[0] for row in validated] == ["8", "16"]
    assert all(0 <= float(row[3]) <= float(row[4]) <= 1 for row in validated)
