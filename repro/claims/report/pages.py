"""The whole report, and a report of one study alone."""

import datetime

import repro
from repro.claims.report import drawn, missing, negative, one_study, printed, provenance, summary
from repro.claims.report.blocks import Block, Link, Page, Section, Text
from repro.claims.report.gathered import Gathered
from repro.claims.report.ledger import ledger


def whole(found: Gathered) -> Page:
    """Verdicts first; then claims, tables, figures and studies; then what is missing and where numbers are from."""
    studies = Section("Studies", "studies", tuple(one_study.study(found, each) for each in found.studies))
    sections = (
        ledger(found),
        printed.tables(found),
        drawn.figures(found),
        studies,
        negative.negative(found),
        missing.missing(found),
        provenance.provenance(found),
    )
    blocks = (*summary.summary(found), _contents(sections), *sections)
    return Page("PolyCom: what holds of the paper, as measured here", blocks, made())


def study(found: Gathered) -> Page:
    """Of the one study that was gathered."""
    of = found.studies[0]
    sections = [Section("What was asked, and what it came to", "study", (one_study.study(found, of),))]
    sections += [ledger(found)] if found.outcomes else []
    sections += [missing.missing(found), provenance.provenance(found)]
    blocks: tuple[Block, ...] = (*summary.of_study(found), *sections)
    return Page(f"Study {of.name}", blocks, made())


def made() -> str:
    """When and by what."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return f"Written by repro {repro.__version__} on {today}, from the results that lay there."


def _contents(sections: tuple[Section, ...]) -> Text:
    links = [piece for each in sections for piece in (" \N{MIDDLE DOT} ", Link(each.title, each.anchor))]
    return Text(("On this page: ", *links[1:]))
