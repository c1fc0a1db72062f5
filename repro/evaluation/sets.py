"""A prepared set as `repro eval` takes it: found, evaluated, and told subset by subset."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from repro.data import sets
from repro.data.locate import ready
from repro.data.manifest import Prepared
from repro.data.shards import sha256
from repro.errors import RunError
from repro.evaluation import bootstrap, results
from repro.evaluation.bootstrap import Interval, exp, intervals
from repro.evaluation.documents import Documents, Numbers
from repro.evaluation.losses import Losses, evaluate
from repro.evaluation.parts import Kept, archive
from repro.evaluation.results import Row
from repro.evaluation.work import Count, Model, covers
from repro.paths import write_whole
from repro.recipe.lists import HELD_OUT
from repro.recipe.runs import is_imported
from repro.recipe.schema import LanguageRecipe
from repro.training.ranks import is_first
from repro.training.record import refuse_other_data
from repro.training.trained import Trained


@dataclass(frozen=True)
class Set:
    """A set that models with one tokenizer are evaluated on.

    Attributes:
        documents: of its validation split, in windows.
        tokenizer: the models' ``tokenizer.json``.
    """

    documents: Documents
    tokenizer: Path
    kind = "losses"

    def __str__(self) -> str:
        return f"{self.name} {self.fingerprint} tokens={self.documents.asked} context={self.documents.context}"

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.documents.name

    @property
    def size(self) -> int:
        """Tokens that are evaluated."""
        return self.documents.size

    @property
    def fingerprint(self) -> str:
        """What tells its tokens from others."""
        return self.documents.prepared.fingerprint

    def is_done(self, rows: Sequence[Row], step: int) -> bool:
        """Whether ``rows`` hold a checkpoint's losses on this, or on more of the set."""
        this = (step, self.name, self.fingerprint)
        own = [row for row in rows if (row["step"], row["set"], row["set_fingerprint"]) == this]
        enough = [row for row in own if covers(row["tokens_asked"], self.documents.asked)]
        return len(enough) == len(self.documents.subsets)

    def evaluate(self, model: Model, told: Count) -> list[str]:
        """Write a checkpoint's losses; of text that tokens do not give back a person is to know."""
        of = model.trained
        there = results.of_step(of.folder, of.step)
        kept = Kept(there / f".{self.name}.part", f"{of.step} {self}")
        losses = evaluate(model.subject, self.documents, kept=kept, told=told)
        if not is_first():
            return []
        n_bytes = np.array([self._bytes.get(number, 0) for number in losses.numbers.tolist()], np.int64)
        each = archive(
            set_fingerprint=np.array(self.fingerprint),
            nats=losses.nats,
            tokens=losses.tokens,
            bytes=n_bytes,
            subset=self.documents.subset_of(losses.numbers),
            subsets=np.array(self.documents.subsets),
        )
        write_whole(there / f"{self.name}.npz", each)
        found = rows(self.documents, losses, n_bytes)
        results.write_losses(of.folder, of.step, found, device=model.device)
        kept.remove()
        return [remark for row in found if (remark := self._lossy(row))]

    @cached_property
    def _bytes(self) -> dict[int, int]:
        from repro.data import tokenizer

        return self.documents.bytes_of_text(tokenizer.read(self.tokenizer))

    def _lossy(self, row: Row) -> str:
        """Whether text did not come back from its tokens as it was."""
        before, after = self.documents.published_bytes(row["subset"]), row["bytes"]
        if before is None or before == after:
            return ""
        return (
            f"{row['subset']}: {before:,} bytes of text come back from their tokens as {after:,}, by which bits per "
            "byte are counted: this tokenizer does not keep all of a text"
        )


def find(name: str, of: Trained, *, tokens: int | None) -> Set:
    """The set called ``name`` as the tokenizer of a run made it; ``held-out`` is the run's own validation split.

    Raises:
        DataError: it is not prepared with this tokenizer, or has no validation split.
        RunError: the run has no tokenizer, was trained on other data than are here now, or was imported.
    """
    assert isinstance(of.recipe, LanguageRecipe)
    vocabulary = of.vocabulary
    prepared = _held_out(of, vocabulary.path) if name == HELD_OUT else sets.find(name, tokenizer=vocabulary.path)
    prepared.check_vocabulary(of.recipe.model.vocab_size)
    return Set(Documents(prepared, name=name, context=of.recipe.data.context, tokens=tokens), vocabulary.path)


def _held_out(of: Trained, tokenizer: Path) -> Prepared:
    assert isinstance(of.recipe, LanguageRecipe)
    if is_imported(of.folder):
        raise RunError(f"{of.folder} was imported, and nothing here was held out for it: name prepared sets by --sets")
    prepared = ready(of.recipe.data, of.recipe.model.vocab_size)
    if sha256(tokenizer) != prepared.manifest.tokenizer.sha256:
        raise RunError(
            f"{of.folder} has another tokenizer than {prepared.folder}, in whose token ids its held-out text lies: "
            "expected the set that the run was trained on"
        )
    refuse_other_data(of.folder, prepared)
    return prepared


def rows(of: Documents, losses: Losses, n_bytes: Numbers) -> list[Row]:
    """One for each subset: its losses with their intervals, and what they were counted over."""
    subset = of.subset_of(losses.numbers)
    found = []
    for number, name in enumerate(of.subsets):
        own = subset == number
        part = Losses(losses.numbers[own], losses.nats[own], losses.tokens[own])
        found.append({"set": of.name, "subset": name} | _measures(part, n_bytes[own]) | _counted(of))
    return found


def _measures(losses: Losses, n_bytes: Numbers) -> Row:
    nats, tokens, size = float(losses.nats.sum()), int(losses.tokens.sum()), int(n_bytes.sum())
    per_token, per_byte = intervals(losses.nats, losses.tokens, n_bytes)
    loss, bits = nats / tokens, 1 / math.log(2)
    return {
        **_with_interval("nats_per_token", loss, per_token),
        **_with_interval("perplexity", exp(loss), per_token.exp() if per_token else None),
        **_with_interval("bits_per_byte", bits * nats / size if size else None, per_byte and per_byte.times(bits)),
        "interval": bootstrap.LABEL if per_token else bootstrap.NONE,
        "documents": len(losses.nats),
        "tokens": tokens,
        "bytes": size,
    }


def _with_interval(name: str, value: float | None, interval: Interval | None) -> Row:
    low, high = (interval.low, interval.high) if interval else (None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _counted(of: Documents) -> Row:
    return {"tokens_asked": of.asked, "context": of.context, "set_fingerprint": of.prepared.fingerprint}
