"""Which of several processes this one is, as torchrun or srun says."""

import os

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from repro.errors import RunError


def is_first() -> bool:
    """Whether this process writes what a run writes once."""
    return rank() == 0


def rank() -> int:
    """This process's number."""
    return int(_said("RANK", "SLURM_PROCID", "0"))


def started() -> int:
    """Processes that were started together."""
    return int(_said("WORLD_SIZE", "SLURM_NTASKS", "1"))


def by_torchrun() -> bool:
    """Whether torchrun started this process, to which any exit code but 0 is a failure to recover from."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def by_srun() -> bool:
    """Whether ``srun`` started this process as one of several, with no torchrun in between."""
    return not by_torchrun() and "SLURM_PROCID" in os.environ and int(os.environ.get("SLURM_NTASKS", "1")) > 1


def environment() -> ClusterEnvironment:
    """torchrun's processes, srun's, or this one alone; Lightning does not take over what a scheduler's signals do.

    Raises:
        RunError: srun did not say all that it has to, or something else started several processes.
    """
    if by_torchrun():
        return TorchElasticEnvironment()
    if started() > 1 and not by_srun():
        raise RunError(f"WORLD_SIZE is {started()}, and neither torchrun nor srun started this; unset it, or use them")
    if not by_srun():
        return LightningEnvironment()
    try:
        return SLURMEnvironment(auto_requeue=False)
    except RuntimeError as error:
        raise RunError(f"srun needs --ntasks-per-node, one for each device of a node: {error}") from None


def _said(torchrun: str, srun: str, alone: str) -> str:
    return os.environ.get(torchrun) or (os.environ[srun] if by_srun() else alone)
