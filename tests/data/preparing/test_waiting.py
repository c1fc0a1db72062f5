"""Work that a signal can be told about while it goes on."""

import signal
import threading
import time

import pytest

from repro.data.preparing.waiting import interruptible
from repro.errors import DataError


def test_it_gives_what_the_work_gives():
    assert interruptible(lambda: 3) == 3


def test_it_raises_what_the_work_raises():
    def work():
        raise DataError("a reason")

    with pytest.raises(DataError, match=r"^a reason$"):
        interruptible(work)


def test_an_interruption_does_not_wait_for_the_work():
    done = threading.Event()
    main = threading.main_thread()
    timer = threading.Timer(0.2, lambda: signal.pthread_kill(main.ident, signal.SIGINT))
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interruptible(lambda: done.wait(30))
    assert time.monotonic() - start < 20
    done.set()
