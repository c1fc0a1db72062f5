"""What data costs: tokens loaded per core, tokenising against the library's own speed, verifying against hashlib's."""

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from repro.bench import feeding
from repro.bench.rows import Figure
from repro.data import corpora, shards, tokenizer
from repro.data.manifest import TOKENIZER, Piece, Prepared
from repro.data.preparing.embedded import prepare
from repro.data.preparing.tokenise import Target, tokenise
from repro.data.text import TextData
from repro.recipe.machine import cores

CONTEXTS = (64, 512, 4096)
MICRO_BATCH = 16  # sequences
TOKENS = 2**26  # 128 MB: more than a processor caches
SHARDS = 8
BATCHES = 4000
ROUNDS = 5
TOKENISED = 3  # rounds, of seconds each


def measure() -> Iterator[Figure]:
    """Million tokens a second of one core through the loader, page cache warm; tokenising and verifying in MB a second;
    and the loader against the training steps that it feeds.

    Loading is timed in seconds of the processor, with no workers, so that a busy machine does not show in it.
    Tokenising, which includes writing the shards, and verifying are timed by the clock. Each takes turns with the
    library that it is held against, with as many threads.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare("python-stdlib", vocab_size=4096, root=Path(folder), shard_bytes=2**40)
        enlarged = _enlarged(prepared, 1)
        for context in CONTEXTS:
            rate = statistics.median(_loading(enlarged, context) for _ in range(ROUNDS))
            yield Figure(f"loading, context {context}, micro-batch {MICRO_BATCH}, 0 workers", rate, "Mtok/s per core")
        yield from _tokenising(prepared)
        sharded = _enlarged(prepared, SHARDS)
        yield from _verifying(sharded)
        yield from feeding.measure(sharded)


def _enlarged(prepared: Prepared, parts: int) -> Prepared:
    """The same set with its training tokens repeated until there are ``TOKENS``, in a file that is as many shards as
    ``parts``; writing them warms the page cache.
    """
    (shard,) = prepared.shards("train")
    path = prepared.folder / "train" / "enlarged.bin"
    np.resize(prepared.map(shard), TOKENS).tofile(path)
    size, itemsize = TOKENS // parts, shards.dtype(prepared.manifest.vocab_size).itemsize
    larger = [
        shard.model_copy(
            update={
                "file": "train/enlarged.bin",
                "start": start,
                "tokens": size,
                "sha256": shards.sha256(path, start=start * itemsize, length=size * itemsize),
            }
        )
        for start in range(0, TOKENS, size)
    ]
    piece = Piece(name="enlarged", made_from="", shards=(*larger, *prepared.shards("validation")))
    return Prepared(prepared.folder, prepared.manifest.model_copy(update={"pieces": (piece,)}))


def _loading(prepared: Prepared, context: int) -> float:
    data = TextData(
        prepared,
        context=context,
        sequences_per_step=MICRO_BATCH,
        micro_batch=MICRO_BATCH,
        steps=BATCHES + 10,
        seed=0,
        workers=0,
        validation_tokens=context,
    )
    batches = data.train_dataloader()
    batches.prefetched = 0  # by this thread alone
    loader = iter(batches)
    assert len(list(islice(loader, 10))) == 10  # opens the shards
    start = time.process_time()
    loaded = sum(len(batch) * context for batch in loader)
    return loaded / (time.process_time() - start) / 1e6


def _tokenising(prepared: Prepared) -> Iterator[Figure]:
    documents = corpora.collect("python-stdlib").documents
    megabytes = sum(document.n_bytes for document in documents) / 1e6
    path, eos_id = prepared.folder / TOKENIZER, prepared.manifest.eos_id
    bpe = tokenizer.read(path)

    def alone() -> None:
        for batch in tokenizer.batches(documents):
            bpe.encode_batch_fast([document.text for document in batch], add_special_tokens=False)

    def ours() -> None:
        tokenise(documents, Target(prepared.folder, path, 4096, eos_id), name="again", subset="", made_from="")

    pairs = [(_seconds(alone), _seconds(ours)) for _ in range(TOKENISED)]
    yield Figure("encode_batch_fast alone", megabytes / statistics.median(a for a, _ in pairs), "MB/s")
    yield Figure("tokenising into a shard", megabytes / statistics.median(b for _, b in pairs), "MB/s")
    yield Figure("tokenising against encode_batch_fast", 100 * statistics.median(a / b for a, b in pairs), "%")


def _verifying(prepared: Prepared) -> Iterator[Figure]:
    parts = [prepared.map(shard).view(np.uint8) for shard in prepared.shards("train")]
    megabytes = sum(map(len, parts)) / 1e6

    def alone() -> None:
        with ThreadPoolExecutor(cores()) as threads:
            assert len([*threads.map(hashlib.sha256, parts)]) == len(parts)

    pairs = [(_seconds(alone), _seconds(prepared.verify)) for _ in range(ROUNDS)]
    alone_is = f"hashlib's sha256 alone, {cores()} threads"
    yield Figure(alone_is, megabytes / statistics.median(a for a, _ in pairs), "MB/s")
    yield Figure("verifying a set", megabytes / statistics.median(b for _, b in pairs), "MB/s")
    yield Figure("verifying against hashlib", 100 * statistics.median(a / b for a, b in pairs), "%")


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
