"""An evaluation on several devices: a process a device, each with the whole model."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from repro.errors import Preempted, RunError
from repro.recipe import Machine
from repro.training import torchrun
from repro.training.ranks import environment


@dataclass(frozen=True)
class Command:
    """An evaluation, as it is started on a machine.

    Attributes:
        machine: one node.
        arguments: what follows ``repro``.
    """

    machine: Machine
    arguments: Sequence[str]


def start_all(command: Command) -> None:
    """Start a process a device on this machine and wait for them.

    Raises:
        Preempted: a signal stopped them.
        Ended: with an error, which one of them told.
        RunError: they crashed, more often than torchrun starts them again.
    """
    status = torchrun.processes(command)
    if status == Preempted.exit_code:
        raise Preempted("stopped; what was evaluated is kept, and the same command goes on")
    if status:
        raise RunError("the processes of the evaluation crashed; what they said of it stands above")


def device(machine: Machine) -> torch.device:
    """The one that this process computes on."""
    if machine.accelerator == "cpu":
        return torch.device("cpu")
    own = torch.device("cuda", environment().local_rank())
    torch.cuda.set_device(own)  # which kernels are launched on, and what NCCL takes for this process's
    return own
