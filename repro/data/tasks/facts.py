"""What is known of each downstream task: ``data/tasks/tasks.yaml``."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from repro import paths
from repro.errors import DataError, nearest
from repro.recipe.checking import checked
from repro.recipe.reading import read
from repro.recipe.schema import Section

Names = Annotated[tuple[str, ...], Field(strict=False)]


class Source(Section):
    """Where the items of a task come from.

    Attributes:
        hub: a repository of huggingface.co. config: of its configurations, if it has any.
        items: of each split, as published.
    """

    hub: str
    config: str | None = None
    licence: str
    items: dict[str, PositiveInt]


class Described(Section):
    """A task, as the file describes it, where each key is explained."""

    title: str
    table: str = ""
    data: str
    split: str
    shots: str | None = None
    metric: str
    defined: str
    by: Literal["subject", "group", "language"] | None = None
    part: str = ""
    average: Literal["items", "parts"] = "items"
    inferred: str = ""


class Facts(Section):
    """All of the file."""

    groups: dict[str, Names]
    tasks: dict[str, Described]
    data: dict[str, Source]
    languages: Names
    subjects: dict[str, Names]


@dataclass(frozen=True)
class Part:
    """Of a task: what its definition calls it, its data, and the subjects to which it keeps; none where it asks all."""

    name: str
    data: str
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """A downstream task.

    Attributes:
        name: by which it is asked for.
        described: what the file says of it.
        parts: that are asked and scored each for itself, one of the task's own name where it has no others.
    """

    name: str
    described: Described
    parts: tuple[Part, ...]

    @property
    def files(self) -> tuple["File", ...]:
        """That it reads, each once."""
        splits = filter(None, (self.described.split, self.described.shots))
        data = dict.fromkeys(part.data for part in self.parts)
        return tuple(File(name, split) for split in splits for name in data)


@dataclass(frozen=True)
class File:
    """A split of a task's data."""

    data: str
    split: str

    @property
    def name(self) -> str:
        """In the folder of tasks."""
        return f"{self.data}.{self.split}.jsonl"

    @property
    def source(self) -> Source:
        """Where it comes from."""
        return facts().data[self.data]

    @property
    def items(self) -> int:
        """How many are published."""
        return self.source.items[self.split]


@cache
def facts() -> Facts:
    """The file, checked."""
    path = paths.data() / "tasks" / "tasks.yaml"
    return checked(Facts, read(path), str(path))


def names() -> tuple[str, ...]:
    """Every task."""
    return tuple(facts().tasks)


def groups() -> tuple[str, ...]:
    """Names that stand for several tasks."""
    return tuple(facts().groups)


def expanded(words: Iterable[str]) -> tuple[str, ...]:
    """The tasks that ``words``, names of tasks and groups, stand for, each once.

    Raises:
        DataError: one is neither.
    """
    found: dict[str, None] = {}
    for word in words:
        if word not in facts().tasks and word not in facts().groups:
            known = (*groups(), *names())
            raise DataError(f"no task is called {word!r}.{nearest(word, known)} Known: {', '.join(known)}")
        found |= dict.fromkeys(facts().groups.get(word, (word,)))
    return tuple(found)


def task(name: str) -> Task:
    """The task called ``name``, which there is."""
    described = facts().tasks[name]
    return Task(name, described, tuple(_parts(name, described)))


def _parts(name: str, described: Described) -> Iterable[Part]:
    subjects = facts().subjects
    match described.by:
        case "language":
            return [Part(described.part.format(one), described.data.format(one)) for one in facts().languages]
        case "group":
            return [Part(described.part.format(one), described.data, subjects[one]) for one in subjects]
        case "subject":
            every = sorted(one for group in subjects.values() for one in group)
            return [Part(described.part.format(one), described.data, (one,)) for one in every]
        case None:
            return [Part(name, described.data)]
