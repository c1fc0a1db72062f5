"""Work that Ctrl-C can be told about while it goes on."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


def interruptible(work: Callable[[], T]) -> T:
    """What ``work`` returns or raises, done by a thread: a library that does not come back to Python for minutes would
    keep a signal waiting as long. The thread ends with the process.
    """
    outcomes: SimpleQueue[tuple[T] | BaseException] = SimpleQueue()

    def serve() -> None:
        try:
            outcomes.put((work(),))
        except BaseException as error:  # is raised where the outcome is waited for
            outcomes.put(error)

    threading.Thread(target=serve, daemon=True).start()
    if isinstance(outcome := outcomes.get(), BaseException):
        raise outcome
    return outcome[0]
