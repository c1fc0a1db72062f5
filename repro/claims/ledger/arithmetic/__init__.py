"""What the printed numbers come to when they are added up: statements decided by arithmetic, without a run."""

from collections.abc import Callable, Mapping

from repro.claims.ledger.arithmetic import accuracy, configurations, drawn, tables
from repro.claims.ledger.arithmetic.answer import Answer

CHECKS: Mapping[str, Callable[[], Answer]] = {
    **tables.CHECKS,
    **accuracy.CHECKS,
    **drawn.CHECKS,
    **configurations.CHECKS,
}

__all__ = ["CHECKS", "Answer"]
