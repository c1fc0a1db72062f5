"""What benchmarks' rows say of speed and memory."""

import csv

import pytest

from repro import paths
from repro.claims.ledger.measured import READINGS
from repro.errors import ReproError

TRAINING = ("case", "value", "p20", "p80", "unit", "repro", "device", "date")
DECODE = (
    "activation",
    "phase",
    "scale",
    "batch",
    "p20_ms",
    "p80_ms",
    "of_swiglu",
    "peak_bytes",
    "repro",
    "device",
    "date",
)
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
    bench("bench-decode.csv", DECODE, *decoded(1, 9.2, 0.92, peak="", made=CPU))
    assert READINGS["polynorm_decode_latency"]().status == "not run"


def decoded(batch, swiglu_ms, share, *, peak=1000, made=H100):
    """SwiGLU's row and PolyNorm's, each within 1 % of its median."""
    of = ("decode", "dense-1b", batch)
    times = {"swiglu": (swiglu_ms, 1), "polynorm": (swiglu_ms / share, share)}
    return [(name, *of, 0.99 * ms, 1.01 * ms, ratio, peak, *made) for name, (ms, ratio) in times.items()]


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        (decoded(1, 9.0, 0.92), "supported"),
        (decoded(1, 9.0, 0.971), "supported"),  # slower, if by less than what "not much" means elsewhere
        (decoded(1, 9.0, 0.99), "not resolved"),
        (decoded(1, 9.0, 1.08), "contradicted"),
        ([*decoded(1, 9.0, 0.92), *decoded(32, 30.0, 0.80)], "supported"),
        ([*decoded(1, 9.0, 1.08), *decoded(32, 30.0, 0.80)], "not resolved"),
        ([*decoded(1, 9.0, 1.08), *decoded(32, 30.0, 0.80), *decoded(1, 9.0, 0.9)], "supported"),  # the newest counts
    ],
)
def test_decoding_is_slower_where_its_spread_is_at_each_batch(bench, rows, status):
    bench("bench-decode.csv", DECODE, *rows)
    assert READINGS["polynorm_decode_latency"]().status == status


def test_each_batch_is_shown_with_its_newest_row(bench):
    bench("bench-decode.csv", DECODE, *decoded(32, 30.0, 0.80), *decoded(1, 9.0, 0.99), *decoded(1, 9.0, 0.9))
    reading = READINGS["polynorm_decode_latency"]()
    assert reading.measured == (
        "0.900 of SwiGLU's tokens/s at batch 1 (20th to 80th percentiles 0.882 to 0.918); "
        "0.800 of SwiGLU's tokens/s at batch 32 (20th to 80th percentiles 0.784 to 0.816)"
    )
    assert reading.scale == "dense-1b, one GPU"
    assert reading.source == "data/measured/bench-decode.csv: 0.1.0+0ce561f, NVIDIA H100, 2026-11-22"


def test_bytes_that_are_kept_are_counted_on_any_device(bench):
    swiglu = ("swiglu", "torch", 48128, *CPU)
    bench("bench-ffn.csv", FFN, ("polynorm", "ours", 37132, *CPU), swiglu)
    assert READINGS["polynorm_kept_memory"]().status == "contradicted"
    bench("bench-ffn.csv", FFN, ("polynorm", "ours", 50000, *CPU), swiglu)
    assert READINGS["polynorm_kept_memory"]().measured == (
        "50,000 bytes a token in dense-1b's FFN, counted, beside 48,128 of SwiGLU, which recomputes nothing"
    )


def test_a_damaged_row_is_one_line(bench):
    bench("bench-ffn.csv", FFN, ("polynorm", "ours", "many", *CPU), ("swiglu", "torch", 48128, *CPU))
    with pytest.raises(ReproError, match=r"^data/measured/bench-ffn.csv cannot be read: invalid literal"):
        READINGS["polynorm_kept_memory"]()
