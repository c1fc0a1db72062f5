"""Which of several processes this one is, as torchrun says."""

import os


def is_first() -> bool:
    """Whether this process writes what a run writes once."""
    return int(os.environ.get("RANK", "0")) == 0


def started() -> int:
    """Processes that were started together."""
    return int(os.environ.get("WORLD_SIZE", "1"))
