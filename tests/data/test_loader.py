"""The loader that tokens and images share: its workers or its thread, its want of state, a worker that is killed."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from types import SimpleNamespace

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
SQUARED = [[0, 1], [4, 9], [16, 25]]


class Squares(Dataset):
    def __getitems__(self, numbers):
        return torch.tensor(numbers) ** 2


class Watched(Squares):
    """Says what was read, by which thread, and which signals are held back from it."""

    def __init__(self, wrong=()):
        self.read, self.threads, self.held, self.wrong = [], set(), set(), wrong
        self.done = threading.Semaphore(0)

    def __getitems__(self, numbers):
        self.threads.add(threading.current_thread().name)
        self.held |= signal.pthread_sigmask(signal.SIG_BLOCK, [])
        self.read.append(numbers)
        self.done.release()
        if numbers in self.wrong:
            raise FileNotFoundError(f"no {numbers}")
        return super().__getitems__(numbers)

    def wait(self, reads):
        """Until so many more were begun."""
        assert all(self.done.acquire(timeout=30) for _ in range(reads))


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


@pytest.mark.parametrize(("workers", "prefetched"), [(0, 0), (0, 1), (0, 3), (0, 9), (1, 3), (2, 3)])
def test_batches_come_in_order_and_whole_whoever_reads_them(workers, prefetched):
    assert [batch.tolist() for batch in loader(workers=workers, prefetched=prefetched)] == SQUARED


def test_without_workers_a_thread_reads_as_many_batches_ahead_as_it_was_told_and_no_more():
    samples = Watched()
    batches = iter(loader(samples, prefetched=2))
    samples.wait(2)
    assert samples.read == BATCHES[:2]
    next(batches)
    samples.wait(1)
    assert samples.read == BATCHES
    assert samples.threads == {"reads batches_0"}


def test_signals_are_left_to_the_thread_that_trains():
    samples, before = Watched(), signal.pthread_sigmask(signal.SIG_BLOCK, [])
    list(loader(samples))
    assert samples.held >= {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_with_nothing_prefetched_no_thread_reads():
    samples = Watched()
    batches = iter(loader(samples, prefetched=0))
    assert samples.read == []
    next(batches)
    assert samples.read == BATCHES[:1]
    assert samples.threads == {threading.current_thread().name}


def test_an_error_in_reading_is_raised_where_the_batch_is_asked_for_and_only_there():
    batches = iter(loader(Watched(wrong=[BATCHES[1]])))
    assert next(batches).tolist() == SQUARED[0]
    with pytest.raises(FileNotFoundError, match=r"^no \[2, 3\]$"):
        next(batches)
    assert next(batches).tolist() == SQUARED[2]


def test_an_error_in_the_order_is_raised_after_the_batches_before_it():
    def broken():
        yield [0, 1]
        raise ValueError("no further")

    batches = iter(StepLoader(Squares(), broken(), workers=0, on_gpu=False))
    assert next(batches).tolist() == SQUARED[0]
    with pytest.raises(ValueError, match=r"^no further$"):
        next(batches)


def test_the_end_stays_the_end():
    batches = iter(loader())
    assert len(list(batches)) == 3
    assert [next(batches, None) for _ in range(4)] == [None] * 4


def test_iterations_at_once_and_one_after_the_other_read_alike():
    twice = loader()
    pairs = [(a.tolist(), b.tolist()) for a, b in zip(twice, twice, strict=True)]
    assert pairs == [(each, each) for each in SQUARED]
    assert [batch.tolist() for batch in twice] == SQUARED


def _to_the_end(batches):
    list(batches)


def _broken_off(batches):
    next(batches)


def _never_begun(batches):
    assert "reads batches_0" in {thread.name for thread in threading.enumerate()}


def _failed(batches):
    def step(batch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(map(step, batches))


@pytest.mark.parametrize("iterate", [_to_the_end, _broken_off, _never_begun, _failed])
def test_the_thread_ends_with_its_iteration_however_that_ends_and_keeps_no_samples(iterate):
    samples = Squares()
    kept = weakref.ref(samples)
    others = {*threading.enumerate()}
    iterate(iter(loader(samples)))
    for thread in {*threading.enumerate()} - others:
        thread.join(timeout=30)
        assert not thread.is_alive()
    del samples
    gc.collect()
    assert kept() is None


ENDS = """
import sys
import time
from repro.data.loader import StepLoader

class Samples:
    def __getitems__(self, numbers):
        time.sleep(0.1)
        return numbers

batches = iter(StepLoader(Samples(), [[0]] * 10_000, workers=int(sys.argv[1]), on_gpu=False))
assert next(batches) == [0]
exec(sys.argv[2])
"""


@pytest.mark.parametrize(
    ("workers", "end", "status"), [("0", "raise KeyboardInterrupt", -signal.SIGINT), ("2", "sys.exit(75)", 75)]
)
def test_a_process_ends_amid_an_iteration(workers, end, status):
    words = [sys.executable, "-c", ENDS, workers, end]
    ended = subprocess.run(words, timeout=60, capture_output=True, text=True)
    assert ended.returncode == status
    assert ended.stderr == "" or ended.stderr.splitlines()[-1] == "KeyboardInterrupt"


def test_workers_are_forked_beside_a_thread_that_reads():
    slow = iter(loader(Slow()))
    assert [batch.tolist() for batch in loader(workers=2)] == SQUARED
    assert [batch.tolist() for batch in slow] == SQUARED


def test_the_thread_pins_what_goes_to_a_gpu_on_the_device_that_trains_and_on_one_core(monkeypatch):
    pinned, chosen = [], []
    device = SimpleNamespace(
        is_available=lambda: True,
        current_accelerator=lambda: torch.device("cuda", 3),
        current_device_index=lambda: 3,
        set_device_index=lambda index: chosen.append((threading.current_thread().name, index)),
    )
    monkeypatch.setattr(torch, "accelerator", device)
    monkeypatch.setattr(torch, "set_num_threads", lambda number: chosen.append(number))
    monkeypatch.setattr(
        torch.Tensor, "pin_memory", lambda batch: pinned.append(threading.current_thread().name) or batch
    )
    batches = StepLoader(Squares(), BATCHES, workers=0, on_gpu=True)
    assert [batch.tolist() for batch in batches] == SQUARED
    assert pinned == ["reads batches_0"] * 3
    assert chosen == [1, ("reads batches_0", 3)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_batches_for_a_gpu_are_in_pinned_memory():
    batches = list(StepLoader(Squares(), BATCHES, workers=0, on_gpu=True))
    assert [batch.cuda(non_blocking=True).tolist() for batch in batches] == SQUARED
    assert all(batch.is_pinned() for batch in batches)


def test_it_has_no_state():
    assert loader().state_dict() == {}
    loader().load_state_dict({})


def test_signals_that_a_terminal_or_scheduler_sends_to_all_do_not_end_workers():
    batches = iter(loader(Slow(), workers=2))
    first = next(batches)
    for worker in batches._workers:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            os.kill(worker.pid, number)
    assert [batch.tolist() for batch in (first, *batches)] == SQUARED


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
