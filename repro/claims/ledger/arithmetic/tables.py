"""Sums, orders and differences of Tables 1 to 3, and what the text says of them."""

import math
from collections.abc import Callable
from functools import partial
from statistics import mean

from repro.claims.ledger import published
from repro.claims.ledger.arithmetic.answer import Answer, words
from repro.claims.ledger.published import Printed, number
from repro.data.tasks.facts import facts

OURS, BASE = "polynorm", "swiglu"
PAPERS = ("polyrelu", "polynorm")
OTHERS = ("swiglu", "gelu", "relu")
EXACT = 1e-9  # of sums of floats
TITLES = {"train_loss": "training loss", "ppl": "PPL", "c4_en": "C4", "dolma_wiki": "Wikipedia"}


def parts(table: int, row: str) -> dict[str, Printed]:
    """The cells of a row that its average is of: those in its unit, by column."""
    average = published.cell(table, row, "average")
    cells = (cell for cell in published.table(table) if cell.row == row and cell.unit == average.unit)
    return {cell.column: cell for cell in cells if cell.column != "average"}


def gain(table: int, column: str) -> float:
    """PolyNorm's number less SwiGLU's."""
    return number(table, OURS, column) - number(table, BASE, column)


def title(column: str) -> str:
    """How the paper calls a task or a panel; another column keeps its own name."""
    return facts().tasks[column].title if column in facts().tasks else TITLES.get(column, column)


def averages(table: int) -> Answer:
    """Whether each printed average is that of its row, as far as rounding lets one tell."""
    off, allowed = {}, 0.0
    for average in (cell for cell in published.table(table) if cell.column == "average"):
        cells = parts(table, average.row).values()
        off[average.row] = abs(mean(_value(cell) for cell in cells) - _value(average))
        allowed = max(allowed, (average.rounding or 0) + mean(cell.rounding or 0 for cell in cells))
    worst = max(off, key=lambda row: off[row])
    return Answer(
        off[worst] <= allowed + EXACT,
        f"{len(off)} averages, the furthest off is {worst}'s by {off[worst]:.4f}; rounding allows {allowed:.4f}",
    )


def headline_gain() -> Answer:
    """The text's 1.21: Table 1's average of PolyNorm over SwiGLU's."""
    ours, base, text = number(1, OURS, "average"), number(1, BASE, "average"), published.stated("gain_in_table_1")
    return Answer(
        abs(ours - base - text) < 0.005,
        f"{ours:.2f} - {base:.2f} = {ours - base:.2f} points, the text has {text:.2f}",
    )


def consistent() -> Answer:
    """PolyReLU and PolyNorm above all others on each task of Table 1, which the text calls consistent."""
    tasks = list(parts(1, BASE))
    exceptions = [
        f"{title(task)} ({other} {number(1, other, task):.2f}, {paper} {number(1, paper, task):.2f})"
        for task in tasks
        for paper in PAPERS
        for other in OTHERS
        if number(1, other, task) >= number(1, paper, task)
    ]
    pairs = len(tasks) * len(PAPERS) * len(OTHERS)
    return Answer(not exceptions, f"{pairs - len(exceptions)} of {pairs} pairs; not on {words(exceptions)}")


def losses() -> Answer:
    """PolyReLU and PolyNorm have the two lowest training losses of Table 1."""
    ours, others = ([number(1, arm, "train_loss") for arm in arms] for arms in (PAPERS, OTHERS))
    line = " and ".join(f"{loss:.2f}" for loss in ours) + f" against {min(others):.2f} to {max(others):.2f} nats"
    return Answer(max(ours) < min(others), line)


def perplexities() -> Answer:
    """PolyNorm's PPL of Table 1 is the lowest, then PolyReLU's, SwiGLU's, GELU's and ReLU's."""
    order = (*reversed(PAPERS), *OTHERS)
    found = [number(1, arm, "ppl") for arm in order]
    line = words(f"{arm} {value:.2f}" for arm, value in zip(order, found, strict=True))
    return Answer(found == sorted(found), f"{line}; set and unit are not stated")


def perplexity_is_exp_loss() -> Answer:
    """The PPL of Table 1 is the exponential of the loss beside it, to the rounding of both."""
    arms = (*OTHERS, *PAPERS)
    within = [_is_exp(published.cell(1, arm, "train_loss"), published.cell(1, arm, "ppl")) for arm in arms]
    loss, printed = number(1, BASE, "train_loss"), number(1, BASE, "ppl")
    line = f"{BASE}: exp({loss:.2f}) = {math.exp(loss):.2f}, printed {printed:.2f}"
    return Answer(all(within), f"{sum(within)} of {len(arms)} arms; {line}, whose logarithm is {math.log(printed):.2f}")


def table_2_all_lower() -> Answer:
    """PolyNorm's loss is the lower one on every validation set of Table 2."""
    gains = [-gain(2, name) for name in parts(2, BASE)]
    lower = [each for each in gains if each > 0]
    return Answer(
        len(lower) == len(gains),
        f"lower on {len(lower)} of {len(gains)} sets, by {min(gains):.2f} to {max(gains):.2f} nats; "
        "all sets are of one run each",
    )


def table_2_gain() -> Answer:
    """The text's 0.02: the mean difference of Table 2, rounded as the text is."""
    exact, text = -mean(gain(2, name) for name in parts(2, BASE)), published.stated("gain_in_table_2")
    return Answer(
        abs(exact - text) <= 0.005 + EXACT,
        f"{exact:.4f} nats before rounding, which the text gives as {text:.2f}: {text / exact - 1:.0%} more",
    )


def table_3_wins() -> Answer:
    """The text's count of tasks of Table 3 on which PolyNorm is above SwiGLU."""
    tasks, text = list(parts(3, BASE)), published.stated("wins_in_table_3")
    lost = [task for task in tasks if gain(3, task) <= 0]
    below = words(f"{title(task)} ({number(3, OURS, task):.2f} < {number(3, BASE, task):.2f})" for task in lost)
    wins = len(tasks) - len(lost)
    return Answer(wins == text, f"{wins} of {len(tasks)}, the text has {text:.0f}; below on {below}")


def table_3_average_gain() -> Answer:
    """PolyNorm's average of Table 3 is the higher one."""
    ours, base = number(3, OURS, "average"), number(3, BASE, "average")
    return Answer(ours > base, f"{ours:.2f} - {base:.2f} = {ours - base:.2f} points")


def _value(cell: Printed) -> float:
    assert cell.value is not None, f"{cell.column} of {cell.row} is added up and is no number"
    return cell.value


def _is_exp(loss: Printed, ppl: Printed) -> bool:
    """Losses are cut, not rounded, to the last digit, so a whole one of it is allowed on either side."""
    slack = 2 * (loss.rounding or 0)
    low, high = (math.exp(_value(loss) + sign * slack) for sign in (-1, 1))
    return low - (ppl.rounding or 0) <= _value(ppl) <= high + (ppl.rounding or 0)


CHECKS: dict[str, Callable[[], Answer]] = {
    **{f"table_{table}_averages": partial(averages, table) for table in (1, 2, 3)},
    "headline_gain": headline_gain,
    "table_1_consistent": consistent,
    "table_1_losses": losses,
    "table_1_perplexities": perplexities,
    "perplexity_is_exp_loss": perplexity_is_exp_loss,
    "table_2_all_lower": table_2_all_lower,
    "table_2_gain": table_2_gain,
    "table_3_wins": table_3_wins,
    "table_3_average_gain": table_3_average_gain,
}
