"""Byte-level BPE: trained on a corpus, and fast to apply.

The end-of-text token is id 0 and follows each document. It is no part of any text: where a document spells it out, the
letters are encoded.
"""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer, decoders, models, pre_tokenizers, trainers

from repro.data.corpora import Document
from repro.data.shards import groups
from repro.errors import DataError
from repro.recipe.machine import cores

EOS = "<|endoftext|>"
EOS_ID = 0
SMALLEST_VOCABULARY = 257  # every byte, and the end of text
_BATCH = 2**20  # bytes of text that a thread encodes at a time; more is slower, and takes 50 times its memory
_ALONE = 4 * 2**20  # bytes of text of a thread: a larger batch is joined before the next, for the memory of both

# The library warns from every process forked after it has used threads, such as a loader's workers, unless it was told
# whether to use them.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


def train(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE of at most ``vocab_size`` entries: the same texts give the same tokenizer, to the byte."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def read(path: Path) -> Tokenizer:
    """The tokenizer in ``path``, set so that no text can spell a special token, and each is encoded whole and alone.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise DataError(f"{path} is not a tokenizer: {str(error).splitlines()[0]}") from error
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def entries(tokenizer: Tokenizer) -> int:
    """The size of its vocabulary: one more than the largest id, since some leave out ids below it."""
    return max(tokenizer.get_vocab().values()) + 1


def encode(
    tokenizer: Tokenizer, documents: Iterable[Document], eos_id: int
) -> Iterator[tuple[list[Document], NDArray[np.uint32]]]:
    """Documents by the batch, with their token ids, each followed by the end of text.

    A helper joins the ids of a batch while the library's threads encode the next, so that the joining costs no time.
    """
    with ThreadPoolExecutor(1) as helper:
        joined: Future[tuple[list[Document], NDArray[np.uint32]]] | None = None
        for batch in batches(documents):
            encodings = tokenizer.encode_batch_fast([document.text for document in batch], add_special_tokens=False)
            if joined:
                yield joined.result()
            joined = helper.submit(_join, batch, encodings, eos_id)
            del encodings  # of which each byte of text takes a hundred
            if sum(document.n_bytes for document in batch) > _ALONE * threads():
                joined.result()
        if joined:
            yield joined.result()


def _join(
    batch: list[Document], encodings: Sequence[Encoding], eos_id: int
) -> tuple[list[Document], NDArray[np.uint32]]:
    ids = array("I")  # takes a list of numbers in a third of numpy's time
    for encoding in encodings:
        ids.fromlist(encoding.ids)
        ids.append(eos_id)
    return batch, np.frombuffer(ids, dtype=np.uint32)


def batches(documents: Iterable[Document]) -> Iterable[list[Document]]:
    """The documents in lists of a megabyte for each thread of the library."""
    return groups(documents, _BATCH * threads())


def threads() -> int:
    """How many the library uses."""
    return int(os.environ.get("RAYON_NUM_THREADS") or cores())
