"""Readings of the benchmarks' rows in ``data/measured``: speed and memory, which no loss shows."""

import csv
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from repro import paths
from repro.claims.evidence.verdicts import Status
from repro.claims.ledger.outcome import Decided
from repro.errors import ReproError

TRAINING, DECODE, FFN = "bench-training.csv", "bench-decode.csv", "bench-ffn.csv"
SLOWER = 0.97  # of SwiGLU's tokens per second, at which "not much" ends; ours

Lines = Sequence[Mapping[str, str]]
NOT_RUN = Decided("not run", "", "", "")  # there is no such row, or none of a GPU


def _training(rows: Lines, activation: str) -> Decided:
    """Both passes of the dense model, on one GPU, over SwiGLU's."""
    case = f"dense-1b-{activation} over swiglu, forward + backward"
    found = [row for row in rows if row["case"] == case]
    if not found:
        return NOT_RUN
    last = found[-1]
    low, middle, high = (1 / float(last[column]) for column in ("p80", "value", "p20"))
    status: Status = "supported" if low >= SLOWER else "contradicted" if high < SLOWER else "not resolved"
    return Decided(
        status,
        "dense-1b, one GPU",
        f"{middle:.3f} of SwiGLU's tokens/s (20th to 80th percentile {low:.3f} to {high:.3f})",
        _source(TRAINING, last),
    )


def _decode(rows: Lines, activation: str) -> Decided:
    """Decoding one token at a time on one GPU: only there the peak of memory is known."""
    of = (activation, "decode")
    found = [row for row in rows if row["peak_bytes"] and (row["activation"], row["phase"]) == of]
    if not found:
        return NOT_RUN
    last = max(found, key=lambda row: row["date"])
    share = float(last["of_swiglu"])
    status: Status = "supported" if share < SLOWER else "contradicted"
    measured = f"{share:.3f} of SwiGLU's tokens/s at batch {last['batch']}"
    return Decided(status, f"{last['scale']}, one GPU", measured, _source(DECODE, last))


def _kept(rows: Lines, activation: str) -> Decided:
    """Bytes that an FFN of the dense model keeps for its backward pass: counted, the same on any device."""
    of = {(row["activation"], row["backend"]): row for row in rows}
    ours, other = of.get((activation, "ours")), of.get(("swiglu", "torch"))
    if not ours or not other:
        return NOT_RUN
    own, theirs = (int(row["kept_bytes_per_token"]) for row in (ours, other))
    measured = f"{own:,} bytes a token beside {theirs:,} of SwiGLU, counted"
    return Decided("supported" if own > theirs else "contradicted", "dense-1b's FFN", measured, _source(FFN, ours))


def _read(name: str, judged: Callable[[Lines, str], Decided], activation: str) -> Decided:
    """What the rows of a file say of an activation; not run where there is no file.

    Raises:
        ReproError: it cannot be read, or lacks a column or a number.
    """
    file = paths.data() / "measured" / name
    if not file.is_file():
        return NOT_RUN
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            return judged(list(csv.DictReader(opened)), activation)
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, csv.Error) as error:
        raise ReproError(f"data/measured/{name} cannot be read: {' '.join(str(error).split())}") from None


READINGS: dict[str, Callable[[], Decided]] = {
    "polynorm_training_speed": partial(_read, TRAINING, _training, "polynorm"),
    "polyrelu_training_speed": partial(_read, TRAINING, _training, "polyrelu"),
    "polynorm_decode_latency": partial(_read, DECODE, _decode, "polynorm"),
    "polynorm_kept_memory": partial(_read, FFN, _kept, "polynorm"),
}


def _source(name: str, row: Mapping[str, str]) -> str:
    return f"data/measured/{name}: {row['repro']}, {row['device']}, {row['date']}"
