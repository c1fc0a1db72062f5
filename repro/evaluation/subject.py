"""What is evaluated: a language model with all that turning text into its tokens takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from tokenizers import Tokenizer
from torch import nn

from repro.errors import RunError
from repro.recipe.schema import LanguageRecipe
from repro.training.trained import Trained
from repro.training.vocabulary import Vocabulary


@dataclass(frozen=True)
class Subject:
    """A language model in evaluation mode, without gradients.

    Attributes:
        network: called as :class:`repro.models.Decoder`.
        tokenizer: in which no text can spell a special token.
        eos_id: ends a document.
        context: tokens that the network was trained on at a time, and sees at most.
        within_documents: whether attention stays within a document, as it did in training.
        device: where the network lies.
        own_bos_id: stands before the first token of a text; None where the end of another document does.
    """

    network: nn.Module
    tokenizer: Tokenizer
    eos_id: int
    context: int
    within_documents: bool
    device: torch.device
    own_bos_id: int | None = None

    @property
    def bos_id(self) -> int:
        """What a text that follows nothing begins after."""
        return self.eos_id if self.own_bos_id is None else self.own_bos_id

    def begun(self, ids: Sequence[int]) -> list[int]:
        """The tokens of a text, after the one that it begins with where that is not the end of another."""
        return list(ids) if self.own_bos_id is None else [self.own_bos_id, *ids]

    @classmethod
    def of(cls, trained: Trained, device: torch.device) -> Self:
        """A checkpoint's.

        Raises:
            RunError: its tokenizer is not here or has ids that the model does not know, or it classifies images.
        """
        vocabulary = trained.vocabulary
        tokenizer = vocabulary.tokenizer
        assert isinstance(trained.recipe, LanguageRecipe)  # or it had no vocabulary
        data = trained.recipe.data
        _check(vocabulary, tokenizer, trained.recipe.model.vocab_size)
        return cls(
            network=trained.network(device),
            tokenizer=tokenizer,
            eos_id=vocabulary.eos_id,
            context=data.context,
            within_documents=data.document_mask,
            device=device,
            own_bos_id=vocabulary.bos_id,
        )


def _check(vocabulary: Vocabulary, tokenizer: Tokenizer, vocab_size: int) -> None:
    """Refuse ids for which a model of ``vocab_size`` has no weights.

    Raises:
        RunError: which, and of what.
    """
    largest = max(tokenizer.get_vocab().values(), default=0)
    for what, id_ in (("a token", largest), ("eos_id", vocabulary.eos_id), ("bos_id", vocabulary.bos_id)):
        if id_ is not None and not 0 <= id_ < vocab_size:
            raise RunError(
                f"{vocabulary.path} does not fit the model: {what} has id {id_:,}, expected ids below its "
                f"vocab_size={vocab_size:,}"
            )
