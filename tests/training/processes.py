"""Several processes of one `repro run`, as torchrun or srun would start them, forked from one that imported torch."""

import dataclasses
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["repro.training.start"])


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a process ended, and what it said."""

    code: int
    stderr: str
    stdout: str


def nothing(rank):
    """Leaves a process as it is."""


def torchrun_s(rank, size, port):
    """What torchrun tells a process."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "GROUP_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "a test",
    }


def srun_s(rank, size, port):
    """What srun tells a process."""
    return {
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank),
        "SLURM_NODEID": "0",
        "SLURM_NTASKS": str(size),
        "SLURM_NTASKS_PER_NODE": str(size),
        "SLURM_NNODES": "1",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_JOB_ID": "1",
        "MASTER_PORT": str(port),
    }


def start_all(
    arguments: list[list[str]],
    folder: Path,
    *,
    arrange: Callable[[int], None] = nothing,
    said: Callable[[int, int, int], dict[str, str]] = torchrun_s,
    size: int | None = None,
    **environment: str,
) -> list[Ended]:
    """Start `repro` once for each rank's arguments, in ``folder``, and wait for all of them; none is left behind.

    Args:
        arguments: of each process.
        folder: the current one of all of them.
        arrange: called with the rank before it starts, in its process.
        said: its environment, by rank, number of ranks and port.
        size: how many are said to be started, if not all of them are.
        environment: what else is in the environment.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, size = free_port(), size or len(arguments)
    processes = [
        FORKS.Process(target=_run, args=(rank, words, folder, arrange, said(rank, size, port) | environment))
        for rank, words in enumerate(arguments)
    ]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(90)
        assert all(process.exitcode is not None for process in processes), "a process hangs"
    finally:
        for process in processes:
            process.kill()
    return [
        Ended(process.exitcode, *((folder / f"{rank}.{name}").read_text() for name in ("stderr", "stdout")))
        for rank, process in enumerate(processes)
    ]


def _run(rank, words, folder, arrange, environment):
    os.environ |= environment
    os.chdir(folder)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(f"{rank}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    from repro.cli import status

    arrange(rank)
    sys.exit(status(words))


def free_port():
    """One that nobody listens at just now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
