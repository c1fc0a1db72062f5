"""The files that a corpus is made of, before they are tokenised."""

from dataclasses import dataclass

from repro.data.corpora import Split


@dataclass(frozen=True, slots=True)
class InputFile:
    """One of them.

    Attributes:
        name: its path in the repository or below the folder, with slashes; no two files of a corpus share one.
        subset: the part of the corpus that it belongs to.
        where: a path on this machine, or an http(s) address.
        size: bytes as stored; 0 where the publisher does not say.
        sha256: as published; None where it is not.
        split: of all its documents, where the publisher made the splits; None where a share of them is held out.
    """

    name: str
    subset: str
    where: str
    size: int
    sha256: str | None = None
    split: Split | None = None

    @property
    def is_remote(self) -> bool:
        """Whether it has to be fetched."""
        return self.where.startswith(("http://", "https://"))


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a corpus in a fixed order, and what they were at."""

    files: tuple[InputFile, ...]
    found_in: str  # in words, such as "huggingface.co/datasets/allenai/c4 at 1588ec4"
    left_out: dict[str, int]  # files, by reason
