"""The ``key=value`` words of verbs that take no recipe, such as ``repro prepare DATASET``."""

from collections.abc import Sequence

from repro.errors import RecipeError, nearest


def given(settings: Sequence[str], known: Sequence[str], *, verb: str, such_as: str) -> dict[str, str]:
    """The settings by key.

    Args:
        settings: as a person wrote them.
        known: keys of the verb.
        verb: in the words of an error.
        such_as: a setting that is right.

    Raises:
        RecipeError: one is not ``key=value``, is unknown, or is set twice.
    """
    found: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not value:
            raise RecipeError(f"{setting!r} is not key=value, such as {such_as}")
        if key not in known:
            hint = nearest(key, known) or f" There is: {', '.join(known)}."
            raise RecipeError(f"{verb} has no setting {key!r}.{hint}")
        if key in found:
            raise RecipeError(f"{key} is set twice")
        found[key] = value
    return found


def whole(key: str, value: str, *, largest: int, such_as: int, smallest: int = 1) -> int:
    """``value`` as a whole number.

    Raises:
        RecipeError: it is none, below ``smallest`` or above ``largest``.
    """
    if not (value.isascii() and value.isdecimal() and len(value) < 19 and smallest <= int(value) <= largest):
        raise RecipeError(
            f"{key}={value}: expected a whole number from {smallest} to {largest}, such as {key}={such_as}"
        )
    return int(value)


def amount(key: str, value: str, *, largest: int) -> int:
    """``value`` as a whole number from 1 on, which may be spelt ``250e9``.

    Raises:
        RecipeError: it is none, or above ``largest``.
    """
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 1 <= number <= largest or number != int(number):
        raise RecipeError(f"{key}={value}: expected a number from 1 to {largest:g}, such as {key}=250e9")
    return int(number)


def share(key: str, value: str) -> float:
    """``value`` as a number from 0 to 1.

    Raises:
        RecipeError: it is none.
    """
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise RecipeError(f"{key}={value}: expected a share from 0 to 1, such as {key}=0.01")
    return number


def truth(key: str, value: str) -> bool:
    """``value`` as true or false.

    Raises:
        RecipeError: it is neither.
    """
    if value not in {"true", "false"}:
        raise RecipeError(f"{key}={value}: expected true or false")
    return value == "true"
