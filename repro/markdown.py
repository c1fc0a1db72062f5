"""Markdown that nothing put into it can break: words, names, tables and text as it is."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

_WIDTH = 120  # characters to a line of text as it is
# An underscore inside a word is one; the rest begins or ends something somewhere, on some pages also formulas.
_MARKS = re.compile(r"[\\`*\[\]<>&~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def plain(text: str) -> str:
    """Words on one line, none of them markup."""
    return _MARKS.sub(r"\\\g<0>", visible(" ".join(text.split())))


def code(text: str) -> str:
    """A name or a path on one line, in a fixed width."""
    inside, fence = visible(" ".join(text.split())), _fence(text, least=1)
    if not inside or "\\|" in inside:  # the latter ends a cell of a table in some dialects
        return plain(text)
    padding = " " if "`" in (inside[0], inside[-1]) else ""
    return f"{fence}{padding}{inside}{padding}{fence}"


def block(text: str) -> str:
    """Text as it is, but that lines which are too long are cut into several."""
    lines = [line[at : at + _WIDTH] for line in visible(text).split("\n") for at in range(0, max(1, len(line)), _WIDTH)]
    fence = _fence(text, least=3)
    return "\n".join([f"{fence}text", *lines, fence])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown; a heading that begins with a space has its column aligned to the right."""
    under = ["---:" if column.startswith(" ") else "---" for column in header]
    lines = [[cell.strip().replace("|", r"\|") for cell in row] for row in (header, under, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def visible(text: str) -> str:
    """The text with an escape such as ``\\x1b`` for each character that is not seen, but for tabs and line feeds: among
    them are carriage returns, and what turns the direction of writing.
    """
    if text.isprintable():  # most are, and a page has thousands
        return text
    return "".join(character if _is_seen(character) else _escape(character) for character in text)


def _is_seen(character: str) -> bool:
    return character in "\t\n" or character.isprintable() or unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _fence(text: str, *, least: int) -> str:
    """More backticks than stand together anywhere in the text."""
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))
