"""The tokenizer of a set: the paper's, one of a person's own, or our BPE, which is trained on the corpus."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import hf_hub_url
from tokenizers import Tokenizer

from repro import paths
from repro.data import tokenizer
from repro.data.files import network
from repro.data.files.fetch import fetch
from repro.data.files.inputs import InputFile
from repro.data.manifest import TOKENIZER
from repro.data.preparing.guards import alone
from repro.data.progress import Progress, silent
from repro.errors import DataError
from repro.recipe.sources import TokenizerSource, load_tokenizer

PAPERS = ("llama-2", "olmo")
ENDS = ("<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "[EOS]")  # what known tokenizers call the end of a text


@dataclass(frozen=True)
class Own:
    """Our BPE of ``vocab_size`` entries, to be trained."""

    vocab_size: int
    kind: str = "bpe"
    eos_id: int = tokenizer.EOS_ID


@dataclass(frozen=True)
class Given:
    """A tokenizer that there is."""

    kind: str
    path: Path
    vocab_size: int
    eos_id: int
    sha256: str


def given(word: str, *, root: Path, progress: Progress = silent) -> Given:
    """The tokenizer called ``word``: one of the paper's, or a file or folder of a person's own.

    A file of the paper's tokenizers is known by its entries, whatever it is called.

    Raises:
        DataError: there is none, it is gated and not here, or is not what it is called.
    """
    if word not in PAPERS:
        return _recognised(_file(Path(word).expanduser()))
    source = load_tokenizer(word)
    path = root / "tokenizers" / word / TOKENIZER
    if not path.is_file():
        path = _fetched(source, path.parent, progress)
    return _checked(source, path)


def _fetched(source: TokenizerSource, folder: Path, progress: Progress) -> Path:
    if source.gated:
        raise DataError(
            f"the tokenizer {source.name} is not here and may not be fetched for you: accept the terms at "
            f"https://huggingface.co/{source.source}, download {source.file} there, and give tokenizer=FILE"
        )
    sha256 = None if source.sha256 == "not known" else source.sha256
    where = hf_hub_url(source.source, source.file, revision=source.revision, endpoint=network.endpoint())
    with alone(folder, progress):
        return fetch(InputFile(TOKENIZER, source.name, where, 0, sha256), folder, progress)


def _file(path: Path) -> Path:
    file = path / TOKENIZER if path.is_dir() else path
    if not file.is_file():
        raise DataError(
            f"tokenizer={path}: there is no such file; expected a {TOKENIZER}, a folder with one, or one of "
            f"{', '.join(PAPERS)}, bpe"
        )
    if file.suffix == ".model":
        raise DataError(
            f"tokenizer={file} is SentencePiece's own format: expected {TOKENIZER}, which repositories whose name ends "
            "in -hf have beside it"
        )
    return file


def _recognised(path: Path) -> Given:
    by = tokenizer.read(path)
    for name in PAPERS:
        source = load_tokenizer(name)
        if not _differs(by, source):
            return _given(name, path, by, source.eos)
    ends = [word for word in ENDS if by.token_to_id(word) is not None]
    if not ends:
        raise DataError(f"{path} has no token for the end of a text: expected one of {', '.join(ENDS)}")
    return _given("own", path, by, ends[0])


def _checked(source: TokenizerSource, path: Path) -> Given:
    by = tokenizer.read(path)
    if wrong := _differs(by, source):
        raise DataError(f"{path} is not the tokenizer {source.name}: {wrong}")
    return _given(source.name, path, by, source.eos)


def _differs(by: Tokenizer, source: TokenizerSource) -> str | None:
    """What tells ``by`` from the paper's tokenizer; its entries, its end of text and a text or two."""
    if (size := tokenizer.entries(by)) != source.vocab_size:
        return f"it has {size:,} entries, expected {source.vocab_size:,}"
    if by.token_to_id(source.eos) != source.eos_id:
        return f"{source.eos} is {by.token_to_id(source.eos)}, expected {source.eos_id}"
    for text, expected in source.probes.items():
        if (ids := by.encode(text, add_special_tokens=False).ids) != list(expected):
            return f"{text!r} becomes {ids}, expected {list(expected)}"
    return None


def _given(kind: str, path: Path, by: Tokenizer, eos: str) -> Given:
    eos_id = by.token_to_id(eos)
    assert eos_id is not None
    return Given(kind, path, tokenizer.entries(by), eos_id, hashlib.sha256(path.read_bytes()).hexdigest())


def prepared_folder(corpus: str, kind: str, vocab_size: int, root: Path | None = None) -> Path:
    """Where a corpus lies when a tokenizer has read it."""
    return (root or paths.prepared()) / corpus / f"{kind}-{vocab_size}"
