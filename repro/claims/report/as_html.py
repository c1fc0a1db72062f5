"""A page as HTML that needs nothing else: its style and its figures stand in it, and no script."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from repro.claims.report.blocks import Aside, Code, Line, Link, Mark, Page, Piece, Strong
from repro.claims.report.numbers import STAMP
from repro.markdown import visible

TEMPLATE = "page.html.j2"
SIGNS = {"supported": "✓", "contradicted": "✗", "not resolved": "?", "not run": "–"}  # noqa: RUF001


def html(page: Page) -> str:
    """The text of ``index.html``."""
    environment = Environment(
        loader=PackageLoader("repro.claims", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "line": _line,
        "kind": lambda block: type(block).__name__,
        "class": _class,
        "sign": SIGNS.get,
    }
    return environment.get_template(TEMPLATE).render(page=page)


def _line(line: Line) -> Markup:
    pieces = line if isinstance(line, tuple) else (line,)
    return Markup("").join(map(_piece, pieces))


def _piece(piece: Piece) -> Markup:
    match piece:
        case Strong():
            return Markup("<strong>{}</strong>").format(visible(piece.text))
        case Code():
            return Markup("<code>{}</code>").format(visible(piece.text))
        case Link():
            return Markup('<a href="#{}">{}</a>').format(piece.anchor, visible(piece.text))
        case Aside():
            return Markup('<span class="aside">{}</span>').format(visible(piece.text))
        case Mark():
            return _mark(piece)
    return escape(visible(piece))


def _mark(mark: Mark) -> Markup:
    look = "stamped" if mark.stamped else _class(mark.status)
    words = f"{mark.status} ({STAMP})" if mark.stamped else mark.status
    return Markup('<span class="mark {}"><span aria-hidden="true">{}</span> {}</span>').format(
        look, SIGNS[mark.status], words
    )


def _class(status: str) -> str:
    return status.replace(" ", "-")
