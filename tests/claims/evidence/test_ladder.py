"""One size decides nothing: two have to agree."""

import dataclasses

import numpy as np
import pytest

from repro.claims.evidence.judging import judge
from repro.claims.evidence.ladder import over
from repro.claims.evidence.verdicts import leans, status
from repro.claims.statistics.paired import paired
from tests.claims import made

MOST = "the largest size and more than half of all have to agree"
STUDY = made.study(
    secondary=(), forms=(("smoke", ("smoke",)), ("4m", ("4m",)), ("10m", ("10m",)), ("both", ("4m", "10m")))
)


def verdict(form, effect, *, sd=0.003, study=STUDY, **values):
    (found,) = judge(study, form, made.results(study, form, {"polynorm": effect}, sd, **values))
    return found


def not_run(form="25m"):
    return dataclasses.replace(verdict("10m", 0.0), form=form, rung=form, status="not run", estimate=None)


def test_two_sizes_of_one_sign_one_of_them_significant_support():
    noisy = verdict("4m", -0.02, sd=0.05)
    ladder = over([noisy, verdict("10m", -0.02), not_run()])
    assert (noisy.status, noisy.estimate.mean < 0) == ("not resolved", True)
    assert (ladder.status, ladder.scale) == ("supported", "4m, 10m")
    assert ladder.why == "supported at 10m, leaning the stated way at 4m"


def test_two_sizes_against_it_contradict():
    ladder = over([verdict("4m", 0.02), verdict("10m", 0.02)])
    assert (ladder.status, ladder.why) == ("contradicted", "contradicted at 4m and 10m")


def test_one_size_alone_is_not_resolved_however_clear():
    ladder = over([verdict("10m", -0.02)])
    assert (ladder.status, ladder.why) == ("not resolved", "supported at 10m alone; two sizes have to agree")


def test_the_same_size_in_two_forms_is_one_size():
    twice = judge(STUDY, "both", made.results(STUDY, "both", {"polynorm": -0.02}))
    assert over([verdict("10m", -0.02), twice[1]]).status == "not resolved"
    assert over(twice).status == "supported"


def test_a_rung_of_another_name_is_told_with_its_scale():
    study = made.study(secondary=(), forms={"4m": {"half": {"scale": "4m"}}, "10m": {"half": {"scale": "10m"}}})
    ladder = over([verdict("4m", -0.02, study=study), verdict("10m", -0.02, study=study)])
    assert (ladder.status, ladder.scale) == ("supported", "half (4m), half (10m)")


def test_rungs_of_one_network_are_one_size_as_weak_as_the_weakest():
    rungs = {"whole": {"scale": "4m"}, "half": {"scale": "4m", "set": {"model.ffn_rank": 8}}}
    study = made.study(secondary=(), forms={"4m": rungs, "10m": {"10m": {"scale": "10m"}}})
    both = judge(study, "4m", made.results(study, "4m", {"polynorm": -0.02}))
    assert [found.status for found in both] == ["supported", "supported"]
    assert over(both).why == "supported at whole (4m) and half (4m) alone; two sizes have to agree"
    ten = verdict("10m", -0.02, study=study)
    assert over([*both, ten]).status == "supported"
    weak = dataclasses.replace(both[1], status="not resolved", leans=False, p_adjusted=0.6)
    mixed = over([both[0], weak, verdict("10m", -0.02, sd=0.05, study=study)])
    assert (mixed.status, mixed.why.split("; ")[1]) == ("not resolved", "no p is small enough to stand out of 2 sizes")
    against = dataclasses.replace(weak, status="contradicted", p_adjusted=0.01)
    assert over([both[0], against, ten]).status == "not resolved"


def test_a_scale_that_is_made_narrower_is_a_size_of_its_own():
    narrow = {"narrow": {"scale": "4m", "set": {"model.d_model": 64}}}
    study = made.study(secondary=(), forms={"small": narrow, "4m": {"4m": {"scale": "4m"}}})
    found = [verdict(form, -0.02, study=study) for form in ("small", "4m")]
    assert over(found).why == "supported at narrow and 4m"


def sized(*found, study=STUDY):
    """Verdicts of as many sizes, each of a mean and its p."""
    base = verdict("10m", -0.02, study=study)
    return [
        dataclasses.replace(
            base,
            rung=f"{number}m",
            scale=f"{number}m",
            status=status(base.comparison, mean, p),
            leans=leans(base.comparison, mean),
            p_adjusted=p,
        )
        for number, (mean, p) in enumerate(found, start=1)
    ]


@pytest.mark.parametrize(
    ("found", "status", "why"),
    [
        ([(-1, 0.02), (-1, 0.5)], "supported", "supported at 1m, leaning the stated way at 2m"),
        ([(1, 0.02), (1, 0.5)], "contradicted", "contradicted at 1m, leaning the other way at 2m"),
        (
            [(-1, 0.03), (-1, 0.5)],
            "not resolved",
            "supported at 1m, leaning the stated way at 2m; no p is small enough to stand out of 2 sizes",
        ),
        ([(-1, 0.001), (-1, 0.5), (1, 0.5), (-1, 0.5)], "supported", None),
        (
            [(-1, 0.001), (-1, 0.5), (-1, 0.5), (1, 0.5)],
            "not resolved",
            f"supported at 1m, leaning the stated way at 2m and 3m, leaning the other way at 4m; {MOST}",
        ),
        ([(1, 0.5), (-1, 0.001)], "not resolved", None),
        ([(1, 0.4), (1, 0.4), (1, 0.4), (-1, 0.001), (-1, 0.4)], "not resolved", None),
        ([(-1, 0.001), (1, 0.04), (-1, 0.001)], "not resolved", "supported at 1m and 3m, contradicted at 2m"),
        (
            [(1, 0.001), (0, 1.0)],
            "not resolved",
            f"contradicted at 1m, leaning neither way at 2m; {MOST}",
        ),
    ],
    ids=[
        "both lean so",
        "both lean the other way",
        "the smallest p is one of two",
        "three of four and the largest",
        "the largest leans the other way",
        "half of two",
        "two of five",
        "one is against",
        "a tie leans nowhere",
    ],
)
def test_the_smallest_p_is_one_of_several_and_the_largest_and_most_sizes_have_to_agree(found, status, why):
    ladder = over(sized(*found))
    assert ladder.status == status
    assert why is None or ladder.why == why


def drawn(effect, sizes, draws):
    """What comes of studies of as many sizes, with six pairs each, whose effect is in deviations of a pair."""
    pairs = np.random.default_rng(sizes).normal(effect, 1, (draws, sizes, 6))
    for one in pairs:
        found = [paired(differences) for differences in one]
        yield over(sized(*((estimate.mean, estimate.p) for estimate in found))).status


@pytest.mark.parametrize("sizes", [2, 3, 5, 8])
def test_where_nothing_is_true_one_in_twenty_is_decided_at_most_however_many_sizes_there_are(sizes):
    draws = 500
    decided = sum(status != "not resolved" for status in drawn(0.0, sizes, draws)) / draws
    assert decided < 0.05 + 4 * (0.05 * 0.95 / draws) ** 0.5
    assert sum(status == "supported" for status in drawn(-2.0, sizes, 100)) > 90


def test_sizes_of_opposite_sign_are_not_resolved():
    against = verdict("4m", 0.02, sd=0.05)
    assert (against.status, against.estimate.mean > 0) == ("not resolved", True)
    assert over([against, verdict("10m", -0.02)]).why == f"supported at 10m, leaning the other way at 4m; {MOST}"
    ladder = over([verdict("4m", 0.02), verdict("10m", -0.02)])
    assert (ladder.status, ladder.why) == ("not resolved", "supported at 10m, contradicted at 4m")


def test_where_no_size_is_significant_nothing_is_resolved():
    found = [verdict("4m", -0.02, seeds=1), verdict("10m", 0.0)]
    assert (over(found).status, over(found).why) == ("not resolved", "not resolved at 4m and 10m")
    assert over(found[:1]).why == found[0].why


def test_a_form_that_shows_a_mechanism_never_decides():
    smoke = verdict("smoke", -0.02)
    assert (smoke.status, smoke.mechanism_only) == ("supported", True)
    assert over([smoke, verdict("10m", -0.02)]).status == "not resolved"
    alone = over([smoke])
    assert (alone.status, alone.scale, alone.why) == ("not run", "", "ran at a size that shows a mechanism and no more")
    assert over([]).why == "no size has run"


@pytest.mark.parametrize("values", [{"best": {"polynorm": 2.0}}, {"diverging": [("polynorm", 1)]}, {"seeds": 5}])
def test_a_size_at_which_something_stands_in_the_way_has_no_sign(values):
    blocked = verdict("4m", -0.02, **values)
    assert (blocked.status, blocked.leans) == ("not resolved", None)
    ladder = over([blocked, verdict("10m", -0.02)])
    assert ladder.status == "not resolved"
    assert ladder.why == "supported at 10m alone, not judged at 4m; two sizes have to agree"


@pytest.mark.parametrize(
    ("mean", "p", "status"),
    [(0.0049, 0.4, "supported"), (-0.0049, 0.4, "supported"), (0.0051, 0.9, "not resolved")],
)
def test_likeness_takes_a_second_size_whose_mean_is_within_the_margin(mean, p, status):
    study = made.study(primary="polynorm ~ swiglu", secondary=(), forms=(("4m", ("4m",)), ("10m", ("10m",))))
    assert over(sized((mean, p), (0.0, 0.001), study=study)).status == status
    assert over(sized((mean, p), (0.01, 0.001), study=study)).status != "supported"
