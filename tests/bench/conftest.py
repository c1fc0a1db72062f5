"""Stand-ins for what a GPU is needed for: a clock, and figures that nobody measured."""

import pytest
import torch

from repro.bench import agreement
from repro.bench.measurement import Case, Errors, Look, Measurement
from repro.bench.timing import Timing


class Ticks:
    """A clock that says what was asked of it, and whose work takes a second of its own time."""

    def __init__(self):
        self.seconds, self.timed = 0.0, 0

    def now(self):
        return self.seconds

    def time(self, work):
        work()
        self.seconds += 1
        self.timed += 1
        milliseconds = float(self.timed)
        return lambda: milliseconds

    def wait(self):
        pass


@pytest.fixture
def ticks():
    return Ticks()


@pytest.fixture
def uncompiled(monkeypatch):
    """torch.compile gives back what it is given."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)


@pytest.fixture
def interpreter(monkeypatch):
    """The processor, where Triton interprets."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return agreement.place()


LOOK = Look(Errors(1e-3, 2e-3, 1e-7), (1, 2), peak=4_000, kept=2_000, deterministic=True)


def made_up(case, implementation, direction, milliseconds, ceiling=1.0):
    timing = Timing(milliseconds, milliseconds, milliseconds, 20)
    return Measurement(case, implementation, direction, timing, ceiling, LOOK)


LARGE = Case("polynorm", 8256, 16384)
