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
        new = {index: why for index, why in unreadable if index not in self.met}
        before = len(self.met)
        self.met |= new
        if len(self.met) > self.allowed:
            raise DataError(self._too_many())
        for number, (index, why) in enumerate(list(new.items())[: max(0, TOLD - before)], before + 1):
            rest = "; further ones are counted and not told" if number == TOLD else ""
            name, limit = self.pictures.name(index), f"{number} of the {self.allowed} that may be"
            log.warning("%s cannot be read and is left out, %s: %s%s", name, limit, why, rest)

    def _too_many(self) -> str:
        total, many = len(self.pictures), len(self.met)
        first = ", ".join(f"{self.pictures.name(index)} ({why})" for index, why in list(self.met.items())[:NAMED])
        limit = f"more than data.unreadable={self.share:g} allows" if many > self.share * total else "and none is left"
        more = ", ..." if many > NAMED else ""
        return f"{many} of {total} {self.split} images ({many / total:.2%}) cannot be read, {limit}: {first}{more}"
