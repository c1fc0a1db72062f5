"""What surrounds an image classifier: that each part is there, and does its work in a whole run."""

import math

import lightning
import pytest
import torch

from repro.recipe import load, machine
from repro.recipe.layout import Fit
from repro.recipe.resnet import flops
from repro.recipe.runs import read_metrics
from repro.recipe.schema import Analysis
from repro.training import build as building
from repro.training import checkpoints, pictures
from repro.training.callbacks.gradients import Gradients
from repro.training.callbacks.guard import GradientGuard
from repro.training.callbacks.images import Averaging, ImageValidation, Statistics
from repro.training.callbacks.magnitudes import Magnitudes
from repro.training.callbacks.metrics import EVERY, Coefficients
from repro.training.callbacks.spectra import Spectra
from repro.training.callbacks.states import States
from repro.training.callbacks.summary import Shapes
from repro.training.strategy import FSDP2
from tests.training.test_image_classifier import tiny
from tests.training.test_replicated import IMAGES, STRATEGIES

RECIPE = tiny({"optim.ema": 0.8, "optim.loss": "binary", "optim.clip": "null"})


def built(recipe, folder):
    return building.build(recipe, machine("cpu"), IMAGES, seed=0, folder=folder, loggers=[])


def test_the_callbacks_of_a_run_with_averaged_weights_and_without(tmp_path):
    others = [Magnitudes, Statistics, Coefficients, Shapes, ImageValidation]
    recipes = (recipe.model_copy(update={"analysis": Analysis(every=None)}) for recipe in (RECIPE, tiny()))
    with_them, without = (pictures.callbacks(recipe, tmp_path) for recipe in recipes)
    assert [type(callback) for callback in with_them] == [*others[:2], Averaging, *others[2:]]
    assert [type(callback) for callback in without] == others
    assert [with_them[0].every, with_them[2].decay, with_them[3].every, with_them[5].every] == [EVERY, 0.8, 8, 8]


def test_the_analysis_of_images_is_of_weights_and_gradients(tmp_path):
    """There are no tokens whose states could be compared."""
    found = pictures.callbacks(RECIPE.model_copy(update={"analysis": Analysis(every=7)}), tmp_path)
    analysing = [callback for callback in found if isinstance(callback, Spectra | States | Gradients)]
    assert [(type(callback), callback.every) for callback in analysing] == [(Spectra, 7), (Gradients, 7)]


def test_metrics_count_the_images_of_a_step_and_what_one_costs():
    unit = pictures.unit(RECIPE)
    assert (unit.name, unit.a_step, unit.flops) == ("samples", 16, flops(RECIPE.model, 32))


def test_images_and_their_mixing_are_of_the_run_s_seed():
    data = pictures.data(RECIPE, IMAGES, Fit(8, 2), seed=3)
    assert (data.seed, data.samples_per_step, data.micro_batch, data.steps) == (3, 16, 8, 16)
    assert pictures.module(RECIPE, seed=3).seed == 3


# A whole run


class Seen(lightning.Callback):
    """Notes rates and, after each step, the weights."""

    def __init__(self):
        self.rates, self.weights = [], []

    def note(self, module):
        self.weights.append(weights(module.network))

    def on_train_start(self, trainer, pl_module):
        self.note(pl_module)
        self.at_first = weights(pl_module.averaged)

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rates.append(optimizer.param_groups[0]["lr"])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx % 2:  # two micro-batches a step
            self.note(pl_module)
            self.averaged = weights(pl_module.averaged)


def weights(network):
    return torch.cat([tensor.detach().flatten().clone() for tensor in network.parameters()])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What was seen in a run of 16 steps, each of two micro-batches, and its metrics."""
    folder, seen = tmp_path_factory.mktemp("whole"), Seen()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building.layout, "fit", lambda *_: Fit(8, 2))
        training = built(RECIPE, folder)
        training.trainer.callbacks.append(seen)
        training.fit()
    return seen, {int(row["step"]): row for row in read_metrics(folder / "metrics.csv") if row["loss"]}, folder


def test_averaged_weights_follow_every_step_once(whole):
    seen, *_ = whole
    assert len(seen.weights) == 17
    average = seen.weights[0].double()
    assert torch.equal(seen.at_first, seen.weights[0])
    for trained in seen.weights[1:]:
        average = 0.8 * average + 0.2 * trained
    torch.testing.assert_close(seen.averaged.double(), average, rtol=1e-5, atol=1e-6)
    assert (average - seen.weights[-1]).abs().max() > 1e-3


def test_rates_rise_over_an_epoch_and_fall_over_the_other_step_by_step(whole):
    seen, *_ = whole
    rising = [0.1 * (step + 1) / 8 for step in range(8)]
    falling = [0.05 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    assert seen.rates == pytest.approx(rising + falling)


def test_what_is_logged_is_the_loss_that_is_minimised_the_images_seen_and_the_magnitudes(whole):
    _, logged, folder = whole
    assert set(logged) == {1, 10, 16}
    assert [int(float(logged[step]["samples"])) for step in logged] == [16, 160, 256]
    assert float(logged[1]["loss"]) < 1, "one yes or no a class begins near ln 2, a choice of one at ln 62"
    largest = {int(row["step"]): row["largest_magnitude"] for row in read_metrics(folder / "metrics.csv")}
    assert float(largest[1]) > 0


@pytest.mark.parametrize(("clip", "limit"), [("null", math.inf), (0.5, 0.5)])
def test_a_gradient_is_clipped_where_the_recipe_says_so_alone(clip, limit, tmp_path):
    trainer = built(tiny({"optim.clip": clip}), tmp_path).trainer
    assert [callback.clip for callback in trainer.callbacks if isinstance(callback, GradientGuard)] == [limit]


@pytest.fixture
def restored():
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.usefixtures("restored")
def test_algorithms_are_deterministic_where_the_recipe_asks(asked, tmp_path):
    built(tiny({"deterministic": str(asked).lower()}), tmp_path)
    assert torch.are_deterministic_algorithms_enabled() is asked


@pytest.mark.parametrize(
    ("name", "precision"), [("resnet50-smoke-relu", "fp32"), ("mlp-smoke-relu", "fp32"), ("dense-smoke-relu", "bf16")]
)
def test_sharded_weights_of_image_classifiers_stay_in_float32(name, precision):
    """They compute in bfloat16 by autocast, which knows the norms."""
    images = not name.startswith("dense")
    recipe = load(name, ["precision=bf16", *(["strategy=fsdp2"] if images else [])])
    strategy = building._strategy(recipe, machine("gpu"), Fit(1, 1), seed=0)
    assert isinstance(strategy, FSDP2)
    assert strategy.sharding.precision == precision


# Memory format


def lie(tensors, memory):
    wide = [t for t in tensors if t.dim() == 4 and t.shape[1] > 1 and t.shape[2:] != (1, 1)]
    return len(wide) >= 3 and all(tensor.is_contiguous(memory_format=memory) for tensor in wide)


@pytest.mark.parametrize("strategy", ["bare", *STRATEGIES])
def test_convolutions_are_trained_and_read_again_with_their_channels_last(strategy, monkeypatch, request, tmp_path):
    """Except under FSDP2, which takes contiguous weights alone."""
    if strategy != "bare":
        request.getfixturevalue("one_process_group")
        monkeypatch.setattr(building, "BareModel", STRATEGIES[strategy])
    training = built(tiny({"budget.epochs": 1, "model.width": 8, "optim.ema": 0.5}), tmp_path)
    training.fit()
    if strategy == "fsdp2":
        local = [parameter.to_local() for parameter in training.module.averaged.parameters()]
        assert lie(local, torch.contiguous_format)
        return
    momenta = [state["momentum_buffer"] for state in training.trainer.optimizers[0].state.values()]
    assert lie([*training.module.parameters()], torch.channels_last)
    assert lie(momenta, torch.channels_last)


def test_a_checkpoint_leaves_memory_formats_as_they_are(whole):
    module = pictures.module(RECIPE, seed=1).to_empty(device="cpu")
    optimizer = module.configure_optimizers()["optimizer"]
    checkpoints.read(checkpoints.complete(whole[2] / "checkpoints")[-1], module, optimizer)
    assert torch.equal(weights(module.network), whole[0].weights[-1])
    assert lie([*module.parameters()], torch.channels_last)
    assert lie([state["momentum_buffer"] for state in optimizer.state.values()], torch.channels_last)
