"""A file of a corpus on this machine: where it is, or where it was fetched to.

A file that is fetched is called ``NAME.part`` until it is whole and has the size and the sha256 that are published. So
a part is never taken for a file, and what is there of it is not fetched twice.
"""

import hashlib
import os
import re
from http import HTTPStatus
from pathlib import Path

from repro.data.files import network
from repro.data.files.inputs import InputFile
from repro.data.files.network import Answer, Patience, Setback
from repro.data.progress import Progress, silent
from repro.data.shards import sha256, size
from repro.errors import DataError

_LONGEST_NAME = 100  # characters of it that are kept, the last ones


def fetch(file: InputFile, folder: Path, progress: Progress = silent) -> Path:
    """Where ``file`` lies whole: a local one where it is, a remote one in ``folder``, fetched unless it is there.

    A server that does not answer, or ends early, is asked again, for the rest only, until five more attempts in a row
    get no further.

    Args:
        file: of a corpus.
        folder: holds a remote file below a name of its own, which ends in that of ``file``.
        progress: told of the bytes.

    Raises:
        DataError: the network or the server failed, the owner has to be asked, or another file was published.
        OSError: the disk is full, or cannot be written.
    """
    if not file.is_remote:
        return Path(file.where)
    path = folder / _flat(file)
    if path.is_file() and not _fault(path, file):
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    _complete(part, file, progress)
    if fault := _fault(part, file):
        part.unlink()
        raise DataError(
            f"{file.name} as {network.host(file.where)} has it: {fault}; removed, run the same command again"
        )
    return part.replace(path)


def _flat(file: InputFile) -> str:
    """A name without folders for one file of one content, so that another revision does not continue its part."""
    own = hashlib.sha256(f"{file.name}\n{file.size}\n{file.sha256}".encode()).hexdigest()[:12]
    return f"{own}-{re.sub(r'[^A-Za-z0-9._-]', '_', file.name.split('/')[-1])[-_LONGEST_NAME:]}"


def _fault(path: Path, file: InputFile) -> str | None:
    """How a file differs from what is published of it."""
    if file.size and (there := size(path)) != file.size:
        return f"expected {file.size} bytes, found {there}"
    if file.sha256 and (found := sha256(path)) != file.sha256:
        return f"expected sha256 {file.sha256[:12]}, found {found[:12]}"
    return None


def _complete(part: Path, file: InputFile, progress: Progress) -> None:
    """Fetch what ``part`` lacks, in as many attempts as it takes while they get further."""
    patience, furthest = Patience(network.host(file.where), progress), size(part)
    while True:
        try:
            _attempt(part, file, progress)
            return
        except Setback as failure:
            if size(part) > furthest:
                furthest = size(part)
                patience.renew()
            if not patience.wait(failure):
                kept = f"the part of {size(part)} bytes is kept, " if size(part) else ""
                raise DataError(f"{failure.what}; {kept}run the same command again") from failure


def _attempt(part: Path, file: InputFile, progress: Progress) -> None:
    have = size(part)
    if file.size and have >= file.size:
        return
    with network.get(file.where, start=have) as answer:
        if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            _check_end(part, file, have, answer)
        else:
            _write(part, file, have, answer, progress)
    if size(part) < file.size:
        raise Setback(f"{network.host(file.where)} ends {file.name} after {size(part)} of {file.size} bytes")


def _write(part: Path, file: InputFile, have: int, answer: Answer, progress: Progress) -> None:
    """Add what is sent to ``part``; a server that knows of no ranges, or sends another one, sends from the start."""
    sent = answer.headers.get("Content-Range", "")
    if answer.status == HTTPStatus.PARTIAL_CONTENT and not sent.startswith(f"bytes {have}-"):
        part.unlink(missing_ok=True)
        raise Setback(f"{network.host(file.where)} sends {sent!r} of {file.name}: expected the bytes from {have} on")
    done = have if answer.status == HTTPStatus.PARTIAL_CONTENT else 0
    total = file.size or done + int(answer.headers.get("Content-Length", -done))
    with part.open("ab") as out:
        out.truncate(done)
        for chunk in answer.chunks:
            out.write(chunk)
            done += len(chunk)
            progress("download", done, total)
        out.flush()
        os.fsync(out.fileno())


def _check_end(part: Path, file: InputFile, have: int, answer: Answer) -> None:
    """The server has no byte from ``have`` on: the part is whole, if that is where it says that the file ends."""
    if not file.size and answer.headers.get("Content-Range") != f"bytes */{have}":
        part.unlink()
        raise Setback(f"{network.host(file.where)} has less of {file.name} than the {have} bytes that were here")
