"""How alike the states of a decoder's layers are: cosines (Figure 7), and CKA within a model and between two."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from repro.analysis.cka import CKA
from repro.analysis.figures.similarity import Curve, HeatMap, distances, heat_maps
from repro.analysis.similarity import FIRST, Mean, Similarity, States, watching_states
from repro.errors import RunError
from repro.evaluation.bootstrap import FEW
from repro.inspection.found import Drawn, Found, Row
from repro.inspection.sample import Sample
from repro.inspection.states_rows import apart, cells, summary
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
_STREAM = "Layer 0 is the embedding, layer l the stream after block l."
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
    """Compare the states of the newest checkpoint's layers with each other, and with those of ``against``.

    Raises:
        RunError: some of either are not finite.
    """
    newest = of[-1]
    own, other = (_decoder(one, sample) if one else None for one in (newest, against))
    assert own
    skips = {ALL: 0, WITHOUT: FIRST} if sample.context > FIRST else {ALL: 0}
    looks = {tokens: Look(skip) for tokens, skip in skips.items()}
    _first_pass(own, other, looks, sample, told, [one.checkpoint for one in (newest, against) if one])
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
    own: Decoder,
    other: Decoder | None,
    looks: dict[str, Look],
    sample: Sample,
    told: Callable[[int], None],
    of: Sequence[Path],
) -> None:
    theirs: list[States] = []

    def see(states: States) -> None:
        second = theirs.pop() if theirs else None
        for checkpoint, seen in zip(of, (states, second), strict=False):
            _refuse_not_finite(checkpoint, seen)
        for look in looks.values():
            look.add(states, second)
        told(states.stream[0][..., 0].numel())

    if not other:
        with watching_states(own, see):
            sample.losses(own)
        return
    with watching_states(own, see), watching_states(other, theirs.append):
        sample.losses(Both(own, other))


def _refuse_not_finite(checkpoint: Path, states: States | None) -> None:
    for layer, state in enumerate(states.stream if states else ()):
        if not state.isfinite().all():
            where = f"layers.{layer - 1} leaves" if layer else "embed_tokens gives"
            raise RunError(f"{checkpoint}: what {where} is not finite, so there is nothing to compare")


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
    by_distance = [row for key, own in cosines.items() for row in apart(newest.step, *key, own)]
    tables = {
        "similarity": [summary(newest.step, *key, own) for key, own in cosines.items()],
        "similarity_by_distance": by_distance,
        "similarity_matrix": [
            {"step": newest.step, "name": kind, "tokens": tokens, **cell}
            for (kind, tokens), own in cosines.items()
            for cell in cells(own.matrix, "cosine", int(kind == OUTPUTS))
        ],
        "cka": [
            {"step": newest.step, "name": name, "tokens": tokens, **cell}
            for name, matrices in ((STREAM, ckas), (f"against {against.folder}" if against else "", between))
            for tokens, matrix in matrices.items()
            for cell in cells(matrix, "cka", 0)
        ],
    }
    matrices = {f"{kind}, {tokens}": own.matrix for (kind, tokens), own in cosines.items()}
    matrices |= {f"cka, {tokens}": matrix for tokens, matrix in ckas.items()}
    matrices |= {f"cka against, {tokens}": matrix for tokens, matrix in between.items()}
    arrays = {"states": {_word(name): matrix for name, matrix in matrices.items()}}
    figures = _figures(cosines, by_distance, ckas, between, sample.what, against)
    return Found(tables, figures, arrays, _remarks(sample, [*ckas.values(), *between.values()], looks[ALL]))


def _word(name: str) -> str:
    return name.replace(",", "").replace(" ", "_")


def _figures(
    cosines: dict[tuple[str, str], Similarity],
    by_distance: list[Row],
    ckas: dict[str, Matrix],
    between: dict[str, Matrix],
    what: str,
    against: Trained | None,
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
            distances(_panels(by_distance)),
            "Similarity by distance",
            f"The mean of the same cosines over all pairs of layers so far apart; {what}. Bands are 95 % intervals, "
            "windows resampled: they say how much the choice of text decides, and nothing of another training run. "
            "Pairs far apart are few: of the largest distance there is one.",
        ),
        "cka": Drawn(
            heat_maps([HeatMap(STREAM, ckas[tokens])], measure="linear CKA"),
            "Linear CKA between layers",
            f"Linear CKA, unbiased, minibatches of 256 tokens, of the residual stream; {shown}. {_STREAM} 1 is the "
            "same up to rotation and scale, 0 unrelated; an unbiased estimate can be a little below 0. Unlike the "
            "cosine, large states weigh more in it. It has no interval over windows.",
        ),
    }
    if against:
        rows, columns = "layer of this run", "layer of the other run"
        recipe = against.recipe.name
        figures["cka_against"] = Drawn(
            heat_maps([HeatMap(STREAM, between[tokens])], first=rows, second=columns, measure="linear CKA"),
            "Linear CKA between two runs",
            f"As above, between this run's layers (rows) and those of {against.folder}, a run of {recipe}, at step "
            f"{against.step:,} (columns), on the same tokens; {shown}. {_STREAM} Two seeds of one recipe are not at 1 "
            "either: compare with those.",
        )
    return figures


def _panels(rows: list[Row]) -> dict[str, dict[str, Curve]]:
    panels: dict[str, dict[str, Curve]] = {}
    for tokens, name in dict.fromkeys((row["tokens"], row["name"]) for row in rows):
        own = [row for row in rows if (row["tokens"], row["name"]) == (tokens, name)]
        columns = ([row[key] for row in own] for key in ("cosine", "cosine_low", "cosine_high"))
        curve = Curve(*(np.array(column, np.float64) for column in columns))
        panels.setdefault(f"tokens of a window: {tokens}", {})[name] = curve
    return panels


def _remarks(sample: Sample, ckas: Sequence[Matrix], look: Look) -> tuple[str, ...]:
    remarks = [f"Of {sample.what} in {sample.windows:,} window{'s' * (sample.windows > 1)}."]
    if sample.windows == 1:
        remarks.append("Of one window there is no interval, and CKA is rough; take more tokens.")
    elif sample.windows < FEW:
        remarks.append(
            f"Of fewer than {FEW} windows an interval is too narrow, and CKA, which has none, is rough: take more "
            "tokens for one to rely on."
        )
    if len(look.cosines[OUTPUTS].matrix) == 1:
        remarks.append("Of one block there are no block outputs to be compared with each other: empty cells.")
    if not all(np.isfinite(matrix).all() for matrix in ckas):
        remarks.append("Layers whose states are the same for all tokens, or too few tokens, have no CKA: empty cells.")
    return tuple(remarks)
