"""What was named before a study ran is held against what its file says afterwards."""

import pytest

from repro.claims.evidence.naming import differs, named, planned, unnamed
from repro.claims.evidence.study import Arm, Bracket
from tests.claims import made

SECONDARY = ("polynorm ~ relu", "polynorm > swiglu in normalised_rank", "swiglu < relu")
STUDY = made.study(secondary=SECONDARY)


def test_pairs_are_planned_of_the_seeds_that_both_arms_have():
    assert [planned(STUDY, each) for each in STUDY.comparisons] == [6, 3, 6, 3]
    assert [planned(STUDY, each, seeds=2) for each in STUDY.comparisons] == [2, 2, 2, 2]
    assert dict(named(STUDY, seeds=9).pairs) == {
        "polynorm < swiglu": 9,
        "polynorm ~ relu within 0.005": 3,
        "polynorm > swiglu in normalised_rank": 9,
        "swiglu < relu": 3,
    }


def test_what_is_as_it_was_named_differs_in_nothing():
    assert differs(named(STUDY), named(STUDY)) == ""
    assert {unnamed(named(STUDY), STUDY, each) for each in STUDY.comparisons} == {""}


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (
            made.study(primary="swiglu < relu", secondary=("polynorm < swiglu",)),
            (
                "the primary comparison was polynorm < swiglu, and is swiglu < relu; no longer stated: polynorm ~ relu "
                "within 0.005, polynorm > swiglu in normalised_rank; 6 pairs of polynorm < swiglu were planned, not 3; "
                "3 pairs of swiglu < relu were planned, not 6"
            ),
        ),
        (made.study(secondary=(*SECONDARY, "swiglu < gelu")), "not named then: swiglu < gelu"),
        (
            made.study(secondary=SECONDARY, margin=0.05),
            "not named then: polynorm ~ relu within 0.05; no longer stated: polynorm ~ relu within 0.005",
        ),
        (
            STUDY.model_copy(update={"secondary_seeds": 4}),
            "3 pairs of polynorm ~ relu within 0.005 were planned, not 4; 3 pairs of swiglu < relu were planned, not 4",
        ),
        (
            STUDY.model_copy(update={"bracket": Bracket(widen=5)}),
            "set up otherwise then: polynorm, swiglu, relu",
        ),
        (
            STUDY.model_copy(update={"arms": STUDY.arms | {"relu": Arm(activation="relu", set={"optim.lr": 1.0})}}),
            "set up otherwise then: relu",
        ),
    ],
    ids=["another primary", "one more", "another margin", "more seeds", "another bracket", "another arm"],
)
def test_each_change_is_told(now, told):
    assert differs(named(STUDY), named(now)) == told


def test_a_comparison_that_was_not_named_or_had_another_part_is_told():
    now = made.study(primary="swiglu < relu", secondary=("polynorm < swiglu", "swiglu < gelu"))
    assert [unnamed(named(STUDY), now, each) for each in now.comparisons] == [
        "before the first run ended it was named as a secondary comparison, and is now primary",
        "before the first run ended it was named as a primary comparison, and is now secondary",
        "swiglu < gelu was not named before the first run ended",
    ]
    wider = made.study(secondary=SECONDARY, margin=0.05)
    assert unnamed(named(STUDY), wider, wider.secondary[0]).startswith("polynorm ~ relu within 0.05 was not named")
