"""Token files as dolma, numpy and Megatron write them, and sets made of pieces.

Documents are lists of ids without the end of text, which each writer adds.
"""

import hashlib
import random
import struct

import numpy as np
import pytest

from repro.data import shards
from repro.data.manifest import (
    MANIFEST,
    TOKENIZER,
    Manifest,
    Prepared,
    TokenizerFile,
    fingerprint,
    in_order,
    totals,
)
from repro.data.tokens.imports import imported, token_files
from repro.errors import ReproError

EOS_ID = 7
CODES = {"uint8": 1, "int8": 2, "int16": 3, "int32": 4, "int64": 5, "float64": 6, "float32": 7, "uint16": 8}


def refusal(call, *args, **options):
    """The one line that a call is refused with."""
    with pytest.raises(ReproError) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def check(path, **changes):
    """Import what is in ``path`` below a folder beside it, and say what that wrote."""
    options = {"vocab_size": 1000, "eos_id": EOS_ID, "held_out": 10, "split": None, "told": lambda n: None}
    folder = path.parent / "set"
    try:
        for file in token_files(path):
            imported(file, folder=folder, name="00000", **(options | changes))
    finally:
        assert not [*folder.rglob("*.bin"), *folder.rglob(".*")], "nothing stays of what is refused"


def documents(seed, n, *, vocab_size=1000, longest=300):
    """Random documents, some of them empty, of ids that are not the end of text."""
    rng = random.Random(seed)
    ids = [id for id in (*range(20), *range(vocab_size - 20, vocab_size)) if id != EOS_ID]
    return [rng.choices(ids, k=rng.choice([0, 1, rng.randrange(longest)])) for _ in range(n)]


def joined(documents, eos_id=EOS_ID):
    """All tokens of ``documents``."""
    return np.array([id for document in documents for id in (*document, eos_id)], dtype=np.int64)


def dolma(path, documents, dtype="uint16", *, eos_id=EOS_ID):
    """Integers without a header."""
    return raw(path, joined(documents, eos_id), dtype)


def raw(path, ids, dtype="uint16"):
    """So many bytes, whatever they mean."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.asarray(ids).astype(dtype).tofile(path)
    return path


def array(path, documents, dtype="uint16"):
    """The same with numpy's header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, joined(documents).astype(dtype))
    return path


def megatron(path, documents, dtype="uint16", *, sentence=10**9, eos_id=EOS_ID, without_tokens=()):
    """An indexed data set of sequences of at most ``sentence`` tokens; returns its index.

    Args:
        eos_id: after each document; None as without --append-eod.
        without_tokens: numbers of documents that have not even that, as empty texts.
    """
    sequences, borders = [], [0]
    for number, document in enumerate(documents):
        ids = [] if number in without_tokens else [*document, *([] if eos_id is None else [eos_id])]
        sequences += [ids[start : start + sentence] for start in range(0, len(ids), sentence)]
        borders.append(len(sequences))
    lengths = [len(sequence) for sequence in sequences]
    prefix = path.name.removesuffix(".bin").removesuffix(".npy")
    raw(path.with_name(f"{prefix}.bin"), [id for sequence in sequences for id in sequence], dtype)
    return index(path.with_name(f"{prefix}.idx"), lengths, borders, dtype)


def index(path, lengths, borders, dtype="uint16", *, magic=b"MMIDIDX\x00\x00", version=1, code=None):
    """What says where documents lie."""
    begins = (np.cumsum([0, *lengths])[:-1] * np.dtype(dtype).itemsize).astype("<i8")
    head = struct.pack("<9sQBQQ", magic, version, code or CODES[dtype], len(lengths), len(borders))
    path.write_bytes(head + np.array(lengths, "<i4").tobytes() + begins.tobytes() + np.array(borders, "<i8").tobytes())
    return path


def own_shard(folder, file, split, documents, vocab_size):
    """A shard as the kit writes it from text."""
    with shards.writing(folder / file, vocab_size) as writer:
        writer.add(joined(documents).astype(np.uint32))
    return shards.Shard(
        file=file,
        split=split,
        tokens=writer.tokens,
        documents=len(documents),
        bytes_of_text=None,
        sha256=writer.sha256,
    )


def prepared(folder, pieces, vocab_size):
    """The set of ``pieces`` whose files lie in ``folder``, opened and verified."""
    (folder / TOKENIZER).write_text("{}")
    made_by = TokenizerFile(kind="own", sha256=hashlib.sha256(b"{}").hexdigest(), made_from="")
    every = in_order(pieces)
    manifest = Manifest(
        corpus="tokens",
        found_in="a test",
        vocab_size=vocab_size,
        eos_id=EOS_ID,
        dtype=shards.stored_as(vocab_size),
        tokenizer=made_by,
        pieces=tuple(pieces),
        totals=totals(every),
        split_rule="",
        left_out={},
        entropies=None,
        duplicates=None,
        versions={},
        fingerprint=fingerprint(vocab_size, EOS_ID, made_by, every),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    opened = Prepared.open(folder)
    opened.verify()
    return opened
