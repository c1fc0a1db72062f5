"""Runs of several processes that torchrun starts: signals and crashes end as they do with one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from repro.recipe import load, machine, runs
from repro.recipe.runs import read_metrics
from repro.training.launch import ENVIRONMENT, PREEMPTED, job, rendezvous, shell, torchrun, torchx
from tests.training.processes import free_port, start_all

ROOT = Path(__file__).parents[2]
SMALL = {
    "budget.tokens": 61_440,  # 60 steps
    "warmup_tokens": 2_048,
    "d_model": 16,
    "d_ff": 48,
    "data.workers": 0,
    "checkpoints.every": 10,
    "validation.every": 30,
    "validation.tokens": 2_048,
}
OVERRIDES = [f"{key}={value}" for key, value in SMALL.items()]
NAME = "dense-smoke-polynorm"
COMMAND = ["run", NAME, *OVERRIDES]


@pytest.fixture
def start(tmp_path, stdlib):
    """Starts a command in a folder, and returns the process; none is left behind."""
    begun = []

    def started(command, folder="."):
        (tmp_path / folder).mkdir(exist_ok=True)
        environment = os.environ | ENVIRONMENT | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "REPRO_DATA": stdlib}
        with (tmp_path / "said.log").open("a") as said:
            begun.append(subprocess.Popen(command, env=environment, stdout=said, stderr=said, cwd=tmp_path / folder))
        return begun[-1]

    yield started
    for process in begun:
        if process.poll() is None:
            process.terminate()  # of torchrun, which ends its workers
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, stdlib):
    """The losses of a run in which nothing happened."""
    there = tmp_path_factory.mktemp("undisturbed")
    ended = start_all([[*COMMAND, "--on", "cpu-x2"]] * 2, there, REPRO_DATA=stdlib, OMP_NUM_THREADS="1")
    assert [process.code for process in ended] == [0, 0]
    return losses(there)


def losses(there):
    folder = runs.folder(load(NAME, OVERRIDES), 0, there / "runs")
    return [(row["step"], row["loss"], row["grad_norm"]) for row in read_metrics(folder / "metrics.csv") if row["loss"]]


def assert_same(found, undisturbed):
    """To the bit, but for a row's mean that goes on from its first part, of both ranks, and rounds otherwise."""
    assert [row[::2] for row in found] == [row[::2] for row in undisturbed]
    np.testing.assert_allclose(*([float(row[1]) for row in rows] for rows in (found, undisturbed)), rtol=1e-6)


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def children(process):
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def agents(process):
    """Those of its children that are torchrun: importing torch starts others, for a moment."""
    commands = {child: Path(f"/proc/{child}/cmdline") for child in children(process)}
    return [child for child, path in commands.items() if path.exists() and b"repro.training.agent" in path.read_bytes()]


def saved(there):
    folder = runs.folder(load(NAME, OVERRIDES), 0, there / "runs")
    return list((folder / "checkpoints").glob("step-*"))


def test_a_signal_to_one_of_a_node_s_processes_is_75_and_the_same_command_goes_on(start, tmp_path, undisturbed):
    command = [sys.executable, "-m", "repro", *COMMAND, "--on", "cpu-x2"]
    process = start(command)
    wait_for(lambda: saved(tmp_path))
    (agent,) = children(process.pid)
    os.kill(children(agent)[1], signal.SIGTERM)
    assert process.wait(timeout=60) == 75
    stopped = runs.folder(load(NAME, OVERRIDES), 0, tmp_path / "runs") / PREEMPTED
    assert stopped.read_text().startswith("stopped after step")
    assert (tmp_path / "said.log").read_text().count("repro: stopped after step") == 1

    assert start(command).wait(timeout=120) == 0
    assert not stopped.exists()
    assert_same(losses(tmp_path), undisturbed)


def test_a_signal_before_anything_is_trained_is_75_too_and_leaves_nobody_behind(start, tmp_path):
    process = start([sys.executable, "-m", "repro", *COMMAND, "--on", "cpu-x2"])
    wait_for(lambda: agents(process.pid))
    (agent,) = agents(process.pid)
    process.send_signal(signal.SIGHUP)  # the terminal is closed
    assert process.wait(timeout=60) == 75
    assert "repro: stopped before the first step; the same command goes on" in (tmp_path / "said.log").read_text()
    assert not Path(f"/proc/{agent}").exists()


def test_a_known_error_is_told_once_and_torchrun_does_not_start_it_again(start, tmp_path):
    wild = ["lr=1e6", "optim.guard.patience=1", "optim.guard.spike=1.001"]
    assert start([sys.executable, "-m", "repro", *COMMAND, *wild, "--on", "cpu-x2"]).wait(timeout=120) == 1
    told = (tmp_path / "said.log").read_text()
    assert told.count("repro: stopped at step") == 1
    assert told.count("budget  ") == 1


def test_two_nodes_go_on_after_a_process_of_one_was_killed(start, tmp_path, undisturbed):
    one_copy = [*OVERRIDES, "layout.shard=2"]  # as within a node; two copies would round otherwise
    what = job(NAME, one_copy, on="cpu-2x1", seed=0, out=None)
    port = str(free_port())
    meet = [word.replace("$HEAD", "127.0.0.1").replace("29500", port) for word in rendezvous("loopback")]
    agents = [start(torchrun(what, meet=[*meet, "--local-addr", "127.0.0.1"])) for _node in range(2)]
    wait_for(lambda: saved(tmp_path))
    (worker,) = children(agents[1].pid)
    os.kill(worker, signal.SIGKILL)
    assert [agent.wait(timeout=120) for agent in agents] == [0, 0]
    assert (tmp_path / "said.log").read_text().count("going on after step") == 1
    assert_same(losses(tmp_path), undisturbed)


def test_torchrun_is_the_same_on_each_node_and_hands_signals_on():
    command = torchrun(job("dense-1b-polynorm", ["lr=1e-4"], on="a100-4x8", seed=1, out=None), meet=rendezvous("paper"))
    line = shell(command[1:])
    assert "--nnodes 4 --nproc-per-node 8" in line
    assert '--rdzv-id paper --rdzv-endpoint "$HEAD:29500"' in line
    assert line.endswith("-m repro run dense-1b-polynorm lr=1e-4 --on a100-4x8 --seed 1")


def test_nodes_that_do_not_all_come_are_told_in_a_line(start, tmp_path):
    what = job(NAME, OVERRIDES, on="cpu-2x1", seed=0, out=None)
    meet = [word.replace("$HEAD", "127.0.0.1").replace("600", "3") for word in rendezvous("half")]
    meet = [word.replace("29500", str(free_port())) for word in meet]
    assert start(torchrun(what, meet=meet)).wait(timeout=60) == 2
    told = "repro: not all nodes came to the rendezvous in the time that torchrun waits\n"
    assert (tmp_path / "said.log").read_text() == told


def test_torchx_gets_nodes_by_devices():
    command = shell(torchx(job("dense-1b-polynorm", [], on="a100-4x8", seed=0, out=None)))
    assert "dist.ddp -j 4x8" in command
    assert command.endswith("-m repro -- run dense-1b-polynorm --on a100-4x8")


@pytest.mark.parametrize("name", ["cpu-x2", "cpu-2x1"])
def test_two_processes_are_a_machine(name):
    assert machine(name).world_size == 2
