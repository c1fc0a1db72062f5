"""The embedded corpora: Python sources that are already on this machine, as documents in a fixed order.

``python-stdlib``    the standard library of the running Python; a document is a file, and the split is by file
``python-packages``  the installed packages; near duplicates removed, and the split is by package

A document is in the validation split when the first eight bytes of the sha256 of its content (of its package's name,
for ``python-packages``) are 0 modulo 20. So a document that comes or goes never moves another to the other split.
"""

import hashlib
import importlib.util
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from repro.data.progress import Progress, silent
from repro.errors import DataError

Split = Literal["train", "validation"]

VALIDATION_SHARE = 20  # one document, or package, in so many
SMALLEST_FILE = 256  # bytes; below it a file is a licence line or an empty package
SMALLEST_STDLIB = 2_000_000  # bytes of .py files below which a Python counts as stripped
LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "__pycache__"}
TELLING_LINE = 20  # characters; shorter lines (`return self`, `else:`) are in every file
COPIED_TENTHS = 8  # of a document's telling lines


@dataclass(frozen=True, slots=True)
class Document:
    """A text, and the split it belongs to; ``name`` is its path below the corpus's root."""

    name: str
    text: str
    n_bytes: int
    sha256: str
    split: Split


@dataclass(frozen=True)
class Corpus:
    """The documents of a corpus, where they were found, and how many files were left out for which reason."""

    name: str
    found_in: str
    split_rule: str
    documents: tuple[Document, ...]
    left_out: dict[str, int]

    def of(self, split: Split) -> tuple[Document, ...]:
        """The documents of one split, in order."""
        return tuple(document for document in self.documents if document.split == split)


def collect(name: str, roots: Sequence[Path] | None = None, progress: Progress = silent) -> Corpus:
    """The embedded corpus called ``name``, from ``roots`` or from where this Python keeps it.

    Exact duplicates are left out, and for ``python-packages`` near duplicates: going through the documents in order,
    one is left out when at least 8 in 10 of its lines of 20 or more characters, stripped, occur in those kept before.

    Raises:
        DataError: a split would be empty.
    """
    by_package = name == "python-packages"
    found_in, roots = _places(by_package) if roots is None else ("the folders given", roots)
    left_out = {"smaller than 256 bytes": 0, "not UTF-8": 0, "exact duplicates": 0, "near duplicates": 0}
    read = _read(_files(roots), left_out, by_package=by_package, progress=progress)
    documents = tuple(_without_copies(read, left_out, near=by_package))
    corpus = Corpus(name, found_in, _rule(by_package), documents, left_out)
    for split in ("train", "validation"):
        if not corpus.of(split):
            raise DataError(f"{name} has no {split} documents in {', '.join(map(str, roots))}: expected more .py files")
    return corpus


def _rule(by_package: bool) -> str:
    return f"validation if int(sha256({'package name' if by_package else 'content'})[:8]) % {VALIDATION_SHARE} == 0"


def _places(by_package: bool) -> tuple[str, list[Path]]:
    """Where this Python keeps the standard library, or packages; torch's sources when the library is stripped."""
    torch = _torch()
    if by_package:
        installed = [Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")]
        return "the installed packages", list(dict.fromkeys([*installed, torch.parent]))
    stdlib = Path(sysconfig.get_path("stdlib"))
    if sum(path.stat().st_size for _, path in _files([stdlib])) >= SMALLEST_STDLIB:
        return "the standard library", [stdlib]
    return "torch's package sources", [torch]


def _torch() -> Path:
    """The folder of the installed torch, without importing it."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("torch is not installed here, and the kit needs it: expected it among this Python's packages")
    return Path(spec.submodule_search_locations[0])


def _files(roots: Sequence[Path]) -> list[tuple[str, Path]]:
    """The .py files below ``roots`` by name, each name once, without tests and without the kit itself."""
    named: dict[str, Path] = {}
    for root in roots:
        for path in root.rglob("*.py"):
            inside = path.relative_to(root)
            if LEFT_OUT.isdisjoint(inside.parts) and inside.parts[0] != "repro" and path.is_file():
                named.setdefault(inside.as_posix(), path)
    return sorted(named.items())


def _read(
    files: list[tuple[str, Path]], left_out: dict[str, int], *, by_package: bool, progress: Progress
) -> Iterator[Document]:
    done, total = 0, sum(path.stat().st_size for _, path in files)
    for name, path in files:
        raw = path.read_bytes()
        done += len(raw)
        progress("collect", done, total)
        if len(raw) < SMALLEST_FILE:
            left_out["smaller than 256 bytes"] += 1
            continue
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            left_out["not UTF-8"] += 1
            continue
        digest = hashlib.sha256(raw).hexdigest()
        key = hashlib.sha256(name.split("/")[0].removesuffix(".py").encode()).hexdigest() if by_package else digest
        held_out = int(key[:16], 16) % VALIDATION_SHARE == 0
        yield Document(name, text, len(raw), digest, "validation" if held_out else "train")


def _without_copies(documents: Iterator[Document], left_out: dict[str, int], *, near: bool) -> Iterator[Document]:
    known: set[str] = set()  # contents
    lines: set[str] = set()  # telling lines of the documents kept
    for document in documents:
        if document.sha256 in known:
            left_out["exact duplicates"] += 1
            continue
        known.add(document.sha256)
        if near:
            own = [line for line in map(str.strip, document.text.splitlines()) if len(line) >= TELLING_LINE]
            if own and 10 * sum(line in lines for line in own) >= COPIED_TENTHS * len(own):
                left_out["near duplicates"] += 1
                continue
            lines.update(own)
        yield document
