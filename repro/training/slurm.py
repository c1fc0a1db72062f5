"""A run as a SLURM job: one torchrun a node, put back into the queue after it was preempted or ran out of time."""

import shlex
import shutil
import subprocess
from pathlib import Path

from repro.errors import RunError
from repro.paths import write_whole
from repro.recipe import Machine
from repro.recipe.layout import fit
from repro.training.launch import ENDED, ENVIRONMENT, PREEMPTED, TORCHRUN, Job, rendezvous, shell, torchrun, torchx

GRACE = 300  # seconds before the time limit at which a run is told to save
WAIT = 120  # seconds that nodes get to end after the first one has
TEMPLATE = """\
#!/usr/bin/env bash
# {name} on {machine}: {about}. Written by `repro launch`.
# The partition, the account and the time limit are the cluster's: add them here, or give them to sbatch.
# REPRO_DATA has to name prepared data that all nodes see (`repro prepare`), and this folder has to be theirs too.
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
#SBATCH {devices}
#SBATCH --exclusive
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@{grace}
#SBATCH --output=%x-%j.log

set -uo pipefail
cd {here} || exit
run={run}
mkdir -p "$run/logs"

# Where nodes meet. Each has one task, torchrun, which starts a process a device and starts them again if one dies.
HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-1}}
export {environment}
export {ended}="$run/ENDED" # torchrun is not to start a run again that ended with a known error
rm -f "$run/{preempted}" "${ended}" # how the job ended that ran here before

srun --wait={wait} --cpu-bind=none --output="$run/logs/%j-%n.log" \\
    {command} &
nodes=$!

# Before the time limit, and when the job is preempted, processes get a signal, save at the next step's border and end.
# At its time limit the job puts itself back into the queue; after a preemption SLURM does (--requeue).
requeue=
trap 'requeue=yes; kill -USR1 "$nodes" 2>/dev/null' USR1
trap 'kill -USR1 "$nodes" 2>/dev/null' TERM
wait "$nodes"
status=$?
while kill -0 "$nodes" 2>/dev/null; do # a signal ends `wait` before srun ends
    wait "$nodes"
    status=$?
done

if [ -e "$run/{preempted}" ] || [ "$status" -eq 75 ]; then
    [ -z "$requeue" ] || scontrol requeue "$SLURM_JOB_ID"
    exit 75
fi
if [ -e "${ended}" ]; then
    read -r status told <"${ended}"
    echo "repro: $told" >&2
fi
exit "$status"
"""


def start(job: Job, *, submit: bool) -> None:
    """Print the script and the lines that do the same without SLURM, or hand the script to SLURM.

    Raises:
        RecipeError: the recipe does not fit the machine.
        RunError: it cannot be submitted.
    """
    fit(job.recipe, job.machine)  # told now rather than by a job that waited in a queue
    here = Path.cwd()
    if submit:
        print(submitted(job, here))
        return
    print(script(job, here), end="")
    program = ["python", *TORCHRUN[1:]]
    by_hand = shell(torchrun(job, meet=rendezvous(job.recipe.name), program=program))
    print(f"# Without SLURM, on each node, HEAD being the first:\n# {_variables()} {by_hand}")
    print(f"# By TorchX, untested:\n# {shell(torchx(job))}")


def script(job: Job, here: Path) -> str:
    """The batch script.

    Args:
        job: what to run.
        here: the folder that relative paths are taken from, which all nodes share.
    """
    shared = job.in_folder(here)
    return TEMPLATE.format(
        name=job.recipe.name,
        machine=job.machine.name,
        about=job.machine.about,
        nodes=job.machine.nodes,
        devices=_devices(job.machine),
        here=shlex.quote(str(here)),
        run=shlex.quote(str(shared.folder)),
        command=shell(torchrun(shared, meet=rendezvous("$SLURM_JOB_ID"))),
        grace=GRACE,
        wait=WAIT,
        environment=_variables(),
        preempted=PREEMPTED,
        ended=ENDED,
    )


def _devices(machine: Machine) -> str:
    return f"--{'gpus-per-node' if machine.accelerator == 'cuda' else 'cpus-per-task'}={machine.devices}"


def _variables() -> str:
    return " ".join(f"{key}={value}" for key, value in ENVIRONMENT.items())


def submitted(job: Job, here: Path) -> str:
    """Keep the script in the run's folder and hand it to ``sbatch``; what that says.

    Raises:
        RunError: there is no ``sbatch``, or it refuses.
    """
    if shutil.which("sbatch") is None:
        raise RunError("there is no sbatch here: submit from a login node, or leave --submit out to see the script")
    path = job.in_folder(here).folder / "launch.sbatch"
    write_whole(path, script(job, here))
    ended = subprocess.run(["sbatch", path], check=False, capture_output=True, text=True)
    if ended.returncode:
        raise RunError(f"sbatch refused {path}: {' '.join(ended.stderr.split())}")
    return f"{ended.stdout.strip()}\n{path}"
