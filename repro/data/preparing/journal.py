"""Which pieces of an unfinished set are whole, on disk from one to the next."""

import threading
from collections.abc import Iterable
from pathlib import Path

from pydantic import ConfigDict, Field, ValidationError

from repro import paths
from repro.data.manifest import MANIFEST, PAGE, TOKENIZER, Manifest, Piece, TokenizerFile
from repro.data.shards import Stored
from repro.errors import DataError
from repro.recipe.schema import Section

JOURNAL = "unfinished.json"


class _Entries(Section):
    model_config = ConfigDict(extra="ignore")  # so that a manifest reads as a journal

    tokenizer: TokenizerFile | None = None
    pieces: tuple[Piece, ...] = ()
    settings: dict[str, str] = Field(default_factory=dict)
    fingerprint: str | None = None  # of a set that was complete


class Journal:
    """What a killed preparation left whole, and what this one adds; several threads may ask and add.

    The manifest of a set that was found damaged becomes the journal, which also takes back its commit mark.

    Attributes:
        before: the fingerprint of the set, if it was complete.

    Raises:
        DataError: the set was begun with other settings.
    """

    def __init__(self, folder: Path, vocab_size: int, settings: dict[str, str] | None = None) -> None:
        self.folder, self.vocab_size, self.settings = folder, vocab_size, settings or {}
        self._lock = threading.Lock()
        entries = _read(folder / (MANIFEST if (folder / MANIFEST).is_file() else JOURNAL))
        self._refuse_others(folder, entries)
        if (folder / MANIFEST).is_file():
            (folder / MANIFEST).replace(folder / JOURNAL)
        self.before = entries.fingerprint
        self._tokenizer = entries.tokenizer
        self._pieces = {piece.name: piece for piece in entries.pieces}
        self._sweep()

    def tokenizer(self, made_from: str) -> TokenizerFile | None:
        """The tokenizer, if it is there, unaltered, and was made from the same."""
        entry = self._tokenizer
        if entry is None or entry.made_from != made_from:
            return None
        return entry if Stored(TOKENIZER, 0, None, entry.sha256).is_whole(self.folder) else None

    def refuse_other_tokenizer(self, made_from: str) -> None:
        """Keep what was made with another tokenizer from being thrown away.

        Raises:
            DataError: there is such.
        """
        entry = self._tokenizer
        if self._pieces and entry and entry.made_from != made_from:
            raise DataError(
                f"{self.folder} was begun with another tokenizer, of sha256 {entry.sha256[:12]}...; this one has "
                f"{made_from[:12]}...: give the same one, another name=NAME, or remove that folder"
            )

    def piece(self, name: str, made_from: str) -> Piece | None:
        """A piece, if all its files are there, unaltered, and were made from the same."""
        entry = self._pieces.get(name)
        if entry is None or entry.made_from != made_from:
            return None
        return entry if all(part.is_whole(self.folder) for part in entry.stored(self.vocab_size)) else None

    def _refuse_others(self, folder: Path, entries: _Entries) -> None:
        """Keep what was made with other settings from being thrown away."""
        if entries.pieces and entries.settings != self.settings:
            raise DataError(
                f"{folder} was begun with {spelt(entries.settings)}, not with {spelt(self.settings)}: give the same, "
                "another name=NAME, or remove that folder"
            )

    def __contains__(self, name: str) -> bool:
        """Whether there is a piece of that name, whatever its state."""
        return name in self._pieces

    def enter(self, *entries: TokenizerFile | Piece) -> None:
        """Record what has just been written whole."""
        with self._lock:
            for entry in entries:
                if isinstance(entry, Piece):
                    self._pieces[entry.name] = entry
                else:
                    self._tokenizer = entry
            pieces = tuple(self._pieces.values())
            written = _Entries(tokenizer=self._tokenizer, pieces=pieces, settings=self.settings)
            paths.write_whole(self.folder / JOURNAL, written.model_dump_json())

    def adopt(self, parts: Iterable[Path]) -> None:
        """Take over the pieces that other preparations of the same set finished in folders of their own.

        They are entered before their files move, so that whenever this is killed each file is where one of the two
        journals expects it, and doing it again does the rest.
        """
        for part in parts:
            theirs = _read(part / JOURNAL)
            self._refuse_others(part, theirs)
            new = [piece for piece in theirs.pieces if piece.name not in self]
            tokenizer = [theirs.tokenizer] if theirs.tokenizer and self._tokenizer is None else []
            self.enter(*tokenizer, *new)
            for file in (TOKENIZER, *self._files(theirs.pieces)):
                _move(part / file, self.folder / file)

    def commit(self, manifest: Manifest, page: str) -> None:
        """Make the set complete: its manifest is written in the journal's place and then renamed."""
        self._pieces = {piece.name: piece for piece in manifest.pieces}
        self._sweep()
        paths.write_whole(self.folder / PAGE, page)
        paths.write_whole(self.folder / JOURNAL, manifest.model_dump_json(indent=1))
        (self.folder / JOURNAL).replace(self.folder / MANIFEST)

    def _sweep(self) -> None:
        """Remove what killed processes left: parts of files, named with a dot in front, and pieces of other inputs."""
        keep = self._files(self._pieces.values())
        for path in [*self.folder.rglob(".*"), *self.folder.glob("*/*.bin")]:
            if path.relative_to(self.folder).as_posix() not in keep and (path.is_file() or path.is_symlink()):
                path.unlink(missing_ok=True)

    def _files(self, pieces: Iterable[Piece]) -> set[str]:
        return {part.file for piece in pieces for part in piece.stored(self.vocab_size)}


def spelt(settings: dict[str, str]) -> str:
    """As they were typed."""
    return " ".join(f"{key}={value}" for key, value in settings.items()) or "no settings"


def _move(here: Path, there: Path) -> None:
    if here.is_file() and not there.is_file():
        there.parent.mkdir(parents=True, exist_ok=True)
        here.replace(there)


def _read(path: Path) -> _Entries:
    """The entries in ``path``; none where there is no journal, or one of another version."""
    if not path.is_file():
        return _Entries()
    try:
        return _Entries.model_validate_json(path.read_bytes())
    except ValidationError:
        return _Entries()
