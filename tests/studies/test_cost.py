"""What a study costs and can show, and where that is known from."""

import math
from dataclasses import replace

import pytest

from repro.claims.evidence import store
from repro.claims.evidence.study import load
from repro.claims.statistics.power import smallest_detectable
from repro.recipe import machine
from repro.recipe.plan import plan
from repro.studies.asked import form
from repro.studies.cost import detectable, hours, noise_of
from repro.studies.due import remaining
from tests.claims import made


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder without results, and a kit that brings none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(store.paths, "data", lambda: tmp_path / "data")


def test_hours_are_the_sum_of_the_plans_of_all_runs():
    of = form(load("table-1"), "10m", ())
    asked, gpu = remaining(of, []), machine("gpu")
    assert hours(asked, gpu) == pytest.approx(sum(plan(run.recipe, gpu).hours for run in asked))


@pytest.mark.parametrize(
    ("scale", "sd", "source"),
    [
        ("smoke", 0.010, "a guess below 1 M parameters"),
        ("10m", 0.003, "a guess at 10 to 25 M parameters"),
        ("124m", 0.0014, "962 public logs at 124 M parameters"),
        ("1b", 0.0014, "962 public logs at 124 M parameters"),
    ],
)
def test_without_results_the_noise_is_that_of_the_literature_and_says_so(scale, sd, source):
    of = form(load("table-1"), scale, ())
    noise = noise_of(of, scale, of.study.primary)
    assert noise.sd == pytest.approx(math.sqrt(2) * sd)
    assert source in noise.source


@pytest.mark.parametrize("name", ["figures-6-7", "stability", "resnet50-cifar10", "controls-rnn"])
def test_of_measures_that_nobody_has_told_the_noise_of_nothing_is_said(name):
    of = form(load(name), None, ())
    assert noise_of(of, next(iter(of.study.forms[of.name])), of.study.primary) is None


def _write(name, sd, scale="10m", share=1.0):
    """Results of runs of that share of the study's own steps."""
    study = load(name)
    of = form(study, scale, ())
    steps = round(share * of.run("main", scale, study.primary.a, 1.0, 0).recipe.steps)
    results = made.results(study, scale, sd=sd, seeds=40)
    rows = tuple(replace(row, steps=steps, curve="") for row in results.rows)
    store.write(replace(results, rows=rows, curves=()), store.place(name, scale, store.folders()[0]))


def test_results_that_are_there_tell_the_noise_themselves():
    _write("table-1", 0.05)
    of = form(load("table-1"), "10m", ())
    noise = noise_of(of, "10m", of.study.primary)
    assert noise.sd == pytest.approx(0.05, rel=0.2)
    assert noise.source.startswith("measured: ")


def test_results_of_another_study_of_the_family_at_this_size_do_as_well():
    _write("table-1", 0.05)
    of = form(load("modern"), "10m", ())
    assert noise_of(of, "10m", of.study.primary).sd == pytest.approx(0.05, rel=0.2)
    moe = form(load("table-2-3"), "tiny", ())
    assert "guess" in noise_of(moe, "tiny", moe.study.primary).source


def test_shorter_runs_tell_nothing_of_this_size():
    _write("table-1", 0.05, share=0.5)
    of = form(load("modern"), "10m", ())
    assert "guess" in noise_of(of, "10m", of.study.primary).source


def test_what_is_found_in_four_of_five_cases_is_more_for_a_secondary_comparison():
    of = form(load("table-1"), "10m", ())
    noise = noise_of(of, "10m", of.study.primary)
    assert detectable(of, of.study.primary, noise) == smallest_detectable(noise.sd, 6)
    assert detectable(of, of.study.secondary[0], noise) == smallest_detectable(noise.sd, 3, level=0.05 / 6)
