"""How alike the states of a decoder's layers are: cosines (Figure 7), and CKA within a model and between two."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from repro.analysis.cka import CKA
from repro.analysis.figures.similarity import Curve, HeatMap, distances, heat_maps
from repro.analysis.similarity import FIRST, Mean, Similarity, States, between_layers, by_distance, watching_states
from repro.evaluation.bootstrap import FEW, Interval, intervals
from repro.inspection.found import Drawn, Found, Row
from repro.inspection.sample import Sample
from repro.models import Decoder
from repro.recipe import Recipe
from repro.recipe.controls import RNNRecipe
from repro.recipe.images import ImageRecipe
from repro.training.trained import Trained

NAME = "states"
ABOUT = "How alike the states of the layers are: mean cosine of tokens (Figure 7) and linear CKA"

ALL, WITHOUT = "all", f"without the first {FIRST}"
STREAM, CENTRED, OUTPUTS = "stream", "centred stream", "block outputs"
PASSES = 2  # over the sample: the second knows the mean, which the centred stream is less
_NUMBERED = "Layer 0 of a stream is the embedding, layer l the stream after block l; block outputs begin at 1."

Matrix = NDArray[np.float64]


def refusal(recipe: Recipe) -> str:
    """Why there is nothing to compare."""
    if isinstance(recipe, ImageRecipe):
        return "an image classifier has no tokens whose states could be compared"
    if isinstance(recipe, RNNRecipe):
        return "the recurrent control has no residual stream that its layers add to"
    return ""


def work(of: Sequence[Trained], sample: Sample) -> int:
    """Tokens, in two passes."""
    return PASSES * sample.size


def measure(
    of: Sequence[Trained], sample: Sample, told: Callable[[int], None], *, against: Trained | None = None
) -> Found:
    """Compare the states of the newest checkpoint's layers with each other, and with those of ``against``."""
    newest = of[-1]
    own, other = (_decoder(one, sample) if one else None for one in (newest, against))
    assert own
    skips = {ALL: 0, WITHOUT: FIRST} if sample.context > FIRST else {ALL: 0}
    looks = {tokens: Look(skip) for tokens, skip in skips.items()}
    _first_pass(own, other, looks, sample, told)
    _second_pass(own, looks, sample, told)
    return _found(newest, looks, sample, against)


@dataclass
class Look:
    """What is added up over the sample, with or without the first tokens of each window."""

    skip: int
    mean: Mean = field(init=False)
    cosines: dict[str, Similarity] = field(init=False)
    cka: CKA = field(init=False)
    between: CKA = field(init=False)

    def __post_init__(self) -> None:
        self.mean, self.cka, self.between = Mean(skip=self.skip), CKA(skip=self.skip), CKA(skip=self.skip)
        self.cosines = {STREAM: Similarity(skip=self.skip), OUTPUTS: Similarity(skip=self.skip)}

    def add(self, states: States, others: States | None) -> None:
        """Add a batch, with that of the second model on the same tokens."""
        self.mean.add(states.stream)
        self.cosines[STREAM].add(states.stream)
        self.cosines[OUTPUTS].add(states.outputs)
        self.cka.add(states.stream)
        if others:
            self.between.add(states.stream, others.stream)


class Both(nn.Module):
    """A network that has a second one read what it reads, before it does, and gives what it gives."""

    def __init__(self, own: Decoder, other: Decoder) -> None:
        super().__init__()
        self.own, self.other = own, other

    def forward(self, *batch: Tensor) -> Any:
        """What the first gives."""
        self.other(*batch)
        return self.own(*batch)


def _decoder(one: Trained, sample: Sample) -> Decoder:
    network = one.network(sample.device)
    assert isinstance(network, Decoder)
    return network


def _first_pass(
    own: Decoder, other: Decoder | None, looks: dict[str, Look], sample: Sample, told: Callable[[int], None]
) -> None:
    theirs: list[States] = []

    def see(states: States) -> None:
        second = theirs.pop() if theirs else None
        for look in looks.values():
            look.add(states, second)
        told(states.stream[0][..., 0].numel())

    if not other:
        with watching_states(own, see):
            sample.losses(own)
        return
    with watching_states(own, see), watching_states(other, theirs.append):
        sample.losses(Both(own, other))


def _second_pass(own: Decoder, looks: dict[str, Look], sample: Sample, told: Callable[[int], None]) -> None:
    for look in looks.values():
        look.cosines[CENTRED] = Similarity(skip=look.skip, centre=look.mean.mean)

    def see(states: States) -> None:
        for look in looks.values():
            look.cosines[CENTRED].add(states.stream)
        told(states.stream[0][..., 0].numel())

    with watching_states(own, see):
        sample.losses(own)


def _found(newest: Trained, looks: dict[str, Look], sample: Sample, against: Trained | None) -> Found:
    cosines = {
        (kind, tokens): look.cosines[kind] for kind in (STREAM, CENTRED, OUTPUTS) for tokens, look in looks.items()
    }
    ckas = {tokens: look.cka.matrix for tokens, look in looks.items()}
    between = {tokens: look.between.matrix for tokens, look in looks.items()} if against else {}
    apart = [row for key, own in cosines.items() for row in _apart(newest.step, *key, own)]
    tables = {
        "similarity": [_summary(newest.step, *key, own) for key, own in cosines.items()],
        "similarity_by_distance": apart,
        "similarity_matrix": [
            {"step": newest.step, "name": kind, "tokens": tokens, **cell}
            for (kind, tokens), own in cosines.items()
            for cell in _cells(own.matrix, "cosine", int(kind == OUTPUTS))
        ],
        "cka": [
            {"step": newest.step, "name": name, "tokens": tokens, **cell}
            for name, matrices in ((STREAM, ckas), (f"against {against.folder}" if against else "", between))
            for tokens, matrix in matrices.items()
            for cell in _cells(matrix, "cka", 0)
        ],
    }
    matrices = {f"{kind}, {tokens}": own.matrix for (kind, tokens), own in cosines.items()}
    matrices |= {f"cka, {tokens}": matrix for tokens, matrix in ckas.items()}
    matrices |= {f"cka against, {tokens}": matrix for tokens, matrix in between.items()}
    arrays = {"states": {_word(name): matrix for name, matrix in matrices.items()}}
    figures = _figures(cosines, apart, ckas, between, sample.what)
    return Found(tables, figures, arrays, _remarks(sample, ckas))


def _summary(step: int, kind: str, tokens: str, own: Similarity) -> Row:
    measured: dict[str, Callable[[Matrix], float]] = {"adjacent": partial(_at, 0), "mean": between_layers}
    row: Row = {"step": step, "name": kind, "tokens": tokens, "windows": len(own.sums), "tokens_seen": sum(own.tokens)}
    for word, of in measured.items():
        row |= {word: of(own.matrix), **_ends(word, _interval(own, of))}
    return row


def _apart(step: int, kind: str, tokens: str, own: Similarity) -> list[Row]:
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


def _cells(matrix: Matrix, word: str, first: int) -> list[Row]:
    return [
        {"layer": row + first, "other_layer": column + first, word: float(value) if np.isfinite(value) else None}
        for (row, column), value in np.ndenumerate(matrix)
    ]


def _word(name: str) -> str:
    return name.replace(",", "").replace(" ", "_")


def _figures(
    cosines: dict[tuple[str, str], Similarity],
    apart: list[Row],
    ckas: dict[str, Matrix],
    between: dict[str, Matrix],
    what: str,
) -> dict[str, Drawn]:
    tokens = list(ckas)[-1]
    shown = f"{what}, {'' if tokens == ALL else tokens + ' of each window, '}newest checkpoint"
    maps = [
        HeatMap(kind, own.matrix, int(kind == OUTPUTS)) for (kind, which), own in cosines.items() if which == tokens
    ]
    figures = {
        "similarity": Drawn(
            heat_maps(maps),
            "How alike layers are: mean cosine over tokens",
            f"Mean over tokens of the cosine of two layers' states; {shown}. {_NUMBERED} The paper's Figure 7 does not "
            "say which states it compares. Residual streams are alike by construction, since each layer adds to what "
            "was there; block outputs are not. Centred: the mean over tokens is taken off first, without which a "
            "direction that all tokens share makes any two layers alike.",
        ),
        "similarity_by_distance": Drawn(
            distances(_panels(apart)),
            "Similarity by distance",
            f"The mean of the same cosines over all pairs of layers so far apart; {what}. Bands are 95 % intervals, "
            "windows resampled: they say how much the choice of text decides, and nothing of another training run. "
            "Pairs far apart are few: of the largest distance there is one.",
        ),
        "cka": Drawn(
            heat_maps([HeatMap(STREAM, ckas[tokens])], measure="linear CKA"),
            "Linear CKA between layers",
            f"Linear CKA, unbiased, minibatches of 256 tokens, of the residual stream; {shown}. {_NUMBERED} 1 is the "
            "same up to rotation and scale, 0 unrelated; an unbiased estimate can be a little below 0. Unlike the "
            "cosine, large states weigh more in it.",
        ),
    }
    if between:
        rows, columns = "layer of this run", "layer of the other run"
        figures["cka_against"] = Drawn(
            heat_maps([HeatMap(STREAM, between[tokens])], first=rows, second=columns, measure="linear CKA"),
            "Linear CKA between two runs",
            f"As above, between this run's layers (rows) and those of the run that it is compared with (columns), on "
            f"the same tokens; {shown}. Two seeds of one recipe are not at 1 either: compare with those.",
        )
    return figures


def _panels(apart: list[Row]) -> dict[str, dict[str, Curve]]:
    panels: dict[str, dict[str, Curve]] = {}
    for tokens, name in dict.fromkeys((row["tokens"], row["name"]) for row in apart):
        own = [row for row in apart if (row["tokens"], row["name"]) == (tokens, name)]
        columns = ([row[key] for row in own] for key in ("cosine", "cosine_low", "cosine_high"))
        curve = Curve(*(np.array(column, np.float64) for column in columns))
        panels.setdefault(f"tokens of a window: {tokens}", {})[name] = curve
    return panels


def _remarks(sample: Sample, ckas: dict[str, Matrix]) -> tuple[str, ...]:
    remarks = [f"Of {sample.what} in {sample.windows:,} windows."]
    if sample.windows == 1:
        remarks.append("Of one window there is no interval; take more tokens.")
    elif sample.windows < FEW:
        remarks.append(f"Of fewer than {FEW} windows an interval is too narrow: take more tokens for one to rely on.")
    if not all(np.isfinite(matrix).all() for matrix in ckas.values()):
        remarks.append("Layers whose states are the same for all tokens, or too few tokens, have no CKA: empty cells.")
    return tuple(remarks)
