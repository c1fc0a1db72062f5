"""The paper's figures beside ours: its digitised curves, and our own where there are any."""

from collections.abc import Sequence
from itertools import groupby

from repro.claims.evidence.ran import Ran
from repro.claims.ledger import published
from repro.claims.ledger.published import Digitised
from repro.claims.report import numbers, pairs
from repro.claims.report.blocks import Block, Code, Figure, Figures, Line, Link, Mark, Section, Table, Text
from repro.claims.report.charts import named
from repro.claims.report.gathered import Gathered
from repro.claims.report.looks import looks
from repro.claims.report.one_study import anchor
from repro.claims.report.svg import Series, lines

# Of each figure: what it shows, the study that repeats it, the recipes that are its own runs, and their tokens, 10^9.
FIGURES = {
    1: ("Figure 1: dense models as they train", "table-1", "dense-1b-", 250.0),
    3: ("Figure 3: losses of mixtures of experts as they train", "table-2-3", "moe-1b7b-", 200.0),
    4: ("Figure 4: accuracies of mixtures of experts as they train", "table-2-3", "moe-1b7b-", 200.0),
}
# The name of a study begins so; 8 to 11 are in the paper's appendix, of the same runs.
STUDIES = {
    "figure-5": "Figure 5, with 8 to 10: order, composition, and powers of ReLU",
    "figures-6-7": "Figures 6 and 7: effective rank of FFN weights, and similarity of layers",
}
LOSSES = {"train_loss": True}  # panels that ours has something for, and whether it is the training loss
DIGITISED = "Digitised from the paper's drawing; it is one run of each."
BESIDE = "Ours, of other data, another tokenizer and smaller networks, stand beside: their levels do not compare."


def figures(found: Gathered) -> Section:
    """Figures 1 and 3 to 7; Figure 2 draws the networks, which tests hold."""
    parts = [_curves(found, number) for number in FIGURES] + [_repeated(found, name) for name in STUDIES]
    return Section("The paper's figures beside ours", "figures", tuple(parts))


def _curves(found: Gathered, number: int) -> Section:
    title, study, own, whole = FIGURES[number]
    ours = [(ran, rung) for ran in found.of(study) for rung in ran.rungs if not ran.study.sweep]
    over = [pair for pair in ours if _is_own(*pair, own, whole)]
    panels = [list(group) for _, group in groupby(_of(number), key=lambda curve: curve.panel)]
    drawn = [_panel(number, panel, over) for panel in panels]
    beside = [figure for pair in ours if pair not in over and number != 4 and (figure := _beside(number, *pair))]
    blocks: list[Block] = [Figures((*drawn, *beside))]
    blocks.append(Text(BESIDE if beside else f"No curve of ours can stand here: {_why(number)}"))
    return Section(title, f"figure-{number}", tuple(blocks), level=3)


def _why(number: int) -> str:
    if number == 4:
        return "small networks guess at these tasks, so their accuracies are no curves."
    return "no run of its study has kept one."


def _of(number: int) -> list[Digitised]:
    return [curve for curve in published.curves() if (curve.figure, curve.kind) == (number, "raw")]


def _is_own(ran: Ran, rung: str, own: str, whole: float) -> bool:
    """Whether the runs are the paper's own: its networks, on all its tokens."""
    rows = ran.main(rung)
    return bool(rows) and all(row.recipe.startswith(own) and row.tokens > 0.99e9 * whole for row in rows)


def _panel(number: int, panel: Sequence[Digitised], over: Sequence[tuple[Ran, str]]) -> Figure:
    look = looks(curve.activation for curve in panel)
    what, unit = panel[0].panel.replace("_", " "), panel[0].unit
    drawn = [Series(c.activation, tuple(1e9 * t for t in c.tokens_b), c.values, look[c.activation]) for c in panel]
    ours = [Series(f"{arm}, ours", x, y, look[arm]) for arm, x, y in _ours(panel[0].panel, over) if arm in look]
    ends = ", ".join(f"{curve.activation} {curve.values[-1]:.4g}" for curve in panel)
    title = f"paper: {what}"
    alt = f"Figure {number}, {title}, over tokens; curves end at {ends}"
    label = what if unit == published.NOT_STATED else unit
    svg = lines([*drawn, *ours], title=title, x_label="tokens", y_label=label, alt=alt)
    said = " Its unit is not stated, so nothing of ours is compared with it." if unit == published.NOT_STATED else ""
    return Figure(named(f"paper-{number}", panel[0].panel), svg, alt, f"{DIGITISED}{said}")


def _ours(panel: str, over: Sequence[tuple[Ran, str]]) -> list[tuple[str, tuple[float, ...], tuple[float, ...]]]:
    if panel not in LOSSES:
        return []
    return [(arm, x, y) for ran, rung in over for arm, (x, y) in pairs.averaged(ran, rung, train=LOSSES[panel]).items()]


def _beside(number: int, ran: Ran, rung: str) -> Figure | None:
    found = {arm: line for arm, line in pairs.averaged(ran, rung, train=True).items() if len(line[0]) > 1}
    if not found:
        return None
    look = looks(found)
    drawn = [Series(arm, *line, look[arm]) for arm, line in found.items()]
    where = numbers.size(ran.study, ran.form, rung)
    title = f"ours: training loss, {where}"
    ends = ", ".join(f"{arm} {line[1][-1]:.4f}" for arm, line in found.items())
    alt = f"{title}, mean over seeds; curves end at {ends}"
    label = numbers.unit("train_loss", ran.study.family)
    svg = lines(drawn, title=title, x_label="tokens", y_label=label, alt=alt)
    caption = f"Mean over seeds, without the first tenth, on {numbers.listed(row.device for row in ran.main(rung))}."
    return Figure(named(f"ours-{number}", ran.form, rung), svg, alt, caption)


def _repeated(found: Gathered, prefix: str) -> Section:
    """A figure that studies repeat as a whole: what they came to, and where they are."""
    studies = [each for each in found.studies if each.name.startswith(prefix)]
    rows: list[tuple[Line, ...]] = [
        (Link(each.name, anchor(each.name)), text, Mark(ladder.status), ladder.scale, ladder.why)
        for each in studies
        for text, ladder in found.ladders(each.name).items()
    ]
    title = STUDIES[prefix]
    about = "The paper's own curves of it are not published as drawings that could be measured."
    header = ("study", "comparison", "verdict", "sizes", "why")
    shown: Block = Table("What our studies of it came to", header, tuple(rows), stacked=True)
    if not rows:
        shown = Text(("No study of this name is among those gathered; ", Code("repro report"), " has all of them."))
    return Section(title, prefix, (Text(about), shown), level=3)
