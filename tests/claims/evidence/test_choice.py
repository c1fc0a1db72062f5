"""The best of a bracket, and whether a better may lie beyond it."""

import math

import pytest

from repro.claims.evidence.choice import chosen
from tests.claims.made import row


def bracket(losses, arm="polynorm", rung="10m"):
    return [
        row(role="bracket", seed=1000, arm=arm, rung=rung, factor=factor, lr=0.005 * factor, validation_loss=loss)
        for factor, loss in losses.items()
    ]


def test_the_lowest_loss_of_an_arms_own_bracket_decides():
    others = [*bracket({1.0: 1.0}, arm="swiglu"), *bracket({2.0: 1.0}, rung="4m"), row(validation_loss=0.5, factor=4.0)]
    choice = chosen([*others, *bracket({2.0: 3.1, 0.5: 3.3, 1.0: 3.0})], "polynorm", "10m")
    assert (choice.factor, choice.lr, choice.at_edge) == (1.0, 0.005, False)
    assert list(choice.losses.items()) == [(0.5, 3.3), (1.0, 3.0), (2.0, 3.1)]


@pytest.mark.parametrize(
    ("losses", "best"),
    [({0.5: 3.0, 1.0: 3.1, 2.0: 3.2}, 0.5), ({0.5: 3.2, 1.0: 3.1, 2.0: 3.0}, 2.0), ({1.0: 3.0}, 1.0)],
    ids=["smallest", "largest", "only one"],
)
def test_the_smallest_and_the_largest_that_were_tried_are_edges(losses, best):
    choice = chosen(bracket(losses), "polynorm", "10m")
    assert (choice.factor, choice.at_edge) == (best, True)


def test_a_run_that_diverged_is_as_bad_as_can_be():
    diverged = row(role="bracket", factor=2.0, validation_loss=None, diverged_at=40)
    choice = chosen([*bracket({0.5: 3.2, 1.0: 9.0}), diverged], "polynorm", "10m")
    assert (choice.factor, choice.losses[2.0]) == (0.5, math.inf)


def test_without_a_bracket_there_is_no_choice():
    with pytest.raises(ValueError, match="no bracket of polynorm at 10m has run"):
        chosen([row()], "polynorm", "10m")
