"""The command line: one short function a verb.

Verbs import what they need when they run, so that `repro list` answers without torch.
"""

import sys
from collections.abc import Sequence

from repro.cli import exits, recipes, runs, trained, understanding, verdicts  # noqa: F401  # the order of verbs
from repro.cli.app import app


def main() -> None:
    """The console script ``repro``."""
    sys.exit(status(sys.argv[1:]))


def status(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    return exits.status(app, arguments)
