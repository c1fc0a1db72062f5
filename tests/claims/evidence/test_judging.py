"""Simulated studies with a known answer get the known verdict."""

import dataclasses
import itertools
from collections import Counter

import pytest

from repro.claims.evidence.judging import judge
from tests.claims import made
from tests.claims.evidence.simulated import verdict, verdicts

DRAWS = 1500
BUDGET = 4 * (0.05 * 0.95 / DRAWS) ** 0.5  # binomial deviations


@pytest.mark.parametrize(
    ("primary", "effect", "sd", "status"),
    [
        ("polynorm < swiglu", -0.02, 0.003, "supported"),
        ("polynorm < swiglu", 0.02, 0.003, "contradicted"),
        ("polynorm < swiglu", -0.002, 0.02, "not resolved"),
        ("polynorm > swiglu", 0.02, 0.003, "supported"),
        ("polynorm > swiglu", -0.02, 0.003, "contradicted"),
        ("polynorm ~ swiglu", 0.0, 0.001, "supported"),
        ("polynorm ~ swiglu", 0.02, 0.003, "contradicted"),
        ("polynorm ~ swiglu", -0.02, 0.003, "contradicted"),
        ("polynorm ~ swiglu", 0.0, 0.02, "not resolved"),
        ("polynorm ~ swiglu", 0.005, 0.002, "not resolved"),
        ("polynorm > swiglu in normalised_rank", 0.02, 0.003, "supported"),
    ],
)
def test_a_known_difference_gets_the_known_verdict(primary, effect, sd, status):
    assert verdict({"polynorm": effect}, sd, primary=primary).status == status


def test_a_verdict_says_what_it_rests_on():
    found = verdict({"polynorm": -0.02})
    assert (found.study, found.form, found.rung, found.comparison.text) == ("made", "10m", "10m", "polynorm < swiglu")
    assert (sorted(found.differences), found.estimate.n) == (list(range(6)), 6)
    assert found.rates == {"polynorm": 0.005, "swiglu": 0.005}
    assert (found.edges, found.diverged, found.mechanism_only) == ((), {"polynorm": 0, "swiglu": 0}, False)
    e = found.estimate
    assert found.why == f"{e.mean:+.4f} nats [{e.low:+.4f}, {e.high:+.4f}] over 6 pairs, p = {e.p:.2g}"
    assert verdict(form="smoke").mechanism_only
    rank = verdict({"polynorm": 0.02}, primary="polynorm > swiglu in normalised_rank")
    assert rank.why.startswith(f"{rank.estimate.mean:+.4g} [")
    assert " nats [" in verdict({"polynorm": 0.02}, primary="polynorm > swiglu in loss_at_90").why
    assert " over 3 pairs, adjusted p = " in verdicts(made.study(), {"polynorm": -0.02})[1].why


def test_what_is_not_resolved_says_what_its_pairs_would_show():
    found = verdict({"polynorm": -0.002}, 0.02)
    assert found.why.endswith(f"they would show {found.smallest_detectable:.2g}")
    assert found.smallest_detectable == pytest.approx(1.44 * found.estimate.sd, rel=0.01)  # of 6 pairs


def test_arms_are_compared_at_the_rate_that_each_ones_bracket_chose():
    study = made.study(secondary=())
    results = made.results(study, "10m", {"polynorm": -0.02})
    mains = [row for row in results.rows if row.role == "main"]
    elsewhere = [dataclasses.replace(row, factor=2.0, validation_loss=9.0) for row in mains if row.arm == "polynorm"]
    with_more = dataclasses.replace(results, rows=(*elsewhere, *results.rows))
    assert judge(study, "10m", with_more) == judge(study, "10m", results)


def test_the_primary_comparison_keeps_its_p_and_the_secondary_ones_are_adjusted_among_themselves():
    study = made.study(secondary=("polynorm < relu", "swiglu < relu", "relu > swiglu"), secondary_seeds=6)
    first, *others = verdicts(study, {"polynorm": -0.003}, 0.003)
    assert first.p_adjusted == first.estimate.p
    by_p = sorted(others, key=lambda found: found.p_adjusted)
    assert by_p[0].p_adjusted == pytest.approx(3 * by_p[0].estimate.p)
    assert all(a.p_adjusted <= b.p_adjusted for a, b in itertools.pairwise(by_p))


def test_a_difference_that_only_an_unadjusted_p_would_show_is_not_resolved():
    study = made.study(secondary=[f"polynorm < {arm}" for arm in ("relu", "gelu", "relu2", "silu")], secondary_seeds=6)
    found = [v for seed in range(20) for v in verdicts(study, {"polynorm": -0.004}, 0.003, seed=seed)[1:]]
    between = [v for v in found if v.estimate.p < 0.05 <= v.p_adjusted]
    assert between
    assert {v.status for v in between} == {"not resolved"}


def test_a_comparison_that_something_stands_in_the_way_of_counts_in_the_family():
    arms = ("gelu", "relu2", "silu", "mish", "elu")
    study = made.study(secondary=[f"polynorm < {arm}" for arm in ("relu", *arms)], secondary_seeds=3)
    found = verdicts(study, {"polynorm": -0.006}, 0.0015, seed=5, best=dict.fromkeys(arms, 2.0))
    assert [each.p_adjusted for each in found[2:]] == [None] * 5
    assert found[1].p_adjusted == pytest.approx(6 * found[1].estimate.p)


def test_of_families_at_the_margin_at_most_five_in_a_hundred_have_one_that_is_called_apart():
    arms = ("relu", "gelu", "relu2", "silu", "mish")
    study = made.study(secondary=[f"polynorm ~ {arm}" for arm in arms], secondary_seeds=3)
    draws = 200
    found = [verdicts(study, dict.fromkeys(arms, -0.005), 0.002, seed=seed)[1:] for seed in range(draws)]
    wrong = sum(any(each.status == "contradicted" for each in one) for one in found) / draws
    assert wrong < 0.05 + 4 * (0.05 * 0.95 / draws) ** 0.5
    apart = verdicts(study, dict.fromkeys(arms, -0.05), 0.002)[1]
    assert (apart.status, apart.p_adjusted < 0.05, apart.leans) == ("contradicted", True, False)


def test_sizes_are_apart():
    study = made.study(secondary=("swiglu < relu",), forms=(("ladder", ("4m", "10m")),), secondary_seeds=6)
    results = made.results(study, "ladder", {"polynorm": -0.02})
    found = judge(study, "ladder", results)
    assert [(v.comparison.text, v.rung) for v in found] == [
        (text, rung) for text in ("polynorm < swiglu", "swiglu < relu") for rung in ("4m", "10m")
    ]
    without = dataclasses.replace(results, rows=tuple(row for row in results.rows if row.rung == "10m"))
    assert [v.status for v in judge(study, "ladder", without)][::2] == ["not run", "not run"]
    assert judge(study, "ladder", without)[1::2] == found[1::2]


def test_in_a_study_of_which_nothing_is_true_five_in_a_hundred_primary_comparisons_are_decided():
    """And of the families of secondary ones at most five."""
    study = made.study(secondary=("polynorm < relu", "swiglu < relu"), secondary_seeds=3)
    decided = Counter()
    for seed in range(DRAWS):
        first, *others = (found.status != "not resolved" for found in verdicts(study, seed=seed))
        decided.update(primary=first, secondary=any(others))
    assert 0.05 - BUDGET < decided["primary"] / DRAWS < 0.05 + BUDGET
    assert decided["secondary"] / DRAWS < 0.05 + BUDGET


def test_at_the_margin_at_most_five_in_a_hundred_are_called_alike():
    found = [verdict({"polynorm": 0.005}, 0.002, primary="polynorm ~ swiglu", seed=seed) for seed in range(DRAWS)]
    assert sum(v.status == "supported" for v in found) / DRAWS < 0.05 + BUDGET


def test_a_divergence_is_counted_and_not_dropped():
    found = verdict({"polynorm": -0.02}, diverging=[("swiglu", 1), ("swiglu", 4), ("polynorm", 4)])
    assert (found.status, found.diverged) == ("not resolved", {"polynorm": 1, "swiglu": 2})
    expected = "diverged: polynorm at seed 4 and swiglu at seeds 1, 4; the mean of the others would favour who diverges"
    assert found.why == expected


def test_what_has_no_runs_is_not_run():
    study = made.study()
    results = made.results(study, "10m", {"polynorm": -0.02})
    brackets = dataclasses.replace(results, rows=tuple(row for row in results.rows if row.role == "bracket"))
    first, second = judge(study, "10m", brackets)
    assert (first.status, first.why) == ("not run", "of polynorm and swiglu only brackets have run")
    no_relu = dataclasses.replace(results, rows=tuple(row for row in results.rows if row.arm != "relu"))
    first, second = judge(study, "10m", no_relu)
    assert (first.status, second.status, second.why) == ("supported", "not run", "no run of relu")
    assert judge(study, "10m", made.gather([]))[0].status == "not run"


def test_a_file_that_was_edited_is_told_with_every_verdict():
    study = made.study(secondary=())
    results = made.results(study, "10m", {"polynorm": -0.02})
    edited = dataclasses.replace(results, edited=("it holds 2 runs",), place="made-10m.csv")
    assert judge(study, "10m", edited)[0].why.endswith("; made-10m.csv was edited: it holds 2 runs")
