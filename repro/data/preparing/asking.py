"""What a person asks for with ``repro prepare``: the words become files, a tokenizer, and what is done with them."""

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import yaml

from repro import paths
from repro.data.files.inputs import InputFile, Listing
from repro.data.files.listing import in_folder, listed
from repro.data.files.remembered import remembered
from repro.data.preparing.embedded import check_vocabulary
from repro.data.preparing.estimate import tokens_in
from repro.data.preparing.files import Asked
from repro.data.preparing.parts import Part, part
from repro.data.preparing.tokenizer_files import PAPERS, Given, Own
from repro.data.preparing.tokenizer_files import given as tokenizer_given
from repro.data.preparing.tokens import AskedTokens
from repro.data.progress import Progress
from repro.data.tokens.dolma import NoIds
from repro.data.tokens.imports import token_files
from repro.data.tokens.token_file import TokenFile
from repro.errors import DataError
from repro.recipe import sources
from repro.recipe.machine import cores
from repro.recipe.settings import amount, share, truth, whole
from repro.recipe.sources import Files, Source

SETTINGS = (
    "tokenizer",
    "vocab_size",
    "held_out",
    "unusable",
    "tokens",
    "shard",
    "processes",
    "name",
    "dry_run",
    "eos_id",
)
OF_A_FOLDER = ("path", "text_key", *SETTINGS)
DECIDING = ("path", "text_key", "eos_id", "held_out", "tokens")  # what a set holds, beside its corpus and tokenizer
OF_TEXT = ("text_key", "unusable", "tokens", "shard", "vocab_size")  # that mean nothing where tokens are read
OF_TOKENS = ("eos_id",)  # and where text is read
TAKEN = ("images", "listings", "tokenizers")  # folders beside the prepared sets
VOCAB_SIZE = 8192  # of our BPE, as the small scales read it
LARGEST = 1_000_000  # entries; no tokenizer in use has more
MOST = 10**15  # tokens; more than anyone has
HELD_OUT = 20  # one document in so many of a corpus of one's own


@dataclass(frozen=True)
class Order:
    """What is to be prepared, and with which means.

    Attributes:
        asked: the set.
        part: of it, if not all.
        processes: that work.
        dry_run: whether only to say what it would take.
    """

    asked: Asked | AskedTokens
    part: Part | None
    processes: int
    dry_run: bool


def order(dataset: str | None, words: dict[str, str], progress: Progress) -> Order:
    """What ``words`` ask for of a data set that has a manifest, or, without one, of the folder ``path``.

    Raises:
        DataError: a word says nothing that can be done.
    """
    asking = _Asking(dataset, words)
    processes = whole("processes", words.get("processes", str(cores())), largest=4096, such_as=cores())
    shard = part(words["shard"]) if "shard" in words else None
    listing, holds = asking.listing()
    asking.check_apply(holds, listing)
    asked = asking.of_tokens(listing, progress) if holds == "tokens" else asking.of_text(listing, progress)
    return Order(asked, shard, processes, asking.dry_run)


@dataclass(frozen=True)
class _Asking:
    dataset: str | None
    words: dict[str, str]

    @cached_property
    def source(self) -> Source | None:
        return sources.load(self.dataset) if self.dataset else None

    @property
    def read(self) -> Files:
        read = self.source.read if self.source else None
        return read or Files(holds="text", held_out=HELD_OUT)

    @property
    def dry_run(self) -> bool:
        return truth("dry_run", self.words.get("dry_run", "false"))

    @property
    def held_out(self) -> int:
        word = self.words.get("held_out", str(self.read.held_out))
        return whole("held_out", word, smallest=2, largest=10**9, such_as=HELD_OUT)

    @property
    def name(self) -> str:
        """Of the set: a word, since it is a folder and a recipe's value."""
        name = self.words.get("name") or self.dataset or _called(self.root)
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) or not isinstance(yaml.safe_load(name), str):
            raise DataError(
                f"name={name}: expected a word of letters, digits, '-', '_' and '.', such as name=my-corpus"
            )
        if name != self.dataset and name in (*sources.names(), *TAKEN):
            raise DataError(f"name={name} is a name of the kit's own: give another, such as name=my-{name}")
        return name

    @property
    def root(self) -> Path:
        return Path(self.words["path"]).expanduser()

    @property
    def settings(self) -> tuple[tuple[str, str], ...]:
        """What was asked for, however it was spelt, and without what would have been so unasked."""
        typed = {key: self.words[key] for key in DECIDING if key in self.words}
        unasked = {"text_key": self.read.text_key, "held_out": str(self.read.held_out)}
        if "path" in typed:
            typed["path"] = str(self.root.resolve())
        if "tokens" in typed:
            typed["tokens"] = str(amount("tokens", typed["tokens"], largest=MOST))
        return tuple((key, value) for key, value in typed.items() if value != unasked.get(key))

    def listing(self) -> tuple[Listing, str]:
        """The files, and whether they hold text or tokens."""
        if self.source:
            return (listed if self.dry_run else remembered)(self.source), self.read.holds
        root = self.root
        if self.words["path"] in sources.names() and not root.exists():
            raise DataError(f"there is no folder {root} here, but a data set of that name: `repro prepare {root}`")
        if found := _tokens(root):
            files = tuple(InputFile(file.name, file.subset, str(file.files[-1]), file.size) for file in found)
            return Listing(files, str(root.resolve()), _text_beside(root)), "tokens"
        return _without_own(in_folder(root)), "text"

    def by(self, progress: Progress) -> Own | Given:
        word = self.words.get("tokenizer") or (self.source.tokenizer if self.source else "bpe")
        if word == "bpe":
            size = whole("vocab_size", self.words.get("vocab_size", str(VOCAB_SIZE)), largest=LARGEST, such_as=8192)
            check_vocabulary(size)
            return Own(size)
        if "vocab_size" in self.words:
            raise DataError(f"vocab_size is of a BPE that is trained for the corpus, and tokenizer={word} is there")
        if self.dry_run and word in PAPERS:
            source = sources.load_tokenizer(word)  # its file is not needed to say what it would take
            return Given(word, Path(source.file), source.vocab_size, source.eos_id, source.sha256)
        return tokenizer_given(word, root=paths.prepared(), progress=progress)

    def check_apply(self, holds: str, listing: Listing) -> None:
        """Refuse words that would change nothing."""
        useless = [key for key in (OF_TEXT if holds == "tokens" else OF_TOKENS) if key in self.words]
        if useless:
            raise DataError(f"{_held(listing, holds)}, to which {useless[0]} does not apply")

    def _eos_id(self, by: Given) -> int:
        return whole("eos_id", self.words["eos_id"], smallest=0, largest=by.vocab_size - 1, such_as=by.eos_id)

    def of_text(self, listing: Listing, progress: Progress) -> Asked:
        published = self.source.tokens if self.source else None
        total = published if isinstance(published, int) else tokens_in(listing.files)
        wanted = amount("tokens", self.words["tokens"], largest=MOST) if "tokens" in self.words else total
        return Asked(
            corpus=self.name,
            listing=listing,
            by=self.by(progress),
            text_key=self.words.get("text_key", self.read.text_key),
            held_out=self.held_out,
            unusable=share("unusable", self.words.get("unusable", "0")),
            share=min(1.0, wanted / max(1, total)),
            expected=total,
            settings=self.settings,
        )

    def of_tokens(self, listing: Listing, progress: Progress) -> AskedTokens:
        by = self.by(progress)
        if isinstance(by, Own):
            raise DataError(
                f"{_held(listing, 'tokens')}: give the tokenizer that made them, tokenizer=FILE, or one of "
                f"{', '.join(PAPERS)}"
            )
        if "eos_id" in self.words:
            by = replace(by, eos_id=self._eos_id(by))
        return AskedTokens(self.name, listing, by, self.held_out, self.settings)


def _held(listing: Listing, holds: str) -> str:
    """What makes a folder one of tokens is named, as a single file does it."""
    return f"{listing.found_in} holds {holds}" + (f", such as {listing.files[0].name}" if holds == "tokens" else "")


def _tokens(root: Path) -> tuple[TokenFile, ...]:
    """The token files; none where there is text, beside arrays of something else."""
    try:
        return token_files(root)
    except NoIds:
        if not _text_beside(root):
            raise
        return ()


def _text_beside(root: Path) -> dict[str, int]:
    """Files of text in a folder of tokens, which are left out."""
    try:
        beside = len(in_folder(root).files) if root.is_dir() else 0
    except DataError:
        beside = 0
    return {"text beside tokens": beside} if beside else {}


def _called(root: Path) -> str:
    """A folder by its name, a file without its suffix."""
    return root.resolve().stem if root.is_file() else root.resolve().name


def _without_own(listing: Listing) -> Listing:
    """A listing without what the kit has prepared, where that lies in the same folder."""
    own = paths.prepared().resolve()
    files = tuple(file for file in listing.files if not Path(file.where).resolve().is_relative_to(own))
    left_out = {"prepared by the kit": len(listing.files) - len(files)} if len(files) < len(listing.files) else {}
    return replace(listing, files=files, left_out=listing.left_out | left_out)
