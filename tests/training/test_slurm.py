"""The batch script is valid shell, says what it should, and does what it says against stubs of SLURM's commands."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from repro.errors import RecipeError, RunError
from repro.training import slurm
from repro.training.launch import PREEMPTED, job

SHELLCHECK = Path(sys.executable).with_name("shellcheck")


def written(tmp_path, *overrides, name="dense-1b-polynorm", on="a100-4x8"):
    return slurm.script(job(name, overrides, on=on, seed=0, out=None), tmp_path)


@pytest.mark.parametrize("name", ["dense-1b-polynorm", "moe-1b7b-swiglu", "resnet50-imagenet-relu"])
def test_shellcheck_finds_nothing(tmp_path, name):
    folder = tmp_path / "a folder's name; with odd letters"
    text = written(folder, "data.workers=2", name=name, on="a100-8x8")
    ended = subprocess.run([SHELLCHECK, "-"], input=text, check=False, capture_output=True, text=True)
    assert ended.stdout == ""
    assert ended.returncode == 0


@pytest.mark.parametrize(
    "line",
    [
        "#SBATCH --nodes=4",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --gpus-per-node=8",
        "#SBATCH --requeue",
        "#SBATCH --signal=B:USR1@300",
        "#SBATCH --job-name=dense-1b-polynorm",
    ],
)
def test_it_asks_for_what_the_machine_is(tmp_path, line):
    assert line in written(tmp_path).splitlines()


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Stubs of what a SLURM has: each writes down its arguments, and ``srun`` does what a test wants."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def command(name, body):
        path = folder / name
        path.write_text(f'#!/usr/bin/env bash\necho "{name} $*" >> {tmp_path}/calls\n{body}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    command("scontrol", 'if [ "$1" = show ]; then printf "node-a\\nnode-b\\n"; fi')
    command("sbatch", "echo Submitted batch job 7")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "node-[a-b]")
    return command


def calls(tmp_path):
    return (tmp_path / "calls").read_text().splitlines()


def run_script(tmp_path, wanted):
    script = ["bash", "-c", slurm.script(wanted, tmp_path)]
    return subprocess.run(script, check=False, stderr=subprocess.PIPE, text=True, timeout=60)


@pytest.fixture
def wanted():
    return job("dense-1b-polynorm", ["lr=2e-4"], on="a100-4x8", seed=3, out=None)


def test_one_task_a_node_starts_torchrun_and_nodes_meet_at_the_first(tmp_path, cluster, wanted):
    cluster("srun", "exit 0")
    assert run_script(tmp_path, wanted).returncode == 0
    (srun,) = [call for call in calls(tmp_path) if call.startswith("srun")]
    assert "--nnodes 4 --nproc-per-node 8" in srun
    assert "--rdzv-id 7 --rdzv-endpoint node-a:29500" in srun
    assert srun.endswith(f"run dense-1b-polynorm lr=2e-4 --on a100-4x8 --seed 3 --out {tmp_path}/runs")


def test_an_error_is_the_job_s_exit_code(tmp_path, cluster, wanted):
    cluster("srun", "exit 3")
    assert run_script(tmp_path, wanted).returncode == 3
    assert not any("requeue" in call for call in calls(tmp_path))


def test_how_an_earlier_job_ended_is_forgotten(tmp_path, cluster, wanted):
    folder = tmp_path / wanted.folder
    folder.mkdir(parents=True)
    for name in (PREEMPTED, "ENDED"):
        (folder / name).write_text("75 long ago")
    cluster("srun", "exit 3")
    assert run_script(tmp_path, wanted).returncode == 3
    assert not any("requeue" in call for call in calls(tmp_path))


def test_processors_are_asked_for_where_there_are_no_gpus(tmp_path):
    lines = written(tmp_path, name="dense-smoke-gelu", on="cpu-2x1").splitlines()
    assert "#SBATCH --cpus-per-task=1" in lines
    assert not any("gpus" in line for line in lines)


def test_why_it_ended_is_told_in_the_job_s_log_with_its_exit_code(tmp_path, cluster, wanted):
    cluster("srun", f'echo "1 stopped at step 7: the gradient exploded" > {tmp_path / wanted.folder / "ENDED"}')
    ended = run_script(tmp_path, wanted)
    assert (ended.returncode, ended.stderr) == (1, "repro: stopped at step 7: the gradient exploded\n")


def test_a_job_near_its_time_limit_hands_the_signal_on_and_goes_back_into_the_queue(tmp_path, cluster, wanted):
    stopped = tmp_path / wanted.folder / PREEMPTED
    # Like the real one it lets its tasks finish: they save, say so, and end with 0.
    cluster("srun", f"trap 'sleep 1; touch {stopped}; exit 0' USR1; kill -USR1 $PPID; while :; do sleep 0.1; done")
    assert run_script(tmp_path, wanted).returncode == 75
    assert calls(tmp_path)[-1] == "scontrol requeue 7"


def test_a_preempted_job_saves_and_leaves_the_queue_to_slurm(tmp_path, cluster, wanted):
    stopped = tmp_path / wanted.folder / PREEMPTED
    cluster("srun", f"trap 'touch {stopped}; exit 0' USR1; kill -TERM $PPID; while :; do sleep 0.1; done")
    assert run_script(tmp_path, wanted).returncode == 75
    assert not any("requeue" in call for call in calls(tmp_path))


def test_a_job_that_was_stopped_while_it_started_goes_back_too(tmp_path, cluster, wanted):
    cluster("srun", "trap 'exit 75' USR1; kill -USR1 $PPID; while :; do sleep 0.1; done")
    assert run_script(tmp_path, wanted).returncode == 75
    assert calls(tmp_path)[-1] == "scontrol requeue 7"


def test_processes_get_a_store_for_each_attempt_and_the_file_in_which_a_run_tells_its_end(tmp_path, cluster, wanted):
    cluster("srun", f"env > {tmp_path}/env")
    run_script(tmp_path, wanted)
    environment = (tmp_path / "env").read_text().splitlines()
    assert "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1" in environment
    assert f"REPRO_ENDED={tmp_path / wanted.folder}/ENDED" in environment


def test_submitting_keeps_the_script_and_tells_the_job(tmp_path, cluster, wanted):
    told, path = slurm.submitted(wanted, tmp_path).splitlines()
    assert told == "Submitted batch job 7"
    assert Path(path).read_text() == slurm.script(wanted, tmp_path)
    assert calls(tmp_path) == [f"sbatch {path}"]


def test_a_refusal_of_sbatch_is_one_line(tmp_path, cluster, wanted):
    cluster("sbatch", 'echo "sbatch: error: invalid account" >&2; exit 1')
    with pytest.raises(RunError, match=r"sbatch refused .*launch\.sbatch: sbatch: error: invalid account"):
        slurm.submitted(wanted, tmp_path)


def test_submitting_where_there_is_no_slurm_says_so(tmp_path, monkeypatch, wanted):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RunError, match="there is no sbatch here"):
        slurm.submitted(wanted, tmp_path)


def test_what_does_not_fit_is_told_before_it_waits_in_a_queue(capsys):
    with pytest.raises(RecipeError, match="does not fit on machine 'gpu'"):
        slurm.start(job("moe-1b7b-polynorm", [], on="gpu", seed=0, out=None), submit=False)
    assert capsys.readouterr().out == ""
