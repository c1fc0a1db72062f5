"""`repro eval` of an image classifier: image by image, and as training validates it."""

import csv
import os
import signal

import numpy as np
import pytest

from repro import cli
from repro.data.images.glyphs import CLASSES, Glyphs
from repro.data.images.locate import locate
from repro.data.images.pictures import ImageSet, Unreadable
from repro.evaluation import images, results
from repro.recipe import machine
from repro.recipe.runs import read_metrics
from repro.training.run import run
from tests.training.processes import start_all
from tests.training.test_image_classifier import tiny

BATCH = 310
STEP = 40  # of two epochs


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "run"
    recipe = tiny({"data.images": 6_200, "budget.samples_per_step": BATCH, "checkpoints.every": 10})
    run(recipe, machine("cpu"), locate(recipe.data, 62), seed=0, folder=folder)
    return folder


@pytest.fixture
def evaluate(a_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def evaluate(*more):
        code = cli.status(["eval", "run", *more, "--on", "cpu"])
        said = capsys.readouterr()
        return code, said.out, said.err

    return evaluate


def each_image(folder):
    with (folder / "evaluation" / f"step-{STEP:08d}" / "images.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_top_1_and_top_5_are_those_of_training_s_validation(evaluate, a_run):
    code, said, _ = evaluate()
    assert code == 0
    row = results.read(a_run, "images")[-1]
    last = read_metrics(a_run / "metrics.csv")[-1]
    assert (row["step"], row["samples_seen"], row["unreadable"]) == (STEP, STEP * BATCH, 0)
    assert row["top1"] == pytest.approx(float(last["top1"]))
    assert row["top5"] == pytest.approx(float(last["top5"]))
    assert row["nats_per_image"] == pytest.approx(float(last["validation_loss"]), rel=1e-6)
    assert row["top1_error"] == pytest.approx(np.sqrt(row["top1"] * (1 - row["top1"]) / row["images"]))
    assert f"{100 * row['top1']:.2f} ±" in said


def test_each_image_is_kept_with_its_answers(evaluate, a_run):
    evaluate()
    row, each = results.read(a_run, "images")[-1], each_image(a_run)
    assert len(each) == row["images"]
    assert np.mean([one["answer1"] == one["label"] for one in each]) == pytest.approx(row["top1"])
    among = [one["label"] in {one[f"answer{place}"] for place in range(1, 6)} for one in each]
    assert np.mean(among) == pytest.approx(row["top5"])
    assert np.mean([float(one["nats"]) for one in each]) == pytest.approx(row["nats_per_image"], rel=1e-6)
    np.testing.assert_allclose(
        [float(one["nats"]) for one in each], np.load(a_run / "validation.npy")[-1], rtol=1e-5, atol=1e-6
    )


def test_what_is_evaluated_is_told_and_skipped(evaluate, monkeypatch):
    evaluate()
    monkeypatch.setattr(images, "_classified", None)
    code, said, _ = evaluate()
    assert code == 0
    assert said.startswith("evaluated before: images at step ")


def test_ctrl_c_keeps_what_is_done(evaluate, a_run, monkeypatch):
    evaluate(f"step={STEP}")
    undisturbed, classified, calls = each_image(a_run), images._classified, []
    (a_run / "evaluation" / "images.json").unlink()

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 11:
            os.kill(os.getpid(), signal.SIGINT)
        return classified(*args)

    monkeypatch.setattr(images, "_classified", interrupted)
    assert evaluate(f"step={STEP}")[::2] == (130, "repro: interrupted\n")
    assert evaluate(f"step={STEP}")[0] == 0
    batches = -(-len(undisturbed) // images.AT_A_TIME["cpu"])
    assert len(calls) == 11 + batches - images.BATCHES  # those that were kept are not classified again
    assert each_image(a_run) == undisturbed


def test_two_processes_answer_as_one(evaluate, a_run, tmp_path):
    evaluate(f"step={STEP}")
    alone, each = results.read(a_run, "images"), each_image(a_run)
    (a_run / "evaluation" / "images.json").unlink()
    first, second = start_all([["eval", "run", f"step={STEP}", "--on", "cpu-x2"]] * 2, tmp_path, OMP_NUM_THREADS="1")
    assert (first.code, second.code) == (0, 0), first.stderr + second.stderr
    assert (results.read(a_run, "images")[0]["top1"], each_image(a_run)) == (alone[0]["top1"], each)


class Damaged(Glyphs):
    """Glyphs of which one cannot be read."""

    def __getitem__(self, index):
        if index == 11:
            raise Unreadable("it is damaged")
        return super().__getitem__(index)


def test_an_image_that_cannot_be_read_is_neither_right_nor_wrong(evaluate, a_run, monkeypatch):
    evaluate(f"step={STEP}")
    whole = each_image(a_run)
    pictures = ImageSet("glyphs", CLASSES, Glyphs("train", 62), Damaged("validation", len(whole)), "other")
    monkeypatch.setattr(images, "locate", lambda *_: pictures)
    monkeypatch.setattr(images, "refuse_other_data", lambda *_: None)
    code, _, said = evaluate(f"step={STEP}")
    assert (code, said) == (0, "")
    (row,) = results.read(a_run, "images")
    assert (row["images"], row["unreadable"]) == (len(whole) - 1, 1)
    assert each_image(a_run) == whole[:11] + whole[12:]


@pytest.mark.parametrize(("words", "option"), [(("--sets", "c4"), "--sets"), (("tokens=100",), "tokens=")])
def test_what_is_for_language_models_is_refused_in_a_line(evaluate, a_run, words, option):
    code, _, said = evaluate(*words)
    assert (code, said.count("\n")) == (2, 1)
    assert f"which classifies images: {option} is for language models" in said
