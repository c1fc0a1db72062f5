"""Which files of an unfinished set are whole, on disk from one file to the next."""

from pathlib import Path

from pydantic import ConfigDict, ValidationError

from repro import paths
from repro.data import shards
from repro.data.manifest import MANIFEST, TOKENIZER, Manifest, TokenizerFile
from repro.data.shards import Shard
from repro.recipe.schema import Section

JOURNAL = "unfinished.json"


class _Entries(Section):
    model_config = ConfigDict(extra="ignore")  # so that a manifest reads as a journal

    tokenizer: TokenizerFile | None = None
    shards: tuple[Shard, ...] = ()


class Journal:
    """The files that a killed preparation left whole, and those that this one adds.

    The manifest of a set that was found damaged becomes the journal, which also takes back its commit mark.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if (folder / MANIFEST).is_file():
            (folder / MANIFEST).replace(folder / JOURNAL)
        entries = _read(folder / JOURNAL)
        self._tokenizer = entries.tokenizer
        self._shards = {shard.file: shard for shard in entries.shards}
        self._sweep({TOKENIZER, *self._shards})

    def tokenizer(self, made_from: str) -> TokenizerFile | None:
        """The tokenizer, if it is there, unaltered, and was made from the same."""
        entry = self._tokenizer
        return entry if entry and self._holds(TOKENIZER, entry, made_from) else None

    def shard(self, file: str, made_from: str) -> Shard | None:
        """A shard, if it is there, unaltered, and was made from the same."""
        entry = self._shards.get(file)
        return entry if entry and self._holds(file, entry, made_from) else None

    def enter(self, entry: TokenizerFile | Shard) -> None:
        """Record a file that has just been written whole."""
        if isinstance(entry, Shard):
            self._shards[entry.file] = entry
        else:
            self._tokenizer = entry
        entries = _Entries(tokenizer=self._tokenizer, shards=tuple(self._shards.values()))
        paths.write_whole(self.folder / JOURNAL, entries.model_dump_json(indent=1))

    def commit(self, manifest: Manifest) -> None:
        """Make the set complete: its manifest is written in the journal's place and then renamed."""
        self._sweep({TOKENIZER, *(shard.file for shard in manifest.shards)})
        paths.write_whole(self.folder / JOURNAL, manifest.model_dump_json(indent=1))
        (self.folder / JOURNAL).replace(self.folder / MANIFEST)

    def _holds(self, file: str, entry: TokenizerFile | Shard, made_from: str) -> bool:
        path = self.folder / file
        return entry.made_from == made_from and path.is_file() and shards.sha256(path) == entry.sha256

    def _sweep(self, keep: set[str]) -> None:
        """Remove what killed processes left: parts of files, named with a dot in front, and shards of other inputs."""
        for path in [*self.folder.rglob(".*"), *self.folder.glob("*/*.bin")]:
            if path.relative_to(self.folder).as_posix() not in keep:
                path.unlink()


def _read(path: Path) -> _Entries:
    """The entries in ``path``; none where there is no journal, or one of another version."""
    if not path.is_file():
        return _Entries()
    try:
        return _Entries.model_validate_json(path.read_text())
    except ValidationError:
        return _Entries()
