"""What the digitised curves of Figures 1, 3 and 4 come to, and whether they end where the tables are."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from statistics import linear_regression, mean, stdev

from repro.claims.ledger import published
from repro.claims.ledger.arithmetic.answer import Answer, words
from repro.claims.ledger.arithmetic.tables import BASE, OTHERS, OURS, PAPERS, title
from repro.claims.ledger.published import Digitised, curve, number

DIGITS = 1e-4  # with which points are kept
FEW, MANY = 3.0, 10.0  # billions of tokens on either side, over which differences and noisy losses are averaged
LAST = 10  # evaluations
BUDGET = 250.0  # billions of tokens, the dense models'
ARMS = (*OTHERS, *PAPERS)
FIGURE_4 = ("olmo_hellaswag", "olmo_mmlu_var", "olmo_arc_challenge", "olmo_sciq")


def end(line: Digitised) -> float:
    """The last value; the first where two are drawn at the last place."""
    points = line.first_at()
    return points[max(points)]


def ends(table: int, figure: int, panels: Sequence[str], arms: Sequence[str]) -> Answer:
    """Whether curves end at the numbers of a table, to their last digit."""
    off = []
    for panel in panels:
        for arm in arms:
            cell, last = published.cell(table, arm, panel), end(curve(figure, panel, arm))
            if abs(last - number(table, arm, panel)) > (cell.rounding or 0) + DIGITS:
                off.append(f"{arm}'s {title(panel)} ends at {last:.4f}, printed {cell.text}")
    pairs = len(panels) * len(arms)
    return Answer(not off, f"{pairs - len(off)} of {pairs} ends are as printed; otherwise: {words(off)}")


def figure_1_agrees() -> Answer:
    """Whether ARC-E and PPL of Figure 1 at 250 billion tokens are Table 1's too, to the last digit."""
    accuracies = [end(curve(1, "arc_easy", arm)) - number(1, arm, "arc_easy") for arm in ARMS]
    perplexities = [mean(curve(1, "ppl", arm).near(BUDGET, MANY)) - number(1, arm, "ppl") for arm in ARMS]
    away = {"arc_easy": accuracies, "ppl": perplexities}
    right = [abs(each) <= 0.005 for found in away.values() for each in found]
    line = words(f"{title(panel)} {min(found):+.2f} to {max(found):+.2f}" for panel, found in away.items())
    return Answer(all(right), f"{sum(right)} of {len(right)} are as printed; figure less table: {line}")


def losses_rounded() -> Answer:
    """Whether Table 1 rounds the training losses that Figure 1 shows at 250 billion tokens.

    Those are means with standard errors, as if the noise of neighbouring points were independent.
    """
    drawn = {arm: curve(1, "train_loss", arm).near(BUDGET, MANY) for arm in ARMS}
    rounded, cut = (
        sum(abs(how(100 * mean(drawn[arm])) / 100 - number(1, arm, "train_loss")) < DIGITS for arm in ARMS)
        for how in (round, math.floor)
    )
    line = words(f"{arm} {mean(found):.4f} ± {stdev(found) / len(found) ** 0.5:.4f}" for arm, found in drawn.items())
    of = len(ARMS)
    return Answer(rounded == of, f"{line} nats: rounded, {rounded} of {of} are as printed; cut after two digits, {cut}")


def perplexity_follows_loss() -> Answer:
    """Whether the logarithm of Figure 1's PPL falls as fast as the training loss, as that of one text's loss would."""
    losses, perplexities = (curve(1, panel, BASE).first_at() for panel in ("train_loss", "ppl"))
    at = sorted(losses.keys() & perplexities.keys())
    found = linear_regression([losses[x] for x in at], [math.log(perplexities[x]) for x in at])
    return Answer(
        abs(found.slope - 1) < 0.05,
        f"SwiGLU's ln PPL falls {found.slope:.2f} for each nat of training loss, over {len(at)} points",
    )


def gap(figure: int, places: Sequence[float]) -> Answer:
    """Whether PolyNorm's training loss is below SwiGLU's all along."""
    ours, base = (curve(figure, "train_loss", arm) for arm in (OURS, BASE))
    below = {at: there - loss for at, loss in ours.first_at().items() if (there := base.between(at)) is not None}
    gaps = [mean(gap for at, gap in below.items() if abs(at - place) <= FEW) for place in places]
    return Answer(
        all(gap > 0 for gap in (*gaps, *below.values())),
        f"{' / '.join(f'{gap:.4f}' for gap in gaps)} nats below at {' / '.join(f'{place:.0f}' for place in places)} "
        f"billion tokens; below at {sum(gap > 0 for gap in below.values())} of {len(below)} points",
    )


def sooner(figure: int, panels: Sequence[str], arms: Sequence[str]) -> Answer:
    """Whether arms reach SwiGLU's last loss with fewer tokens, on each panel."""
    ratios = {f"{arm} {title(panel)}": _speedup(figure, panel, arm) for panel in panels for arm in arms}
    line = words(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    return Answer(all(ratio > 1 for ratio in ratios.values()), f"SwiGLU's tokens over theirs: {line}; of one run each")


def figure_4_last() -> Answer:
    """Whether PolyNorm is above SwiGLU at the last evaluation on each panel of Figure 4."""
    gains = {panel: end(curve(4, panel, OURS)) - end(curve(4, panel, BASE)) for panel in FIGURE_4}
    above = sum(each > 0 for each in gains.values())
    line = words(f"{title(panel)} {each:+.2f}" for panel, each in gains.items())
    return Answer(above == len(gains), f"above on {above} of {len(gains)}, in points: {line}")


def figure_4_always() -> Answer:
    """Whether PolyNorm is above SwiGLU at each of the last ten evaluations on each panel of Figure 4."""
    gains = {panel: _gains(panel)[-LAST:] for panel in FIGURE_4}
    line = words(
        f"{title(panel)} at {sum(each > 0 for each in found)} of {len(found)}, mean {mean(found):+.2f}"
        for panel, found in gains.items()
    )
    return Answer(all(each > 0 for found in gains.values() for each in found), f"above on {line} points")


def _gains(panel: str) -> list[float]:
    """PolyNorm less SwiGLU at the evaluations of Figure 4 that both have, as they train."""
    ours, base = (curve(4, panel, arm).first_at() for arm in (OURS, BASE))
    return [ours[at] - base[at] for at in sorted(ours.keys() & base.keys())]


def _speedup(figure: int, panel: str, arm: str) -> float:
    from repro.claims.statistics.curves import Line, speedup  # loads scipy

    lines = [curve(figure, panel, name).first_at() for name in (arm, BASE)]
    a, b = (Line(tuple(points), tuple(points.values())) for points in lines)
    found = speedup([(a, b)])
    assert found is not None, "one pair is given"
    return found.ratio


DENSE, MOE = (50.0, 100.0, 150.0, 200.0, 250.0), (50.0, 100.0, 150.0, 200.0)
CHECKS: dict[str, Callable[[], Answer]] = {
    "table_1_curves": partial(ends, 1, 1, ("hellaswag",), ARMS),
    "table_2_curves": partial(ends, 2, 3, ("c4_en", "dolma_wiki"), (BASE, OURS)),
    "table_3_curves": partial(ends, 3, 4, FIGURE_4, (BASE, OURS)),
    "figure_1_agrees": figure_1_agrees,
    "losses_rounded": losses_rounded,
    "perplexity_follows_loss": perplexity_follows_loss,
    "figure_1_gap": partial(gap, 1, DENSE),
    "figure_1_speedup": partial(sooner, 1, ("train_loss", "ppl"), PAPERS),
    "figure_3_gap": partial(gap, 3, MOE),
    "figure_3_speedup": partial(sooner, 3, ("train_loss", "c4_en", "dolma_wiki"), (OURS,)),
    "figure_4_last": figure_4_last,
    "figure_4_always": figure_4_always,
}
