"""The benchmark of training steps from end to end on the processor, with small networks and a clock of no device."""

import csv
import io
import time
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from repro import cli
from repro.bench import agreement, cases, cost, saving, step, targets, training
from repro.bench.cases import CASES
from repro.bench.rows import Figure
from repro.bench.subjects import Subject
from repro.errors import ReproError, RunError
from repro.recipe import load, machine
from repro.recipe.counting import count
from repro.recipe.memory import checkpoint_gb
from tests.bench.conftest import Ticks

GPU = machine("gpu")
TEXT = ["vocab_size=512", "d_model=32", "n_heads=2", "d_ff=48", "data.context=8", "tokenizer=bpe"]
SMALL = {
    "dense-1b": [*TEXT, "n_layers=1", "budget.tokens_per_step=16"],
    "moe-1b7b": [*TEXT, "experts=4", "top_k=2", "budget.tokens_per_step=1024"],  # two sequences on each of 64
    "resnet50-imagenet": ["blocks=[1]", "width=8", "data.size=32", "data.test_size=32", "budget.samples_per_step=2"],
}


def shrink(patch):
    """A millionth of what is timed, in two rounds."""

    def small(name, overrides):
        return load(name, [*SMALL[name.rpartition("-")[0]], *overrides])

    patch.setattr(cases, "load", small)
    patch.setattr("repro.bench.timing.WARM_UP", 1)
    patch.setattr("repro.bench.timing.LEAST", 2)
    for name in ("SECONDS", "UPDATES"):
        patch.setattr(training, name, 0.0)


@pytest.fixture
def small(monkeypatch):
    shrink(monkeypatch)
    monkeypatch.setattr(training, "measure", lambda case, n, *_, **__: pytest.fail("it measured"))
    return monkeypatch


def report(out=None, *, gpu=GPU, seconds_ago=0.0):
    console = Console(file=io.StringIO(), width=80)
    begun = time.perf_counter() - seconds_ago
    training.report(torch.device("cpu"), gpu, Ticks(), out, console, begun=begun)
    return console.file.getvalue().splitlines()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What a whole report says, and what it writes."""
    out = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        said = report(out)
    return said, list(csv.DictReader((out / "bench-training.csv").read_text().splitlines())), out


def test_every_network_has_its_time_speed_and_share_of_the_peak(whole):
    units = {}
    for row in whole[1]:
        units.setdefault(row["case"], []).append(row["unit"])
    assert units == {
        "dense-1b-swiglu, forward + backward": ["ms", "tokens/s", "% MFU"],
        "dense-1b-polynorm, forward + backward": ["ms", "tokens/s", "% MFU"],
        "dense-1b-polynorm over swiglu, forward + backward": ["times"],
        "dense-1b-swiglu, clipping and AdamW, 0.00 B parameters": ["ms"],
        "dense-1b-polyrelu, forward + backward": ["ms", "tokens/s", "% MFU"],
        "dense-1b-polyrelu over swiglu, forward + backward": ["times"],
        "dense-1b-polynorm, bare, forward + backward": ["ms", "tokens/s", "% MFU"],
        "dense-1b-polynorm over bare, forward + backward": ["times"],
        "dense-1b-polynorm, bare, clipping and AdamW, 0.00 B parameters": ["ms"],
        **{
            f"moe-1b7b-{activation}, {what}": each
            for activation in ("swiglu", "polynorm")
            for what, each in {
                "2 layers, forward + backward": ["ms"],
                "6 layers, forward + backward": ["ms"],
                "forward + backward, extrapolated from 2 and 6 layers": ["ms", "tokens/s", "% MFU"],
                "2 layers, clipping and AdamW, 0.00 B parameters": ["ms"],
            }.items()
        },
        "resnet50-imagenet-relu, training step": ["ms", "images/s", "% MFU"],
        "resnet50-imagenet-polynorm, training step": ["ms", "images/s", "% MFU"],
        "resnet50-imagenet-polynorm over relu, training step": ["times"],
        "dense-1b-polynorm, training stands still for a checkpoint": ["s", "% of 30 minutes"],
        "dense-1b-polynorm, checkpoint until it is whole": ["s"],
        "dense-1b-polynorm, checkpoint": ["GB"],
    }


def test_a_network_that_takes_turns_twice_is_told_once(whole):
    told = [(row["case"], row["unit"]) for row in whole[1]]
    assert len(told) == len(set(told))


def test_rows_carry_their_spread_and_what_their_numbers_depend_on(whole):
    timed = [row for row in whole[1] if "checkpoint" not in row["case"]]
    for row in timed:
        assert (row["rounds"], row["micro_batch"]) == ("2", "2")
        assert float(row["p20"]) <= float(row["value"]) <= float(row["p80"])
    for row in whole[1]:
        assert {"device", "torch", "triton", "repro", "date"} <= row.keys()


def test_a_checkpoint_is_written_while_training_could_go_on_and_nothing_of_it_stays(whole):
    said, rows, out = whole
    still, share, until, held = (row for row in rows if "checkpoint" in row["case"])
    assert 0 < float(still["value"]) < float(until["value"])
    assert float(share["value"]) == pytest.approx(float(still["value"]) / 18, rel=1e-3)  # percent of 1,800 seconds
    recipe = load("dense-1b-polynorm", SMALL["dense-1b"])
    metadata = 3e-4  # at most
    assert 12 * count(recipe.model).total / 1e9 <= float(held["value"]) < checkpoint_gb(recipe) + metadata
    assert f"checkpoint of dense-1b-polynorm, by way of the host's memory to {out}" in said
    assert [path.name for path in out.iterdir()] == ["bench-training.csv"]


@pytest.mark.parametrize(
    ("free", "gpu_gb", "why"),
    [
        (1e9, 80.0, "it has 0.00048 GB, and of the disk 1 GB are free"),
        (1e12, 1.0, "a step needs 2 GB of the GPU, and 1 GB are usable"),
    ],
)
def test_a_checkpoint_without_room_is_not_tried(small, free, gpu_gb, why):
    small.setattr(saving, "measure", lambda *_: pytest.fail("it measured"))
    small.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    console = Console(file=io.StringIO(), width=80)
    gpu = GPU.model_copy(update={"memory_gb": gpu_gb})
    assert saving.report(None, gpu, Ticks(), None, console) == (0, [])
    assert console.file.getvalue().splitlines()[-1] == f"not measured: {why}"


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (RunError("cannot write the checkpoint x: no space left on the disk"), "cannot write the checkpoint x: no spa"),
        (torch.OutOfMemoryError("CUDA out of memory.\nTried to"), "out of memory, where 2 GB were planned"),
    ],
)
def test_a_checkpoint_that_fails_is_said_in_a_line_and_swept_up(small, tmp_path, error, why):
    def fail(mesh, clock, folder):
        (folder / "half").touch()
        raise error

    small.setattr(saving, "measure", fail)
    console = Console(file=io.StringIO(), width=80)
    assert saving.report(None, GPU, Ticks(), tmp_path, console) == (0, [])
    assert console.file.getvalue().splitlines()[-1].startswith(f"not measured: {why}")
    assert not list(tmp_path.iterdir())


def test_every_target_is_judged_by_a_figure_of_the_report(whole):
    said = whole[0]
    verdicts = said[said.index("Targets") + 1 :: 2]
    assert [line.split("  ")[-1].strip() for line in verdicts] == [bound.text for bound in targets.TRAINING]
    assert {line.split()[0] for line in verdicts} <= {"reached", "missed"}


def test_it_says_what_is_measured_in_lines_of_at_most_120_columns(whole):
    said = whole[0]
    assert max(map(len, said)) <= 120
    assert "MFU is causal and of 989 TFLOP/s (NVIDIA H100 data sheet (SXM))." in said
    assert "dense-1b-swiglu and dense-1b-polynorm, sequences of 8 tokens, 2 at a time" in said
    assert "dense-1b-polynorm, sharded and bare, sequences of 8 tokens, 2 at a time" in said
    assert "moe-1b7b-polynorm at 2 and 6 layers, sequences of 8 tokens, 2 at a time" in said
    assert "resnet50-imagenet-relu and resnet50-imagenet-polynorm, images of 32 x 32 pixels, 2 at a time" in said


def doing(backward):
    return Subject(backward, lambda: None, lambda: None)


@pytest.fixture
def subjects(monkeypatch):
    """Has every network be one that does ``backward``, given how many it takes at a time; counts how often memory is
    let go of.
    """
    freed = []

    def use(backward):
        shrink(monkeypatch)
        monkeypatch.setattr(cost, "free", lambda: freed.append(1))
        monkeypatch.setattr(training, "subject", lambda recipe, mesh, lies: doing(lambda: backward(lies.micro_batch)))
        monkeypatch.setattr(training, "bare", training.subject)
        monkeypatch.setattr(saving, "report", lambda *_: (0, []))
        return freed

    return use


def full(micro_batch):
    if micro_batch > 1:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate much")


def test_a_gpu_that_is_full_is_said_in_a_line_and_half_is_tried(subjects):
    freed = subjects(full)
    said = report()
    for case in CASES:
        at = next(number for number, line in enumerate(said) if line.startswith(f"{case}, ") and ", 2 at" in line)
        assert said[at + 1] == "not measured: out of memory, where 2 GB were planned"
        assert said[at + 3] == said[at].replace(", 2 at a time", ", 1 at a time")
    assert len([line for line in said if " images/s " in line and " training step " in line]) == 2
    assert len(freed) == 2 * len(CASES)


def test_where_not_even_one_fits_the_next_case_is_measured(subjects, monkeypatch):
    monkeypatch.setitem(SMALL, "resnet50-imagenet", [*SMALL["resnet50-imagenet"][:-1], "budget.samples_per_step=8"])
    monkeypatch.setattr(training, "CASES", [CASES[0], CASES[-1]])
    subjects(lambda micro_batch: full(1 if micro_batch == 8 else 2))
    said = report()
    assert len([line for line in said if line.startswith("not measured: out of memory")]) == 2
    assert len([line for line in said if line.startswith("resnet50-imagenet-relu, training step")]) == 3
    at = said.index("  not measured mixture of experts at least 27,000 tokens/s on an H100")
    assert said[at + 1] == "    there is no figure"


def test_any_other_failure_is_raised_as_it_was(subjects):
    def broken(micro_batch):
        raise ValueError("broken")

    subjects(broken)
    with pytest.raises(ValueError, match="broken"):
        report()


def test_what_cannot_fit_is_not_tried(small, tmp_path):
    said = report(tmp_path, gpu=GPU.model_copy(update={"memory_gb": 1.0}))
    assert not list(tmp_path.iterdir())
    line = "moe-1b7b-swiglu at 2 and 6 layers: not measured, sequences of 8 tokens need 2 GB one at a time"
    assert line in said


def test_no_case_is_begun_after_the_limit(small):
    said = report(seconds_ago=301)
    late = [line for line in said if line.endswith(": not measured, 300 seconds have passed")]
    assert len(late) == len(CASES) + 1
    assert late[-1].startswith("checkpoint: ")


def test_the_peak_of_memory_stands_beside_what_was_planned(monkeypatch):
    done = []
    monkeypatch.setattr(cost, "peak", lambda work: work() or 5_000_000_000)
    peak, planned = training._memory("a case", 4.5, lambda: done.append(1))
    assert (peak.value, planned.value, peak.unit, done) == (5.0, 4.5, "GB", [1])
    assert training._line(planned).split() == ["a", "case,", "the", "same", "planned", "4.5", "GB"]


def test_without_a_gpu_there_is_the_trainers_overhead_and_a_line(small, interpreter, capsys, tmp_path):
    small.setattr(step, "measure", lambda *_: iter([Figure("trainer's overhead", 3.0, "ms a step")]))
    small.setattr("repro.data.locate.ready", lambda *_: None)
    assert cli.status(["bench", "step", "--out", str(tmp_path)]) == 0
    overhead, line = capsys.readouterr().out.splitlines()
    assert overhead.split() == ["trainer's", "overhead", "3", "ms", "a", "step"]
    assert line == (
        "The training steps of dense-1b, moe-1b7b, resnet50-imagenet need a GPU, and there is none here: not measured."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["bench.csv"]


def test_with_a_gpu_polynorm_is_checked_before_it_is_timed(small, interpreter):
    checked, reported = [], []
    small.setattr(agreement, "place", lambda: torch.device("cpu"))
    small.setattr(agreement, "check", lambda case, device: checked.append(case.width))
    small.setattr(training, "here", lambda: GPU.model_copy(update={"devices": 8}))
    small.setattr(training, "GpuClock", Ticks)
    small.setattr(training, "report", lambda device, gpu, *_, **__: reported.append((gpu.devices, list(checked))))
    training.start(None, Console(file=io.StringIO()))
    assert reported == [(1, list(training.WIDTHS))]


def test_with_a_gpu_training_comes_first_and_then_the_trainers_overhead(small, capsys):
    small.setattr(training, "possible", lambda: True)
    small.setattr(training, "start", lambda out, console: console.print("training steps"))
    small.setattr(step, "measure", lambda *_: iter([Figure("trainer's overhead", 3.0, "ms a step")]))
    small.setattr("repro.data.locate.ready", lambda *_: None)
    assert cli.status(["bench", "step"]) == 0
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()] == [
        "training steps",
        "trainer's overhead",
    ]


def test_a_gpu_that_nvidia_smi_does_not_list_is_refused(small):
    small.setattr(training, "here", lambda: machine("cpu"))
    with pytest.raises(ReproError, match="nvidia-smi lists none"):
        training._gpu()
