"""Trained networks beside built ones: the choice of the learning rate, intervals, and what is said of them."""

import json
import math

import pytest

from repro.theory import learned
from repro.theory.learned import Choice, Interval, Trained, against, chosen, slopes
from repro.theory.page import as_json

AT = Choice(0.1, inside=True)
BUILT = {100: [1e-2, 1e-2], 1000: [1e-4, 1e-4]}


def arm(*ends, choice=AT):
    """Networks of two functions and two seeds, that begin alike."""
    return [Trained(100, choice, [[1e-2, 1.1e-2]] * 2), Trained(1000, choice, [ends] * 2)]


@pytest.mark.parametrize("best", [0.02, 0.2, 1.0, 3.0])
def test_rates_are_tried_until_the_best_lies_inside(best):
    tried = []
    found = chosen(lambda rate: tried.append(rate) or abs(math.log(rate / best)))
    assert found.inside
    assert min(tried) < found.rate < max(tried)
    assert abs(math.log(found.rate / best)) <= math.log(learned.FACTOR) / 2 + 1e-9


def test_a_best_rate_that_stays_at_the_edge_is_said():
    tried = []
    found = chosen(lambda rate: tried.append(rate) or -rate)
    assert not found.inside
    assert len(tried) == learned.MOST
    said = learned._finding(BUILT, {"relu": arm(1e-3, 2e-3, choice=found)}).measured
    assert "at an edge of those tried: relu at 100, relu at 1,000" in said


def test_seeds_that_choose_are_not_measured(monkeypatch):
    asked = []
    monkeypatch.setattr(
        learned.training, "errors", lambda *given, seeds, rate, steps: asked.append(set(seeds)) or [[rate]]
    )
    learned.train("relu", 25, [], seeds=5)
    assert asked[-1] == {0, 1, 2, 3, 4}
    assert not any(asked[-1] & each for each in asked[:-1])


def test_an_interval_is_students():
    found = Interval.of([1.0, 2.0, 3.0, math.inf])
    assert (found.mean, found.half) == (2, pytest.approx(4.303 / math.sqrt(3), rel=1e-3))
    assert found.sign == 0
    assert Interval.of([1.0, math.inf]) is None


def test_a_difference_whose_interval_has_both_signs_is_no_verdict():
    assert against(arm(2e-4, 3e-4)[-1], BUILT[1000]).sign == 1
    assert against(arm(2e-5, 3e-5)[-1], BUILT[1000]).sign == -1
    assert against(arm(0.5e-4, 2e-4)[-1], BUILT[1000]).sign == 0
    assert learned._finding(BUILT, {"relu": arm(0.5e-4, 2e-4)}).key == "at 1,000: relu not told from"


def test_slopes_are_of_each_network():
    fall, flatter = slopes(arm(1e-3, 1.1e-3), BUILT)
    assert fall.mean == pytest.approx(-1, abs=1e-6)
    assert flatter.mean == pytest.approx(1, abs=1e-6)


def test_it_is_observed_and_no_statement_of_the_paper():
    finding = learned._finding(BUILT, {"relu": arm(5e-3, 8e-3)})
    assert finding.holds is None
    assert json.loads(as_json([finding], {}))["findings"][0]["curves"][1]["high"] == [1.1e-2, 8e-3]


def test_networks_that_diverge_are_counted_and_written():
    finding = learned._finding(BUILT, {"relu": arm(5e-3, math.inf), "gelu": arm(math.inf, math.inf)})
    assert "2 diverged" in finding.measured
    assert "none stayed finite" in finding.measured
    assert len(finding.curves) == 2
    assert json.loads(as_json([finding], {}))["findings"][0]["numbers"]["relu_1000_f0_seed1"] == "diverged"
