"""Readings of the benchmarks' rows in ``data/measured``: speed and memory, which no loss shows."""

import csv
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from repro import paths
from repro.claims.evidence.verdicts import Status
from repro.claims.ledger.outcome import HERE, Decided
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
    """Whether it is slower than SwiGLU, a token at a time on one GPU: only there the peak of memory is known.

    Of each batch the newest row counts, and all batches have to agree.
    """
    on_gpu = [row for row in rows if row["peak_bytes"] and row["phase"] == "decode"]
    last = {(row["activation"], row["scale"], int(row["batch"])): row for row in on_gpu}
    found = sorted(key for key in last if key[0] == activation)
    if not found:
        return NOT_RUN
    spreads = [_spread(last[key], last[("swiglu", *key[1:])]) for key in found]
    statuses = {_slower(low, high) for low, high in spreads}
    status = statuses.pop() if len(statuses) == 1 else "not resolved"
    told = "; ".join(_told(last[key], *spread) for key, spread in zip(found, spreads, strict=True))
    scales = ", ".join(dict.fromkeys(scale for _, scale, _ in found))
    return Decided(status, f"{scales}, one GPU", told, _source(DECODE, last[found[-1]]))


def _told(row: Mapping[str, str], low: float, high: float) -> str:
    share, batch = float(row["of_swiglu"]), row["batch"]
    return f"{share:.3f} of SwiGLU's tokens/s at batch {batch} (20th to 80th percentiles {low:.3f} to {high:.3f})"


def _spread(own: Mapping[str, str], other: Mapping[str, str]) -> tuple[float, float]:
    """Speed over the other's at its percentiles, both taken the worst way and the best."""
    low, high = (float(other[a]) / float(own[b]) for a, b in (("p20_ms", "p80_ms"), ("p80_ms", "p20_ms")))
    return low, high


def _slower(low: float, high: float) -> Status:
    return "supported" if high < 1 else "contradicted" if low > 1 else "not resolved"


def _kept(rows: Lines, activation: str) -> Decided:
    """Bytes that an FFN of the dense model keeps for its backward pass: counted, the same on any device."""
    of = {(row["activation"], row["backend"]): row for row in rows}
    ours, other = of.get((activation, "ours")), of.get(("swiglu", "torch"))
    if not ours or not other:
        return NOT_RUN
    own, theirs = (int(row["kept_bytes_per_token"]) for row in (ours, other))
    beside = f"{theirs:,} of SwiGLU, which recomputes nothing"
    measured = f"{own:,} bytes a token in dense-1b's FFN, counted, beside {beside}"
    return Decided("supported" if own > theirs else "contradicted", HERE, measured, _source(FFN, ours))


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
COUNTED = ("polynorm_kept_memory",)  # and not timed


def _source(name: str, row: Mapping[str, str]) -> str:
    return f"data/measured/{name}: {row['repro']}, {row['device']}, {row['date']}"
