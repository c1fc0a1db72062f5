"""The page about what was found of a run, for a person who has read neither the code nor its documentation."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from repro.inspection.columns import ENDS, meaning
from repro.inspection.found import Drawn, Found, Row
from repro.inspection.written import Index, finite
from repro.markdown import code, plain, table
from repro.recipe import Recipe, fingerprint

ROWS, SOME = 24, 8  # of a table, on the page: a longer one is shown by some of its rows
WIDE = 13  # columns that a page has room for beside each other
DIGITS = 4  # of a number, on the page
MOST_NAMES = 8  # of arrays
_SHOWS_NOT = (
    "**What none of it shows.** It is one run of one seed: whether two activations differ is a matter of several seeds "
    "of each. What goes along with a lower loss need not be what lowers it."
)


def page(recipe: Recipe, index: Index, absent: Mapping[str, str]) -> str:
    """All of it.

    Args:
        recipe: of the run.
        index: the parts, with their sections.
        absent: why a part is not there, by its name.
    """
    parts = [
        f"# Inside {plain(recipe.name)}",
        f"What `repro analyze` found in the weights of a run and in what goes through its network. {_run(recipe)}",
        _contents(index, absent),
        _SHOWS_NOT,
        *(entry.section for entry in index.values()),
        "## What it was made of",
        _made(index),
        f"An empty cell is a number that does not exist. {plain(ENDS)}",
    ]
    return "\n\n".join(parts) + "\n"


def section(name: str, about: str, found: Found) -> str:
    """What one measure found: remarks, figures with their captions, then the numbers.

    Args:
        name: the measure's word.
        about: it, a line of the measure's own.
        found: by it.
    """
    parts = [f"## {_title(name)}", _sentence(about)]
    if found.remarks:
        parts.append("\n".join(f"- {_sentence(remark)}" for remark in found.remarks))
    for file, drawn in found.figures.items():
        parts += _figure(file, drawn)
    for file, rows in found.tables.items():
        parts += _numbers(file, rows)
    if found.arrays:
        parts.append("\n".join(_arrays(found)))
    return "\n\n".join(parts)


def _sentence(text: str) -> str:
    return plain(f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}")


def _title(name: str) -> str:
    return name.capitalize()


def _run(recipe: Recipe) -> str:
    named = f"The run is of the recipe {code(recipe.name)}, fingerprint {code(fingerprint(recipe))}"
    return f"{named}: {plain(recipe.about)}. **What it is evidence of:** {plain(recipe.shows)}."


def _contents(index: Index, absent: Mapping[str, str]) -> str:
    there = [f"- [{_title(name)}](#{name})" for name in index]
    return "\n".join([*there, *(f"- {_title(name)}: {plain(why)}" for name, why in absent.items())])


def _figure(file: str, drawn: Drawn) -> list[str]:
    return [f"### {plain(drawn.title)}", f"![{plain(drawn.title)}]({file}.png)", plain(drawn.caption)]


def _numbers(file: str, rows: Sequence[Row]) -> Iterator[str]:
    """Of the newest checkpoint, as many as can be read at a glance, and what the columns are."""
    newest = max((row["step"] for row in rows if row.get("step") is not None), default=None)
    of_newest = [row for row in rows if row.get("step") == newest]
    most = SOME if len(rows[0]) > WIDE else ROWS
    shown = [of_newest[i * len(of_newest) // SOME] for i in range(SOME)] if len(of_newest) > most else of_newest
    yield f"### {code(file)}"
    yield f"{_how_many(len(shown), len(of_newest), len(rows))}: [{file}.csv]({file}.csv)."
    yield from _table(file, [finite(row) for row in shown])


def _how_many(shown: int, newest: int, rows: int) -> str:
    if shown == rows:
        return f"All {rows:,} rows"
    some = f"Only {shown:,} rows, spread evenly over {newest:,}" if shown < newest else f"{shown:,} rows"
    return f"{some}{' of the newest checkpoint' if newest < rows else ''}; all {rows:,}"


def _table(file: str, rows: Sequence[Row]) -> Iterator[str]:
    """Without columns in which nothing stands; one that is wide is turned, so that columns are its lines."""
    columns = [column for column in rows[0] if any(row[column] is not None for row in rows)]
    said = {name: plain(words) for name in columns if (words := meaning(file, name))}
    if len(columns) > WIDE:
        lines = ([code(name), *(_cell(row[name]) for row in rows), said.get(name, "")] for name in columns)
        yield table(["column", *[" "] * len(rows), "what it is"], lines)
        return
    header = [f" {plain(name)}" if all(_is_number(row[name]) for row in rows) else plain(name) for name in columns]
    yield table(header, [[_cell(row[name]) for name in columns] for row in rows])
    if said:
        yield "\n".join(f"- {code(name)}: {words}" for name, words in said.items())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or value is None


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return plain(str(value))
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 10**DIGITS and math.isfinite(value) else f"{value:.{DIGITS}g}"


def _arrays(found: Found) -> Iterator[str]:
    for file, arrays in found.arrays.items():
        names = [f"{code(name)} {' x '.join(map(str, array.shape))}" for name, array in arrays.items()]
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        yield f"- [{file}.npz]({file}.npz) holds {', '.join(names[:MOST_NAMES])}{more}"


def _made(index: Index) -> str:
    titles = list(dict.fromkeys(title for entry in index.values() for title in entry.made))
    rows = [[_title(name), *(plain(entry.made.get(title, "")) for title in titles)] for name, entry in index.items()]
    return table(("part", *titles), rows)
