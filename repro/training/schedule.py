"""Learning rate as a function of the step."""

import math
from collections.abc import Callable


def cosine_with_warmup(*, warmup: int, total: int, floor: float) -> Callable[[int], float]:
    """Fraction of the peak rate at each optimizer step.

    Rises linearly over ``warmup`` steps, the first of which already moves, then falls along half a cosine to ``floor``
    at step ``total`` (section 4.1: from 3e-4 to 1.5e-5, a floor of 0.05).
    """

    def fraction(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = min(1.0, (step - warmup) / max(1, total - warmup))
        return floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2

    return fraction
