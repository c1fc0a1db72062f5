"""How lines look: a colour that the colour-blind tell apart, and a dash and a marker that do without colours."""

from collections.abc import Iterable
from dataclasses import dataclass

INK, FAINT, RULE, GROUND = "#1a1a1a", "#595959", "#d9d9d9", "#ffffff"
# After Okabe and Ito, darkened where needed for a contrast of 3 to 1 with white. In greyscale from dark to light.
COLOURS = ("#000000", "#0057a3", "#b3470e", "#00785a", "#a2407f", "#8f6b00")
DASHES = ("", "7 3", "2 2.5", "9 3 2 3", "4 2", "1.5 4")
SHAPES = ("circle", "square", "up", "diamond", "down", "cross")
# What the paper compares looks the same in every figure.
KNOWN = {"polynorm": 0, "swiglu": 1, "relu": 2, "polyrelu": 3, "gelu": 4, "relu2": 5}


@dataclass(frozen=True)
class Look:
    """Of a line and of its points."""

    colour: str
    dash: str
    shape: str


def looks(arms: Iterable[str]) -> dict[str, Look]:
    """One for each arm, no two of the first eighteen alike: those of the paper first, the others what is left."""
    names = list(arms)
    numbers = {name: KNOWN[name] for name in names if name in KNOWN}
    free = (number for number in range(len(names) + len(KNOWN)) if number not in numbers.values())
    return {name: _look(numbers.get(name, -1) if name in numbers else next(free)) for name in names}


def _look(number: int) -> Look:
    turn, place = divmod(number, len(COLOURS))
    return Look(COLOURS[place], DASHES[(place + turn) % len(DASHES)], SHAPES[(place + 2 * turn) % len(SHAPES)])
