"""Checkpoints, each evaluated on what it has not been evaluated on before."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch

from repro.data.progress import Progress
from repro.evaluation import results
from repro.evaluation.results import Row
from repro.evaluation.subject import Subject
from repro.training.trained import Trained


def covers(before: int | None, now: int | None) -> bool:
    """Whether so much as was evaluated before is as much as is asked for now, or more; None is all."""
    return before is None or (now is not None and before >= now)


@dataclass(frozen=True)
class Model:
    """A checkpoint on a device."""

    trained: Trained
    device: torch.device

    @cached_property
    def subject(self) -> Subject:
        """Of a language model; its weights are read when they are first needed."""
        return Subject.of(self.trained, self.device)


class Count:
    """How far all of one kind is.

    Args:
        stage: what a person reads.
        total: what there is to do.
        progress: that shows it.
    """

    def __init__(self, stage: str, total: int, progress: Progress) -> None:
        self.stage, self.total, self.progress, self.done = stage, total, progress, 0

    def __call__(self, more: int) -> None:
        """So much more is done."""
        self.done += more
        self.progress(self.stage, self.done, self.total)


class Piece(Protocol):
    """What a checkpoint can be evaluated on."""

    @property
    def kind(self) -> str:
        """``losses``, ``tasks`` or ``images``: the file that it is written to."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    @property
    def size(self) -> int:
        """Tokens, images or items."""

    def is_done(self, rows: Sequence[Row], step: int) -> bool:
        """Whether ``rows`` of its kind hold a checkpoint's results on just this."""

    def evaluate(self, model: Model, told: Count) -> list[str]:
        """Write a checkpoint's results; what a person should know of them is returned. All ranks call it together."""


@dataclass(frozen=True)
class Left:
    """What is left to do: of each checkpoint, the pieces."""

    pieces: list[tuple[Trained, list[Piece]]]
    done: dict[str, list[int]]  # the steps at which each piece was done before, by its name

    @classmethod
    def of(cls, checkpoints: Sequence[Trained], pieces: Sequence[Piece]) -> "Left":
        """Of ``checkpoints``, by what lies beside their run."""
        rows = {kind: results.read(checkpoints[0].folder, kind) for kind in {piece.kind for piece in pieces}}
        done = {
            piece.name: [of.step for of in checkpoints if piece.is_done(rows[piece.kind], of.step)] for piece in pieces
        }
        left = [(of, [piece for piece in pieces if of.step not in done[piece.name]]) for of in checkpoints]
        return cls([(of, own) for of, own in left if own], done)

    def do(self, on: torch.device, progress: Progress) -> list[str]:
        """All of it, a checkpoint at a time; what a person should know, each once."""
        every = [piece for _, own in self.pieces for piece in own]
        kinds = dict.fromkeys(piece.kind for piece in every)
        counts = {
            kind: Count(kind, sum(piece.size for piece in every if piece.kind == kind), progress) for kind in kinds
        }
        remarks: list[str] = []
        for of, own in self.pieces:
            model = Model(of, on)
            for piece in own:
                remarks += piece.evaluate(model, counts[piece.kind])
        return list(dict.fromkeys(remarks))
