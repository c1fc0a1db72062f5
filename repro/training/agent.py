"""torchrun, which starts a node's processes and starts them again, with other manners when a signal comes.

It tells the processes, which save at the next step's border and end by themselves. torchrun alone would give them
thirty seconds, and report a crash. ``python -m repro.training.agent`` takes torchrun's own arguments.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous.api import RendezvousTimeoutError
from torch.distributed.run import main

from repro.errors import Preempted, RunError

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
EVERY = 0.2  # seconds between looks for processes that have to be told
NOBODY = 10.0  # seconds without processes after which there is nothing to wait for


@contextlib.contextmanager
def asked_to_end() -> Iterator[list[int]]:
    """The signals that asked this process to end: a list, since a handler may interrupt whatever holds a lock."""
    asked: list[int] = []
    before = {number: signal.signal(number, lambda sent, _: asked.append(sent)) for number in ASKING}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def agent(words: list[str]) -> int:
    """Run torchrun with these arguments, and return its exit code: 75 if it was asked to end before all was done."""
    logging.getLogger("torch.distributed.elastic").setLevel(logging.ERROR)
    with asked_to_end() as asked:
        threading.Thread(target=_hand_on, args=(asked,), daemon=True).start()
        try:
            main(["--signals-to-handle", "SIGQUIT", *words])  # the others are ours
        except RendezvousTimeoutError:
            print("repro: not all nodes came to the rendezvous in the time that torchrun waits", file=sys.stderr)
            return RunError.exit_code
        except ChildFailedError as failed:
            if not asked:
                print(failed, file=sys.stderr)
            return Preempted.exit_code if asked else 1
    return 0


def _hand_on(asked: list[int]) -> None:
    """Tell each process once; one that was starting dies of it, and so do those that torchrun starts in its place."""
    while not asked:
        time.sleep(EVERY)
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    told: set[int] = set()
    alone_since = time.monotonic()
    while time.monotonic() - alone_since < NOBODY:
        children = _children()
        if children:
            alone_since = time.monotonic()
        for child in children - told:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        told |= children
        time.sleep(EVERY)
    os._exit(Preempted.exit_code)  # the main thread waits for nodes that need not come any more


def _children() -> set[int]:
    lists = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(child) for each in lists for child in each.read_text().split()}


if __name__ == "__main__":
    sys.exit(agent(sys.argv[1:]))
