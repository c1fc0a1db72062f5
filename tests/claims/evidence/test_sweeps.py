"""What has few values or no bound is judged by signs and ranks, and over all runs of a sweep."""

import dataclasses
import math

import pytest

from repro.claims.evidence.judging import judge
from repro.claims.evidence.pairing import OF_STABILITY
from repro.claims.evidence.study import MEASURES
from tests.claims import made
from tests.claims.evidence.simulated import verdicts

SWEEP = {"bracket": False, "sweep": (1.0, 3.0, 10.0, 30.0)}
STABILITY = made.study(primary="polynorm > polyrelu in largest_stable_factor", secondary=(), **SWEEP)


def test_of_a_statement_about_stability_divergence_is_the_matter():
    (found,) = verdicts(STABILITY, stable={"polynorm": 10.0, "polyrelu": 3.0})
    assert set(found.differences.values()) == {7.0}
    assert (found.status, found.p_adjusted, found.estimate) == ("supported", 2 / 2**6, None)
    assert found.why == "polynorm is lower at 0 and higher at 6 of 6 pairs, p = 0.031"
    assert found.diverged == {"polynorm": 6, "polyrelu": 12}
    (against,) = verdicts(STABILITY, stable={"polynorm": 3.0, "polyrelu": 10.0})
    assert (against.status, against.leans) == ("contradicted", False)
    (alike,) = verdicts(STABILITY, stable={"polynorm": 3.0, "polyrelu": 3.0})
    assert (alike.status, alike.leans, alike.p_adjusted) == ("not resolved", None, 1.0)


def test_what_is_judged_by_signs_and_ranks_is_a_measure():
    assert OF_STABILITY.issubset(MEASURES)


def test_two_or_three_pairs_of_few_values_show_nothing_however_equal_they_are():
    study = made.study(
        primary="polynorm > polyrelu in largest_stable_factor",
        secondary=("polynorm > relu in largest_stable_factor",),
        **SWEEP,
    )
    found = verdicts(study, stable={"polynorm": 10.0, "relu": 3.0})[1]
    assert (found.status, found.p_adjusted) == ("not resolved", 0.25)
    assert found.why.endswith("of 3 pairs, adjusted p = 0.25; of 3 pairs no p is below 0.25")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"data": "d1"}, "mixed data"),
        ({"device": "AMD EPYC"}, "mixed device"),
        ({"precision": "float32"}, "mixed precision"),
        ({"tokens": 5}, "mixed tokens"),
        ({"repro": "0.1.0+aaa"}, "seed 0 is of two commits"),
        ({"repro": "0.1.0"}, "polynorm at seed 0 ran from 0.1.0"),
    ],
)
def test_every_run_of_a_sweep_has_to_be_like_the_others(change, why):
    results = made.results(STABILITY, "10m", stable={"polyrelu": 3.0})
    off = [(row.arm, row.factor) == ("polynorm", 10.0) for row in results.rows]
    rows = tuple(dataclasses.replace(row, **change) if o else row for row, o in zip(results.rows, off, strict=True))
    (found,) = judge(STABILITY, "10m", dataclasses.replace(results, rows=rows))
    assert (found.status, found.why.startswith(why)) == ("not resolved", True)


def test_a_sweep_has_one_recipe_a_rate():
    results = made.results(STABILITY, "10m")
    rows = [dataclasses.replace(row, fingerprint=f"{row.factor:g}") for row in results.rows]
    of_a_rate = dataclasses.replace(results, rows=tuple(rows))
    assert judge(STABILITY, "10m", of_a_rate)[0].why.startswith("polynorm is lower at 0")
    rows[-1] = dataclasses.replace(rows[-1], fingerprint="x")
    (found,) = judge(STABILITY, "10m", dataclasses.replace(results, rows=tuple(rows)))
    assert found.why == "runs of polyrelu are of 2 recipes (30, x)"


def test_a_magnitude_that_is_infinite_is_the_largest():
    study = made.study(primary="polynorm < polyrelu in largest_magnitude", secondary=())
    results = made.results(study, "10m", {"polynorm": -1.0}, 0.01)
    rows = tuple(
        dataclasses.replace(row, largest_magnitude=math.inf) if row.arm == "polyrelu" and row.seed < 3 else row
        for row in results.rows
    )
    (found,) = judge(study, "10m", dataclasses.replace(results, rows=rows))
    assert (found.status, found.p_adjusted) == ("supported", 2 / 2**6)
    assert [found.differences[seed] for seed in range(3)] == [-math.inf] * 3
    both = tuple(dataclasses.replace(row, largest_magnitude=math.inf) for row in results.rows)
    (tied,) = judge(study, "10m", dataclasses.replace(results, rows=both))
    assert (tied.status, set(tied.differences.values())) == ("not resolved", {0.0})


def test_no_test_says_that_two_are_alike_in_what_has_few_values():
    study = made.study(primary="polynorm ~ polyrelu in largest_magnitude", secondary=())
    (found,) = verdicts(study)
    assert (found.status, found.why) == ("not resolved", "no test says that two are alike in largest_magnitude")
