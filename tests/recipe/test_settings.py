"""The settings of `repro prepare`, and what each mistake gets."""

import pytest

from repro.errors import RecipeError
from repro.recipe.settings import amount, given, share, truth, whole

KNOWN = ("path", "short_side")
SAID = {"verb": "prepare", "such_as": "path=..."}


def test_settings_are_found_by_key():
    assert given(["path=/a=b", "short_side=3"], KNOWN, **SAID) == {"path": "/a=b", "short_side": "3"}
    assert given([], KNOWN, **SAID) == {}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (["short_sid=3"], "prepare has no setting 'short_sid'. Did you mean 'short_side'?"),
        (["colour=red"], "prepare has no setting 'colour'. There is: path, short_side."),
        (["/photos"], "'/photos' is not key=value, such as path=..."),
        (["path="], "'path=' is not key=value, such as path=..."),
        (["path=a", "path=b"], "path is set twice"),
    ],
)
def test_a_mistake_is_one_line(settings, text):
    with pytest.raises(RecipeError) as caught:
        given(settings, KNOWN, **SAID)
    assert str(caught.value) == text


def test_a_whole_number_is_read():
    assert [whole("n", value, largest=99, such_as=8) for value in ("1", "07", "99")] == [1, 7, 99]


@pytest.mark.parametrize("value", ["many", "-1", "0", "100", "1e1", "1.0", "٣", "9" * 5000])
def test_what_is_no_whole_number_within_bounds_is_refused(value):
    with pytest.raises(RecipeError) as caught:
        whole("n", value, largest=99, such_as=8)
    assert str(caught.value) == f"n={value}: expected a whole number from 1 to 99, such as n=8"


def test_an_amount_is_read_as_people_write_large_numbers():
    values = ("1", "250e9", "2.5e11", "1E3", "1000000000000000")
    assert [amount("tokens", value, largest=10**15) for value in values] == [1, 25 * 10**10, 25 * 10**10, 1000, 10**15]
    assert isinstance(amount("tokens", "1e3", largest=10**15), int)


@pytest.mark.parametrize("value", ["many", "", "0", "-1e9", "0.5", "1.5", "1e16", "1e999", "inf", "nan", "2 billion"])
def test_what_is_no_amount_within_bounds_is_refused(value):
    with pytest.raises(RecipeError) as caught:
        amount("tokens", value, largest=10**15)
    assert str(caught.value) == f"tokens={value}: expected a number from 1 to 1e+15, such as tokens=250e9"


def test_a_share_is_read():
    assert [share("unusable", value) for value in ("0", "0.01", "1e-3", "1", "1.0")] == [0, 0.01, 0.001, 1, 1]


@pytest.mark.parametrize("value", ["few", "1%", "-0.1", "1.01", "nan", "inf", "0,5"])
def test_what_is_no_share_is_refused(value):
    with pytest.raises(RecipeError) as caught:
        share("unusable", value)
    assert str(caught.value) == f"unusable={value}: expected a share from 0 to 1, such as unusable=0.01"


def test_a_truth_is_spelt_one_way():
    assert [truth("dry_run", "true"), truth("dry_run", "false")] == [True, False]


@pytest.mark.parametrize("value", ["True", "yes", "1", "0", "no"])
def test_what_is_neither_true_nor_false_is_refused(value):
    with pytest.raises(RecipeError) as caught:
        truth("dry_run", value)
    assert str(caught.value) == f"dry_run={value}: expected true or false"
