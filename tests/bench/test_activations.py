"""The benchmark of the activations from end to end with a clock of no device, and as a person sees it without a GPU."""

import csv
import io
import time
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from repro import cli, kernels
from repro.bench import activations, cost, peers, recompilation, rows
from repro.bench.measurement import LEAST_BYTES, Case, Inputs, Measurement
from repro.bench.peers import absent
from repro.bench.timing import Timing
from repro.errors import ReproError
from tests.bench.conftest import LOOK

CASE = Case("polynorm", 48, 6)


@pytest.fixture
def measure(uncompiled, interpreter, monkeypatch, ticks):
    """Measures a case on the processor; memory and launches, which only a GPU knows, are made up."""
    monkeypatch.setattr(cost, "peak", lambda work: len([work()]))
    monkeypatch.setattr(cost, "launches", lambda work: len([work()]))
    monkeypatch.setattr(cost, "RUNS", 2)
    monkeypatch.setattr("repro.bench.timing.WARM_UP", 1)
    monkeypatch.setattr("repro.bench.timing.LEAST", 2)
    monkeypatch.setattr(torch.compiler, "reset", lambda: None)
    return lambda case=CASE: activations.measure(case, ticks, interpreter, seconds=0)


def test_every_implementation_is_measured_in_every_direction_with_the_ceiling(measure):
    measured = measure()
    names = [peer.name for peer in peers.peers("polynorm")] + ["ceiling"]
    found = {(m.implementation, m.direction) for m in measured}
    assert found == {(name, way) for name in names for way in LEAST_BYTES} - {("ceiling", "both")}
    ceilings = {m.direction: m.timing.median for m in measured if m.implementation == "ceiling"}
    assert {m.ceiling for m in measured if m.direction == "both"} == {ceilings["forward"] + ceilings["backward"]}


@pytest.mark.parametrize(("copied", "negated", "faster"), [(2.0, 3.0, "copy_"), (3.0, 2.0, "torch.neg")])
def test_the_forward_ceiling_is_the_faster_of_two_movers_and_says_which(copied, negated, faster):
    timings = {
        key: Timing(median, median, median, 20)
        for key, median in [
            (("copy_", "forward"), copied),
            (("torch.neg", "forward"), negated),
            (("torch.add", "backward"), 4.0),
            (("ours", "both"), 12.0),
        ]
    }
    movers = [key for key in timings if key[0] != "ours"]
    *ceilings, ours = activations._measurements(CASE, timings, movers, {"ours": LOOK}, {})
    assert [(m.implementation, m.note, m.row()["median_ms"]) for m in ceilings] == [
        ("ceiling", faster, 2.0),
        ("ceiling", "torch.add", 4.0),
    ]
    assert ours.share == 50.0


def test_the_movers_move(interpreter):
    x, dy = torch.randn(2, 8), torch.randn(2, 8)
    moved = {key: turn()() for key, turn in activations._movers(Inputs(x, dy, torch.ones(4))).items()}
    assert set(moved) == {("copy_", "forward"), ("torch.neg", "forward"), ("torch.add", "backward")}
    assert len({tensor.data_ptr() for tensor in moved.values()}) == 1  # written to one place
    assert torch.equal(moved["torch.add", "backward"], x + dy)


def test_what_is_kept_is_counted_for_each(measure):
    kept = {m.implementation: m.look.kept / CASE.elements for m in measure() if m.look}
    assert kept["ours"] == 2 + 12 / 48  # x in bfloat16 and three scales a row
    assert kept["official, recomputed"] == 2
    assert kept["official"] > 10


def test_a_peer_that_does_not_fit_is_said_and_the_rest_is_measured(measure, monkeypatch):
    def large(x, weight, bias):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate much")

    monkeypatch.setattr(peers, "_official_polynorm", large)
    measured = measure()
    notes = {m.implementation: m.note for m in measured if m.implementation != "ceiling" and m.note}
    assert notes == {"official": "out of memory", "official, recomputed": "out of memory"}
    assert all(m.timing for m in measured if m.implementation not in notes)


class Fails:
    """Calls what it stands for until it is timed."""

    def __init__(self, monkeypatch, ticks, module, name):
        self.real, self.ticks = getattr(module, name), ticks
        monkeypatch.setattr(module, name, self)

    def __call__(self, *args, **options):
        if self.ticks.timed:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate much")
        return self.real(*args, **options)


def test_a_peer_that_fails_while_it_is_timed_is_said_and_the_rest_is_measured(measure, monkeypatch, ticks):
    Fails(monkeypatch, ticks, peers, "_official_polyrelu")
    measured = measure(Case("polyrelu", 96, 9))
    without = {"official", "official, recomputed"}
    assert {m.implementation for m in measured if m.timing is None} == without
    assert {m.note for m in measured if m.implementation in without} == {"out of memory, while it was timed"}
    assert all(m.look.kept for m in measured if m.implementation in without)
    assert {m.direction for m in measured if m.implementation == "torch.compile"} == set(LEAST_BYTES)


def test_ours_may_not_fail_while_it_is_timed(measure, monkeypatch, ticks):
    Fails(monkeypatch, ticks, kernels, "polynorm")
    with pytest.raises(torch.OutOfMemoryError):
        measure()


def test_a_failure_of_ours_is_no_result(measure, monkeypatch):
    def broken(*args, **options):
        raise ValueError("broken")

    monkeypatch.setattr(kernels, "polynorm", broken)
    with pytest.raises(ValueError, match="broken"):
        measure()


def test_nothing_is_timed_of_a_wrong_kernel(measure, monkeypatch, ticks):
    right = kernels.polynorm
    monkeypatch.setattr(kernels, "polynorm", lambda *args, **options: 0.99 * right(*args, **options))
    with pytest.raises(ReproError, match="polynorm, 6 x 48: y of ours is"):
        measure()
    assert ticks.timed == 0


def test_nobody_else_is_called_when_ours_is_wrong(measure, monkeypatch):
    right, called = kernels.polynorm, []
    monkeypatch.setattr(kernels, "polynorm", lambda *args, **options: 0.99 * right(*args, **options))
    monkeypatch.setattr(peers, "_official_polynorm", lambda *args: called.append(args))
    with pytest.raises(ReproError, match="y of ours is"):
        measure()
    assert not called


def test_at_one_width_recompilations_are_counted(measure, monkeypatch):
    monkeypatch.setattr(recompilation, "WIDTH", CASE.width)
    names = [peer.name for peer in peers.peers("polynorm")]
    monkeypatch.setattr(recompilation, "recompilations", lambda *_: {name: f"{len(name)} of 63" for name in names})
    rows = [m.row() for m in measure()]
    told = {row["implementation"]: row["recompilations"] for row in rows if row["implementation"] != "ceiling"}
    assert told == {name: f"{len(name)} of 63" for name in names}


def test_with_a_gpu_it_prints_writes_and_draws(measure, interpreter, monkeypatch, ticks, tmp_path):
    monkeypatch.setattr(activations, "CASES", [CASE, replace(CASE, width=24)])
    monkeypatch.setattr(activations, "GpuClock", lambda: ticks)
    console = Console(file=io.StringIO(), width=80)
    activations._report(interpreter, time.perf_counter(), tmp_path, console)
    said = console.file.getvalue().splitlines()
    assert max(map(len, said)) <= 120
    assert [line for line in said if line.startswith("polynorm, 6 x 24, x and y 0 MB, ceiling forward ")]
    assert said[-2].endswith(" backward at least twice torch.compile")
    assert said[-1].endswith(" of 2 cases")
    written = list(csv.DictReader((tmp_path / "bench-activations.csv").read_text().splitlines()))
    assert {row["width"] for row in written} == {"48", "24"}
    assert {row["note"] for row in written if row["implementation"] == "ceiling"} >= {"torch.add"}
    assert (tmp_path / "activations.png").is_file()


def test_no_case_is_begun_after_the_limit(interpreter, monkeypatch, ticks, tmp_path):
    monkeypatch.setattr(activations, "CASES", [CASE])
    monkeypatch.setattr(activations, "GpuClock", lambda: ticks)
    console = Console(file=io.StringIO(), width=80)
    activations._report(interpreter, time.perf_counter() - 451, tmp_path, console)
    assert "polynorm, 6 x 48: not measured, 450 seconds have passed" in console.file.getvalue()
    assert not list(tmp_path.iterdir())


def test_rows_carry_what_their_numbers_depend_on(measure, tmp_path):
    path = tmp_path / "bench-activations.csv"
    measured = [m.row() | peers.versions() for m in measure()]
    for _ in range(2):
        rows.append(path, measured)
    written = list(csv.DictReader(path.read_text().splitlines()))
    assert {"device", "torch", "triton", "repro", "date", "liger-kernel", "percent_of_ceiling"} <= written[0].keys()
    ours = next(row for row in written if row["implementation"] == "ours")
    assert (ours["width"], ours["rows"], ours["dtype"], ours["deterministic"]) == ("48", "6", "bfloat16", "True")
    assert len(written) == 2 * len(measured)


def test_a_file_with_other_columns_is_refused_before_anything_is_measured(tmp_path):
    path = tmp_path / "bench-activations.csv"
    path.write_text("case,value\n")
    with pytest.raises(ReproError, match="found case,value; move the file away"):
        rows.expect(path, Measurement(CASE, "ours", "forward").row())


@pytest.mark.parametrize("name", ["bench-activations.csv", "activations.png"])
def test_a_folder_in_the_place_of_a_file_is_refused_before_anything_is_checked(name, interpreter, capsys, tmp_path):
    (tmp_path / name).mkdir()
    assert cli.status(["bench", "activations", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert said.err == f"repro: {tmp_path / name}: expected a file, and there is a folder or a device; move it away\n"


def test_without_a_gpu_it_checks_and_says_what_it_would_measure(uncompiled, interpreter, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(activations, "CASES", [Case("polynorm", 64, 2**21), Case("polyrelu", 8256, 2**14)])
    assert cli.status(["bench", "activations", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Our kernels in bfloat16 on Triton's interpreter, errors against float64 (relative, L2):"
    assert said[2].startswith("polynorm, 131 x 64 ")
    assert said[2].endswith("within the budget")
    assert said[-1].startswith("polyrelu, 16,384 x 8,256 ")
    assert said[-1].endswith("x and y 541 MB: ours; torch.compile; official; official, recomputed")
    assert [line for line in said if line.startswith("liger: absent, ")] or not absent()
    at = next(number for number, line in enumerate(said) if line.startswith("There is no GPU here."))
    assert said[at + 1] == (
        "backward and both, in 20 to 100 rounds a case; in all about nine minutes at most on an H100."
    )
    assert said[at + 2] == "With --out too nothing is written without a GPU."
    assert max(map(len, said)) <= 120
    assert not list(tmp_path.iterdir())


def test_a_wrong_kernel_ends_the_command_with_one_line(uncompiled, interpreter, monkeypatch, capsys):
    right = kernels.polynorm
    monkeypatch.setattr(kernels, "polynorm", lambda *args, **options: 0.99 * right(*args, **options))
    assert cli.status(["bench", "activations"]) == 1
    assert capsys.readouterr().err.startswith("repro: polynorm, 131 x 64: y of ours is 1.")


def test_the_title_of_the_picture_says_what_the_figures_depend_on(monkeypatch):
    about = {"device": "a GPU", "torch": "2.11.0", "triton": "3.6.0", "date": "2026-12-01"}
    monkeypatch.setattr(activations, "about", lambda: about)
    assert activations._title() == "a GPU, bfloat16, torch 2.11.0, Triton 3.6.0, 2026-12-01"
    monkeypatch.undo()
    assert activations._title()


def test_every_case_is_far_above_a_cache():
    assert all(256e6 <= case.working_set <= 1.1e9 for case in activations.CASES)
