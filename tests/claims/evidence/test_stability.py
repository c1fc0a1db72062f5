"""How large a learning rate an arm stands."""

import dataclasses

import pytest

from repro.claims.evidence.stability import with_stable_factors
from tests.claims import made

SWEEP = (1.0, 3.0, 10.0, 30.0)


def largest(losses, sweep=SWEEP):
    """By factor a loss, or None where the run diverged."""
    rows = [made.row(factor=factor, validation_loss=loss or 0.0) for factor, loss in losses.items()]
    rows = [row if losses[row.factor] else made.diverged(row) for row in rows]
    (found,) = {row.largest_stable_factor for row in with_stable_factors(rows, sweep)}
    return found


@pytest.mark.parametrize(
    ("losses", "factor"),
    [
        ({1.0: 3.0, 3.0: 2.9, 10.0: 3.2, 30.0: 3.4}, 30.0),
        ({1.0: 3.0, 3.0: 2.9, 10.0: 3.5, 30.0: 3.6}, 10.0),
        ({1.0: 3.0, 3.0: 2.9, 10.0: 3.51, 30.0: None}, 3.0),
        ({1.0: 3.0, 3.0: None, 10.0: None, 30.0: None}, 1.0),
        ({1.0: None, 3.0: 2.0, 10.0: 2.0, 30.0: 2.0}, 0.0),
    ],
    ids=["all", "half a nat worse is the limit", "beyond it", "divergence", "the recipe's own rate diverges"],
)
def test_the_largest_factor_that_neither_diverges_nor_ends_half_a_nat_above_the_recipes_own_rate(losses, factor):
    assert largest(losses) == factor


@pytest.mark.parametrize("losses", [{1.0: 3.0, 3.0: 3.0, 10.0: 3.0}, {3.0: 3.0, 10.0: 3.0, 30.0: 3.0}])
def test_a_sweep_that_has_not_run_whole_says_nothing(losses):
    assert largest(losses) is None


def test_arms_sizes_seeds_and_brackets_are_apart():
    own = [made.row(factor=factor) for factor in SWEEP]
    others = [
        made.diverged(dataclasses.replace(row, **change))
        for row in own[1:]
        for change in ({"arm": "swiglu"}, {"rung": "4m"}, {"seed": 1}, {"role": "bracket"})
    ]
    found = with_stable_factors([*own, *others], SWEEP)
    assert {row.largest_stable_factor for row in found[: len(own)]} == {30.0}
    assert {row.largest_stable_factor for row in found[len(own) :]} == {None}
