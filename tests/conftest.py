"""What every test has: a small prepared corpus, and recipes that train on it in a second."""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers share two cores

import pytest
from tensorboard.summary.writer import event_file_writer

from repro.data.preparing.embedded import prepare
from repro.recipe import load

# A shell has what it starts in the background ignore Ctrl-C, which tests send and what they start inherits.
signal.signal(signal.SIGINT, signal.default_int_handler)

# TensorBoard reads a folder's files by name, which ends in a counter: of one process and second, which only tests make
# several in, the tenth would come before the ninth.
event_file_writer._global_uid = event_file_writer.AtomicCounter(10**6)


def pytest_configure(config):
    """Has Triton's kernels run in its interpreter, on a CPU, unless the tests selected are the GPU's.

    A kernel is made for the one or the other when its module is imported, so this comes before any test's module.
    """
    if config.option.markexpr.strip() != "gpu":
        os.environ.setdefault("TRITON_INTERPRET", "1")


WORDS = "the order of a polynomial decides how many times its graph can turn before it leaves the page for good"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A corpus of generated modules with a vocabulary of 512, prepared by the kit's own code."""
    root, words = tmp_path_factory.mktemp("corpus"), WORDS.split()
    for number in range(60):
        lines = (
            f"{words[(number * i) % 19]}_{i} = {words[(number + i) % 19]!r} * {i % number if number else i}"
            for i in range(60)
        )
        (root / f"module_{number}.py").write_text("\n".join(lines))
    return prepare("python-stdlib", vocab_size=512, root=tmp_path_factory.mktemp("prepared"), roots=[root])


SMALL = {
    "model.vocab_size": 512,
    "model.d_model": 16,
    "model.n_layers": 2,
    "model.d_ff": 48,
    "data.context": 16,
    "data.workers": 0,
    "optim.warmup_tokens": 512,
    "budget.tokens_per_step": 128,
    "budget.tokens": 3072,
    "validation.tokens": 512,
    "validation.every": 8,
    "checkpoints.every": 10,
    "analysis.every": "null",  # its pictures would take a third of the time
}


EXPERTS = {"optim.schedule_tokens": 3072}


@pytest.fixture
def small():
    """Makes a recipe of 24 steps on a model of a few thousand weights; ``changes`` are dotted keys."""

    def make(changes=(), activation="polynorm", family="dense"):
        settings = SMALL | (EXPERTS if family == "moe" else {}) | dict(changes)
        return load(f"{family}-smoke-{activation}", [f"{key}={value}" for key, value in settings.items()])

    return make
