"""A few documents of a set, always the same ones, for a person to look at."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from repro.data.manifest import Manifest, Prepared
from repro.data.shards import Shard, Tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SAMPLES = 6
CHARACTERS = 400  # of each
_TOKENS = 4 * CHARACTERS  # enough: no character takes more than four bytes
_SEARCHED = 2**20  # tokens in which a document should begin


@dataclass(frozen=True)
class Sample:
    """The beginning of a document, which is ``start`` tokens into its shard."""

    shard: Shard
    start: int
    text: str
    is_whole: bool


def samples(prepared: Prepared) -> Iterator[Sample]:
    """The first document after each of some places at even distances along every subset, or the largest of them.

    Only the shards of these documents are opened, and a few megabytes of each are read at most.
    """
    decoder, seen = prepared.tokenizer(), set()
    for shard, place in _places(prepared.manifest):
        tokens = prepared.map(shard)
        start = _beginning(tokens, place, prepared.manifest.eos_id)
        if (shard.file, shard.start + start) not in seen:
            seen.add((shard.file, shard.start + start))
            text, is_whole = _decoded(tokens[start : start + _TOKENS], prepared.manifest.eos_id, decoder)
            yield Sample(shard, start, text, is_whole)


def _places(manifest: Manifest) -> Iterator[tuple[Shard, int]]:
    """Shards, and how many tokens into each."""
    subsets: dict[str, list[Shard]] = defaultdict(list)
    for shard in manifest.shards:
        if shard.tokens:
            subsets[shard.subset].append(shard)
    ends = {subset: [*accumulate(shard.tokens for shard in own)] for subset, own in subsets.items()}
    for rank, subset in enumerate(sorted(ends, key=lambda subset: (-ends[subset][-1], subset))):
        here = SAMPLES // len(ends) + (rank < SAMPLES % len(ends))
        for number in range(here):
            place = (2 * number + 1) * ends[subset][-1] // (2 * here)
            which = bisect_right(ends[subset], place)
            shard = subsets[subset][which]
            yield shard, place - (ends[subset][which] - shard.tokens)


def _beginning(tokens: Tokens, place: int, eos_id: int) -> int:
    """Where the first document after a place begins, or the shard, if none does soon."""
    ends = np.flatnonzero(tokens[place : place + _SEARCHED] == eos_id)
    after = place + int(ends[0]) + 1 if ends.size else len(tokens)
    return after if after < len(tokens) else 0


def _decoded(tokens: Tokens, eos_id: int, decoder: "Tokenizer") -> tuple[str, bool]:
    """The beginning of a document's text, and whether it is all of it."""
    ends = np.flatnonzero(tokens == eos_id)
    text = decoder.decode(tokens[: ends[0]].tolist() if ends.size else tokens.tolist(), skip_special_tokens=False)
    return text[:CHARACTERS], bool(ends.size) and len(text) <= CHARACTERS
