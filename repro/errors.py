"""What can go wrong for a person, as one line each.

ReproError               2   bad usage, bad recipe, bad files
├── RecipeError              a name, key, value or machine that cannot be used
├── DataError                a data set that is absent, altered or does not fit
├── RunError                 a run folder or checkpoint that cannot be used
├── KernelError              a kernel that cannot serve what was asked of it
├── CheckFailed          1   a check ran and did not hold
├── Diverged             1   training did not stay finite
├── Preempted           75   stopped after a checkpoint: run again to go on
└── Ended                any  a run of several processes, as one of them told
"""

import difflib
from collections.abc import Iterable


class ReproError(Exception):
    """An error whose message is one line for the person at the keyboard; the command exits with ``exit_code``."""

    exit_code = 2
    agreed = False  # whether all processes of a run know of it


class RecipeError(ReproError):
    """A name, key, value or machine that cannot be used."""


class DataError(ReproError):
    """A data set that is absent, altered or does not fit the recipe."""


class RunError(ReproError):
    """A run folder or checkpoint that cannot be used."""


class KernelError(ReproError, ValueError):
    """A kernel that cannot serve what was asked of it."""


class CheckFailed(ReproError):
    """A check ran and did not hold."""

    exit_code = 1


class Diverged(ReproError):
    """Training did not stay finite; ``since`` is the first step that was skipped with all that followed it."""

    exit_code = 1

    def __init__(self, message: str, *, since: int) -> None:
        super().__init__(message)
        self.since = since


class Preempted(ReproError):
    """The run stopped after a checkpoint and goes on when it is started again."""

    exit_code = 75


class Ended(ReproError):
    """How a run of several processes ended, as one of them told; without a message where another one tells it."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint such as ``" Did you mean 'relu2'?"``, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
