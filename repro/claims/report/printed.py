"""The paper's tables beside ours: results where something of ours can stand there, definitions where it cannot."""

from collections.abc import Sequence

from repro.claims.evidence.ran import Ran
from repro.claims.ledger import published
from repro.claims.ledger.published import Printed
from repro.claims.report import numbers, pairs
from repro.claims.report.blocks import Block, Code, Section, Table, Text
from repro.claims.report.gathered import Gathered

BASELINE = "swiglu"
STUDIES = {1: "table-1", 2: "table-2-3", 3: "table-2-3"}
TITLES = {
    1: "Table 1: the dense 1.3 B models after 250 B tokens",
    2: "Table 2: losses of the mixtures of experts on eleven sets",
    3: "Table 3: accuracies of the mixtures of experts on nine tasks",
    4: "Table 4: seventeen activations",
    5: "Table 5: sizes of the dense models",
    6: "Table 6: sizes of the mixtures of experts",
}
PPL = (
    "PPL is never compared: the paper names neither its set nor its unit, and it is not the exponential of the loss "
    "beside it (exp 2.19 is 8.9, and 3.22 is printed)."
)
LEVELS = (
    "Levels of loss do not compare across data and tokenizers, so beside the paper's differences stand ours, each of "
    "its own networks, in nats per token of its own tokenizer: at another size at most their sign is the paper's."
)


def tables(found: Gathered) -> Section:
    """Tables 1 to 6."""
    parts = [_results(found, number) for number in (1, 2, 3)] + [_definitions(number) for number in (4, 5, 6)]
    return Section("The paper's tables beside ours", "tables", tuple(parts))


def _results(found: Gathered, number: int) -> Section:
    cells = published.table(number)
    blocks: list[Block] = [_printed(cells, f"Printed in Table {number}; each number is of one run")]
    if number == 1:
        blocks.append(Text(PPL))
    if number < 3:
        blocks += _beside(found, number, cells)
    else:
        blocks.append(Text(("Nothing here has its accuracies: small networks guess. At the paper's size: ", _tasks())))
    return Section(TITLES[number], f"table-{number}", tuple(blocks), level=3)


def _tasks() -> Code:
    return Code("repro eval RUN --tasks table-3")


def _printed(cells: Sequence[Printed], caption: str) -> Table:
    """As it is printed, turned so that columns are activations: there are fewer of them."""
    rows, columns = list(dict.fromkeys(c.row for c in cells)), list(dict.fromkeys(c.column for c in cells))
    at = {(cell.row, cell.column): cell for cell in cells}
    lines = []
    for column in columns:
        units = numbers.listed(at[row, column].unit for row in rows if (row, column) in at)
        texts = [at[row, column].text if (row, column) in at else "" for row in rows]
        lines.append((_named(column), *texts, units.replace("none", "")))
    return Table(caption, ("", *(f" {row}" for row in rows), "unit"), tuple(lines))


def _beside(found: Gathered, number: int, cells: Sequence[Printed]) -> list[Block]:
    """Differences to SwiGLU: the paper's, and those of each size that ran here."""
    column = "train_loss" if number == 1 else "average"
    printed = {cell.row: cell.value for cell in cells if cell.column == column and cell.value is not None}
    there = [(ran, rung) for ran in found.of(STUDIES[number]) for rung in ran.rungs]
    if not there:
        return [Text((f"No run of the study {STUDIES[number]} lies here: ", Code(f"repro study {STUDIES[number]}")))]
    arms = [arm for arm in dict.fromkeys((*printed, *there[0][0].study.arms)) if arm != BASELINE]
    rows = [(f"paper, {_named(column)}", *(_less(printed, arm) for arm in arms))]
    rows += [
        (numbers.size(ran.study, ran.form, rung), *(_measured(ran, rung, arm) for arm in arms)) for ran, rung in there
    ]
    caption = (
        f"Loss less that of {BASELINE}: the paper's, and ours in validation with the 95 % interval over pairs of seeds"
    )
    return [Table(caption, ("networks", *(f" {arm}" for arm in arms)), tuple(rows)), Text(LEVELS)]


def _less(printed: dict[str, float], arm: str) -> str:
    return f"{printed[arm] - printed[BASELINE]:+.2f}" if arm in printed else ""


def _measured(ran: Ran, rung: str, arm: str) -> str:
    estimate = pairs.over(ran.main(rung), arm, BASELINE)
    return numbers.estimated(estimate) if estimate else ""


def _definitions(number: int) -> Section:
    cells = published.table(number)
    if number == 4:
        return Section(TITLES[4], "table-4", (_activations(cells),), level=3)
    caption = "Printed, and held by tests to what the recipes say"
    return Section(TITLES[number], f"table-{number}", (_printed(cells, caption),), level=3)


def _activations(cells: Sequence[Printed]) -> Table:
    found: dict[str, dict[str, str]] = {}
    for cell in cells:
        found.setdefault(cell.row, {})[cell.column] = cell.text
    rows = tuple((texts.get("name", row), texts.get("formula", ""), Code(row)) for row, texts in found.items())
    return Table(
        "Definitions in our notation, with CELU's two spellings of alpha made one; each is held by a test to its "
        "closed form",
        ("name", "formula", "here"),
        rows,
        True,
    )


def _named(column: str) -> str:
    return {"ppl": "PPL (never compared)", "train_loss": "training loss"}.get(column, column.replace("_", " "))
