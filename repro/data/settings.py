"""The ``key=value`` words that follow ``repro prepare DATASET``."""

from collections.abc import Sequence

from repro.errors import DataError, nearest


def given(settings: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """The settings by key.

    Raises:
        DataError: one is not ``key=value``, is unknown, or is set twice.
    """
    found: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not value:
            raise DataError(f"{setting!r} is not key=value, such as {known[0]}=...")
        if key not in known:
            hint = nearest(key, known) or f" There is: {', '.join(known)}."
            raise DataError(f"prepare has no setting {key!r}.{hint}")
        if key in found:
            raise DataError(f"{key} is set twice")
        found[key] = value
    return found


def whole(key: str, value: str, *, largest: int, such_as: int) -> int:
    """``value`` as a whole number from 1 on.

    Raises:
        DataError: it is none, or above ``largest``.
    """
    if not (value.isascii() and value.isdecimal() and len(value) < 19 and 1 <= int(value) <= largest):
        raise DataError(f"{key}={value}: expected a whole number from 1 to {largest}, such as {key}={such_as}")
    return int(value)
