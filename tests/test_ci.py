"""The jobs of a CI: what each calls, and that the one for a GPU does not pass without one."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def makes(path):
    return re.findall(r"^make ([\w-]+)$", path.read_text(), flags=re.MULTILINE)


def test_every_target_that_a_job_makes_is_there():
    targets = re.findall(r"^([\w-]+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert {*makes(ROOT / ".ci" / "run"), *makes(ROOT / ".ci" / "gpu")} <= {*targets}


def test_the_tests_come_last_so_that_their_summary_ends_the_output():
    assert makes(ROOT / ".ci" / "run") == ["check", "smoke", "smokes", "test-all"]


def test_the_example_workflow_calls_the_gpu_job():
    (job,) = yaml.safe_load((ROOT / ".ci" / "github-gpu.yml").read_text())["jobs"].values()
    assert {"run": ".ci/gpu"} in job["steps"]
    assert os.access(ROOT / ".ci" / "gpu", os.X_OK)


@pytest.fixture
def gpu_job(tmp_path):
    """Runs .ci/gpu where ``nvidia-smi`` is the given script and ``make`` tells what it was asked to make."""

    def run(nvidia_smi):
        for name, script in (("nvidia-smi", nvidia_smi), ("make", "echo made $@")):
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        return subprocess.run([ROOT / ".ci" / "gpu"], env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("nvidia_smi", ["echo No devices were found; exit 6", "echo no driver >&2; exit 9", "exit 0"])
def test_without_a_gpu_the_job_fails_and_says_so_in_a_line(gpu_job, nvidia_smi):
    ended = gpu_job(nvidia_smi)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == ".ci/gpu: nvidia-smi lists no GPU here, and this job needs one; .ci/run does without\n"


def test_with_a_gpu_the_job_makes_gpu(gpu_job):
    ended = gpu_job("echo 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)'")
    assert (ended.returncode, ended.stdout) == (0, "made gpu\n")
