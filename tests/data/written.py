"""What tests of preparing files share: a folder of every format, `repro prepare` as processes, and work done in place.

A worker takes a second to start. So only tests of processes start them; others have the same work done by threads of
their own process, through ``in_place``.
"""

import bz2
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from repro.data import tokenizer
from repro.data.manifest import MANIFEST, Prepared
from repro.data.preparing.journal import JOURNAL
from repro.data.preparing.start import start
from repro.errors import ReproError
from tests.data.trees import contents, source

KEY = "body"  # the field of a document's text
VOCABULARY = 320
FOLDER = Path("every") / f"bpe-{VOCABULARY}"
DOCUMENTS = {"code": 4, "essays": 121, "forum": 80, "news": 160, "talks": 120, "web": 400, "wiki": 400}  # by subset


def texts(seed, n):
    """Documents that all differ."""
    return [source(1000 * seed + number) for number in range(n)]


def json_lines(texts, key=KEY):
    """A document a line, beside other fields."""
    rows = ({"id": number, "meta": {"n": [number]}, key: text} for number, text in enumerate(texts))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def zstd(raw):
    """Compressed."""
    return pa.Codec("zstd").compress(raw).to_pybytes()


def parquet(texts, key=KEY):
    """A document a row, in groups of rows."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": range(len(texts)), key: texts}), sink, row_group_size=30)
    return sink.getvalue()


def zipped(members):
    """An archive of ``members`` by name."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)
    return sink.getvalue()


def every_format(root):
    """A folder of seven subsets of different sizes, each of which becomes a piece; and the words that ask for it."""
    files = {
        "code/a.txt": "".join(texts(1, 130)).encode(),  # of which three documents are made
        "code/b.md": source(2).encode(),
        "essays.zip": zipped({"a.txt": source(3), "b/c.jsonl": json_lines(texts(3, 120))}),
        "forum/a.jsonl": json_lines(texts(4, 80)),
        "news/a.ndjson": json_lines(texts(5, 160)),
        "talks/a.json.bz2": bz2.compress(json_lines(texts(6, 120))),
        "web/a.jsonl.gz": gzip.compress(json_lines(texts(7, 200))),
        "web/deep/b.jsonl.zst": zstd(json_lines(texts(8, 200))),
        "wiki/a.parquet": parquet(texts(9, 400)),
    }
    return f"path={written(root, files)}", f"text_key={KEY}", f"vocab_size={VOCABULARY}"


def written(root, files):
    """Write ``files``, bytes by name."""
    for name, raw in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    return root


def own_tokenizer(path, seed=0, *, backwards=False):
    """A file of one, trained on a few documents; it knows other words where they are read backwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    step = -1 if backwards else 1
    tokenizer.train([text[::step] for text in texts(seed, 20)], VOCABULARY).save(str(path))
    return path


# Work in place


@contextmanager
def in_place(n, n_threads):
    """Stands for ``workers`` of real processes: the threads that would wait for them do their work."""
    yield [lambda work, told: work(told)] * n


def prepare(*words):
    """Prepare as the command line does, but quietly."""
    start(words, console=Console(quiet=True))


def refusal(*words):
    """The one line that this is refused with."""
    with pytest.raises(ReproError) as caught:
        prepare(*words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def said(*words):
    """What preparing says on the terminal, in lines."""
    console = Console(file=io.StringIO(), width=200)
    start(words, console=console)
    return console.file.getvalue().splitlines()


def assert_same(folder, files):
    """By name, since to show how bytes differ takes minutes."""
    found = contents(folder)
    assert found.keys() == files.keys()
    assert [name for name, raw in found.items() if raw != files[name]] == []


def opened(folder):
    """The set in ``folder``, verified."""
    there = Prepared.open(folder)
    there.verify()
    return there


def finished_pieces(folder):
    """What tells each shard of a finished piece from one that was written later, by file."""
    path = next((folder / name for name in (JOURNAL, MANIFEST) if (folder / name).is_file()), None)
    pieces = json.loads(path.read_text())["pieces"] if path else []
    files = [folder / shard["file"] for piece in pieces for shard in piece["shards"]]
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


# Killed


class Killed(BaseException):
    """Stands for a process that ends."""


def killed_at(nth, module, function, *words):
    """Prepare until ``function`` of ``module`` is called for the n-th time, from 0; whether it came to that."""
    real, calls = getattr(module, function), count()

    def killing(*arguments, **options):
        if next(calls) == nth:
            raise Killed
        return real(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, function, killing)
        try:
            prepare(*words)
        except Killed:
            return True
    return False


# Processes


class Command:
    """`repro prepare` as a process that leads a session of its own, to which all belong that it starts."""

    def __init__(self, words, root, *, prefix=()):
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "repro", "prepare", *words],
            env=os.environ | {"REPRO_DATA": str(root), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid, self.root = self._process.pid, root

    def end(self, seconds=60):
        """Its exit code and what it said on stderr."""
        try:
            _, stderr = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        return self._process.returncode, stderr

    def goes_on(self, seconds):
        """Whether it is still there after so many."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def kill(self):
        """All of it at once, as a machine that loses its power."""
        os.killpg(self.pid, signal.SIGKILL)
        self._process.communicate()

    @property
    def processes(self):
        """Command lines by pid, of all that is left of it."""
        return {pid: line for pid, session, line in _running() if session == self.pid}

    @property
    def workers(self):
        """The pids of those that tokenise."""
        return [pid for pid, line in self.processes.items() if "spawn_main" in line]


def until(true, seconds=30):
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
    return found


def _running():
    """Pid, session and command line of each process that is not just waited for."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session = (path / "stat").read_text().rpartition(") ")[2].split()[:4]
            line = (path / "cmdline").read_text()
        except OSError:  # it ended meanwhile
            continue
        if state != "Z":
            yield int(path.name), int(session), line
