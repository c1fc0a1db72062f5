"""What only a GPU can say: that events tick, that kernels and bytes are counted, and that a case is measured."""

import io
import time

import pytest
import torch
from rich.console import Console

from repro.bench import activations, cost, recompilation, training
from repro.bench.measurement import Case
from repro.bench.timing import GpuClock, interleaved
from repro.kernels.support import interpreting
from tests.bench.test_training import SMALL, shrink

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
    pytest.mark.skipif(interpreting(), reason="Triton's interpreter is on: the GPU's tests run alone, by -m gpu"),
]


def test_more_work_takes_longer():
    x = torch.randn(2**26, device="cuda")
    turns = {n: lambda n=n: lambda: [torch.neg(x) for _ in range(n)] for n in (1, 8)}
    timed = interleaved(turns, GpuClock(), seconds=0)
    assert 0 < timed[1].low <= timed[1].median <= timed[1].high < timed[8].median


def test_kernels_and_bytes_are_counted():
    x = torch.randn(2**20, device="cuda")
    assert cost.launches(lambda: x + 1 + 1) in {2, None}  # None where the profiler may not look
    assert cost.peak(lambda: x + 1 + 1) == 2 * 2**22


def test_a_case_is_measured(monkeypatch):
    monkeypatch.setattr(recompilation, "TOKENS", [131, 388, 645])
    case = Case("polynorm", 1536, 2048)
    measured = activations.measure(case, GpuClock(), torch.device("cuda"), seconds=0)
    ours = next(m for m in measured if (m.implementation, m.direction) == ("ours", "backward"))
    assert ours.timing.median > 0
    assert ours.look.launches[0] in {1, None}  # one kernel forward
    assert ours.look.kept == 2 * case.elements + 12 * case.rows
    assert ours.look.peak >= 4 * case.elements  # y and dx
    assert ours.look.deterministic
    assert ours.look.recompilations == "0 of 2"


def test_training_steps_are_measured(monkeypatch, tmp_path):
    wide = ["vocab_size=512", "d_model=256", "n_heads=2", "d_ff=384", "data.context=64", "tokenizer=bpe"]
    monkeypatch.setitem(SMALL, "dense-1b", [*wide, "n_layers=1", "budget.tokens_per_step=4096"])
    monkeypatch.setitem(SMALL, "moe-1b7b", [*wide, "experts=4", "top_k=2", "budget.tokens_per_step=4096"])
    shrink(monkeypatch)
    console = Console(file=io.StringIO(), width=80)
    training.report(torch.device("cuda"), training._gpu(), GpuClock(), tmp_path, console, begun=time.perf_counter())
    said = console.file.getvalue()
    assert "out of memory" not in said
    for found in ("dense-1b-polynorm, peak of a micro-batch", "moe-1b7b-swiglu, 6 layers, the same planned"):
        assert found in said
    assert (tmp_path / "bench-training.csv").is_file()
    assert not torch.distributed.is_initialized()
