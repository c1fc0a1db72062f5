"""One size decides nothing: two have to agree."""

import dataclasses

import pytest

from repro.claims.evidence.judging import judge
from repro.claims.evidence.ladder import over
from tests.claims import made

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
    assert ladder.why == "supported at 10m, same sign at 4m"


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


def test_sizes_of_opposite_sign_are_not_resolved():
    against = verdict("4m", 0.02, sd=0.05)
    assert (against.status, against.estimate.mean > 0) == ("not resolved", True)
    assert over([against, verdict("10m", -0.02)]).why == "supported at 10m alone; two sizes have to agree"
    ladder = over([verdict("4m", 0.02), verdict("10m", -0.02)])
    assert (ladder.status, ladder.why) == ("not resolved", "supported at 10m and contradicted at 4m")


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


@pytest.mark.parametrize("values", [{"best": {"polynorm": 2.0}}, {"diverging": [("polynorm", 1)]}])
def test_a_size_at_which_something_stands_in_the_way_has_no_sign(values):
    blocked = verdict("4m", -0.02, **values)
    assert blocked.status == "not resolved"
    assert over([blocked, verdict("10m", -0.02)]).status == "not resolved"


@pytest.mark.parametrize(("mean", "status"), [(0.0049, "supported"), (-0.0049, "supported"), (0.0051, "not resolved")])
def test_likeness_takes_a_second_size_whose_mean_is_within_the_margin(mean, status):
    study = made.study(primary="polynorm ~ swiglu", secondary=(), forms=(("4m", ("4m",)), ("10m", ("10m",))))
    noisy = verdict("4m", 0.0, sd=0.05, study=study)
    noisy = dataclasses.replace(noisy, estimate=dataclasses.replace(noisy.estimate, mean=mean))
    clear = verdict("10m", 0.0, sd=0.001, study=study)
    assert (noisy.status, clear.status) == ("not resolved", "supported")
    assert over([noisy, clear]).status == status
