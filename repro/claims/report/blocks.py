"""What a page is made of, before it is HTML or Markdown: both are written from the same blocks, and so say the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from repro.claims.evidence.verdicts import Status

STATUSES: tuple[Status, ...] = ("supported", "contradicted", "not resolved", "not run")


@dataclass(frozen=True)
class Strong:
    """Words that stand out."""

    text: str


@dataclass(frozen=True)
class Code:
    """A name, a path or a command, as it is typed."""

    text: str


@dataclass(frozen=True)
class Link:
    """Words that lead to the section with this anchor."""

    text: str
    anchor: str


@dataclass(frozen=True)
class Mark:
    """A verdict: a word and a sign, never a colour alone.

    Attributes:
        status: the verdict.
        stamped: whether it is of networks so small that it shows a mechanism and no more, which stands beside it.
    """

    status: Status
    stamped: bool = False


@dataclass(frozen=True)
class Aside:
    """What stands smaller on a line of its own, under what it is about."""

    text: str


Piece = str | Strong | Code | Link | Mark | Aside
Line = Piece | tuple[Piece, ...]


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    line: Line


@dataclass(frozen=True)
class Note:
    """A paragraph that must not be missed."""

    line: Line


@dataclass(frozen=True)
class Items:
    """A list."""

    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Columns:
    """Lists beside each other as far as there is room, each with its title."""

    lists: tuple[tuple[Line, tuple[Line, ...]], ...]


@dataclass(frozen=True)
class Counts:
    """How many claims have each verdict."""

    of: Mapping[Status, int]


@dataclass(frozen=True)
class Table:
    """Rows whose first cell says what the row is of.

    Attributes:
        caption: what it shows and in which unit.
        header: of the columns; one that begins with a space is of numbers, aligned to the right.
        rows: of as many cells.
        stacked: whether a narrow screen shows the cells of a row below each other, for cells that are sentences.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Line, ...], ...]
    stacked: bool = False


@dataclass(frozen=True)
class Figure:
    """A drawing.

    Attributes:
        name: of its file, without an ending.
        svg: the drawing.
        alt: what it shows, for who does not see it.
        caption: what must be known to read it.
    """

    name: str
    svg: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Figures:
    """Drawings beside each other, as far as there is room."""

    drawn: tuple[Figure, ...]


@dataclass(frozen=True)
class Section:
    """What stands under a heading.

    Attributes:
        title: its words.
        anchor: what links to it name.
        blocks: in order.
        level: of the heading; 1 is the page's own.
    """

    title: str
    anchor: str
    blocks: "tuple[Block, ...]"
    level: int = 2


Block = Text | Note | Items | Columns | Counts | Table | Figures | Section


@dataclass(frozen=True)
class Page:
    """All of it.

    Attributes:
        title: of the page.
        blocks: what stands before the first heading, and the sections.
        made: of what and when, for the last line.
    """

    title: str
    blocks: tuple[Block, ...]
    made: str = field(default="")

    @property
    def figures(self) -> list[Figure]:
        """All of them, in order."""
        return list(_figures(self.blocks))


def _figures(blocks: tuple[Block, ...]) -> list[Figure]:
    found = list[Figure]()
    for block in blocks:
        if isinstance(block, Figures):
            found += block.drawn
        elif isinstance(block, Section):
            found += _figures(block.blocks)
    return found
