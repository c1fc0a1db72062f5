"""Around the steps of an image classifier: averaged weights, shared statistics, and each validation image once."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from repro.data.images.batches import ImageData
from repro.data.images.glyphs import CLASSES, Glyphs
from repro.data.images.pictures import ImageSet, Unreadable
from repro.errors import DataError
from repro.models.resnet import ResNet
from repro.training import averaging
from repro.training.averaging import flat, follow, share, statistics
from repro.training.callbacks.images import ImageValidation, Statistics, _accuracy, evaluate
from repro.training.image_classifier import ImageClassifier
from tests.training.test_image_classifier import normalised, tiny

N = 37  # validation images: three batches, the last of which is ragged


class Damaged(Glyphs):
    """Glyphs of which one cannot be read."""

    def __getitem__(self, index):
        if index == 11:
            raise Unreadable("it is damaged")
        return super().__getitem__(index)


def network(seed=0):
    torch.manual_seed(seed)
    made = ResNet("polynorm", blocks=(1, 1), width=4, classes=62, zero_init_residual=False)
    for buffer in statistics(made):
        buffer.uniform_(0.5, 1.5)
    return made


def classifier(ema=0.0):
    return ImageClassifier(network(), tiny({"optim.ema": ema}), seed=0)


def batches(validation=Glyphs):
    pictures = ImageSet("glyphs", CLASSES, Glyphs("train", 62), validation("validation", N), "0" * 16)
    images = tiny({"data.unreadable": 0.1}).data
    return ImageData(pictures, images, samples_per_step=16, micro_batch=16, steps=1, seed=0)


def one_by_one(module, skipped=()):
    glyphs = Glyphs("validation", N)
    kept = [index for index in range(N) if index not in skipped]
    module.eval()
    with torch.no_grad():
        logits = torch.cat([module(normalised(glyphs[index][None])) for index in kept])
    return logits, torch.from_numpy(glyphs.labels[kept])


def test_the_average_is_the_recurrence_of_the_weights_and_statistics_over_steps():
    trained, average = network(0), network(1)
    expected = {name: tensor.double() for name, tensor in average.state_dict().items()}
    for step in range(3):
        with torch.no_grad():
            for tensor in [*trained.parameters(), *statistics(trained)]:
                tensor.add_(0.1 * torch.randn_like(tensor))
        trained.bn1.num_batches_tracked.fill_(step + 1)
        follow(average, trained, 0.9)
        expected = {name: 0.9 * mean + 0.1 * trained.state_dict()[name] for name, mean in expected.items()}
    for name, tensor in average.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-6, atol=1e-7)
    assert average.bn1.num_batches_tracked == 3


def test_the_average_is_not_trained_and_is_what_classifies():
    module = classifier(ema=0.9)
    follow(module.averaged, network(1), 0.0)
    optimizer = module.configure_optimizers()["optimizer"]
    assert {id(p) for group in optimizer.param_groups for p in group["params"]} == {
        id(p) for p in module.network.parameters()
    }
    assert not any(parameter.requires_grad for parameter in module.averaged.parameters())
    losses, _ = evaluate(batches(), module)
    theirs = F.cross_entropy(*one_by_one(module.averaged), reduction="none")
    np.testing.assert_allclose(losses, theirs.numpy(), rtol=1e-4, atol=1e-5)
    assert abs(losses - F.cross_entropy(*one_by_one(module.network), reduction="none").numpy()).max() > 0.01


def test_without_a_decay_there_is_no_second_network():
    assert classifier().averaged is None


def test_statistics_that_are_not_finite_are_not_taken():
    net = network()
    tensors = statistics(net)
    last = flat(tensors)
    tensors[0][1], tensors[1][0] = float("nan"), 7.0
    taken = share(tensors, last)
    assert torch.equal(flat(tensors), taken)
    assert tensors[0][1] == last[1]
    assert tensors[1][0] == 7


def test_ranks_share_the_mean_of_their_statistics(monkeypatch):
    ours, theirs = network(0), network(1)
    others = flat(statistics(theirs))
    monkeypatch.setattr(averaging.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(averaging.dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(averaging.dist, "all_reduce", lambda vector: vector.add_(others))
    expected = (flat(statistics(ours)) + others) / 2
    torch.testing.assert_close(share(statistics(ours), flat(statistics(ours))), expected)
    torch.testing.assert_close(flat(statistics(ours)), expected)


def test_a_step_shares_statistics_once_all_of_its_micro_batches_are_through():
    module, callback = classifier(), Statistics()
    trainer = SimpleNamespace(accumulate_grad_batches=2)
    callback.on_train_start(trainer, module)
    sound = flat(statistics(module.network))
    module.network.bn1.running_mean[0] = float("nan")
    callback.on_train_batch_end(trainer, module, None, None, 0)
    assert module.network.bn1.running_mean[0].isnan()
    callback.on_train_batch_end(trainer, module, None, None, 1)
    assert torch.equal(flat(statistics(module.network)), sound)


def test_of_fewer_than_five_classes_every_answer_is_among_the_first_five():
    accuracy = _accuracy(3, 5)
    accuracy.update(torch.eye(3), torch.tensor([2, 0, 1]))
    assert accuracy.compute() == 1


def test_each_validation_image_counts_once_and_its_loss_is_that_of_a_plain_loop():
    module = classifier()
    losses, accuracies = evaluate(batches(), module)
    logits, labels = one_by_one(module.network)
    assert losses.shape == (N,)
    np.testing.assert_allclose(losses, F.cross_entropy(logits, labels, reduction="none").numpy(), rtol=1e-4, atol=1e-5)
    ranked = logits.argsort(dim=1, descending=True)
    for name, k in (("top1", 1), ("top5", 5)):
        right = (ranked[:, :k] == labels[:, None]).any(1).float().mean().item()
        assert accuracies[name] == pytest.approx(right)
    assert module.training


def test_right_answers_are_counted_at_the_first_place_and_among_five():
    module = classifier()
    labels = torch.from_numpy(Glyphs("validation", N).labels)
    answers = iter(F.one_hot(labels + (torch.arange(N) % 2), 63)[:, :62].float().split(16))  # every other is one off
    near = iter((0.5 * F.one_hot(labels, 62).float()).split(16))

    def classify(images):
        logits = next(answers) + next(near)
        return F.pad(logits, (0, 0, 0, 16 - len(logits)))

    module.classify = classify
    _, accuracies = evaluate(batches(), module)
    assert accuracies == {"top1": pytest.approx(19 / N), "top5": pytest.approx(1)}


def test_an_image_that_cannot_be_read_is_in_no_figure():
    module = classifier()
    losses, accuracies = evaluate(batches(Damaged), module)
    logits, labels = one_by_one(module.network, skipped=[11])
    np.testing.assert_allclose(losses, F.cross_entropy(logits, labels, reduction="none").numpy(), rtol=1e-4, atol=1e-5)
    assert accuracies["top1"] == pytest.approx((logits.argmax(1) == labels).float().mean().item())


def test_images_that_vanish_during_a_run_end_it_in_a_line(tmp_path):
    validation = ImageValidation(tmp_path / "validation.npy", every=1)
    trainer = SimpleNamespace(is_global_zero=True, global_step=1, loggers=[])  # all that keeping needs
    validation.keep(trainer, np.zeros(5))
    with pytest.raises(DataError, match=r"^4 validation images can be read, but 5 when this run was first validated"):
        validation.keep(trainer, np.zeros(4))
