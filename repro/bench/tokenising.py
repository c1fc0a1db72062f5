"""What preparing costs beside the tokenizer itself: processes that read, tokenise and write against ones that encode.

The text is that of the installed Python packages, as zstd-compressed JSON lines. Alone, each process has its texts in
memory and only encodes them, all at the same time. Both ways take turns.
"""

import json
import multiprocessing
import re
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from repro.bench.rows import Figure
from repro.data import corpora, tokenizer
from repro.data.files.listing import in_folder
from repro.data.files.reading import documents
from repro.data.preparing.files import Asked, prepare_files
from repro.data.preparing.parallel import Crew, in_parallel
from repro.data.preparing.tokenise import document
from repro.data.preparing.tokenizer_files import given as tokenizer_given
from repro.data.preparing.workers import Told
from repro.recipe.machine import cores

BYTES = 120_000_000  # of text at most
FILES = 16  # for each process
ROUNDS = 5
VOCAB_SIZE = 8192


def measure() -> Iterator[Figure]:
    """MB of text a second by all cores, the share of the tokenizers' own speed, and what a process needs of memory."""
    processes = cores()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files, n_bytes = _written(folder / "text", FILES * processes)
        by = _trained(folder)
        rounds = [(_alone(files, by, processes), _ours(folder, processes)) for _ in range(ROUNDS)]
    case = f"{n_bytes / 1e6:.0f} MB of Python, {processes} processes"
    alone = statistics.median(rate for rate, _ in rounds)
    ours = statistics.median(n_bytes / run.seconds for _, run in rounds)
    yield Figure(f"encode_batch_fast alone, {case}", alone / 1e6, "MB/s")
    yield Figure(f"tokenising into shards, {case}", ours / 1e6, "MB/s")
    share = statistics.median(n_bytes / run.seconds / rate for rate, run in rounds)
    yield Figure("tokenising into shards against encode_batch_fast", 100 * share, "%")
    yield Figure("most memory of a process that tokenises", max(run.memory for _, run in rounds) / 1e6, "MB")


def _written(folder: Path, n_files: int) -> tuple[list[Path], int]:
    """JSON lines of the packages' sources, dealt out over files, and the bytes of text in them."""
    folder.mkdir()
    texts, total = [], 0
    for found in corpora.collect("python-packages").documents:
        if total < BYTES:
            texts.append(found.text)
            total += found.n_bytes
    files = [folder / f"{number:03d}.jsonl.zst" for number in range(n_files)]
    for number, path in enumerate(files):
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts[number::n_files])
        with pa.output_stream(path, compression="zstd") as file:
            file.write(lines.encode())
    return files, total


def _trained(folder: Path) -> Path:
    """A tokenizer, trained on one of the files."""
    path, name = folder / "tokenizer.json", "000.jsonl.zst"
    texts = [str(found.text) for found in documents(folder / "text" / name, name, "text")]
    path.write_text(tokenizer.train(texts, VOCAB_SIZE).to_str())
    return path


def _alone(files: Sequence[Path], by: Path, processes: int) -> float:
    """Bytes a second of all processes together that have their texts in memory."""

    def do(share: Sequence[Path], crew: Crew) -> float:
        with crew.free() as worker:
            return worker(partial(_encoded, share, by), lambda done: None)

    shares = [files[number::processes] for number in range(processes)]
    return sum(in_parallel(shares, do, processes=processes, threads=1))


def _encoded(files: Sequence[Path], by: Path, told: Told) -> float:
    texts = [document("", str(found.text), 20, None) for path in files for found in documents(path, path.name, "text")]
    encoder, batches = tokenizer.read(by), list(tokenizer.batches(texts))
    start = time.perf_counter()
    for batch in batches:
        encoder.encode_batch_fast([text.text for text in batch], add_special_tokens=False)
    return sum(text.n_bytes for text in texts) / (time.perf_counter() - start)


@dataclass
class _Run:
    """Of preparing: the seconds from the first word about tokenising to the last, and the most memory of a process."""

    first: float = 0.0
    last: float = 0.0
    memory: int = 0

    @property
    def seconds(self) -> float:
        return self.last - self.first

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage == "tokenise":
            self.last = time.perf_counter()
            self.first = self.first or self.last
            self.memory = max([self.memory, *map(_most, multiprocessing.active_children())])


def _ours(folder: Path, processes: int) -> _Run:
    asked = Asked("text", in_folder(folder / "text"), tokenizer_given(str(folder / "tokenizer.json"), root=folder))
    run = _Run()
    with tempfile.TemporaryDirectory(dir=folder) as root:
        prepare_files(asked, processes=processes, root=Path(root), progress=run)
    return run


def _most(process: multiprocessing.process.BaseProcess) -> int:
    """Bytes of memory that it had at once, where the system says so."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:  # it has just ended, or this is no Linux
        return 0
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024
