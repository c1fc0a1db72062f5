"""From token files of other programs to a prepared set, without tokenising again: checked, and linked to."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from repro import paths
from repro.data import tokenizer
from repro.data.files.fetch import fetch
from repro.data.files.inputs import InputFile, Listing
from repro.data.manifest import Piece, Prepared
from repro.data.preparing.guards import alone, disk_told
from repro.data.preparing.journal import Journal
from repro.data.preparing.making import Making, as_asked, check_splits
from repro.data.preparing.parallel import Crew, Meter, in_parallel
from repro.data.preparing.tokenizer_files import Given, prepared_folder
from repro.data.preparing.workers import Told
from repro.data.progress import Progress, silent
from repro.data.tokens.imports import SPLIT_RULE, imported, made_from, recognised
from repro.data.tokens.roundtrip import check_tokenizer
from repro.data.tokens.token_file import TokenFile
from repro.errors import DataError
from repro.recipe.machine import cores

FETCHED = "fetched"  # where files from the network stay, since the set's shards are links to them


@dataclass(frozen=True)
class AskedTokens:
    """Which token files are to be read, and with which tokenizer they were made.

    Attributes:
        corpus: the name of the set.
        listing: the files.
        by: the tokenizer.
        held_out: one token in so many is for validation, where the files' publisher has not split them.
        settings: what was asked for that decides what the set holds, for its manifest.
    """

    corpus: str
    listing: Listing
    by: Given
    held_out: int
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Found:
    """A token file, and the listing's entry of it."""

    number: int
    listed: InputFile
    tokens: TokenFile


def prepare_tokens(
    asked: AskedTokens, *, processes: int | None = None, root: Path | None = None, progress: Progress = silent
) -> Prepared:
    """The set that the token files make, which have to stay where they are.

    Args:
        asked: which files.
        processes: that check them; one for each core by default.
        root: where prepared sets lie; ``$REPRO_DATA`` by default.
        progress: told of every stage; a stage that begins with spaces is one of several at once.

    Raises:
        DataError: a file is damaged or of another tokenizer, or the set is there with other contents.
    """
    folder = prepared_folder(asked.corpus, asked.by.kind, asked.by.vocab_size, root or paths.prepared())
    settings = dict(asked.settings)
    with disk_told(folder):
        if there := as_asked(folder, asked.by, settings, progress):
            return there
        with alone(folder, progress):
            if there := as_asked(folder, asked.by, settings, progress):
                return there
            making = Making(Journal(folder, asked.by.vocab_size, settings), asked.corpus, asked.by, progress)
            return _made(asked, making, processes or cores())


def _made(asked: AskedTokens, making: Making, processes: int) -> Prepared:
    found = [_found(number, file, making) for number, file in enumerate(asked.listing.files)]
    by = tokenizer.read(asked.by.path)
    check_tokenizer([one.tokens for one in found], by, asked.by.eos_id)
    file = making.tokenizer((), "")
    meter = Meter(making.progress, "check", sum(one.tokens.size for one in found))
    pieces = in_parallel(found, partial(_piece, asked, making, meter), processes=min(processes, len(found)), threads=1)
    if any(one.listed.split != "validation" for one in found):  # those of a publisher that has no others are for that
        check_splits(pieces, asked.listing.found_in, asked.held_out, lacking="more of them in a file")
    return making.commit(
        pieces,
        file,
        found_in=asked.listing.found_in,
        split_rule=SPLIT_RULE.format(held_out=asked.held_out),
        left_out=asked.listing.left_out,
        settings=dict(asked.settings),
    )


def _found(number: int, file: InputFile, making: Making) -> _Found:
    path = fetch(file, making.folder / FETCHED, making.progress)
    tokens = recognised(path, name=file.name, subset=file.subset)
    if tokens is None:
        raise DataError(f"{file.where} holds no tokens: expected those of dolma, OLMo or Megatron")
    return _Found(number, file, tokens)


def _piece(asked: AskedTokens, making: Making, meter: Meter, found: _Found, crew: Crew) -> Piece:
    """In one of several threads."""
    crew.check()
    name, file = f"{found.number:05d}", found.tokens
    rules: dict[str, Any] = {
        "held_out": asked.held_out,
        "split": found.listed.split,
        "vocab_size": asked.by.vocab_size,
        "eos_id": asked.by.eos_id,
    }
    piece = making.journal.piece(name, made_from(file, **rules))
    if piece is None:
        with crew.free() as worker:
            work = partial(_imported, file, making.folder, name, rules)
            piece = worker(work, partial(_told, meter, file))
        crew.check()
        making.journal.enter(piece)
    meter(file.name, file.size, file.size)
    return piece


def _imported(file: TokenFile, folder: Path, name: str, rules: dict[str, Any], told: Told) -> Piece:
    """In a process of its own."""
    return imported(file, folder=folder, name=name, told=told, **rules)


def _told(meter: Meter, file: TokenFile, done: int) -> None:
    meter(file.name, done, file.size)
