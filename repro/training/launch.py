"""How a run is started on many devices: the lines that start it, as data and as text. Without torch."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from repro import paths
from repro.recipe import Machine, Recipe, load, runs
from repro.recipe import machine as find_machine

TORCHRUN = (sys.executable, "-m", "repro.training.agent")  # of this installation, wherever a path leads
RESTARTS = 3  # by torchrun, after a process of a run died
JOIN = 600  # seconds that nodes wait for each other
PORT = 29_500  # torchrun's own default
# A store for each attempt: gloo hangs on the addresses that the processes of the one before left in a shared one.
ENVIRONMENT = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
PREEMPTED = "PREEMPTED"  # a file in the run's folder: stopped by a signal, saved, to be started again
# A variable that names a file. Where it is set, a run that ends with a known error writes exit code and message there
# and ends with 0: torchrun would only start it again, and whoever started torchrun reads the file.
ENDED = "REPRO_ENDED"


class Command(Protocol):
    """What several processes do together, one a device."""

    @property
    def machine(self) -> Machine: ...  # noqa: D102

    @property
    def arguments(self) -> Sequence[str]:
        """What follows ``repro``."""


@dataclass(frozen=True)
class Job:
    """A run and the machine that it is for."""

    recipe: Recipe
    machine: Machine
    overrides: tuple[str, ...]
    seed: int
    out: Path | None

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return runs.folder(self.recipe, self.seed, self.out)

    @property
    def arguments(self) -> list[str]:
        """What follows ``repro``."""
        out = ["--out", str(self.out)] if self.out else []
        seed = ["--seed", str(self.seed)] if self.seed else []
        return ["run", self.recipe.name, *self.overrides, "--on", self.machine.name, *seed, *out]

    def in_folder(self, folder: Path) -> "Job":
        """The same run, named by a path that every node understands."""
        return replace(self, out=folder / (self.out or paths.runs()))


def job(name: str, overrides: Sequence[str], *, on: str, seed: int, out: Path | None) -> Job:
    """The run that ``repro run`` would train with the same arguments."""
    return Job(load(name, overrides), find_machine(on), tuple(overrides), seed, out)


def torchrun(what: Command, *, meet: Sequence[str], program: Sequence[str] = TORCHRUN) -> list[str]:
    """The command that starts one node's processes, the same on each node; ``meet`` says where they find each other."""
    return [
        *program,
        *("--nnodes", str(what.machine.nodes), "--nproc-per-node", str(what.machine.devices)),
        *("--max-restarts", str(RESTARTS), *meet),
        *("-m", "repro", *what.arguments),
    ]


def rendezvous(name: str) -> list[str]:
    """Where the nodes of the job ``name`` meet, for a shell in which ``HEAD`` is the first of them."""
    wait = ["--rdzv-conf", f"join_timeout={JOIN}"]
    return ["--rdzv-backend", "c10d", "--rdzv-id", name, "--rdzv-endpoint", f"$HEAD:{PORT}", *wait]


def torchx(what: Job) -> list[str]:
    """The same by TorchX, which knows SLURM, Kubernetes and others."""
    shape = f"{what.machine.nodes}x{what.machine.devices}"
    return [
        *("torchx", "run", "--scheduler", "slurm", "dist.ddp", "-j", shape, "--max_retries", str(RESTARTS)),
        *("--name", what.recipe.name, "-m", "repro", "--", *what.arguments),
    ]


def shell(words: Sequence[str]) -> str:
    """A line for a shell, which expands only words that begin with a dollar sign."""
    return " ".join(f'"{word}"' if word.startswith("$") else shlex.quote(word) for word in words)
