"""Names of tensors for a person: all of them, with the numbers of layers and experts folded."""

import re
from collections.abc import Sequence
from itertools import pairwise

_NUMBER = re.compile(r"(?:(?<=\.)|^)(\d+)(?=\.|$)")
_Pieces = tuple[str, ...]  # of a name: text, number, text, number, text


def folded(names: Sequence[str]) -> list[str]:
    """``names``, of which those that differ in one number are one: ``layers.{2..5}.norm.weight``."""
    found = [tuple(_NUMBER.split(name)) for name in names]
    for at in range(max(map(len, found), default=0) - 2, 0, -2):
        found = _folded(found, at)
    return ["".join(pieces) for pieces in found]


def _folded(names: Sequence[_Pieces], at: int) -> list[_Pieces]:
    numbers: dict[tuple[_Pieces, _Pieces], list[str]] = {}
    for pieces in names:
        numbers.setdefault((pieces[:at], pieces[at + 1 :]), []).extend(pieces[at : at + 1])
    return [(*before, *_range(own), *after) for (before, after), own in numbers.items()]


def _range(numbers: Sequence[str]) -> _Pieces:
    if len(numbers) < 2:
        return tuple(numbers)
    ordered = sorted(map(int, numbers))
    starts = [ordered[0], *(after for before, after in pairwise(ordered) if after > before + 1)]
    ends = [*(before for before, after in pairwise(ordered) if after > before + 1), ordered[-1]]
    spelt = (f"{start}..{end}" if end > start else str(start) for start, end in zip(starts, ends, strict=True))
    return (f"{{{','.join(spelt)}}}",)
