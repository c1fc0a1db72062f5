"""How far accuracies can be told apart: the standard errors of Tables 1 and 3, by the items of their splits."""

import math
from collections.abc import Callable, Collection
from functools import partial

from repro.claims.ledger import published
from repro.claims.ledger.arithmetic.answer import Answer, words
from repro.claims.ledger.arithmetic.tables import BASE, OURS, gain, parts, title
from repro.claims.ledger.published import number
from repro.data.tasks.facts import facts

Z = 1.96  # two-sided, 5 %
WHOLE = 0.005 + 1e-9  # of a percentage with two digits after the point


def items(task: str, split: str | None = None) -> int:
    """How many a task asks."""
    described = facts().tasks[task]
    return facts().data[described.data].items[split or described.split]


def error(table: int, row: str, task: str) -> float:
    """Binomial standard error of one accuracy, in points: ``sqrt(p (100 - p) / n)``.

    MMLU-var asks each item seven times and weighs four groups alike; its items count once, as if the prompts agreed.
    """
    p = number(table, row, task)
    return math.sqrt(p * (100 - p) / items(task))


def error_of_gain(table: int, tasks: Collection[str]) -> float:
    """Of the mean difference over tasks, in points, as if the two models had been asked different items.

    They were asked the same ones, so a paired test would be sharper; which items each got right is not published. No
    noise of training is in it: each model is of one run.
    """
    squares = sum(error(table, row, task) ** 2 for row in (OURS, BASE) for task in tasks)
    return math.sqrt(squares) / len(tasks)


def significant(table: int) -> Answer:
    """Whether the gain in the table's average is further from 0 than items alone would take it."""
    tasks = list(parts(table, BASE))
    mean, sd = gain(table, "average"), error_of_gain(table, tasks)
    return Answer(abs(mean) / sd > Z, f"{mean:+.2f} ± {sd:.2f} points (standard error of items), z {mean / sd:.2f}")


def each_significant(table: int) -> Answer:
    """Whether PolyNorm's gain on every task is positive and further from 0 than items alone would take it."""
    scores = {task: gain(table, task) / error_of_gain(table, [task]) for task in parts(table, BASE)}
    told = [task for task, z in scores.items() if z > Z]
    line = words(f"{title(task)} {z:+.1f}" for task, z in scores.items())
    return Answer(len(told) == len(scores), f"on {len(told)} of {len(scores)}; z: {line}")


def splits() -> Answer:
    """Whether the percentages are whole items of the splits that our tables name, and not of others of other sizes.

    An average over parts fits no count. Of a large split any percentage with two digits is whole items, so HellaSwag
    fits and says nothing.
    """
    own = [_fit(table, task, facts().tasks[task].split) for table, task in _asked()]
    other = {
        f"{title(task)} of Table {table} with the {items(task, split):,} of {split}": _fit(table, task, split)
        for table, task in _asked()
        for split, count in facts().data[facts().tasks[task].data].items.items()
        if count != items(task)
    }
    misfits = words(f"{name} {fit} of {of}" for name, (fit, of) in other.items())
    holds = all(fit == of for fit, of in own) and all(fit < of for fit, of in other.values())
    return Answer(holds, f"{sum(fit for fit, _ in own)} of {sum(of for _, of in own)} fit; of other splits {misfits}")


def _asked() -> list[tuple[int, str]]:
    """Tables with their tasks, but averages over parts."""
    return [(table, task) for table in (1, 3) for task in parts(table, BASE) if facts().tasks[task].average == "items"]


def _fit(table: int, task: str, split: str) -> tuple[int, int]:
    """How many of the table's percentages are whole items of a split, and how many there are."""
    found = [cell.value for cell in published.table(table) if cell.column == task and cell.value is not None]
    n = items(task, split)
    return sum(abs(100 * round(p * n / 100) / n - p) <= WHOLE for p in found), len(found)


CHECKS: dict[str, Callable[[], Answer]] = {
    "headline_significant": partial(significant, 1),
    "table_1_tasks_significant": partial(each_significant, 1),
    "table_3_significant": partial(significant, 3),
    "table_3_tasks_significant": partial(each_significant, 3),
    "splits": splits,
}
