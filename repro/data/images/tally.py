"""How many images of a split could not be read, and when that is too many."""

import logging
from collections.abc import Iterable

from repro.data.images.pictures import Pictures
from repro.errors import DataError

NAMED = 3  # images that an error names
TOLD = 20  # images that are told as they are met

log = logging.getLogger(__name__)


class Tally:
    """The unreadable images that one process has met in a split, each once however often it is read.

    Workers send the numbers of the images that they could not read along with each batch, and the training process
    counts them in the order of the batches; so the count does not depend on workers. Each rank counts its own, and
    over a few epochs every rank meets every image. A run that resumes counts anew.
    """

    def __init__(self, pictures: Pictures, split: str, share: float) -> None:
        self.pictures, self.split, self.share = pictures, split, share
        self.met: dict[int, str] = {}  # why, by number

    @property
    def allowed(self) -> int:
        """How many images may be unreadable."""
        return min(int(self.share * len(self.pictures)), len(self.pictures) - 1)

    def count(self, unreadable: Iterable[tuple[int, str]]) -> None:
        """Take in what a batch met.

        Raises:
            DataError: there are more than allowed.
        """
        for index, why in unreadable:
            if index in self.met:
                continue
            self.met[index] = why
            if len(self.met) <= TOLD:
                log.warning("%s is left out: %s", self.pictures.name(index), why)
        if len(self.met) > self.allowed:
            raise DataError(self._too_many())

    def _too_many(self) -> str:
        total = len(self.pictures)
        first = ", ".join(f"{self.pictures.name(index)} ({why})" for index, why in list(self.met.items())[:NAMED])
        return (
            f"{len(self.met)} of {total} {self.split} images ({len(self.met) / total:.2%}) cannot be read, "
            f"more than data.unreadable={self.share:g} allows: {first}{', ...' if len(self.met) > NAMED else ''}"
        )
