"""Which runs a study asks for, counted by hand, and which of them are due."""

import dataclasses
from pathlib import Path

import pytest

from repro.claims.evidence.choice import Choice
from repro.claims.evidence.study import Bracket, load
from repro.errors import RecipeError
from repro.recipe import fingerprint
from repro.studies.asked import form
from repro.studies.due import at_edges, due, key_of, remaining, wider
from repro.studies.recorded import refuse_others
from tests.claims import made

STUDY = made.study(secondary=("polynorm < relu", "polyrelu < relu"))


def row(run, loss=3.0, **values):
    """What a run of a study left."""
    told = {"rung": run.rung, "role": run.role, "arm": run.arm, "factor": run.factor, "seed": run.seed}
    told |= {"lr": run.recipe.optim.lr, "fingerprint": fingerprint(run.recipe), "validation_loss": loss}
    return made.row(**(told | values))


def rows(of, asked, best=1.0):
    """Brackets whose best is at a factor; losses fall towards it."""
    return [row(run, 3.0 + abs(run.factor - best)) for run in asked]


def counted(asked):
    return {
        "bracket": sum(run.role == "bracket" for run in asked),
        **{arm: sum(run.arm == arm and run.role == "main" for run in asked) for arm in STUDY.arms},
    }


def test_table_1_asks_for_15_runs_that_choose_rates_and_21_that_are_measured():
    asked = remaining(form(load("table-1"), "smoke", ()), [])
    assert sum(run.role == "bracket" for run in asked) == 5 * 3
    assert sum(run.role == "main" for run in asked) == 2 * 6 + 3 * 3


def test_a_form_of_published_rates_asks_for_measured_runs_alone():
    asked = remaining(form(load("table-1"), "1b", ()), [])
    assert [run.role for run in asked] == ["main"] * 21


def test_a_sweep_measures_every_factor_at_every_seed():
    asked = remaining(form(load("stability"), "smoke", ()), [])
    assert len(asked) == 4 * (2 * 8 + 3 * 8)
    assert {run.factor for run in asked} == {1, 3, 10, 30}
    assert {run.recipe.optim.lr for run in asked if run.arm == "relu"} == {0.01, 0.03, 0.1, 0.3}


def test_arms_of_the_primary_comparison_have_more_seeds():
    assert counted(remaining(form(STUDY, "10m", ()), [])) == {
        "bracket": 12,
        "polynorm": 6,
        "swiglu": 6,
        "relu": 3,
        "polyrelu": 3,
    }


@pytest.mark.parametrize(("seeds", "first", "others"), [(1, 1, 1), (2, 2, 2), (9, 9, 3)])
def test_seeds_are_those_of_the_primary_comparison(seeds, first, others):
    of = form(STUDY, "10m", (), seeds=seeds)
    assert [len(of.seeds_of(arm)) for arm in ("polynorm", "swiglu", "relu")] == [first, first, others]


def test_brackets_come_first_on_a_seed_that_is_not_measured():
    asked = due(form(STUDY, "10m", ()), [])
    assert {(run.role, run.seed) for run in asked} == {("bracket", 1000)}
    assert [run.factor for run in asked if run.arm == "relu"] == [0.5, 1.0, 2.0]


def test_an_arm_goes_on_once_its_bracket_is_whole_and_the_others_do_not_wait_for_it():
    of = form(STUDY, "10m", ())
    brackets = due(of, [])
    there = rows(of, [run for run in brackets if run.arm == "polynorm"])
    asked = due(of, there)
    assert counted(asked) == {"bracket": 9, "polynorm": 6, "swiglu": 0, "relu": 0, "polyrelu": 0}
    assert [run.role for run in asked] == ["bracket"] * 9 + ["main"] * 6


def test_measured_runs_have_the_rate_that_the_bracket_chose():
    of = form(made.study(seeds=2, secondary_seeds=2, bracket=True), "10m", ())
    there = rows(of, due(of, []), best=1.0)
    (first, *_) = due(of, there)
    assert (first.role, first.factor, first.overrides) == ("main", 1.0, ())
    assert first.command == ("repro", "run", "dense-10m-polynorm")
    assert due(of, there)[-1].command[-2:] == ("--seed", "1")


def test_a_factor_takes_rate_and_floor_along():
    run = form(STUDY, "10m", ()).run("bracket", "10m", "relu", 2.0, 1000)
    assert run.overrides == ("optim.lr=0.01018",)
    assert run.recipe.optim.lr / run.recipe.optim.min_lr == pytest.approx(20, rel=1e-3)


def test_a_rung_that_sets_both_has_both_scaled():
    run = form(load("scaling"), "25m", ()).run("bracket", "2m", "relu", 2.0, 1000)
    assert {"optim.lr=0.01837", "optim.min_lr=0.0009186"} <= set(run.overrides)


def test_seeds_come_one_after_the_other_so_that_a_study_that_is_stopped_has_whole_pairs():
    of = form(STUDY, "10m", ())
    asked = due(of, rows(of, due(of, [])))
    assert [run.seed for run in asked] == sorted(run.seed for run in asked)
    assert {run.arm for run in asked[:4]} == set(STUDY.arms)


def test_a_run_that_is_there_is_not_asked_for_again_nor_is_one_that_failed():
    of = form(STUDY, "10m", ())
    there = rows(of, due(of, []))
    first, second, *others = due(of, there)
    assert [run.key for run in due(of, [*there, row(first)], {second.key})] == [run.key for run in others]


def test_a_best_at_an_edge_is_widened_twice_and_then_taken_as_it_is():
    of = form(made.study(seeds=1, secondary_seeds=1), "10m", ())
    there = rows(of, due(of, []), best=9.0)
    tried = []
    while (asked := due(of, there))[0].role == "bracket":
        tried.append({run.factor for run in asked})
        there += rows(of, asked, best=9.0)
    assert tried == [{4.0}, {8.0}]
    assert {run.factor for run in asked} == {8.0}


@pytest.mark.parametrize(
    ("losses", "following"),
    [
        ({0.5: 3.1, 1.0: 3.0, 2.0: 3.1}, None),
        ({0.5: 3.0, 1.0: 3.1, 2.0: 3.2}, 0.25),
        ({0.5: 3.2, 1.0: 3.1, 2.0: 3.0}, 4.0),
        ({0.125: 3.0, 0.25: 3.1, 0.5: 3.2, 1.0: 3.3, 2.0: 3.4}, None),
        ({0.5: 3.2, 1.0: 3.1, 2.0: 3.0, 4.0: 2.9, 8.0: 2.8}, None),
    ],
)
def test_which_factor_follows_beyond_an_edge(losses, following):
    best = min(losses, key=losses.get)
    choice = Choice(best, best, losses, at_edge=best in {min(losses), max(losses)})
    assert wider(choice, Bracket()) == following


def test_arms_whose_best_stays_at_an_edge_come_last_since_no_verdict_is_given_of_them():
    of = form(made.study(seeds=2, secondary_seeds=2), "10m", ())
    there = rows(of, [run for run in due(of, []) if run.arm != "polynorm"])
    while edge := [run for run in due(of, there) if (run.arm, run.role) == ("polynorm", "bracket")]:
        there += rows(of, edge, best=9.0)
    assert at_edges(of, there).keys() == {("10m", "polynorm")}
    assert [(run.arm, run.seed) for run in due(of, there)] == [
        *(("swiglu", 0), ("relu", 0), ("swiglu", 1), ("relu", 1), ("polynorm", 0), ("polynorm", 1))
    ]


def test_an_arm_that_a_wider_bracket_waits_for_is_at_no_edge_yet():
    of = form(STUDY, "10m", ())
    assert at_edges(of, rows(of, due(of, []), best=9.0)) == {}


def test_runs_that_choose_a_rate_lie_apart_and_are_shared_by_studies():
    """The bracket's run at the recipe's own rate is of the recipe that is measured: seeds of that are compared."""
    ours, theirs = (form(load(name), "10m", ()) for name in ("table-1", "figures-6-7"))
    bracket, measured = (ours.run(role, "10m", "relu", 1.0, seed) for role, seed in (("bracket", 1000), ("main", 0)))
    assert bracket.folder.relative_to("runs").parts[0] == "brackets"
    assert measured.folder.relative_to("runs").parts == ("dense-10m-relu", fingerprint(measured.recipe), "seed-0")
    assert bracket.folder == theirs.run("bracket", "10m", "relu", 1.0, 1000).folder
    assert bracket.command == (*measured.command, "--seed", "1000", "--out", "runs/brackets")


def test_where_all_rates_diverge_smaller_ones_are_tried():
    of = form(made.study(), "10m", ())
    there = [row(run, None, diverged_at=10) for run in due(of, [])]
    assert {run.factor for run in due(of, there)} == {0.25}


def test_what_is_set_holds_for_all_runs_and_over_what_a_size_sets():
    of = form(load("figure-5a"), "smoke", ["data.corpus=python-packages", "budget.tokens=64_000"])
    asked = remaining(of, [])
    assert {run.recipe.data.corpus for run in asked} == {"python-packages"}
    assert {run.recipe.budget.tokens for run in asked} == {64_000}


@pytest.mark.parametrize(
    ("study", "overrides", "told"),
    [
        ("table-1", ["lr=3e-4"], "which chooses the learning rate of each arm by its bracket"),
        ("stability", ["optim.lr=3e-4"], "study stability, which tries learning rates itself"),
        (
            "rank",
            ["rank_penalty=0.2"],
            "optim.rank_penalty cannot be set for study rank: it is what sets its arm relu_r",
        ),
        ("table-1", ["tokens"], "'tokens' is not key=value, such as data.corpus=python-packages"),
        ("table-1", ["budget.tokens=1e6", "budget.tokens=2e6"], "budget.tokens is set twice"),
        ("table-1", ["corpse=x"], "unknown key 'corpse'. Did you mean 'data.corpus'?"),
    ],
)
def test_what_cannot_be_set_for_a_study(study, overrides, told):
    with pytest.raises(RecipeError) as error:
        form(load(study), "smoke", overrides)
    assert str(error.value).startswith("the command line: ")
    assert told in str(error.value)


def test_rates_can_be_set_where_a_form_chooses_none():
    assert form(load("table-1"), "1b", ["optim.lr=1e-4"]).run("main", "1b", "relu", 1.0, 0).recipe.optim.lr == 1e-4


def test_a_scale_that_is_none_gets_the_nearest_and_none_means_the_smallest_that_is_evidence():
    with pytest.raises(RecipeError, match=r"^study table-1 has no scale '12m'\. Did you mean '124m'\?$"):
        form(load("table-1"), "12m", ())
    assert form(load("table-1"), None, ()).name == "4m"


def test_runs_of_other_settings_are_told_from_those_that_are_asked_for():
    mine = form(STUDY, "smoke", ["budget.tokens=64_000"])
    there = [row(run, overrides="budget.tokens=64000") for run in due(mine, [])[:3]]
    refuse_others(mine, there, Path("runs/studies/made-smoke.csv"))
    with pytest.raises(RecipeError) as error:
        refuse_others(form(STUDY, "smoke", ()), there, Path("runs/studies/made-smoke.csv"))
    assert str(error.value) == (
        "runs/studies/made-smoke.csv holds runs of polynorm at smoke with budget.tokens=64000, and asked for is "
        "nothing set: give the same settings, or move the file and its curves away"
    )


def test_runs_of_an_arm_that_the_study_no_longer_has_are_told():
    of = form(STUDY, "smoke", ())
    there = [dataclasses.replace(row(due(of, [])[0]), arm="gelu")]
    with pytest.raises(RecipeError, match=r"holds runs of gelu at smoke, which made has not, or move the file"):
        refuse_others(of, there, Path("made-smoke.csv"))


def test_studies_share_the_run_that_both_ask_for():
    ours, theirs = (form(load(name), "10m", ()) for name in ("table-1", "figures-6-7"))
    folders = [{run.folder for run in remaining(of, [])} for of in (ours, theirs)]
    assert folders[0] == folders[1]


def test_a_key_is_that_of_its_row():
    run = due(form(STUDY, "10m", ()), [])[0]
    assert key_of(row(run)) == run.key
