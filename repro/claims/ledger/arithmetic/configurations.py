"""Whether the recipes hold what Tables 4 to 6 and section 4.1 state, and where the official code differs."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from repro.claims.ledger import published
from repro.claims.ledger.arithmetic.answer import Answer, words
from repro.claims.ledger.published import NOT_STATED, Setting, number
from repro.recipe import load
from repro.recipe.keys import keys
from repro.recipe.loading import paper_items, paper_scale
from repro.recipe.parameters import Parameters, count, ffn_width
from repro.recipe.reading import leaves, parse
from repro.recipe.schema import DecoderRecipe
from repro.recipe.table import rows

RATE = ("optim.lr", "optim.min_lr", "optim.warmup_tokens", "optim.schedule_tokens", "budget.tokens")
OFFICIAL = {"dense": "the official script", "moe": "the official configuration"}


def arms(family: str) -> dict[str, DecoderRecipe]:
    """The recipes of the paper's tables, by activation."""
    scale = paper_scale(family)
    assert scale is not None, f"the paper ran {family}"
    named = [name for name, item in paper_items(family, scale).items() if "Table" in item]
    return {name: recipe for name in named if isinstance(recipe := load(f"{family}-{scale}-{name}"), DecoderRecipe)}


def table_4_activations() -> Answer:
    """Whether each activation of Table 4 is a row of ours that says so, and none else does."""
    printed = {cell.row for cell in published.table(4)}
    ours = {name for name, row in rows().items() if row.paper == "Table 4"}
    differing = f"; {words(sorted(printed ^ ours))} in one alone" if printed != ours else ""
    return Answer(printed == ours, f"{len(printed & ours)} of {len(printed)}{differing}")


def table_5_parameters() -> Answer:
    """Whether the dense arms have one size but for what activations learn, and the printed one."""
    return _sizes(5, "dense", {"parameters": lambda counted: counted.total})


def table_6_parameters() -> Answer:
    """Whether the arms of experts have one size but for what activations learn, and the printed ones."""
    return _sizes(6, "moe", {"parameters": lambda counted: counted.total, "active": lambda counted: counted.active})


def gated_widths() -> Answer:
    """Whether gated FFNs are two thirds as wide as plain ones, so that three matrices have the weights of two."""
    lines, right = [], []
    for table, family, plain in ((5, "dense", "others"), (6, "moe", "polynorm")):
        gated, full = (int(number(table, row, "d_ff")) for row in ("swiglu", plain))
        here = {ffn_width(recipe.model) for recipe in arms(family).values()}
        right.append(3 * gated == 2 * full and here == {gated, full})
        lines.append(f"3 x {gated} = {3 * gated} and 2 x {full} = {2 * full}")
    return Answer(all(right), words(lines))


def recipe_values(family: str) -> Answer:
    """Whether the paper's recipes hold its values, and the official code's where the paper is silent."""
    stated = published.settings(family)
    found = {name: _leaves(recipe) for name, recipe in arms(family).items()}
    wrong = [
        f"{setting.key} of {name} is {leaf.get(setting.key)}"
        for name, leaf in found.items()
        for setting in stated
        if leaf.get(setting.key) != _wanted(setting)
    ]
    both = [each for each in stated if NOT_STATED not in (each.paper, each.official)]
    other = words(f"{each.key} {each.official} for {each.paper}" for each in both if _differ(each))
    return Answer(
        not wrong,
        f"{len(stated)} values in each of {len(found)} recipes, wrong: {words(wrong)}; {OFFICIAL[family]} has {other}",
    )


def moe_rate() -> Answer:
    """Whether the rate of the mixture's official schedule has fallen by less than 1 % where the paper's tokens end.

    It rises in a straight line, and then falls along half a cosine to its least.
    """
    stated = {each.key: each for each in published.settings("moe")}
    peak, least, warmup, end, at = (_wanted(stated[key]) for key in RATE)
    fallen = (1 - least / peak) * (1 - math.cos(math.pi * (at - warmup) / (end - warmup))) / 2
    tokens = f"after {at / 1e9:.0f} of {end / 1e9:,.0f} billion tokens"
    return Answer(fallen < 0.01, f"{tokens} {peak * (1 - fallen):.3e}, {fallen:.1%} below the peak")


def _sizes(table: int, family: str, columns: Mapping[str, Callable[[Parameters], int]]) -> Answer:
    """Of all arms of a family, and in the columns of a table, in 10^9."""
    counted = [count(recipe.model) for recipe in arms(family).values()]
    apart = {each.non_embedding - each.coefficients for each in counted}
    one = len(apart) == 1 and len({each.ffn_matrices for each in counted}) == 1
    cells = [cell for cell in published.table(table) if cell.column in columns]
    pairs = [(columns[cell.column](each) / 1e9, cell.value) for cell in cells for each in counted]
    sizes = words(dict.fromkeys(f"{size:.3f} for {printed} x 10^9" for size, printed in pairs))
    return Answer(
        one and all(round(size, 1) == printed for size, printed in pairs),
        f"{words(f'{each / 1e6:.1f} M' for each in sorted(apart))} outside embeddings in each of {len(counted)} arms, "
        f"coefficients (at most {max(each.coefficients for each in counted)}) apart; {sizes}",
    )


def _leaves(recipe: DecoderRecipe) -> dict[str, Any]:
    return dict(leaves(recipe.model_dump(mode="json"), keys(recipe.family)))


def _wanted(setting: Setting) -> Any:
    return _read(setting, setting.paper if setting.paper != NOT_STATED else setting.official)


def _differ(setting: Setting) -> bool:
    return bool(_read(setting, setting.paper) != _read(setting, setting.official))


def _read(setting: Setting, text: str) -> Any:
    return parse(text, f"data/published/settings.csv: {setting.key} of {setting.family}")


CHECKS: dict[str, Callable[[], Answer]] = {
    "table_4_activations": table_4_activations,
    "table_5_parameters": table_5_parameters,
    "table_6_parameters": table_6_parameters,
    "gated_widths": gated_widths,
    "dense_recipe": partial(recipe_values, "dense"),
    "moe_recipe": partial(recipe_values, "moe"),
    "moe_rate": moe_rate,
}
