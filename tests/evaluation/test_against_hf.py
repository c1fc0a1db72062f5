"""lm-eval's own model of an exported folder and ours of the run find the same."""

import numpy as np
import pytest
from lm_eval import evaluator

from repro.data.progress import silent
from repro.evaluation.subject import Subject
from repro.evaluation.tasks import harness, library, tasks
from repro.interop.exporting import export
from repro.recipe import machine
from repro.training.run import run
from repro.training.trained import Trained
from tests.evaluation.questions import CPU, write
from tests.interop.trusting import modules_in

pytestmark = pytest.mark.usefixtures("few_items")
WORDS = ["the", "order", "of", "a", "polynomial", "decides", "how", "many", "times", "its", "graph", "can", "turn"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Questions of ARC-E, of which some are longer than a context of 16, and BoolQ's, whose answers share inputs."""
    folder = tmp_path_factory.mktemp("files")
    arc = [
        {
            "question": " ".join(WORDS[number % 5 : number % 5 + number % 9]) + "?",
            "choices": {"text": [WORDS[number % 13], " ".join(WORDS[:2]), "x = 1"], "label": ["A", "B", "C"]},
            "answerKey": "ABC"[number % 3],
        }
        for number in range(20)
    ]
    write(folder, "ai2_arc__ARC-Easy.test", arc)
    boolq = [{"question": f"is {word}", "passage": "graph", "label": 1} for word in WORDS]
    return write(folder, "super_glue__boolq.validation", boolq)


@pytest.fixture(params=[("dense", "swiglu"), ("dense", "polynorm"), ("moe", "polynorm")], ids="-".join)
def trained(request, small, prepared, tmp_path):
    family, activation = request.param
    recipe = small({"budget.tokens": 256, "checkpoints.every": 2}, activation=activation, family=family)
    run(recipe, machine("cpu"), prepared, seed=0, folder=tmp_path / "run")
    return Trained.at(tmp_path / "run")


def test_lm_evals_model_of_the_exported_folder_gives_each_item_the_same(trained, files, tmp_path):
    from lm_eval.models.huggingface import HFLM

    plan = export.as_huggingface(trained, tmp_path / "hf")
    export.write_folder(trained, plan, silent)
    loaded = tasks.load(["arc_easy", "boolq"], files=files)
    ours = harness.evaluate(Subject.of(trained, CPU), loaded)
    with library.quiet(), modules_in(tmp_path / "modules"):
        theirs = HFLM(pretrained=str(plan.path), trust_remote_code=True, device="cpu", dtype="float32", batch_size=4)
        found = evaluator.evaluate(lm=theirs, task_dict={"tasks": dict(loaded.defined)}, bootstrap_iters=0)
    for result in ours:
        samples = found["samples"][result.task]
        expected = [[answer[0][0] for answer in sample["resps"]] for sample in samples]
        assert len(result.rows) == len(samples)
        for row, scores in zip(result.rows, expected, strict=True):
            # float32 on both sides, of sums of up to a dozen logits of a few units
            np.testing.assert_allclose(row["log_likelihoods"], scores, atol=5e-5)
        assert [row["acc"] for row in result.rows] == [sample["acc"] for sample in samples]
        assert result.value == found["results"][result.task]["acc,none"]
