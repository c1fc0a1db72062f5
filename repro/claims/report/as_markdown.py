"""A page as Markdown, with its figures as files beside it."""

from collections.abc import Iterator

from repro.claims.report.blocks import (
    Aside,
    Block,
    Code,
    Columns,
    Counts,
    Figures,
    Items,
    Line,
    Link,
    Mark,
    Note,
    Page,
    Piece,
    Section,
    Strong,
    Table,
    Text,
)
from repro.claims.report.numbers import STAMP
from repro.markdown import code, plain, table

FIGURES = "figures"


def markdown(page: Page) -> str:
    """The text of ``README.md``."""
    parts = [f"# {plain(page.title)}", *_blocks(page.blocks), plain(page.made)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _blocks(blocks: tuple[Block, ...]) -> Iterator[str]:
    for block in blocks:
        match block:
            case Section():
                yield f'{"#" * block.level} <a id="{block.anchor}"></a>{plain(block.title)}'
                yield from _blocks(block.blocks)
            case Text():
                yield _line(block.line)
            case Note():
                yield f"> {_line(block.line)}"
            case Items():
                yield _items(block.lines)
            case Columns():
                for title, lines in block.lists:
                    yield _line(title)
                    yield _items(lines)
            case Counts():
                yield table([f" {status}" for status in block.of], [[str(count) for count in block.of.values()]])
            case Table():
                yield _table(block)
            case Figures():
                for each in block.drawn:
                    yield f"![{plain(each.alt)}]({FIGURES}/{each.name}.svg)"
                    yield plain(each.caption)


def _items(lines: tuple[Line, ...]) -> str:
    return "\n".join(f"- {_line(line)}" for line in lines)


def _table(block: Table) -> str:
    header = [f"{' ' * name.startswith(' ')}{plain(name)}" for name in block.header]
    return f"{plain(block.caption)}\n\n{table(header, [[_line(cell) for cell in row] for row in block.rows])}"


def _line(line: Line) -> str:
    pieces = line if isinstance(line, tuple) else (line,)
    return "".join(map(_piece, pieces))


def _piece(piece: Piece) -> str:
    match piece:
        case Strong():
            return _spaced(piece.text, f"**{plain(piece.text)}**")
        case Code():
            return code(piece.text)
        case Link():
            return f"[{plain(piece.text)}](#{piece.anchor})"
        case Aside():
            return f"<br>{plain(piece.text)}"
        case Mark():
            return f"{piece.status} ({STAMP})" if piece.stamped else piece.status
    return _spaced(piece, plain(piece))


def _spaced(text: str, written: str) -> str:
    """With the spaces at its ends, which part it from its neighbours."""
    return f"{' ' * text.startswith(' ')}{written}{' ' * text.endswith(' ')}"
