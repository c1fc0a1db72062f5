"""Which files a corpus is made of: on the hub, in a list of addresses, or in a folder of one's own."""

import hashlib
import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

import pyarrow as pa
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.hf_api import RepoFile

from repro.data.corpora import Split
from repro.data.files import network
from repro.data.files.inputs import InputFile, Listing
from repro.data.files.reading import COMPRESSED, JSON_LINES
from repro.errors import DataError, nearest
from repro.recipe.sources import Files, Source

_ARCHIVE = ".zip"
_NOT_PACKED = {".parquet", _ARCHIVE}  # formats that compress by themselves
_EXPECTED = "text, JSON lines, parquet or zip files"
_AT_ONCE = 16  # requests
_BEGINNING = 8192  # bytes of a file that tell whether it is text


def listed(source: Source) -> Listing:
    """The files of a data set of the hub or the web that its manifest's patterns select.

    They are in the order of the manifest, ``mixed`` before ``train`` before ``validation``, subset by subset, and by
    name in each. The hub's are those of one commit, whatever becomes of its branch.

    Raises:
        DataError: they cannot be listed, a pattern selects none of them, or two select the same one.
    """
    if source.read is None or source.kind == "embedded":
        raise DataError(
            f"the manifest of {source.name} lists no files: expected a set of the hub or the web with `read`"
        )
    found, found_in = _on_hub(source) if source.kind == "hub" else _on_web(source)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        files = tuple(threads.map(_sized, _selected(found, source.read, found_in)))
    return Listing(files, found_in, {})


class _Part(NamedTuple):
    """Of a corpus."""

    split: Split | None
    subset: str


def _selected(found: Mapping[str, InputFile], read: Files, found_in: str) -> Iterator[InputFile]:
    by: dict[str, str] = {}  # pattern, of every name that one has selected
    for part, patterns in _parts(read).items():
        own = []
        for pattern in patterns:
            names = [name for name in found if fnmatchcase(name, pattern)]
            if not names:
                some = ", ".join(sorted(found)[:3])
                hint = nearest(pattern, found) or f" There is {some} ..."
                raise DataError(f"{found_in}: {pattern!r} selects none of its {len(found)} files.{hint}")
            if twice := next((name for name in names if name in by), None):
                raise DataError(f"{found_in}: {by[twice]!r} and {pattern!r} both select {twice}: expected one of them")
            by |= dict.fromkeys(names, pattern)
            own += names
        yield from (replace(found[name], subset=part.subset, split=part.split) for name in sorted(own))


def _parts(read: Files) -> dict[_Part, tuple[str, ...]]:
    splits: dict[Split | None, dict[str, tuple[str, ...]]] = {None: read.mixed}
    splits |= {"train": read.train, "validation": read.validation}
    return {_Part(split, subset): by for split, subsets in splits.items() for subset, by in subsets.items()}


def _on_hub(source: Source) -> tuple[dict[str, InputFile], str]:
    """All files of a repository at the commit that its revision stands for, by their path."""
    endpoint, repository = network.endpoint(), source.source
    api = HfApi(endpoint=endpoint)
    commit = network.patiently(lambda: _commit(api, source), endpoint)
    with network.in_words(endpoint):
        tree = list(api.list_repo_tree(repository, repo_type="dataset", revision=commit, recursive=True))
    found = {}
    for file in tree:
        if isinstance(file, RepoFile):
            where = hf_hub_url(repository, file.path, repo_type="dataset", revision=commit, endpoint=endpoint)
            sha256 = file.lfs.sha256 if file.lfs else None
            found[file.path] = InputFile(file.path, "", where, file.size, sha256)
    return found, f"huggingface.co/datasets/{repository} at {commit}"


def _commit(api: HfApi, source: Source) -> str:
    with network.in_words(network.endpoint()):
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        commit = api.dataset_info(source.source, revision=source.revision, timeout=timeout).sha
    if commit is None:
        raise DataError(f"{network.endpoint()} names no commit of {source.source} for revision {source.revision!r}")
    return commit


def _on_web(source: Source) -> tuple[dict[str, InputFile], str]:
    """The files that a list names, by their path below the longest folder that they share."""
    raw = "\n".join(source.addresses).encode() or network.patiently(lambda: _content(source.source), source.source)
    found_in = f"{source.source}, list of sha256 {hashlib.sha256(raw).hexdigest()[:12]}"
    paths = {at: f"/{network.host(at)}{unquote(urlsplit(at).path)}" for at in _addresses(raw, source.source)}
    if not paths:
        raise DataError(f"{found_in}: expected an address on each line, found none")
    folder = posixpath.commonpath([posixpath.dirname(path) for path in paths.values()])
    found: dict[str, InputFile] = {}
    for where, path in paths.items():
        name = posixpath.relpath(path, folder)
        if name in found:
            raise DataError(f"{found_in}: {found[name].where} and {where} are both called {name}: expected other names")
        found[name] = InputFile(name, "", where, 0)
    return found, found_in


def _sized(file: InputFile) -> InputFile:
    """With its size by its server, which may not say it; one that is not there is told before any work is done."""
    return file if file.size else replace(file, size=network.patiently(lambda: _length(file.where), file.where))


def _length(address: str) -> int:
    with network.get(address) as answer:
        return int(answer.headers.get("Content-Length", 0))


def _content(address: str) -> bytes:
    with network.get(address) as answer:
        return b"".join(answer.chunks)


def _addresses(raw: bytes, address: str) -> Iterator[str]:
    """One a line; relative ones are below the list's folder. Blank lines are left out, and those that begin with #."""
    try:
        lines = raw.decode().splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{address}, byte {error.start}: expected a list in UTF-8") from error
    for number, line in enumerate(map(str.strip, lines), 1):
        if line and not line.startswith("#"):
            where = urljoin(address, line)
            if not where.startswith(("http://", "https://")):
                raise DataError(f"{address}, line {number}: expected an http(s) address, found {line!r}")
            yield where


def in_folder(root: Path) -> Listing:
    """The files of a folder of one's own, or one file, by name; links are followed, to no folder twice.

    A file's subset is the first folder below ``root``. One that lies in ``root`` itself belongs to the subset called as
    ``root`` is, but an archive counts as a folder, called as it is without its ``.zip``. Left out and counted are
    hidden and empty files, and those that are neither text nor of a format that can be read.

    Raises:
        DataError: there is no such folder, nothing to be read in it, or a file that cannot be opened.
    """
    left_out: Counter[str] = Counter()
    with _refusal_told(root):
        if not (root.is_dir() or root.is_file()):
            raise _absent(root)
        files = tuple(_usable(root, left_out))
    if not files:
        without = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items())) or "it is empty"
        raise DataError(f"{root} holds no {_EXPECTED}: {without}")
    found_in = f"the {'folder' if root.is_dir() else 'file'} {root.resolve()}"
    return Listing(files, found_in, dict(sorted(left_out.items())))


def _absent(root: Path) -> DataError:
    beside = [path.name for path in root.parent.iterdir()] if root.parent.is_dir() else []
    return DataError(f"there is no folder or file {root}: expected {_EXPECTED}.{nearest(root.name, beside)}")


def _usable(root: Path, left_out: Counter[str]) -> Iterator[InputFile]:
    paths = _below(root, set(), left_out) if root.is_dir() else [root]
    named = {path.relative_to(root).as_posix() if root.is_dir() else root.name: path for path in paths}
    for name, path in sorted(named.items()):
        with _refusal_told(path):
            size, reason = path.stat().st_size, _unusable(name, path)
        if reason:
            left_out[reason] += 1
        else:
            yield InputFile(name, _subset(root, name), str(path), size)


def _below(folder: Path, known: set[Path], left_out: Counter[str]) -> Iterator[Path]:
    """The files below a folder, each folder once however many links lead to it."""
    known.add(folder.resolve())
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            left_out["hidden"] += 1
        elif path.is_file():
            yield path
        elif not path.is_dir():
            left_out["neither file nor folder"] += 1  # a link that leads nowhere, a pipe
        elif path.resolve() in known:
            left_out["linked twice"] += 1
        else:
            yield from _below(path, known, left_out)


def _unusable(name: str, path: Path) -> str | None:
    """Why a file is left out."""
    packed, suffix = _suffixes(name)
    if not path.stat().st_size:
        return "empty"
    if name != name.encode(errors="replace").decode():
        return "name not UTF-8"  # which no manifest could hold
    if suffix in JSON_LINES or (suffix in _NOT_PACKED and not packed):
        return None
    with path.open("rb") as file, pa.input_stream(file, compression=COMPRESSED.get(packed)) as stream:
        return f"not text ({suffix + packed or 'no suffix'})" if b"\0" in stream.read(_BEGINNING) else None


def _suffixes(name: str) -> tuple[str, str]:
    """How a file is compressed, and its format below that."""
    path = PurePosixPath(name.lower())
    return (path.suffix, PurePosixPath(path.stem).suffix) if path.suffix in COMPRESSED else ("", path.suffix)


def _subset(root: Path, name: str) -> str:
    folder = PurePosixPath(name).parent.parts
    if folder:
        return folder[0]
    if root.is_dir() and not name.lower().endswith(_ARCHIVE):
        return root.resolve().name or "files"
    return name[: len(name) - len("".join(_suffixes(name)))]


@contextmanager
def _refusal_told(path: Path) -> Iterator[None]:
    """Says in one line what cannot be opened, or not be unpacked."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot read {error.filename or path}: {error.strerror or error}") from error
