"""A run, or an evaluation, on this machine's devices: starts its processes, one a device, and waits for them."""

import contextlib
import os
import subprocess
import tempfile
from pathlib import Path

from repro.errors import Ended, Preempted, ReproError, RunError
from repro.paths import write_whole
from repro.recipe import Machine
from repro.recipe.machine import cores
from repro.training.agent import asked_to_end
from repro.training.launch import ENDED, ENVIRONMENT, PREEMPTED, Command, Job, torchrun
from repro.training.ranks import is_first, started
from repro.training.run import is_complete


def start_all(job: Job) -> None:
    """Start a process a device on this machine, hand on the signals that ask to stop, and see how they end.

    Raises:
        Preempted: a signal stopped them.
        Ended: with an error, which one of them told.
        RunError: they crashed, more often than torchrun starts them again.
    """
    status = processes(job)
    stopped = job.folder / PREEMPTED
    if stopped.is_file():
        raise Preempted(stopped.read_text().strip())
    if status == Preempted.exit_code:
        raise Preempted("stopped before the first step; the same command goes on")
    if status or not is_complete(job.folder):
        raise RunError(f"the processes of {job.recipe.name} crashed; what they said of it stands above")


def processes(command: Command) -> int:
    """Start a process a device on this machine, and return torchrun's exit code: 75 if a signal stopped them.

    Raises:
        Ended: with an error, which one of them told.
    """
    with tempfile.TemporaryDirectory() as folder:
        ended = Path(folder) / "ended"
        status = _waited_for(torchrun(command, meet=["--standalone"]), _variables(command.machine, ended))
        if ended.is_file():
            code, _, told = ended.read_text().partition(" ")
            raise Ended(told, int(code))
    return status


def handed_over(error: ReproError) -> bool:
    """Whether torchrun need not know, which would take it for a crash: who started it reads how it ended in a file.

    It has to know if other processes do not, so that it ends them.
    """
    if started() > 1 and not error.agreed:
        return False
    if error.exit_code == Preempted.exit_code:
        return True
    told = os.environ.get(ENDED)
    if told and is_first():
        try:
            write_whole(Path(told), f"{error.exit_code} {error}")
        except OSError:
            return False
    return bool(told)


def _waited_for(command: list[str], environment: dict[str, str]) -> int:
    """The exit code. The command is in a session of its own, or a Ctrl-C would reach its processes twice."""
    with asked_to_end() as asked, subprocess.Popen(command, env=environment, start_new_session=True) as agent:
        while agent.poll() is None and not asked:
            with contextlib.suppress(subprocess.TimeoutExpired):
                agent.wait(timeout=0.1)
        if asked:
            agent.terminate()
    return Preempted.exit_code if asked and agent.returncode else agent.returncode


def _variables(machine: Machine, ended: Path) -> dict[str, str]:
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, cores() // machine.devices))  # or torchrun takes one
    return os.environ | ENVIRONMENT | {"OMP_NUM_THREADS": threads, ENDED: str(ended)}
