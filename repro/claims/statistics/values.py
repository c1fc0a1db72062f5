"""What a test can be made of."""

import math
from collections.abc import Iterable


def finite(values: Iterable[float], what: str, *, least: int = 2) -> list[float]:
    """``values`` as floats.

    Raises:
        ValueError: there are fewer than ``least``, or one is not finite.
    """
    found = [float(value) for value in values]
    if len(found) < least:
        raise ValueError(f"{len(found)} {what}: it takes {least} or more")
    if wrong := [value for value in found if not math.isfinite(value)]:
        raise ValueError(f"{what} have to be finite, not {wrong[0]}")
    return found
