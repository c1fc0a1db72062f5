"""Several ranks on a CPU, forked from one process that has imported all: torchrun would import it once a rank."""

import contextlib
import json
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import wait
from pathlib import Path

from tests.training.processes import FORKS

SECONDS = 240


@dataclass(frozen=True)
class World:
    """What so many ranks do, which know ``rank``, ``ranks`` and the machine ``cpus``; ``end`` is their exit code."""

    ranks: int
    body: str
    end: int = 0


def on_ranks(ranks, body, folder, **environment):
    """Run ``body`` in ``folder`` on so many ranks."""
    in_turn([World(ranks, body)], folder, **environment)


def in_turn(worlds, folder, **environment):
    """Run one world after the other in ``folder``. However that ends, within bounds, no process is left behind."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, world in enumerate(worlds):
        _run(world, folder, f"{number}_on_{world.ranks}_ranks", os.environ | environment)


def _run(world, folder, name, environment):
    arguments = [(world, rank, folder, name, environment) for rank in range(world.ranks)]
    running = [FORKS.Process(target=_rank, args=own) for own in arguments]
    try:
        for process in running:
            process.start()
        for process in _as_they_end(running):
            assert process.exitcode == world.end, f"{name}: a rank ended with {process.exitcode}\n{_said(folder, name)}"
    finally:
        for process in running:
            _kill(process)


def _as_they_end(processes):
    by_sentinel = {process.sentinel: process for process in processes}
    while by_sentinel:
        ended = wait(by_sentinel, timeout=SECONDS)
        assert ended, f"{len(by_sentinel)} ranks hang"
        for sentinel in ended:
            process = by_sentinel.pop(sentinel)
            process.join()
            yield process


def _kill(process):
    """A rank, if it still runs, and what it started, if it could not wait for that."""
    if process.pid and process.exitcode != 0:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.join()


def _said(folder, name):
    return "\n".join(path.read_text() for path in sorted(folder.glob(f"{name}.*.log")))[-4000:]


def _rank(world, rank, folder, name, environment):
    os.setsid()
    os.chdir(folder)
    log = os.open(f"{name}.{rank}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world.ranks, "TORCHELASTIC_RUN_ID": "tests"}
    os.environ |= environment | {key: str(value) for key, value in own.items()}
    try:
        _do(world, rank, name)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)  # taking down a Python that has imported torch takes two seconds


def _do(world, rank, name):
    import torch
    import torch.distributed as dist

    from repro.recipe import load, machine
    from repro.training.run import run

    torch.set_num_threads(1)
    store = f"file://{Path(name).absolute()}.store"
    dist.init_process_group("gloo", store, timedelta(seconds=60), world_size=world.ranks, rank=rank)
    cpus = machine("cpu").model_copy(update={"devices": world.ranks})
    known = {"rank": rank, "ranks": world.ranks, "cpus": cpus, "load": load, "run": run}
    known |= {"json": json, "os": os, "signal": signal, "Path": Path, "dist": dist}
    exec(compile(world.body, name, "exec"), known)
    dist.destroy_process_group()
