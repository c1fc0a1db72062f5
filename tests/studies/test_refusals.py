"""What is told of a study before anything of it runs."""

import pytest

from repro.errors import DataError, RecipeError
from repro.recipe import machine
from repro.studies import refusals
from repro.studies.asked import form
from repro.studies.refusals import refuse_misfit, refuse_unlike, refuse_unready
from tests.claims import made


def of(scale="smoke", overrides=(), family="dense", **arms):
    return form(made.study(primary="a < b", secondary=(), arms=arms, family=family), scale, overrides)


def told(study):
    with pytest.raises(RecipeError) as error:
        refuse_unlike(study)
    return str(error.value)


def test_arms_whose_ffn_matrices_differ_are_refused_with_the_residual():
    study = of(
        a={"activation": "swiglu", "set": {"model.ffn_rank": 16}},
        b={"activation": "relu", "set": {"model.ffn_rank": 16}},
    )
    assert told(study) == (
        "study made at smoke cannot compare a and b: their FFN matrices differ by +9.76 %: 23,040 weights and 20,992"
    )


def test_arms_on_other_data_are_refused():
    study = of(a={"activation": "relu"}, b={"activation": "relu", "set": {"data.corpus": "python-packages"}})
    assert told(study).endswith("cannot compare a and b: data.corpus is python-stdlib and python-packages")


def test_arms_of_another_budget_are_refused():
    study = of(a={"activation": "relu"}, b={"activation": "relu", "set": {"budget.tokens": 128_000}})
    assert told(study).endswith("cannot compare a and b: budget.tokens is 256000 and 128000")


def test_networks_without_ffns_are_held_to_all_but_what_activations_learn():
    refuse_unlike(of(family="mlp", a={"activation": "relu"}, b={"activation": "polynorm"}))
    study = of(family="mlp", a={"activation": "relu"}, b={"activation": "relu", "set": {"model.width": 128}})
    assert "their models without their activations differ by" in told(study)


def test_arms_that_differ_in_what_changes_no_number_may_be_compared():
    refuse_unlike(of(a={"activation": "relu"}, b={"activation": "relu", "set": {"data.workers": 1}}))


ALIKE = {"a": {"activation": "relu"}, "b": {"activation": "gelu"}}


def test_a_machine_that_is_too_small_is_told_as_plan_tells_it():
    with pytest.raises(
        RecipeError, match=r"^dense-13b-relu does not fit on machine 'gpu': one sequence at a time needs"
    ):
        refuse_misfit(form(_large(), "13b", ()), machine("gpu"))


def _large():
    return made.study(primary="a < b", secondary=(), arms=ALIKE, forms=(("smoke", ("smoke",)), ("13b", ("13b",))))


def test_a_gpu_that_is_not_here_is_refused_unless_runs_are_handed_over(monkeypatch):
    monkeypatch.setattr(refusals, "here", lambda: machine("cpu"))
    monkeypatch.setattr(refusals, "ready", lambda *_, progress: None)
    with pytest.raises(
        RecipeError, match=r"^machine 'gpu' has a GPU, and there is none here; try --on cpu, or --submit$"
    ):
        refuse_unready(of(**ALIKE), machine("gpu"), submitted=False)
    refuse_unready(of(**ALIKE), machine("gpu"), submitted=True)


def test_a_machine_of_several_nodes_takes_slurm():
    with pytest.raises(RecipeError, match=r"^machine 'h100-8x8' has 8 nodes: --submit hands its runs to SLURM$"):
        refusals._refuse_elsewhere(machine("h100-8x8"))


def test_data_that_are_not_prepared_are_told_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"run `repro prepare fineweb-edu-sample vocab_size=8192"):
        refuse_unready(of("10m", **ALIKE), machine("cpu"), submitted=True)


def test_embedded_data_are_made_once_for_all_runs(monkeypatch):
    made_ready = []
    monkeypatch.setattr(refusals, "ready", lambda data, vocabulary, *, progress: made_ready.append(data.corpus))
    refuse_unready(of(**ALIKE), machine("cpu"), submitted=False)
    assert made_ready == ["python-stdlib"]
