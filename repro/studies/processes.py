"""Runs as processes: started a few at a time, watched through the files they write."""

import multiprocessing
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from repro.errors import Preempted
from repro.recipe import Machine
from repro.recipe.machine import cores
from repro.recipe.runs import read_metrics


@dataclass
class Arm:
    """One run of a recipe: the command, the folder it writes and, once started, its process.

    Args:
        name: how the table calls it.
        command: a module and its arguments, as after ``python -m``.
        folder: the run folder, whose ``metrics.csv`` tells how far it is.
        steps: optimizer steps in all.
        interrupt_at: the step after which to ask it to stop and then start it again; None to leave it alone.
        then: a command for after the run, when that ended well; none if it is empty.
        failed: how it ended, if that was with an error.
    """

    name: str
    command: Sequence[str]
    folder: Path
    steps: int
    interrupt_at: int | None = None
    then: Sequence[str] = ()
    process: BaseProcess | None = None
    started: float = 0.0
    seconds: float | None = None
    interrupted: bool = False
    failed: str | None = None
    latest: dict[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """What the process said."""
        return self.folder.with_suffix(".log")

    def start(self, method: str) -> None:
        """Start the process by a method of :mod:`multiprocessing`."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.started = self.started or time.monotonic()
        context = multiprocessing.get_context(method)
        self.process = context.Process(target=_execute, args=(list(self.command), self.log))  # type: ignore[attr-defined]
        self.process.start()

    def look(self) -> None:
        """Read how far the run is, and interrupt it if that is what it is for."""
        metrics = self.folder / "metrics.csv"
        for row in read_metrics(metrics) if metrics.is_file() else ():
            self.latest |= {key: value for key, value in row.items() if value}
        if self.interrupt_at is not None and not self.interrupted and self.step >= self.interrupt_at:
            self.interrupted = True
            self.stop()

    def stop(self) -> None:
        """Ask the process to save and stop."""
        if self.process is not None and self.process.is_alive() and self.process.pid:
            os.kill(self.process.pid, signal.SIGINT)

    @property
    def step(self) -> int:
        """The last step that was logged."""
        return int(self.latest.get("step", 0))

    @property
    def seconds_left(self) -> float | None:
        """Time to the end at the pace so far; unknown before the first rows."""
        if self.seconds is not None:
            return 0.0
        if not self.step or not self.started:
            return None
        return (time.monotonic() - self.started) * (self.steps - self.step) / self.step


def share(machine: Machine, at_most: int = 2) -> tuple[int, str]:
    """Runs at once, and how to start them: a GPU takes one run after the other, cores are shared out."""
    if machine.accelerator == "cuda":
        return 1, "spawn"
    at_once = max(1, min(at_most, cores()))
    os.environ["OMP_NUM_THREADS"] = str(max(1, cores() // at_once))
    return at_once, "forkserver"


def hide_other_gpus() -> None:
    """Leave processes that are started from here the first GPU alone."""
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def run_all(
    arms: Sequence[Arm],
    *,
    at_once: int,
    method: str,
    show: Callable[[], None],
    more: Callable[[list[Arm]], None] = lambda waiting: None,
) -> None:
    """Run every arm to its end, ``at_once`` at a time, calling ``show`` a few times a second.

    An arm that ends with an error says so in ``failed``, and the others go on.

    Args:
        arms: what to run.
        at_once: how many of them together.
        method: ``forkserver`` imports torch once for all of them; ``spawn`` starts each from nothing, as CUDA needs.
        show: called with nothing; the arms know how far they are.
        more: called with those that wait when one has ended, to add what that makes possible.
    """
    multiprocessing.set_forkserver_preload(["repro.training.start"])
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # a killed smoke stops its runs, as Ctrl-C does
    waiting, running = list(arms), list[Arm]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                waiting[0].start(method)
                running.append(waiting.pop(0))
            time.sleep(0.2)
            for arm in list(running):
                arm.look()
                if _ended(arm, method):
                    running.remove(arm)
                    more(waiting)
            show()
    finally:
        for arm in running:
            arm.stop()
        for arm in running:
            assert arm.process is not None
            arm.process.join()
        signal.signal(signal.SIGTERM, before)


def _execute(command: list[str], log: Path) -> None:
    """Run a module as ``python -m`` does, saying all into ``log``, away from the terminal's Ctrl-C."""
    os.setsid()
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


def _ended(arm: Arm, method: str) -> bool:
    assert arm.process is not None
    code = arm.process.exitcode
    if code is None:
        return False
    if code == Preempted.exit_code and arm.interrupted and arm.interrupt_at is not None:
        arm.interrupt_at = None
        arm.start(method)
        return False
    if not code and arm.then:
        arm.command, arm.then = arm.then, ()
        arm.start(method)
        return False
    arm.look()
    arm.seconds = time.monotonic() - arm.started
    if code:
        said = arm.log.read_text(errors="replace").strip().splitlines() or ["nothing"]
        arm.failed = f"exit code {code}, and the last that it said is\n{said[-1]}\nall of it: {arm.log}"
    return True
