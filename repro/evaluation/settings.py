"""What a person asks `repro eval` for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from repro.errors import RunError
from repro.recipe import Machine, Recipe
from repro.recipe.lists import HELD_OUT
from repro.recipe.schema import LanguageRecipe
from repro.recipe.settings import amount, whole
from repro.recipe.settings import given as by_key

KEYS = ("limit", "tokens", "step", "files")
_LARGEST = 10**15


@dataclass(frozen=True)
class Settings:
    """The ``key=value`` words.

    Attributes:
        words: as they were given.
        limit: items of each task.
        tokens: of each part of a set.
        step: the only checkpoint.
        files: where the tasks' JSON lines lie.
    """

    words: tuple[str, ...] = ()
    limit: int | None = None
    tokens: int | None = None
    step: int | None = None
    files: Path | None = None

    @classmethod
    def of(cls, words: Sequence[str]) -> Self:
        """From the command line.

        Raises:
            RecipeError: one is not ``key=value``, is unknown, set twice, or no number.
        """
        given = by_key(words, KEYS, verb="eval", such_as=f"{KEYS[0]}=100")
        return cls(
            words=tuple(words),
            limit=_whole(given, "limit", such_as=100),
            tokens=amount("tokens", given["tokens"], largest=_LARGEST) if "tokens" in given else None,
            step=_whole(given, "step", such_as=100, smallest=0),
            files=Path(given["files"]).expanduser() if "files" in given else None,
        )


class Names(NamedTuple):
    """Of sets and of tasks."""

    sets: tuple[str, ...]
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """An evaluation, as it was asked for.

    Attributes:
        of: a run.
        settings: the ``key=value`` words.
        sets: names with commas between them, if they were named.
        tasks: the same of tasks.
        machine: that it is for.
    """

    of: str
    settings: Settings
    sets: str | None
    tasks: str | None
    machine: Machine

    @property
    def arguments(self) -> list[str]:
        """What follows ``repro``, to ask for the same."""
        sets = ["--sets", self.sets] if self.sets is not None else []
        tasks = ["--tasks", self.tasks] if self.tasks is not None else []
        return ["eval", self.of, *self.settings.words, *sets, *tasks, "--on", self.machine.name]

    def names(self, recipe: Recipe) -> Names:
        """What is evaluated: what was named; if nothing was, what the recipe of a language model names.

        Raises:
            RunError: an option names nothing, or a setting is for something that is not evaluated.
        """
        assert isinstance(recipe, LanguageRecipe)
        if self.sets is None and self.tasks is None:
            names = Names(tuple(recipe.validation.sets), recipe.evaluation.tasks)
        else:
            names = Names(_listed("--sets", self.sets, HELD_OUT), _listed("--tasks", self.tasks, "table-1"))
        for key, what, there in (("limit", "--tasks", names.tasks), ("files", "--tasks", names.tasks)):
            self._refuse_idle(key, what, there)
        self._refuse_idle("tokens", "--sets", names.sets)
        return names

    def refuse_text(self, name: str) -> None:
        """Refuse what only language models have.

        Raises:
            RunError: it was asked for.
        """
        words = [word for word, value in (("--sets", self.sets), ("--tasks", self.tasks)) if value is not None]
        words += [f"{key}=" for key in ("limit", "tokens", "files") if getattr(self.settings, key) is not None]
        if words:
            raise RunError(
                f"{self.of} is a run of {name}, which classifies images: {words[0]} is for language models; without "
                "it the validation images are classified"
            )

    def _refuse_idle(self, key: str, option: str, names: tuple[str, ...]) -> None:
        if getattr(self.settings, key) is not None and not names:
            raise RunError(f"{key}= is for what {option} names, and nothing is: add {option}, or leave out {key}=")


def _listed(option: str, text: str | None, such_as: str) -> tuple[str, ...]:
    """Names with commas between them, each once.

    Raises:
        RunError: there are none.
    """
    if text is None:
        return ()
    found = tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))
    if not found:
        raise RunError(f"{option} {text!r} names nothing: expected names with commas between them, such as {such_as}")
    return found


def _whole(given: dict[str, str], key: str, *, such_as: int, smallest: int = 1) -> int | None:
    value = given.get(key)
    return None if value is None else whole(key, value, largest=_LARGEST, such_as=such_as, smallest=smallest)
