"""Several ranks on a CPU from one process that has imported everything: torchrun would import it once a rank."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SECONDS = 240
FORKS = """
import json
import os
import signal
import sys
import traceback
from datetime import timedelta
from pathlib import Path
import torch.distributed as dist
from repro.recipe import load, machine
from repro.training.run import run


def train(body, ranks, rank):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks), "TORCHELASTIC_RUN_ID": "tests"}
    store = f"file://{Path(body).absolute()}.store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=ranks, timeout=timedelta(seconds=60))
    cpus = machine("cpu").model_copy(update={"devices": ranks})
    exec(compile(Path(body).read_text(), body, "exec"), globals() | locals())
    dist.destroy_process_group()


def forked(body, ranks, rank):
    if process := os.fork():
        return process
    try:
        train(body, ranks, rank)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)  # taking down a Python that has imported torch takes two seconds


for body, ranks, end in json.loads(os.environ["WORLDS"]):
    running = {forked(body, ranks, rank) for rank in range(ranks)}
    while running:
        process, status = os.wait()
        running.remove(process)
        if os.waitstatus_to_exitcode(status) != end:
            for other in running:
                os.kill(other, signal.SIGKILL)
                os.waitpid(other, 0)
            sys.exit(f"{body}: a rank ended with {os.waitstatus_to_exitcode(status)}")
os._exit(0)
"""


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
    told = []
    for number, world in enumerate(worlds):
        body = folder / f"{number}_on_{world.ranks}_ranks.py"
        body.write_text(world.body)
        told.append((str(body), world.ranks, world.end))
    root = str(Path(__file__).parents[2])
    environment |= {"WORLDS": json.dumps(told), "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    status, said = _ended([sys.executable, "-c", FORKS], folder, os.environ | environment)
    assert status == 0, said[-4000:]


def _ended(command, folder, environment):
    """The exit code of a command and what it said."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **pipes) as process:
        try:
            said, _ = process.communicate(timeout=SECONDS)
        finally:
            if process.returncode != 0:  # else it has waited for all that it started
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, said
