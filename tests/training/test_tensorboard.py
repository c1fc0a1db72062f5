"""What TensorBoard shows of a run, read back from its event files: also of one that was killed and went on."""

import io
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from repro import activations
from repro.recipe import load, machine
from repro.recipe.runs import read_metrics
from repro.training.drawing import POINTS, Drawing, inputs, outputs
from repro.training.events import TAGS, EventsFile
from repro.training.metrics_file import COLUMNS
from repro.training.run import run
from tests.conftest import EXPERTS, SMALL

SETTINGS = SMALL | EXPERTS | {"validation.sets": "[held-out, letters]"}
WORDS = [f"{key}={value}" for key, value in SETTINGS.items()]
LAYERS = ["layers.0.mlp.experts.act_fn", "layers.1.mlp.experts.act_fn"]
EVERYTHING = {"scalars": 0, "images": 0, "tensors": 0}  # no sample of them
KILLED = """
import os, signal, sys
from pathlib import Path
from repro.data.manifest import Prepared
from repro.recipe import load, machine
from repro.training.language_model import LanguageModel
from repro.training.run import run
step = LanguageModel.training_step
def killed(self, batch):
    if self.trainer.global_step == 18:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch)
LanguageModel.training_step = killed
data, folder, *words = sys.argv[1:]
run(load("moe-smoke-polynorm", words), machine("cpu"), Prepared.open(Path(data)), seed=3, folder=Path(folder))
"""


def events(folder):
    read = EventAccumulator(str(folder / "tensorboard"), size_guidance=EVERYTHING)
    return read.Reload()


@pytest.fixture(scope="module")
def runs(prepared, letters, tmp_path_factory):
    """A run of 24 steps, and one that was killed in the 19th and went on from the checkpoint of the 10th."""
    root = tmp_path_factory.mktemp("runs")
    command = [sys.executable, "-c", KILLED, prepared.folder, root / "killed", *WORDS]
    environment = os.environ | {"REPRO_DATA": str(letters)}
    ended = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    before = {tag: [event.step for event in events(root / "killed").Scalars(tag)] for tag in ("train/loss",)}
    assert before == {"train/loss": [1, 10]}, "all that was logged has reached the disk"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_DATA", str(letters))
        for name in ("killed", "whole"):
            run(load("moe-smoke-polynorm", WORDS), machine("cpu"), prepared, seed=3, folder=root / name)
    return root


@pytest.fixture(params=["whole", "killed"])
def read(request, runs):
    return events(runs / request.param)


def test_scalars_are_in_groups(read):
    assert {tag for tag in read.Tags()["scalars"] if not tag.startswith("coefficients/")} == {
        *("train/loss", "train/gradient_norm", "train/skipped_steps", "train/learning_rate", "train/tokens"),
        *("validation/held-out", "validation/letters/home", "validation/letters/work"),
        *("speed/tokens_per_second", "speed/memory_gb"),
        *("routers/load_balancing", "routers/z", "routers/entropy", "routers/dropped_tokens"),
        *("load/largest", "load/smallest"),
        *(f"load/{layer}/{which}" for layer in (0, 1) for which in ("largest", "smallest")),
    }


def test_each_layer_has_its_coefficients_and_its_shape(read):
    coefficients = {tag for tag in read.Tags()["scalars"] if tag.startswith("coefficients/")}
    assert coefficients == {f"coefficients/{layer}/{i}" for layer in LAYERS for i in range(4)}
    assert set(read.Tags()["images"]) == {f"shape/{layer}" for layer in LAYERS}


def test_every_step_is_there_once_and_in_order_also_after_a_kill(read):
    scalars, images, texts = (read.Tags()[kind] for kind in ("scalars", "images", "tensors"))
    steps = {tag: [event.step for event in read.Scalars(tag)] for tag in scalars}
    rows = {tag for tag in scalars if tag.startswith(("train/", "speed/"))}
    assert {tuple(steps[tag]) for tag in rows} == {(1, 10, 20, 24)}
    assert {tuple(steps[tag]) for tag in scalars if tag.startswith(("routers/", "load/"))} == {(10, 20, 24)}
    assert {tuple(steps[tag]) for tag in scalars if tag.startswith(("validation/", "coefficients/"))} == {(8, 16, 24)}
    assert {tuple(event.step for event in read.Images(tag)) for tag in images} == {(8, 16, 24)}
    assert texts == ["evaluation/sets/text_summary"]
    assert [event.step for event in read.Tensors(texts[0])] == [8, 16, 24]


def test_a_killed_run_shows_what_the_uninterrupted_one_does(runs):
    ours, theirs = events(runs / "killed"), events(runs / "whole")
    for tag in ours.Tags()["scalars"]:
        if not tag.startswith("speed/"):
            assert [e.value for e in ours.Scalars(tag)] == [e.value for e in theirs.Scalars(tag)], tag
    for tag in ours.Tags()["images"]:
        assert [e.encoded_image_string for e in ours.Images(tag)] == [
            e.encoded_image_string for e in theirs.Images(tag)
        ]


def test_scalars_are_those_of_the_metrics_file(read, runs):
    rows = read_metrics(runs / "whole" / "metrics.csv")
    for column, tag in (
        ("loss", "train/loss"),
        ("validation_loss", "validation/held-out"),
        ("lr", "train/learning_rate"),
    ):
        expected = [(int(row["step"]), float(row[column])) for row in rows if row[column]]
        found = [(event.step, event.value) for event in read.Scalars(tag)]
        assert found == [(step, pytest.approx(value, rel=1e-6)) for step, value in expected]


def test_a_table_has_the_losses_of_the_sets(read):
    (last,) = read.Tensors("evaluation/sets/text_summary")[-1].tensor_proto.string_val
    assert last.decode().splitlines()[0] == "| set | subset | sequences | nats per token |"
    home = read.Scalars("validation/letters/home")[-1].value
    assert f"| letters | home | 32 | {home:.4f} |" in last.decode()


def test_hyperparameters_are_the_recipe_and_the_seed_beside_the_losses(read):
    plugin = read.PluginTagToContent("hparams")
    start = HParamsPluginData.FromString(plugin["_hparams_/session_start_info"]).session_start_info
    values = {key: value.number_value or value.string_value for key, value in start.hparams.items()}
    assert values["seed"] == 3
    assert values["optim.lr"] == load("moe-smoke-polynorm", WORDS).optim.lr
    assert values["model.activation"] == "polynorm"
    assert values["validation.sets"] == "['held-out', 'letters']"
    metrics = HParamsPluginData.FromString(plugin["_hparams_/experiment"]).experiment.metric_infos
    assert [metric.name.tag for metric in metrics] == ["train/loss", "validation/held-out"]
    assert {metric.name.tag for metric in metrics} <= set(read.Tags()["scalars"]), "by the names they are logged under"


def test_a_shape_is_small_and_grey(read):
    event = read.Images(f"shape/{LAYERS[0]}")[-1]
    image = Image.open(io.BytesIO(event.encoded_image_string))
    assert image.size == (320, 240)
    assert len(event.encoded_image_string) < 20_000
    red, green, blue = image.split()
    assert red.tobytes() == green.tobytes() == blue.tobytes()
    pixels = np.asarray(red)
    assert (pixels < 64).sum() > 100, "a dark line"
    assert ((pixels > 120) & (pixels < 190)).any(), "and a lighter one, of before training"


# Shapes


@pytest.mark.parametrize("word", ["polyrelu", "polynorm", "polyprelu", "polynorm_glu", "xielu", "prelu"])
def test_a_shape_is_the_activation_with_what_it_has_learned(word):
    module = activations.build(word)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3)
    x = inputs()
    expected = module(x, torch.ones_like(x)) if word.endswith("_glu") else module(x)
    found = outputs(word, dict(module.named_parameters()))
    np.testing.assert_array_equal(found, expected.detach()[None].numpy())


def test_a_layer_is_drawn_the_same_whatever_was_drawn_before_it():
    learned, other = (dict(activations.build("polynorm").named_parameters()) for _ in range(2))
    other = {"coeff": other["coeff"] * 9}
    drawing = Drawing("polynorm")
    drawing.draw(other, "one")
    image = drawing.draw(learned, "two")
    np.testing.assert_array_equal(image, Drawing("polynorm").draw(learned, "two"))
    assert image.shape == (240, 320)
    assert not np.array_equal(image, drawing.draw(other, "two"))


def test_experts_with_coefficients_of_their_own_have_a_line_each():
    coeff = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0]])
    identity, constant = outputs("polyrelu", {"coeff": coeff})
    np.testing.assert_array_equal(identity, inputs().relu().numpy())
    np.testing.assert_array_equal(constant, np.full(POINTS, 0.5, dtype=np.float32))


def test_shapes_are_drawn_at_a_row_of_unit_mean_square():
    x = inputs()
    assert x.square().mean().item() == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(x, -x.flip(0))


def test_an_activation_that_learns_nothing_is_not_drawn(small, train, tmp_path):
    train(small(activation="swiglu"))
    tags = events(tmp_path / "run").Tags()
    assert tags["images"] == []
    assert "train/loss" in tags["scalars"]


# Event files


def test_what_came_after_the_checkpoint_is_taken_out_of_the_files(tmp_path):
    first = EventsFile(tmp_path, resumed_at=0)
    for step in (1, 10, 20):
        first.log_metrics({"loss": 1 / step}, step)
        first.add_text("evaluation/tasks", f"at {step}", step)
    (path,) = (tmp_path / "tensorboard").glob("events.*")
    path.write_bytes(path.read_bytes()[:-7])  # killed as it wrote
    EventsFile(tmp_path, resumed_at=10)
    read = events(tmp_path)
    assert [event.step for event in read.Scalars("train/loss")] == [1, 10]
    assert [event.step for event in read.Tensors("evaluation/tasks/text_summary")] == [1, 10]


def test_a_fresh_start_forgets_an_earlier_run_that_saved_nothing(tmp_path):
    EventsFile(tmp_path, resumed_at=0).log_metrics({"loss": 1.0}, 1)
    EventsFile(tmp_path, resumed_at=0)
    assert events(tmp_path).Tags()["scalars"] == []


def test_what_is_not_in_the_list_keeps_its_name(tmp_path):
    EventsFile(tmp_path, resumed_at=0).log_metrics({"tasks/piqa": 0.5, "validation/c4": 3.0}, 1)
    assert events(tmp_path).Tags()["scalars"] == ["tasks/piqa", "validation/c4"]


def test_every_column_of_the_metrics_file_has_a_group():
    assert set(TAGS) == set(COLUMNS) - {"step"}
    assert len(set(TAGS.values())) == len(TAGS)
