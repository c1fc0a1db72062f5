"""Where every number is from: the file, the commit, the device, the versions and the day."""

from collections.abc import Sequence

from repro.claims.evidence.ran import Ran
from repro.claims.ledger.outcome import Outcome
from repro.claims.report import numbers
from repro.claims.report.blocks import Block, Code, Line, Note, Section, Table, Text
from repro.claims.report.gathered import Gathered

HEADER = ("file", " runs", "commit", "device", "data", "precision", "versions", "date", "as written")


def provenance(found: Gathered) -> Section:
    """Of the studies' results, and of what decides the ledger's other claims."""
    blocks: list[Block] = [Note(f"{ran.results.place}: {line}.") for ran in found.ran for line in ran.results.edited]
    if found.ran:
        rows = tuple(_file(ran) for ran in found.ran)
        blocks.append(
            Table("Results of studies; more than one commit is several versions of this kit", HEADER, rows, True)
        )
    if sources := _sources(found.outcomes):
        blocks.append(Table("What decides the claims", ("source", "claims"), sources, stacked=True))
    digitised = Text(
        "Printed numbers are the paper's (arXiv 2411.03884, data/published). Curves of Figures 1, 3 and 4 are "
        "digitised from the paths of lines in the official repository's drawings, not from pixels, and printed "
        "nowhere. "
        "What stands in data/measured comes with the kit and was computed by who wrote it; the ledger's commands "
        "compute it anew."
    )
    return Section("Where the numbers are from", "provenance", (*blocks, digitised))


def _file(ran: Ran) -> tuple[Line, ...]:
    rows = ran.results.rows
    versions = [
        f"{name} {numbers.listed(getattr(row, name) for row in rows)}"
        for name in ("torch", "lightning", "triton", "python")
    ]
    edited = ran.results.edited
    return (
        Code(ran.results.place),
        str(len(rows)),
        numbers.listed(row.repro for row in rows),
        numbers.listed(row.device for row in rows),
        numbers.listed(row.data for row in rows),
        numbers.listed(row.precision for row in rows),
        ", ".join(versions),
        numbers.listed(sorted(row.date for row in rows)),
        f"edited: {len(edited)} {'place' if len(edited) == 1 else 'places'}" if edited else "yes",
    )


def _sources(outcomes: Sequence[Outcome]) -> tuple[tuple[Line, ...], ...]:
    found: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.source:
            found.setdefault(outcome.source, []).append(outcome.claim.id)
    return tuple((source, ", ".join(ids)) for source, ids in found.items())
