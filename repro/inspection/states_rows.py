"""Rows of the tables about states: of one kind of states and one choice of tokens."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from repro.analysis.similarity import Similarity, between_layers, by_distance
from repro.evaluation.bootstrap import Interval, intervals
from repro.inspection.found import Row

Matrix = NDArray[np.float64]


def summary(step: int, kind: str, tokens: str, own: Similarity) -> Row:
    """Means over pairs of layers, with their intervals; none of one layer."""
    measured: dict[str, Callable[[Matrix], float]] = {"adjacent": partial(_at, 0), "mean": between_layers}
    row: Row = {"step": step, "name": kind, "tokens": tokens, "windows": len(own.sums), "tokens_seen": sum(own.tokens)}
    alone = len(own.matrix) == 1  # the block outputs of a decoder of one layer
    for word, of in measured.items():
        row |= {word: None if alone else of(own.matrix), **_ends(word, None if alone else _interval(own, of))}
    return row


def apart(step: int, kind: str, tokens: str, own: Similarity) -> list[Row]:
    """A row a distance."""
    rows: list[Row] = []
    for place, cosine in enumerate(by_distance(own.matrix)):
        row = {"step": step, "name": kind, "tokens": tokens, "layers_apart": place + 1, "cosine": float(cosine)}
        rows.append(row | _ends("cosine", _interval(own, partial(_at, place))))
    return rows


def _at(place: int, matrix: Matrix) -> float:
    return float(by_distance(matrix)[place])


def _interval(own: Similarity, of: Callable[[Matrix], float]) -> Interval | None:
    """Of windows drawn again, as documents are in ``repro eval``."""
    return intervals(own.each(of), np.array(own.tokens))[0]


def _ends(word: str, found: Interval | None) -> Row:
    return {f"{word}_low": found.low if found else None, f"{word}_high": found.high if found else None}


def cells(matrix: Matrix, word: str, first: int) -> list[Row]:
    """A row a square, of layers that are numbered from ``first``."""
    return [
        {"layer": row + first, "other_layer": column + first, word: float(value) if np.isfinite(value) else None}
        for (row, column), value in np.ndenumerate(matrix)
    ]
