"""Several tests at once."""

from collections.abc import Sequence


def holm(ps: Sequence[float]) -> list[float]:
    """Adjusted p values (Holm 1979), in the order given: at 0.05 one of them all is wrong in 5 % of cases at most.

    The smallest of n is multiplied by n, the next by n - 1 and so on; none is above 1, or below a smaller one's.

    Raises:
        ValueError: a p is not between 0 and 1.
    """
    if wrong := [p for p in ps if not 0 <= p <= 1]:
        raise ValueError(f"a p lies between 0 and 1, not {wrong[0]}")
    adjusted, reached = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        reached = max(reached, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = reached
    return adjusted
