"""The loader that tokens and images share: its workers, its want of state, and a worker that is killed."""

import os
import signal
import time
import warnings

import pytest
import torch
from torch.utils.data import Dataset

from repro.data import loader as module
from repro.data.loader import StepLoader, killed_workers_told
from repro.errors import RunError
from tests.data.images.pictures import image_data, numbered
from tests.data.test_text import text_data

# From Python 3.12 a fork of a process with threads warns; the workers only read files.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")

BATCHES = [[0, 1], [2, 3], [4, 5]]


class Squares(Dataset):
    def __getitems__(self, numbers):
        return torch.tensor(numbers) ** 2


class Slow(Squares):
    def __getitems__(self, numbers):
        time.sleep(0.3)
        return super().__getitems__(numbers)


def loader(samples=None, workers=0, **options):
    return StepLoader(samples or Squares(), BATCHES, workers=workers, on_gpu=False, **options)


@pytest.mark.parametrize(("asked", "cores", "there"), [(0, 2, 0), (1, 2, 1), (2, 2, 2), (12, 2, 2), (4, 1, 1)])
def test_there_are_no_more_workers_than_cores(monkeypatch, asked, cores, there):
    monkeypatch.setattr(module, "cores", lambda: cores)
    assert loader(workers=asked).num_workers == there


@pytest.mark.parametrize(
    "make", [lambda prepared: text_data(prepared, workers=999), lambda _: image_data(numbered(), workers=999)]
)
def test_more_workers_than_cores_are_no_matter_for_text_and_images(shared_set, make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 1 <= make(shared_set).train_dataloader().num_workers < 999


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_come_in_order_and_whole_whatever_the_workers(workers):
    assert [batch.tolist() for batch in loader(workers=workers, prefetched=3)] == [[0, 1], [4, 9], [16, 25]]


def test_it_has_no_state():
    assert loader().state_dict() == {}
    loader().load_state_dict({})


def test_signals_that_a_terminal_or_scheduler_sends_to_all_do_not_end_workers():
    batches = iter(loader(Slow(), workers=2))
    first = next(batches)
    for worker in batches._workers:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            os.kill(worker.pid, number)
    assert [batch.tolist() for batch in (first, *batches)] == [[0, 1], [4, 9], [16, 25]]


def test_a_killed_worker_is_one_line_that_says_what_may_have_been():
    batches = iter(loader(Slow(), workers=1))
    worker = batches._workers[0].pid
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(RunError) as caught, killed_workers_told():
        next(batches)
    assert caught.value.exit_code == 2
    before, after = str(caught.value).split(f" {worker}) ")
    assert before.startswith("a process that reads data ended (DataLoader worker (pid")
    assert after.endswith(
        "), as happens when memory or /dev/shm is full; the same command goes on from the last checkpoint, "
        "with data.workers=1 in less memory"
    )


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match=r"^mine$"), killed_workers_told():
        raise RuntimeError("mine")
