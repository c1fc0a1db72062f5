"""Lists of words in a recipe."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

HELD_OUT = "held-out"  # among validation.sets: the validation split of the run's own corpus


def _each_once(words: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(words)) < len(words):
        raise PydanticCustomError("doubled", "each word once")
    return words


Words = Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_each_once)]
