"""What was planned is judged, and nothing else."""

import dataclasses

import pytest

from repro.claims.evidence.judging import judge
from repro.claims.evidence.naming import named
from repro.claims.evidence.study import Arm
from tests.claims import made
from tests.claims.evidence.simulated import verdict


def test_while_planned_pairs_are_missing_there_is_no_verdict_and_the_interval_stays():
    found = verdict({"polynorm": -0.02}, 0.0005, seeds=4)
    assert (found.status, found.p_adjusted, found.leans) == ("not resolved", None, None)
    assert found.why.startswith("interim, 4 of 6 planned pairs; -0.0")
    assert found.estimate.n == 4
    assert found.why.endswith(" over 4 pairs")


def test_pairs_that_were_not_planned_are_left_out_and_told():
    twelve = verdict({"polynorm": -0.003}, seeds=12)
    assert sorted(twelve.differences) == list(range(6))
    assert twelve.why.endswith("; not planned, so left out: seeds 6, 7, 8, 9, 10, 11")
    assert twelve.estimate == verdict({"polynorm": -0.003}, seeds=6).estimate
    assert verdict(seeds=7).why.endswith("; not planned, so left out: seed 6")


def test_as_many_pairs_are_judged_as_were_planned_when_it_was_named():
    study = made.study()
    for seeds, n in ((9, 9), (4, 4)):
        results = made.results(study, "10m", {"polynorm": -0.02}, seeds=9, planned=named(study, seeds=seeds))
        first, second = judge(study, "10m", results)
        assert (first.status, first.estimate.n, second.estimate.n) == ("supported", n, 3)


def test_seeds_beyond_the_planned_ones_make_no_pair():
    study = made.study(secondary=())
    results = made.results(study, "10m", {"polynorm": -0.02}, seeds=8)
    rows = tuple(row for row in results.rows if row.role == "bracket" or row.seed > 5)
    (found,) = judge(study, "10m", dataclasses.replace(results, rows=rows))
    assert (found.status, found.why.split(";")[0]) == (
        "not resolved",
        "polynorm and swiglu share no seed that was planned",
    )


def test_a_study_with_one_seed_gets_no_verdict():
    found = verdict({"polynorm": -0.02}, seeds=1)
    assert found.status == "not resolved"
    told = "one pair, seed 0: seeds differ among themselves, so one gives no verdict"
    assert found.why == f"interim, 1 of 6 planned pairs; {told}"
    planned = named(made.study(secondary=()), seeds=1)
    assert verdict({"polynorm": -0.02}, seeds=1, planned=planned).why == told
    assert list(found.differences) == [0]


def test_a_comparison_that_was_not_named_before_gets_no_verdict():
    before, after = (
        made.study(),
        made.study(primary="polynorm < relu", secondary=("polynorm < swiglu", "swiglu < relu")),
    )
    results = made.results(after, "10m", {"polynorm": -0.02}, planned=named(before))
    found = judge(after, "10m", results)
    assert {each.status for each in found} == {"not resolved"}
    told = (
        "before the first run ended it was named as a secondary comparison, and is now primary",
        "before the first run ended it was named as a primary comparison, and is now secondary",
        "swiglu < relu was not named before the first run ended",
    )
    assert all(why in each.why for why, each in zip(told, found, strict=True))
    assert all(each.estimate and each.p_adjusted is None for each in found)


def test_a_margin_that_was_widened_afterwards_gets_no_verdict():
    before, after = (made.study(primary="polynorm ~ swiglu", secondary=(), margin=margin) for margin in (0.005, 0.05))
    (found,) = judge(after, "10m", made.results(after, "10m", {"polynorm": 0.02}, planned=named(before)))
    assert (found.status, found.why.split("; ")[0]) == (
        "not resolved",
        "polynorm ~ swiglu within 0.05 was not named before the first run ended",
    )


def test_who_leaves_a_comparison_out_afterwards_makes_the_others_no_easier():
    before = made.study(secondary=[f"polynorm < {arm}" for arm in ("relu", "gelu", "relu2", "silu")], secondary_seeds=6)
    after = made.study(secondary=("polynorm < relu",), secondary_seeds=6)
    results = made.results(before, "10m", {"polynorm": -0.003})
    found = judge(after, "10m", results)[1]
    assert found.p_adjusted == pytest.approx(min(1, 4 * found.estimate.p))


def test_arms_that_were_set_up_otherwise_are_told_of_their_comparisons():
    study = made.study()
    other = study.model_copy(update={"arms": study.arms | {"relu": Arm(activation="relu", set={"model.d_ff": 8})}})
    first, second = judge(study, "10m", made.results(study, "10m", {"polynorm": -0.02}, planned=named(other)))
    assert "set up" not in first.why
    assert second.why.endswith("; set up otherwise when it was named: relu")


def test_where_nobody_kept_what_was_named_it_is_said():
    study = made.study(secondary=())
    results = dataclasses.replace(made.results(study, "10m", {"polynorm": -0.02}), planned=None)
    (found,) = judge(study, "10m", results)
    assert (found.status, found.why.split("; ")[-1]) == ("supported", "what was named before it ran is not kept")
