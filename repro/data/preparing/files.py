"""From files of documents, here or on the network, to token shards: several processes, restartable at any moment.

A piece of the corpus is a large file or several small ones (:mod:`repro.data.files.pieces`). A thread fetches or
checks its files, a process tokenises it, and it is entered in the journal as soon as it is whole. Several machines can
share a set: each prepares a part in a folder of its own, and the preparation of the whole takes over what they made.
"""

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import tokenizers

from repro import paths
from repro.data import shards
from repro.data.corpora import Document
from repro.data.files.fetch import fetch
from repro.data.files.inputs import InputFile, Listing
from repro.data.files.pieces import FilePiece, enough, listing_digest, pieces
from repro.data.files.reading import Unusable, documents
from repro.data.manifest import Piece, Prepared, TokenizerFile
from repro.data.preparing.estimate import Estimate, estimate
from repro.data.preparing.guards import alone, disk_told, downloads
from repro.data.preparing.journal import Journal
from repro.data.preparing.making import TOKENIZER_BYTES, Making, as_asked, check_splits, digest
from repro.data.preparing.parallel import Crew, Meter, in_parallel
from repro.data.preparing.parts import Part, parts_of
from repro.data.preparing.tokenise import Task, document, tokenise_files
from repro.data.preparing.tokenizer_files import Given, Own, prepared_folder
from repro.data.progress import Progress, part_of, silent
from repro.recipe.machine import cores

FORMAT = "1"  # of how a document becomes tokens; another one makes every piece anew
LONG_RUN = re.compile(r"\S{1000}")  # of letters; training takes the square of the time for one that is as long
SAMPLED = TOKENIZER_BYTES // 4  # bytes of one piece's text that the tokenizer is trained on, where there are several


@dataclass(frozen=True)
class Asked:
    """What is to be prepared, and how.

    Attributes:
        corpus: the name of the set.
        listing: its files.
        by: the tokenizer.
        text_key: the field of a document's text.
        held_out: one document in so many is for validation, where the files' publisher has not split them.
        unusable: the share of a piece's documents that may be unusable.
        share: of the corpus, in natural proportions.
        expected: tokens of the whole corpus, as published or by a rule of thumb.
        settings: what was asked for that decides what the set holds, for its manifest.
    """

    corpus: str
    listing: Listing
    by: Own | Given
    text_key: str = "text"
    held_out: int = 20
    unusable: float = 0.0
    share: float = 1.0
    expected: int = 0
    settings: tuple[tuple[str, str], ...] = ()

    @cached_property
    def pieces(self) -> tuple[FilePiece, ...]:
        """Of what is asked for, in natural proportions."""
        return enough(pieces(self.listing.files), self.share)

    def of(self, part: Part | None) -> tuple[FilePiece, ...]:
        """Those of a part."""
        return self.pieces[part.number - 1 :: part.of] if part else self.pieces

    def estimate(self, wanted: Sequence[FilePiece], processes: int) -> Estimate:
        """What it takes to prepare some of the pieces."""
        share = _bytes(wanted) / max(1, _bytes(pieces(self.listing.files)))
        return estimate(
            wanted,
            tokens=int(share * self.expected),
            vocab_size=self.by.vocab_size,
            kind=self.by.kind,
            processes=processes,
        )

    @property
    def split_rule(self) -> str:
        """How documents are held out."""
        rule = f"validation if int(sha256(text)[:8]) % {self.held_out} == 0"
        given = any(file.split for file in self.listing.files)
        return f"the publisher's, where there is one; else {rule}" if given else rule


def _bytes(wanted: Iterable[FilePiece]) -> int:
    return sum(piece.n_bytes for piece in wanted)


def prepare_files(
    asked: Asked,
    *,
    part: Part | None = None,
    processes: int | None = None,
    root: Path | None = None,
    progress: Progress = silent,
) -> Prepared | Path:
    """The set that is ``asked`` for, or the folder of a ``part`` of it.

    Args:
        asked: which files, and what becomes of them.
        part: which share of the pieces; all by default, those of finished parts taken over.
        processes: that tokenise; one for each core by default.
        root: where prepared sets lie; ``$REPRO_DATA`` by default.
        progress: told of every stage; a stage that begins with spaces is one of several at once.

    Raises:
        DataError: a file, the network or the disk failed, or the set is there with other contents.
    """
    whole = prepared_folder(asked.corpus, asked.by.kind, asked.by.vocab_size, root or paths.prepared())
    folder = part.folder(whole) if part else whole
    with disk_told(folder):
        if there := as_asked(whole, asked.by, dict(asked.settings), progress):
            return there
        with alone(folder, progress):
            if there := as_asked(whole, asked.by, dict(asked.settings), progress):
                return there
            journal = Journal(folder, asked.by.vocab_size, dict(asked.settings))
            making = Making(journal, asked.corpus, asked.by, progress)
            preparation = _Preparation(asked, making, processes or cores())
            return preparation.part(part) if part else preparation.whole()


@dataclass(frozen=True)
class _Preparation:
    asked: Asked
    making: Making
    processes: int

    def whole(self) -> Prepared:
        """All pieces, those of the parts included, and the manifest."""
        with parts_of(self.making.folder) as parts:
            self.making.journal.adopt(parts)
            for part in parts:
                _remove(part, downloads(part))
            by, made = self._all(self.asked.pieces)
            check_splits(made, self.asked.listing.found_in, self.asked.held_out, lacking="more")
            return self.making.commit(
                sorted(made, key=lambda piece: piece.name),
                by,
                found_in=self.asked.listing.found_in,
                split_rule=self.asked.split_rule,
                left_out=self.asked.listing.left_out,
                settings=dict(self.asked.settings),
            )

    def part(self, part: Part) -> Path:
        """Its pieces, in the journal."""
        self._all(self.asked.of(part))
        return self.making.folder

    @property
    def _downloads(self) -> Path:
        return downloads(self.making.folder)

    def _tokenizer(self) -> TokenizerFile:
        asked = self.asked
        made_from = digest(
            str(asked.by.vocab_size),
            tokenizers.__version__,
            asked.text_key,
            str(asked.held_out),
            listing_digest(file for piece in asked.pieces for file in piece.files),
        )
        return self.making.tokenizer(self._sample(), made_from)

    def _sample(self) -> Iterator[Document]:
        """Training documents from as many pieces as it takes, the first ones in natural proportions."""
        total, wanted = 0, self.asked.pieces
        most = max(SAMPLED, TOKENIZER_BYTES // len(wanted))
        for piece in wanted:
            of_piece = 0
            for found in self._training(piece):
                yield found
                total += found.n_bytes
                of_piece += found.n_bytes
                if total >= TOKENIZER_BYTES:
                    return
                if of_piece >= most:
                    break

    def _training(self, piece: FilePiece) -> Iterator[Document]:
        for file in piece.files:
            for found in documents(fetch(file, self._downloads, self.making.progress), file.name, self.asked.text_key):
                if not isinstance(found.text, Unusable):
                    text = document(f"{file.name}, {found.at}", found.text, self.asked.held_out, file.split)
                    if text.split == "train":
                        yield replace(text, text=LONG_RUN.sub(r"\g<0> ", text.text))

    def _all(self, wanted: Sequence[FilePiece]) -> tuple[TokenizerFile, list[Piece]]:
        self._check_disk(wanted)
        by, processes = self._tokenizer(), max(1, min(self.processes, len(wanted)))
        meter = Meter(self.making.progress, "tokenise", sum(piece.n_bytes for piece in wanted))
        made = in_parallel(
            wanted, partial(self._piece, by, meter), processes=processes, threads=max(1, cores() // processes)
        )
        _remove(self._downloads)
        return by, made

    def _check_disk(self, wanted: Sequence[FilePiece]) -> None:
        """Of what is not there yet."""
        missing = [piece for piece in wanted if piece.name not in self.making.journal]
        self.asked.estimate(missing, self.processes).check_disk(self.making.folder)

    def _piece(self, by: TokenizerFile, meter: Meter, piece: FilePiece, crew: Crew) -> Piece:
        """In one of several threads."""
        crew.check()
        rules = self.asked.text_key, str(self.asked.held_out)
        made_from = digest(FORMAT, by.sha256, *rules, *map(_identity, piece.files))
        if kept := self.making.journal.piece(piece.name, made_from):
            meter(piece.files[0].name, piece.n_bytes, piece.n_bytes)
            return kept
        made = self._made(piece, made_from, meter, crew)
        crew.check()
        self.making.journal.enter(made)
        meter(piece.files[0].name, piece.n_bytes, piece.n_bytes)
        return made

    def _made(self, piece: FilePiece, made_from: str, meter: Meter, crew: Crew) -> Piece:
        def fetching(stage: str, done: int, total: int) -> None:
            crew.check()
            self.making.progress(part_of(f"{stage} {piece.files[0].name}"), done, total)

        files = tuple((file, fetch(file, self._downloads, fetching)) for file in piece.files)
        task = Task(
            name=piece.name,
            subset=piece.subset,
            made_from=made_from,
            files=files,
            text_key=self.asked.text_key,
            held_out=self.asked.held_out,
            unusable=self.asked.unusable,
        )
        with crew.free() as worker:
            made = worker(partial(tokenise_files, task, self.making.target), partial(_of, meter, piece))
        for file, path in files:
            if file.is_remote:
                path.unlink()
        return made


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _of(meter: Meter, piece: FilePiece, done: int) -> None:
    meter(piece.files[0].name, done, piece.n_bytes)


def _identity(file: InputFile) -> str:
    """What tells a file's content from another."""
    if file.is_remote:
        return f"{file.name} {file.sha256 or f'{file.where} {file.size}'} {file.split}"
    return f"{file.name} {shards.sha256(Path(file.where))} {file.split}"
