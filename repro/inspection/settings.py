"""What a person asks `repro analyze` for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from repro.errors import RecipeError, RunError, nearest
from repro.inspection.measures import COMPARES, NAMES, READS_NOTHING
from repro.recipe import Recipe
from repro.recipe.images import ImageRecipe
from repro.recipe.settings import amount, whole
from repro.recipe.settings import given as by_key

KEYS = ("parts", "tokens", "images", "step", "set", "against")
LARGEST = 10**9  # targets: 8 GB of token ids
LARGEST_STEP = 10**15


@dataclass(frozen=True)
class Settings:
    """The ``key=value`` words.

    Attributes:
        parts: of the analysis; all, if none were named.
        tokens: of the sample.
        images: of the sample.
        step: the only checkpoint.
        set: that text is taken from.
        against: a second run.
    """

    parts: tuple[str, ...] = NAMES
    tokens: int | None = None
    images: int | None = None
    step: int | None = None
    set: str | None = None
    against: str | None = None

    @classmethod
    def of(cls, words: Sequence[str]) -> Self:
        """From the command line.

        Raises:
            RecipeError: one is not ``key=value``, is unknown, set twice, no number, or names no part.
            RunError: a second run is named, and no part that takes one.
        """
        found = by_key(words, KEYS, verb="analyze", such_as="parts=weights")
        asked = cls(
            parts=_parts(found["parts"]) if "parts" in found else NAMES,
            tokens=amount("tokens", found["tokens"], largest=LARGEST) if "tokens" in found else None,
            images=whole("images", found["images"], largest=LARGEST, such_as=128) if "images" in found else None,
            step=_step(found["step"]) if "step" in found else None,
            set=found.get("set"),
            against=found.get("against"),
        )
        if asked.against and not set(asked.parts) & set(COMPARES):
            raise RunError(f"against= is for {COMPARES[0]}, which parts= leaves out")
        return asked

    def refuse_idle(self, run: str, recipe: Recipe) -> None:
        """Refuse a setting that means nothing for a recipe.

        Raises:
            RunError: it is given.
        """
        given = [key for key in ("tokens", "images", "set") if getattr(self, key) is not None]
        if given and set(self.parts) <= set(READS_NOTHING):
            raise RunError(f"{given[0]}= is for parts that read something, and parts={','.join(self.parts)} does not")
        of_images = isinstance(recipe, ImageRecipe)
        idle = ("tokens", "set", "against") if of_images else ("images",)
        if words := [key for key in idle if getattr(self, key) is not None]:
            what, other = ("classifies images", "images=N") if of_images else ("is a language model", "tokens=N")
            raise RunError(f"{run} is a run of {recipe.name}, which {what}: it has no {words[0]}=; expected {other}")


def _parts(text: str) -> tuple[str, ...]:
    """Names with commas between them, in the order of the page."""
    names = [name for part in text.split(",") if (name := part.strip())]
    if wrong := [name for name in names if name not in NAMES]:
        hint = nearest(wrong[0], NAMES) or f" There is: {', '.join(NAMES)}."
        raise RecipeError(f"parts={text}: there is no part {wrong[0]!r}.{hint}")
    if not names:
        raise RecipeError(f"parts={text} names nothing: expected some of {','.join(NAMES)}")
    return tuple(name for name in NAMES if name in names)


def _step(text: str) -> int:
    return whole("step", text, largest=LARGEST_STEP, such_as=1000, smallest=0)
