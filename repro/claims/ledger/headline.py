"""The few claims that a reader is shown first, as a table for README: whatever they come to."""

from collections.abc import Sequence

from repro.claims.ledger.claims import KINDS
from repro.claims.ledger.outcome import Outcome
from repro.markdown import plain, table

HEADER = ("claim", "the paper", "printed", "here", "what that rests on")


def headline(outcomes: Sequence[Outcome]) -> str:
    """Markdown: of each the verdict, and what it is evidence of."""
    shown = (outcome for outcome in outcomes if outcome.claim.headline)
    return table(HEADER, map(_row, sorted(shown, key=lambda outcome: KINDS.index(outcome.claim.check.kind))))


def _row(outcome: Outcome) -> tuple[str, ...]:
    claim = outcome.claim
    rests = outcome.measured or f"nothing yet: `{claim.command}`"
    where = f"{outcome.where}: " if outcome.measured and outcome.status != "not run" else ""
    said = f"{where}{rests}"
    return (
        plain(f"{claim.id}, {claim.place}"),
        plain(claim.statement),
        plain(claim.published.text) if claim.published else "",
        f"**{outcome.status}**" if outcome.status in ("supported", "contradicted") else outcome.status,
        said if not outcome.measured else plain(said),
    )
