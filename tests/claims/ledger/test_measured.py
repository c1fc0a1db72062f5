"""What benchmarks' rows say of speed and memory."""

import csv

import pytest

from repro import paths
from repro.claims.ledger.measured import READINGS
from repro.errors import ReproError

TRAINING = ("case", "value", "p20", "p80", "unit", "repro", "device", "date")
DECODE = ("activation", "phase", "scale", "batch", "of_swiglu", "peak_bytes", "repro", "device", "date")
FFN = ("activation", "backend", "kept_bytes_per_token", "repro", "device", "date")
H100 = ("0.1.0+0ce561f", "NVIDIA H100", "2026-11-22")
CPU = ("0.1.0+0ce561f", "AMD EPYC", "2026-11-22")


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Writes rows of a benchmark where the kit's facts lie."""
    monkeypatch.setattr(paths, "data", lambda: tmp_path)
    (tmp_path / "measured").mkdir()

    def write(name, columns, *rows):
        with (tmp_path / "measured" / name).open("w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])

    return write


def over_swiglu(middle, low, high):
    return ("dense-1b-polynorm over swiglu, forward + backward", middle, low, high, "times", *H100)


@pytest.mark.parametrize(
    ("row", "status"),
    [
        (over_swiglu(1.01, 1.00, 1.02), "supported"),
        (over_swiglu(1.10, 1.08, 1.12), "contradicted"),
        (over_swiglu(1.03, 1.00, 1.05), "not resolved"),
    ],
)
def test_speed_is_decided_by_what_rounds_on_a_gpu_spread_over(bench, row, status):
    bench("bench-training.csv", TRAINING, over_swiglu(2, 2, 2), row)  # the last one counts
    reading = READINGS["polynorm_training_speed"]()
    assert reading.status == status
    assert reading.measured.startswith(f"{1 / row[1]:.3f} of SwiGLU's tokens/s")
    assert reading.source == "data/measured/bench-training.csv: 0.1.0+0ce561f, NVIDIA H100, 2026-11-22"


def test_speed_is_not_run_without_rows_of_a_gpu(bench):
    assert READINGS["polynorm_training_speed"]().status == "not run"
    bench("bench-decode.csv", DECODE, ("polynorm", "decode", "dense-10m", 1, 0.92, "", *CPU))
    assert READINGS["polynorm_decode_latency"]().status == "not run"
    bench("bench-decode.csv", DECODE, ("polynorm", "decode", "dense-10m", 1, 0.92, 1000, *H100))
    assert READINGS["polynorm_decode_latency"]().status == "supported"


def test_bytes_that_are_kept_are_counted_on_any_device(bench):
    swiglu = ("swiglu", "torch", 48128, *CPU)
    bench("bench-ffn.csv", FFN, ("polynorm", "ours", 37132, *CPU), swiglu)
    assert READINGS["polynorm_kept_memory"]().status == "contradicted"
    bench("bench-ffn.csv", FFN, ("polynorm", "ours", 50000, *CPU), swiglu)
    assert READINGS["polynorm_kept_memory"]().measured == "50,000 bytes a token beside 48,128 of SwiGLU, counted"


def test_a_damaged_row_is_one_line(bench):
    bench("bench-ffn.csv", FFN, ("polynorm", "ours", "many", *CPU), ("swiglu", "torch", 48128, *CPU))
    with pytest.raises(ReproError, match=r"^data/measured/bench-ffn.csv cannot be read: invalid literal"):
        READINGS["polynorm_kept_memory"]()
