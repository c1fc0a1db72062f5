"""The tokenizer of an export, which makes the tokens that the model was trained on."""

import json
from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer

from repro.errors import RunError
from repro.interop import folder
from repro.recipe.schema import DecoderRecipe
from repro.training.vocabulary import Vocabulary


def files(vocabulary: Vocabulary, recipe: DecoderRecipe) -> dict[str, str]:
    """``tokenizer.json`` and what transformers keeps beside it, by name.

    Raises:
        RunError: the model has fewer embeddings than the tokenizer has tokens, or no token ends a document.
    """
    tokenizer = vocabulary.tokenizer
    bos, eos = (tokenizer.id_to_token(id_) for id_ in (vocabulary.first_id, vocabulary.eos_id))
    largest = max(tokenizer.get_vocab().values())
    if bos is None or eos is None or largest >= recipe.model.vocab_size:
        raise RunError(
            f"{vocabulary.path} is not the tokenizer of {recipe.name}: its ids go up to {largest} and a document ends "
            f"with {vocabulary.eos_id}; the model has embeddings for 0 to {recipe.model.vocab_size - 1}"
        )
    special = {"bos_token": bos, "eos_token": eos, "pad_token": eos}
    return {
        "tokenizer.json": _tokenizer(tokenizer, begins=vocabulary.bos_id is not None),
        "tokenizer_config.json": folder.as_json(_config(special, recipe.data.context)),
        "special_tokens_map.json": folder.as_json(special),
    }


def _tokenizer(tokenizer: Tokenizer, *, begins: bool) -> str:
    """Without what adds tokens that training did not have, unless it ``begins`` texts as others trained it to."""
    whole: dict[str, Any] = json.loads(tokenizer.to_str())
    if not begins and tokenizer.num_special_tokens_to_add(is_pair=False):
        whole["post_processor"] = None
    return json.dumps(whole, ensure_ascii=False)


def _config(special: Mapping[str, str], context: int) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **special,
        "split_special_tokens": True,  # no text can spell one, as in training
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
        "padding_side": "left",  # as generation needs it
    }
