"""What preparing costs beside the tokenizer itself: processes that read, tokenise and write against ones that encode.

The text is that of the installed Python packages, as zstd-compressed JSON lines. Alone, a process has its texts in
memory and only encodes them. Each process does one and the other file by file, since the speed of a core that is shared
with other machines changes by a tenth within seconds.
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
from itertools import chain
from pathlib import Path

import pyarrow as pa
from tokenizers import Tokenizer

from repro.bench.rows import Figure
from repro.data import corpora, tokenizer
from repro.data.files.inputs import InputFile
from repro.data.files.listing import in_folder
from repro.data.files.reading import documents
from repro.data.preparing.files import Asked, prepare_files
from repro.data.preparing.parallel import Crew, in_parallel
from repro.data.preparing.tokenise import Target, Task, document, tokenise_files
from repro.data.preparing.tokenizer_files import given as tokenizer_given
from repro.data.preparing.workers import Told
from repro.recipe.machine import cores

BYTES = 120_000_000  # of text at most
FILES = 16  # for each process
ROUNDS = 3
HELD_OUT = 20  # of which one document is for validation
VOCAB_SIZE = 8192


def measure() -> Iterator[Figure]:
    """MB of text a second by all cores, the share of the tokenizers' own speed, and what a process needs of memory."""
    processes = cores()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files, n_bytes = _written(folder / "text", FILES * processes)
        by = _trained(folder)
        seconds = list(chain(*(_in_turns(files, by, processes) for _ in range(ROUNDS))))
        runs = [_ours(folder, processes) for _ in range(ROUNDS)]
    case = f"{n_bytes / 1e6:.0f} MB of Python, {processes} processes"
    alone, made = (sum(column) for column in zip(*seconds, strict=True))
    yield Figure(f"encode_batch_fast alone, {case}", ROUNDS * n_bytes * processes / alone / 1e6, "MB/s")
    yield Figure(f"tokenising into shards, {case}", ROUNDS * n_bytes * processes / made / 1e6, "MB/s")
    yield Figure("tokenising into shards against encode_batch_fast", 100 * alone / made, "%")
    whole = statistics.median(n_bytes / run.seconds for run in runs)
    yield Figure(f"prepare, from its first file to its last shard, {case}", whole / 1e6, "MB/s")
    yield Figure("most memory of a process that tokenises", max(run.memory for run in runs) / 1e6, "MB")


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


def _in_turns(files: Sequence[Path], by: Path, processes: int) -> list[tuple[float, float]]:
    """For each file the seconds that encoding its texts takes, and making shards of it, all processes at work."""

    def do(share: Sequence[Path], crew: Crew) -> list[tuple[float, float]]:
        with crew.free() as worker:
            return worker(partial(_pairs, share, by), lambda done: None)

    shares = [files[number::processes] for number in range(processes)]
    return list(chain(*in_parallel(shares, do, processes=processes, threads=1)))


def _pairs(files: Sequence[Path], by: Path, told: Told) -> list[tuple[float, float]]:
    encoder, listed = tokenizer.read(by), in_folder(by.parent / "text").files
    with tempfile.TemporaryDirectory(dir=by.parent) as name:
        target = Target(Path(name), by, VOCAB_SIZE, tokenizer.EOS_ID)
        return [(_encoding(encoder, path), _making(path, listed, target)) for path in files]


def _encoding(encoder: Tokenizer, path: Path) -> float:
    """Seconds, with the texts in memory."""
    texts = [document("", str(found.text), HELD_OUT, None) for found in documents(path, path.name, "text")]
    batches = list(tokenizer.batches(texts))
    start = time.perf_counter()
    for batch in batches:
        encoder.encode_batch_fast([text.text for text in batch], add_special_tokens=False)
    return time.perf_counter() - start


def _making(path: Path, listed: Sequence[InputFile], target: Target) -> float:
    """Seconds, from the file to its shards."""
    (file,) = (file for file in listed if file.name == path.name)
    task = Task(path.stem, "", "", ((file, path),), "text", HELD_OUT, 0.0)
    start = time.perf_counter()
    tokenise_files(task, target, lambda done: None)
    return time.perf_counter() - start


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
