"""The settings of `repro prepare`, and what each mistake gets."""

import pytest

from repro.data.settings import given, whole
from repro.errors import DataError

KNOWN = ("path", "short_side")


def test_settings_are_found_by_key():
    assert given(["path=/a=b", "short_side=3"], KNOWN) == {"path": "/a=b", "short_side": "3"}
    assert given([], KNOWN) == {}


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
    with pytest.raises(DataError) as caught:
        given(settings, KNOWN)
    assert str(caught.value) == text


def test_a_whole_number_is_read():
    assert [whole("n", value, largest=99, such_as=8) for value in ("1", "07", "99")] == [1, 7, 99]


@pytest.mark.parametrize("value", ["many", "-1", "0", "100", "1e1", "1.0", "٣", "9" * 5000])
def test_what_is_no_whole_number_within_bounds_is_refused(value):
    with pytest.raises(DataError) as caught:
        whole("n", value, largest=99, such_as=8)
    assert str(caught.value) == f"n={value}: expected a whole number from 1 to 99, such as n=8"
