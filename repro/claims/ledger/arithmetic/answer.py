"""What a computation on printed numbers comes to."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """Of one statement.

    Attributes:
        holds: whether the numbers bear it out.
        measured: the numbers, in a line.
    """

    holds: bool
    measured: str


def words(items: Iterable[str]) -> str:
    """Such as ``a, b, c``; ``none`` of nothing."""
    return ", ".join(items) or "none"
