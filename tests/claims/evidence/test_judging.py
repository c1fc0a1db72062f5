"""Simulated studies with a known answer get the known verdict, and unlike things get none."""

import dataclasses
import itertools
from collections import Counter

import pytest

from repro.claims.evidence.judging import judge
from tests.claims import made

DRAWS = 1500
BUDGET = 4 * (0.05 * 0.95 / DRAWS) ** 0.5  # binomial deviations


def verdicts(study, effects=None, sd=0.003, form="10m", *, any_commit=False, **values):
    return judge(study, form, made.results(study, form, effects, sd, **values), any_commit=any_commit)


def verdict(effects=None, sd=0.003, *, primary="polynorm < swiglu", **values):
    return verdicts(made.study(primary=primary, secondary=()), effects, sd, **values)[0]


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
    assert " over 3 pairs, adjusted p = " in verdicts(made.study(), {"polynorm": -0.02})[1].why


def test_what_is_not_resolved_says_what_its_pairs_would_show():
    found = verdict({"polynorm": -0.002}, 0.02)
    assert found.why.endswith(f"they would show {found.smallest_detectable:.2g}")
    assert found.smallest_detectable == pytest.approx(1.44 * found.estimate.sd, rel=0.01)  # of 6 pairs


def test_pairs_that_are_still_missing_are_told():
    assert " over 4 of 6 planned pairs, " in verdict({"polynorm": -0.02}, seeds=4).why


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
        ({"repro": "0.1.0+aaa"}, "seed 0 is of two commits: polynorm of 0.1.0+aaa, swiglu of 0.1.0+0ce561f"),
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


def test_a_bracket_on_other_data_chose_for_another_task():
    study = made.study(secondary=())
    results = made.results(study, "10m", {"polynorm": -0.02})
    rows = tuple(dataclasses.replace(row, data="d1") if row.role == "bracket" else row for row in results.rows)
    (found,) = judge(study, "10m", dataclasses.replace(results, rows=rows))
    assert (found.status, found.why) == ("not resolved", "the bracket of polynorm was trained on other data (d1)")


def test_a_study_with_one_seed_gets_no_verdict():
    found = verdict({"polynorm": -0.02}, seeds=1)
    assert found.status == "not resolved"
    assert found.why == "one pair, seed 0: seeds differ among themselves, so one gives no verdict"
    assert list(found.differences) == [0]


def test_a_divergence_is_counted_and_not_dropped():
    found = verdict({"polynorm": -0.02}, diverging=[("swiglu", 1), ("swiglu", 4), ("polynorm", 4)])
    assert (found.status, found.diverged) == ("not resolved", {"polynorm": 1, "swiglu": 2})
    expected = "diverged: polynorm at seed 4 and swiglu at seeds 1, 4; the mean of the others would favour who diverges"
    assert found.why == expected


def test_of_a_statement_about_stability_divergence_is_the_matter():
    study = made.study(
        primary="polynorm > polyrelu in largest_stable_factor",
        secondary=(),
        bracket=False,
        sweep=(1.0, 3.0, 10.0, 30.0),
    )
    (found,) = verdicts(study, stable={"polynorm": 10.0, "polyrelu": 3.0})
    assert set(found.differences.values()) == {7.0}
    assert (found.status, found.p_adjusted) == ("supported", 0.0)
    (alike,) = verdicts(study, stable={"polynorm": 3.0, "polyrelu": 3.0})
    assert alike.status == "not resolved"


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


def test_arms_without_a_seed_in_common_are_told():
    study = made.study(secondary=())
    results = made.results(study, "10m")
    rows = [dataclasses.replace(row, seed=row.seed + (row.arm == "swiglu") * 100) for row in results.rows]
    found = judge(study, "10m", dataclasses.replace(results, rows=tuple(rows)))[0]
    assert (found.status, found.why) == ("not resolved", "polynorm and swiglu have no seed in common")


def test_a_file_that_was_edited_is_told_with_every_verdict():
    study = made.study(secondary=())
    results = made.results(study, "10m", {"polynorm": -0.02})
    edited = dataclasses.replace(results, edited=("it holds 2 runs",), place="made-10m.csv")
    assert judge(study, "10m", edited)[0].why.endswith("; made-10m.csv was edited: it holds 2 runs")
