"""Downstream tasks by name, ready to be asked: lm-eval's definitions and ours, with data from local JSON lines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from repro import paths
from repro.data.tasks import facts, mmlu, rows
from repro.data.tasks.facts import File, Part, Task
from repro.data.tasks.fetch import check_items
from repro.data.tasks.rows import Row
from repro.digests import digest
from repro.errors import DataError
from repro.evaluation.tasks import answers, library

OF_LM_EVAL = "lm-eval/"  # in a task's `defined`
SEED = 1234  # with which lm-eval draws solved examples


@dataclass(frozen=True)
class Tasks:
    """What is asked of a model.

    Attributes:
        asked: the tasks.
        defined: lm-eval's objects, by the name of each part.
        fingerprints: by the name of each task, what tells its items and its definition from others.
    """

    asked: tuple[Task, ...]
    defined: Mapping[str, Any]
    fingerprints: Mapping[str, str]

    @property
    def size(self) -> int:
        """Items, each as often as it is asked."""
        return sum(len(task.eval_docs) for task in self.defined.values())

    @property
    def apart(self) -> frozenset[str]:
        """The parts of which context and answer become tokens apart from each other."""
        return frozenset(name for name, each in self._metadata.items() if each.get("encoded") == "apart")

    @property
    def rooms(self) -> dict[str, int]:
        """Tokens that a part has read at most, of those that say so."""
        return {name: each["room"] for name, each in self._metadata.items() if "room" in each}

    @property
    def _metadata(self) -> dict[str, dict[str, Any]]:
        return {name: task.config.metadata or {} for name, task in self.defined.items()}

    def alone(self, task: Task) -> Self:
        """One of them."""
        own = {part.name: self.defined[part.name] for part in task.parts}
        return replace(self, asked=(task,), defined=own)

    def begin(self) -> None:
        """Have each evaluation draw the same solved examples."""
        for task in self.defined.values():
            task.set_fewshot_seed(SEED)


def names() -> tuple[str, ...]:
    """Every task, and the groups of them."""
    return (*facts.groups(), *facts.names())


def load(names: Sequence[str], *, files: Path | None = None, limit: int | None = None) -> Tasks:
    """The tasks called ``names``.

    Args:
        names: of tasks and of groups.
        files: the folder of their JSON lines; where ``repro prepare tasks`` puts them by default.
        limit: items of each, the first ones; of a task with parts, of each part. None is all.

    Raises:
        DataError: there is no such task, or its data are not there, not all there or not what it reads.
        RunError: lm-eval is not installed.
    """
    asked = tuple(facts.task(name) for name in facts.expanded(names))
    where = files or rows.folder()
    rows.check(asked, where)
    library.load()
    read = {file: _whole(file, where) for file in dict.fromkeys(file for task in asked for file in task.files)}
    prints = {task.name: _fingerprint(task, read) for task in asked}
    with library.quiet():
        manager = _manager(asked)
        parts = [(task, part, _splits(task, part, read, limit)) for task in asked for part in task.parts]
        return Tasks(asked, {part.name: _defined(manager, *each) for each in parts for part in [each[1]]}, prints)


def _whole(file: File, where: Path) -> list[Row]:
    """The items of a file; of one that holds only some of them, a number is not that of the split."""
    found = rows.rows(file, where)
    check_items(file, len(found), str(where))
    return found


def _fingerprint(task: Task, read: Mapping[File, list[Row]]) -> str:
    """Of the items that a task reads, what it makes of them, and the lm-eval that does."""
    import lm_eval

    own = [] if task.described.defined.startswith(OF_LM_EVAL) else sorted(_folder(task.described.defined).iterdir())
    said = {
        "items": {file.name: read[file] for file in task.files},
        "described": task.described.model_dump(mode="json"),
        "parts": [(part.name, part.subjects) for part in task.parts],
        "defined": [path.read_text(encoding="utf-8") for path in own],
        "lm_eval": lm_eval.__version__,
    }
    return digest(said, 16)


def _manager(asked: Sequence[Task]) -> Any:
    """Knows the definitions of these tasks only: there are 14,000 others, which take it ten seconds to look through."""
    from lm_eval import tasks

    folders = dict.fromkeys(task.described.defined for task in asked)
    return tasks.TaskManager(include_path=[_folder(each) for each in folders], include_defaults=False)


def _folder(defined: str) -> Path:
    from lm_eval import tasks

    if defined.startswith(OF_LM_EVAL):
        return Path(tasks.__file__).parent / defined.removeprefix(OF_LM_EVAL)
    return paths.data() / "tasks" / defined


def _splits(task: Task, part: Part, read: Mapping[File, list[Row]], limit: int | None) -> dict[str, list[Row]]:
    """The items of a part, by split, in place of the data set that its definition names."""
    described = task.described
    every = {split: _chosen(part, read[File(part.data, split)]) for split in _names(task)}
    asked = every[described.split][:limit]
    if not asked:
        of = f" of {part.name}" if part.subjects else ""
        raise DataError(f"{File(part.data, described.split).name} holds no items{of}; run `repro prepare tasks`")
    if described.by == "group":
        return {described.split: list(mmlu.variants(asked, every[described.shots or ""]))}
    return every | {described.split: asked}


def _names(task: Task) -> Iterator[str]:
    yield task.described.split
    if task.described.shots:
        yield task.described.shots


def _chosen(part: Part, found: list[Row]) -> list[Row]:
    return [row for row in found if row.get("subject") in part.subjects] if part.subjects else found


def _defined(manager: Any, task: Task, part: Part, splits: Mapping[str, list[Row]]) -> Any:
    """lm-eval's object for a part, over ``splits``: it fetches nothing, and has no other split."""
    import datasets
    from jinja2 import TemplateError

    def data(**_: Any) -> Any:
        return datasets.DatasetDict({split: datasets.Dataset.from_list(found) for split, found in splits.items()})

    shots = task.described.shots if task.described.shots in splits else None
    own = {"custom_dataset": data, "dataset_kwargs": None, "test_split": task.described.split}
    own |= {"validation_split": None, "training_split": shots, "fewshot_split": shots}
    if part.name in answers.OF:
        own["process_results"] = answers.OF[part.name]
    try:
        return manager.load([{"group": "asked", "task": [{"task": part.name} | own]}])["tasks"][part.name]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, TemplateError) as error:
        name = File(part.data, task.described.split).name
        raise DataError(f"{name} does not have what {part.name} reads: {error}; run `repro prepare tasks`") from error
