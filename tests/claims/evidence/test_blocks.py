"""Unlike things get no verdict."""

import dataclasses

import pytest

from repro.claims.evidence.judging import judge
from tests.claims import made
from tests.claims.evidence.simulated import verdict, verdicts

ASK = "any_commit=true judges them all the same"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"data": "d1"}, "mixed data: polynorm was trained on data d1, swiglu was trained on data 9cfb50ba3a57"),
        (
            {"ffn_matrices": 7_084_966},
            "FFN matrices differ by +0.10 %: polynorm has 7,084,966 weights, swiglu 7,077,888",
        ),
        ({"tokens": 200}, "mixed tokens: polynorm went through 200 tokens, swiglu went through 104,857,600 tokens"),
        ({"device": "AMD EPYC"}, "mixed device: polynorm ran on AMD EPYC, swiglu ran on NVIDIA H100 80GB HBM3"),
        ({"precision": "float32"}, "mixed precision: polynorm ran in float32, swiglu ran in bf16"),
        (
            {"repro": "0.1.0+aaa"},
            f"seed 0 is of two commits: polynorm of 0.1.0+aaa, swiglu of 0.1.0+0ce561f; {ASK}",
        ),
    ],
    ids=["data", "FFN matrices", "budget", "device", "precision", "commit"],
)
def test_unlike_things_are_not_compared(changed, why):
    found = verdict({"polynorm": -0.02}, changed={"polynorm": changed})
    assert (found.status, found.why) == ("not resolved", why)
    assert (found.estimate, found.p_adjusted, found.smallest_detectable) == (None, None, None)


def test_another_commit_is_compared_only_if_asked_for_and_other_data_never():
    commit, data = {"repro": "0.1.0+aaa"}, {"data": "d1"}
    assert verdict({"polynorm": -0.02}, changed={"polynorm": commit}, any_commit=True).status == "supported"
    assert verdict({"polynorm": -0.02}, changed={"polynorm": data}, any_commit=True).status == "not resolved"


@pytest.mark.parametrize("repro", ["0.1.0+0ce561f-dirty", "0.1.0"])
def test_runs_of_no_commit_that_others_can_look_at_are_judged_only_if_asked_for(repro):
    found = verdict({"polynorm": -0.02}, repro=repro)
    told = (
        f"polynorm at seed 0 ran from {repro}, which is no commit that others can look at; any_commit=true judges them"
    )
    assert (found.status, found.why) == ("not resolved", f"{told} all the same")
    assert verdict({"polynorm": -0.02}, repro=repro, any_commit=True).status == "supported"


def changed_in(results, number, **values):
    rows = list(results.rows)
    at = [index for index, row in enumerate(rows) if row.role == "main"][number]
    rows[at] = dataclasses.replace(rows[at], **values)
    return dataclasses.replace(results, rows=tuple(rows))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"device": "AMD EPYC"}, "mixed device: "),
        ({"fingerprint": "ffffffff"}, "runs of polynorm are of 2 recipes (0123abcd, ffffffff)"),
        ({"validation_loss": None}, "no finite validation_loss: polynorm at seed 1"),
        ({"validation_loss": float("inf")}, "no finite validation_loss: polynorm at seed 1"),
    ],
)
def test_one_run_that_is_unlike_is_enough(change, why):
    study = made.study(secondary=())
    (found,) = judge(study, "10m", changed_in(made.results(study, "10m", {"polynorm": -0.02}), 2, **change))
    assert found.status == "not resolved"
    assert found.why.startswith(why)


def test_seeds_of_two_commits_are_fine_as_long_as_each_pair_is_of_one():
    study = made.study(secondary=())
    results = made.results(study, "10m", {"polynorm": -0.02})
    rows = tuple(dataclasses.replace(row, repro="0.1.0+aaa") if row.seed == 3 else row for row in results.rows)
    assert judge(study, "10m", dataclasses.replace(results, rows=rows))[0].status == "supported"


def test_a_best_rate_at_the_edge_of_its_bracket_blocks_a_verdict_and_its_numbers_stay():
    found = verdict({"polynorm": -0.02}, best={"polynorm": 2.0})
    assert (found.status, found.edges) == ("not resolved", ("polynorm",))
    assert found.why.startswith("the best learning rate tried is at an edge of the bracket: polynorm (0.01); -0.0")
    assert (found.estimate.n, found.p_adjusted) == (6, None)


def test_without_a_bracket_a_learning_rate_is_a_guess():
    study = made.study(secondary=())
    results = made.results(study, "10m", {"polynorm": -0.02})
    rows = tuple(row for row in results.rows if (row.role, row.arm) != ("bracket", "swiglu"))
    (found,) = judge(study, "10m", dataclasses.replace(results, rows=rows))
    assert found.why == "no bracket of swiglu has run, so its learning rate is a guess"
    for without in ({"bracket": False}, {"published_rates": ("10m",)}):
        assert verdicts(made.study(secondary=(), **without), {"polynorm": -0.02})[0].status == "supported"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"data": "d1"}, "was trained on data d1, the runs that it is for on data 9cfb50ba3a57"),
        ({"tokens": 1000}, "went through 1,000 tokens, the runs that it is for through 104,857,600 tokens"),
        ({"device": "AMD EPYC"}, "ran on AMD EPYC, the runs that it is for on NVIDIA H100 80GB HBM3"),
        ({"precision": "float32"}, "ran in float32, the runs that it is for in bf16"),
        (
            {"repro": "0.1.0+aaa"},
            f"is of commit 0.1.0+aaa, the runs that it is for of 0.1.0+0ce561f; {ASK}",
        ),
    ],
    ids=["data", "budget", "device", "precision", "commit"],
)
def test_a_bracket_of_another_kind_chose_for_another_task(change, why):
    study = made.study(secondary=())
    results = made.results(study, "10m", {"polynorm": -0.02})
    rows = tuple(dataclasses.replace(row, **change) if row.role == "bracket" else row for row in results.rows)
    (found,) = judge(study, "10m", dataclasses.replace(results, rows=rows))
    assert (found.status, found.why) == ("not resolved", f"the bracket of polynorm {why}")
    asked = judge(study, "10m", dataclasses.replace(results, rows=rows), any_commit=True)[0]
    assert asked.status == ("supported" if "repro" in change else "not resolved")


def test_the_rate_that_a_bracket_chose_is_that_of_the_same_recipe():
    study = made.study(secondary=())
    results = made.results(study, "10m", {"polynorm": -0.02})
    rows = tuple(dataclasses.replace(row, fingerprint="f") if row.role == "bracket" else row for row in results.rows)
    (found,) = judge(study, "10m", dataclasses.replace(results, rows=rows))
    assert found.why == "runs of polynorm are of 2 recipes (0123abcd, f)"


def test_arms_without_a_seed_in_common_are_told():
    study = made.study(secondary=())
    results = made.results(study, "10m")
    rows = [dataclasses.replace(row, seed=row.seed + (row.arm == "swiglu") * 100) for row in results.rows]
    found = judge(study, "10m", dataclasses.replace(results, rows=tuple(rows)))[0]
    assert (found.status, found.why) == ("not resolved", "polynorm and swiglu have no seed in common")
