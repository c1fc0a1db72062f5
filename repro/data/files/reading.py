"""The documents of a file, one at a time, in memory that depends on the longest of them and not on the file.

``.jsonl .ndjson .json``  JSON lines: a document is the field ``text_key`` of each
``.parquet``              a document is the column ``text_key`` of each row
``.zip``                  its members, each read by its own name
anything else             text; above 64 KiB it is cut, at the ends of lines if it has any, into documents of that

All but ``.parquet`` and ``.zip`` may be compressed (``.gz .zst .zstd .bz2``). Reading is our own and not that of
``datasets``: its JSON reader guesses a type for every field, and fails or reads whole files where they vary, as
RedPajama's ``meta`` does; it holds a line of any length in memory, and cannot name the line that is not UTF-8. Of
parquet a page is held whole, with up to 1,024 documents as Arrow writes it.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic_core import from_json

from repro.errors import DataError

COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2"}
JSON_LINES = {".jsonl", ".ndjson", ".json"}
LARGEST = 16 * 2**20  # bytes of a document, or of its line; the tokenizer needs 110 times as much memory
NO_DOCUMENT = "not text"  # what is no document at all, so that it need not be usable
PART = 64 * 2**10  # bytes of a document of plain text
_READ = 2**20  # bytes at a time
_ROWS = 64  # of parquet at a time
_BOM = b"\xef\xbb\xbf"


class Unusable(NamedTuple):
    """Why a document cannot be used."""

    reason: str  # one of a few, to be counted
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class Found(NamedTuple):
    """A document, where it stands in its file, and how many bytes of the file were read by then."""

    at: str
    text: str | Unusable
    read: int


def documents(path: Path, name: str, text_key: str) -> Iterator[Found]:
    """The documents of ``path``, whose format its ``name`` tells.

    Raises:
        DataError: the file ends early, is damaged, or has no such column.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == ".parquet":
        yield from _parquet(path, text_key)
    elif suffix == ".zip":
        yield from _zip(path, text_key)
    else:
        with path.open("rb") as file:
            yield from _stream(file, name, str(path), text_key)


def _stream(file: IO[bytes], name: str, where: str, text_key: str) -> Iterator[Found]:
    """The documents of a file that is read from its beginning to its end."""
    packed, plain = COMPRESSED.get(PurePosixPath(name).suffix.lower()), PurePosixPath(name)
    lines = (plain.with_suffix("") if packed else plain).suffix.lower() in JSON_LINES
    unpacked = pa.input_stream(file, compression=packed, buffer_size=_READ) if packed else file
    with io.BufferedReader(cast(io.RawIOBase, unpacked), _READ) as reader:
        at = "its beginning"
        with _damage_told(where, lambda: at):
            for at, text in _lines(reader, text_key) if lines else _parts(reader):
                yield Found(at, text, file.tell())


def _lines(reader: "io.BufferedReader[Any]", text_key: str) -> Iterator[tuple[str, str | Unusable]]:
    number = 0
    while line := reader.readline(LARGEST + 1):
        number += 1
        if len(line) > LARGEST:
            _rest(reader, line)
            yield f"line {number}", _enormous()
        elif line := line.removeprefix(_BOM).strip() if number == 1 else line.strip():
            yield f"line {number}", _field(line, text_key)


def _rest(reader: "io.BufferedReader[Any]", line: bytes) -> int:
    """How many bytes the rest of ``line`` has, none of which is kept."""
    passed = 0
    while line and not line.endswith(b"\n"):
        line = reader.readline(_READ)
        passed += len(line)
    return passed


def _field(line: bytes, text_key: str) -> str | Unusable:
    try:
        row = _parsed(line)
    except (ValueError, RecursionError) as error:
        return _undecodable(line) or Unusable("not JSON", f"{error}; expected an object with {text_key!r} on each line")
    if not isinstance(row, dict) or text_key not in row:
        has = f"there is {', '.join(map(str, row)) or 'none'}" if isinstance(row, dict) else "there is no object"
        return Unusable(f"no field {text_key!r}", f"{has:.200}; name it with text_key=")
    text = row[text_key]
    if text is None:
        return Unusable(f"no field {text_key!r}", "it is null")
    return _usable(text) if isinstance(text, str) else Unusable(f"field {text_key!r} is no text", f"{text!r:.80}")


def _parsed(line: bytes) -> Any:
    try:
        return from_json(line, cache_strings=False)
    except ValueError:  # which half a surrogate pair is to it, in whatever field
        return json.loads(line.decode())


def _undecodable(raw: bytes) -> Unusable | None:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return Unusable("not UTF-8", f"byte {raw[error.start]:#04x} at {error.start}")
    return None


def _usable(text: str) -> str | Unusable:
    if not text:
        return Unusable("empty")
    try:
        text.encode()
    except UnicodeEncodeError as error:  # JSON can spell half of a surrogate pair
        return Unusable("not UTF-8", f"half a surrogate pair at character {error.start}")
    return text


def _enormous() -> Unusable:
    return Unusable("enormous", f"expected at most {LARGEST // 2**20} MiB")


def _parts(reader: "io.BufferedReader[Any]") -> Iterator[tuple[str, str | Unusable]]:
    start, rest = 0, b""
    while raw := rest + reader.read(PART):
        raw += reader.readline(PART)
        cut = len(raw) if raw.endswith(b"\n") or not reader.peek(1) else _border(raw)
        raw, rest = raw[:cut], raw[cut:]
        text = raw.removeprefix(_BOM) if start == 0 else raw
        yield f"byte {start}", _undecodable(text) or _usable(text.decode())
        start += len(raw)


def _border(raw: bytes) -> int:
    """Where a line that goes on and on may be cut: after its last space, or else between two letters."""
    if space := raw.rfind(b" ") + 1:
        return space
    cut = len(raw)
    while cut > len(raw) - 4 and raw[cut - 1] & 0xC0 == 0x80:  # within a letter of several bytes
        cut -= 1
    return cut - 1 if raw[cut - 1] >= 0xC0 else cut


def _parquet(path: Path, text_key: str) -> Iterator[Found]:
    at, size, row = "its beginning", path.stat().st_size, 0
    paged = {"pre_buffer": False, "buffer_size": _READ}  # else a group of rows is read whole, which may be all of them
    with _damage_told(str(path), lambda: at), pq.ParquetFile(path, **paged) as file:
        _check_column(file, path, text_key)
        for batch in file.iter_batches(batch_size=_ROWS, columns=[text_key]):
            for raw in batch.column(0).cast(pa.large_binary()):
                at = f"row {row}"
                row += 1
                yield Found(at, _cell(raw.as_py(), text_key), size * row // file.metadata.num_rows)


def _check_column(file: pq.ParquetFile, path: Path, text_key: str) -> None:
    schema = file.schema_arrow
    if text_key not in schema.names:
        raise DataError(
            f"{path} has no column {text_key!r}: expected one of text; it has {', '.join(schema.names)}; "
            "name it with text_key="
        )
    kind = schema.field(text_key).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise DataError(f"{path}: column {text_key!r} is of type {kind}, expected text")


def _cell(raw: bytes | None, text_key: str) -> str | Unusable:
    if raw is None:
        return Unusable(f"no field {text_key!r}", "the cell is empty")
    if len(raw) > LARGEST:
        return _enormous()
    return _undecodable(raw) or _usable(raw.decode())


def _zip(path: Path, text_key: str) -> Iterator[Found]:
    at, read = "its beginning", 0
    with _damage_told(str(path), lambda: at), zipfile.ZipFile(path) as archive:
        for member in sorted(archive.infolist(), key=lambda member: member.filename):
            at = member.filename
            if not member.is_dir() and member.file_size and not PurePosixPath(at).name.startswith("."):
                with archive.open(member) as file:
                    for found in _member(file, at, f"{path}, {at}", text_key):
                        yield found._replace(at=f"{at}, {found.at}", read=read)
            read += member.compress_size


def _member(file: IO[bytes], name: str, where: str, text_key: str) -> Iterator[Found]:
    """Of an archive; one that is not text is no document."""
    reader, suffix = io.BufferedReader(cast(io.RawIOBase, file), _READ), PurePosixPath(name).suffix.lower()
    if suffix not in COMPRESSED and b"\0" in reader.peek(8192)[:8192]:
        yield Found("its beginning", Unusable(f"{NO_DOCUMENT} ({suffix or 'no suffix'})"), 0)
        return
    yield from _stream(reader, name, where, text_key)


@contextmanager
def _damage_told(where: str, at: Callable[[], str]) -> Iterator[None]:
    """A file that ends early or cannot be unpacked is no reason to go on without its rest."""
    try:
        yield
    except (pa.ArrowException, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(_damaged(where, at(), error)) from error
    except RuntimeError as error:  # of zipfile
        raise DataError(
            f"{where} cannot be unpacked at {at()}: {_why(error)}; unpack it yourself and prepare the folder"
        ) from error
    except OSError as error:
        if error.errno is not None:  # of the disk
            raise
        raise DataError(_damaged(where, at(), error)) from error


def _damaged(where: str, at: str, error: Exception) -> str:
    why = _why(error)
    return f"{where} is damaged or ends early, after {at}: {why}; expected the whole file, so fetch or write it again"


def _why(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
