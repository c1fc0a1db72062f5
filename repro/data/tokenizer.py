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

from repro.errors import DataError

EOS = "<|endoftext|>"
EOS_ID = 0
SMALLEST_VOCABULARY = 257  # every byte, and the end of text
_BATCH = 4 * 2**20  # characters encoded at a time: enough documents to occupy many threads

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
    """The tokenizer in ``path``, set so that no text can spell a special token.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise DataError(f"{path} is not a tokenizer: {str(error).splitlines()[0]}") from error
    tokenizer.encode_special_tokens = True
    return tokenizer


def encode(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[NDArray[np.uint32]]:
    """Token ids of the texts, each followed by the end of text; one array for every few megabytes.

    A helper joins the ids of a batch while the library's threads encode the next, so that the joining costs no time.
    """
    with ThreadPoolExecutor(1) as helper:
        joined: Future[NDArray[np.uint32]] | None = None
        for batch in batches(texts):
            encodings = tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            if joined:
                yield joined.result()
            joined = helper.submit(_join, encodings)
        if joined:
            yield joined.result()


def _join(encodings: Sequence[Encoding]) -> NDArray[np.uint32]:
    ids = array("I")  # takes a list of numbers in a third of numpy's time
    for encoding in encodings:
        ids.fromlist(encoding.ids)
        ids.append(EOS_ID)
    return np.frombuffer(ids, dtype=np.uint32)


def batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts in lists of a few megabytes each."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
