"""The benchmark of the activations from end to end with a clock of no device, and as a person sees it without a GPU."""

import csv

import pytest
import torch

from repro import cli, kernels
from repro.bench import activations, cost, peers, rows
from repro.bench.measurement import LEAST_BYTES, Case, Measurement
from repro.bench.peers import absent
from repro.errors import ReproError

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
    notes = {m.implementation: m.note for m in measured if m.note}
    assert notes == {"official": "out of memory", "official, recomputed": "out of memory"}
    assert all(m.timing for m in measured if m.implementation not in notes)


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


def test_recompilations_are_counted_after_the_first_number_of_tokens(measure, interpreter, monkeypatch):
    compiled = set()

    def anew_for_each(x, coeff):
        compiled.add(len(x))
        return x * coeff.sum()

    def count():
        return len(compiled)

    once = peers.Peer("once", lambda x, coeff: x * coeff.sum(), peers.ASCENDING)
    each, sharing = (peers.Peer(n, anew_for_each, peers.ASCENDING, compilations=count) for n in ("each", "sharing"))
    monkeypatch.setattr(activations, "peers", lambda *_, **__: [each, sharing, once])
    monkeypatch.setattr(activations, "TOKENS", [3, 5, 5, 7])
    assert activations.recompilations(CASE, interpreter) == {"each": 2, "sharing": 2, "once": 0}


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
    assert max(map(len, said)) <= 120
    assert not list(tmp_path.iterdir())


def test_a_wrong_kernel_ends_the_command_with_one_line(uncompiled, interpreter, monkeypatch, capsys):
    right = kernels.polynorm
    monkeypatch.setattr(kernels, "polynorm", lambda *args, **options: 0.99 * right(*args, **options))
    assert cli.status(["bench", "activations"]) == 1
    assert capsys.readouterr().err.startswith("repro: polynorm, 131 x 64: y of ours is 1.")


def test_every_case_is_far_above_a_cache():
    assert all(256e6 <= case.working_set <= 1.1e9 for case in activations.CASES)
    assert len(set(activations.TOKENS)) == 64
