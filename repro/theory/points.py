"""Points at which networks are compared."""

import random
from fractions import Fraction


def rationals(rng: random.Random, n: int, *, largest: int = 400) -> list[Fraction]:
    """Between ``-largest`` and ``largest``, with denominators of up to 99."""
    denominators = [rng.randint(1, 99) for _ in range(n)]
    return [Fraction(rng.randint(-largest * d, largest * d), d) for d in denominators]
