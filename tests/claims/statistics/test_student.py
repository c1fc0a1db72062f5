"""Student's t without scipy.stats, held to scipy.stats."""

import math
import subprocess
import sys

import pytest
from scipy import stats

from repro.claims.statistics.student import above, quantile, statistic, two_sided

MODULES = "association, curves, equivalence, items, multiple, noise, paired, power, scaling"


@pytest.mark.parametrize("degrees", [1, 2, 5, 30, 8000])
def test_quantiles_and_tails_are_those_of_scipy_stats(degrees):
    for probability in (0.6, 0.95, 0.975, 0.9995):
        assert quantile(probability, degrees) == pytest.approx(stats.t.ppf(probability, degrees), rel=1e-9)
    for t in (-40.0, -2.0, -1e-9, 0.0, 0.3, 2.5, 40.0):
        assert two_sided(t, degrees) == pytest.approx(2 * stats.t.sf(abs(t), degrees), rel=1e-9)
        assert above(t, degrees) == pytest.approx(stats.t.sf(t, degrees), rel=1e-9)


def test_a_tail_far_out_is_small_and_not_0():
    assert two_sided(1e80, 1) == pytest.approx(2 / math.pi * 1e-80)


def test_without_an_error_a_difference_is_endlessly_far_and_none_is_none():
    assert [statistic(value, 0.0) for value in (2.0, -2.0, 0.0)] == [math.inf, -math.inf, 0.0]
    assert [two_sided(statistic(value, 0.0), 1) for value in (2.0, -2.0, 0.0)] == [0, 0, 1]


def test_no_module_of_statistics_waits_for_scipy_stats_or_torch():
    script = f"from repro.claims.statistics import {MODULES}; import sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"scipy.stats", "scipy.optimize", "torch", "matplotlib"} & set(loaded)
