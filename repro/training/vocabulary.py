"""The tokenizer of a run, kept in its folder, so that a model can be used where its training data are not."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tokenizers import Tokenizer

from repro.data import tokenizer
from repro.data.locate import locate
from repro.data.manifest import TOKENIZER, Prepared
from repro.errors import DataError, RunError
from repro.paths import write_whole
from repro.recipe import Recipe
from repro.recipe.runs import IMPORTED
from repro.recipe.schema import LanguageRecipe

VOCABULARY = "vocabulary.json"
_DAMAGED = '{} is damaged: expected {{"eos_id": N}}, the id that ends a document'


@dataclass(frozen=True)
class Vocabulary:
    """What turns text into a model's tokens and back.

    Attributes:
        path: of the ``tokenizer.json``.
        eos_id: ends a document.
        bos_id: stands before the first token of a text; None where the end of another document does.
    """

    path: Path
    eos_id: int
    bos_id: int | None = None

    @property
    def first_id(self) -> int:
        """What a text that follows nothing begins after."""
        return self.eos_id if self.bos_id is None else self.bos_id

    @property
    def tokenizer(self) -> Tokenizer:
        """In which no text can spell a special token."""
        return tokenizer.read(self.path)

    def keep(self, folder: Path) -> None:
        """Write it into the folder of a run."""
        write_whole(folder / TOKENIZER, self.path.read_bytes())
        own = {} if self.bos_id is None else {"bos_id": self.bos_id}
        write_whole(folder / VOCABULARY, json.dumps({"eos_id": self.eos_id} | own) + "\n")

    @classmethod
    def of_data(cls, prepared: Prepared) -> Self:
        """Of the data that a run is trained on."""
        return cls(prepared.folder / TOKENIZER, prepared.manifest.eos_id)

    @classmethod
    def of(cls, folder: Path, recipe: Recipe) -> Self:
        """Of a run: from its folder, or from the prepared data of one that an earlier version began.

        Raises:
            RunError: it is damaged or in neither, the weights were imported without one, or the run is none of text.
        """
        if not isinstance(recipe, LanguageRecipe):
            raise RunError(f"{folder} is a run of {recipe.name}, which classifies images and has no tokenizer")
        if (folder / VOCABULARY).is_file() and (folder / TOKENIZER).is_file():
            return cls(folder / TOKENIZER, *_ids(folder / VOCABULARY))
        if (folder / IMPORTED).is_file():
            raise RunError(f"{folder} was imported without a tokenizer; import it again with tokenizer=FILE")
        try:
            return cls.of_data(locate(recipe.data, recipe.model.vocab_size))
        except DataError as error:
            raise RunError(
                f"{folder} holds no {TOKENIZER}, and the data it was trained on are not here: {error}"
            ) from None


def _ids(path: Path) -> tuple[int, int | None]:
    """``eos_id`` and ``bos_id``."""
    try:
        said = json.loads(path.read_text())
        eos_id, bos_id = said["eos_id"], said.get("bos_id")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(_DAMAGED.format(path)) from error
    if type(eos_id) is not int or type(bos_id) not in {int, type(None)}:
        raise RunError(_DAMAGED.format(path))
    return eos_id, bos_id
