"""What data costs: tokens loaded per core, and tokenising against the library's own speed."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from repro.bench.rows import Figure
from repro.data import corpora, shards, tokenizer
from repro.data.manifest import TOKENIZER, Prepared
from repro.data.prepare import prepare
from repro.data.text import TextData

CONTEXTS = (64, 512, 4096)
MICRO_BATCH = 16  # sequences
TOKENS = 2**26  # 128 MB: more than a processor caches
BATCHES = 4000
ROUNDS = 5


def measure() -> Iterator[Figure]:
    """Million tokens a second of one core through the loader, page cache warm; then tokenising in MB of text a second.

    Loading is timed in seconds of the processor, with no workers, so that a busy machine does not show in it.
    Tokenising is timed by the clock and includes writing the shard; the two ways take turns, with as many threads each.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare("python-stdlib", vocab_size=4096, root=Path(folder), shard_bytes=2**40)
        enlarged = _enlarged(prepared)
        for context in CONTEXTS:
            rate = statistics.median(_loading(enlarged, context) for _ in range(ROUNDS))
            yield Figure(f"loading, context {context}, micro-batch {MICRO_BATCH}, 0 workers", rate, "Mtok/s per core")
        yield from _tokenising(prepared)


def _enlarged(prepared: Prepared) -> Prepared:
    """The same set with its training tokens repeated until there are ``TOKENS``; writing them warms the page cache."""
    (shard,) = prepared.shards("train")
    tokens = np.resize(prepared.map(shard), TOKENS)
    tokens.tofile(prepared.folder / "train" / "enlarged.bin")
    larger = shard.model_copy(update={"file": "train/enlarged.bin", "tokens": TOKENS})
    manifest = prepared.manifest.model_copy(update={"shards": (larger, *prepared.shards("validation"))})
    return Prepared(prepared.folder, manifest)


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
    loader = iter(data.train_dataloader())
    assert len(list(islice(loader, 10))) == 10  # opens the shards
    start = time.process_time()
    loaded = sum(len(batch) * context for batch in loader)
    return loaded / (time.process_time() - start) / 1e6


def _tokenising(prepared: Prepared) -> Iterator[Figure]:
    documents = corpora.collect("python-stdlib").documents
    texts, megabytes = [document.text for document in documents], sum(document.n_bytes for document in documents) / 1e6
    bpe = tokenizer.read(prepared.folder / TOKENIZER)

    def alone() -> None:
        for batch in tokenizer.batches(texts):
            bpe.encode_batch_fast(batch, add_special_tokens=False)

    def ours() -> None:
        shards.write(prepared.folder / "train" / "again.bin", tokenizer.encode(bpe, texts), 4096)

    pairs = [(_seconds(alone), _seconds(ours)) for _ in range(ROUNDS)]
    yield Figure("encode_batch_fast alone", megabytes / statistics.median(a for a, _ in pairs), "MB/s")
    yield Figure("tokenising into a shard", megabytes / statistics.median(b for _, b in pairs), "MB/s")
    yield Figure("tokenising against encode_batch_fast", 100 * statistics.median(a / b for a, b in pairs), "%")


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
