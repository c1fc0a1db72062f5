"""Whether tokens are a tokenizer's: their text, encoded again, gives them back.

Of 160 English documents of 37 to 2,000 tokens and five tokenizers (OLMo's, three BPE of our own, one in Llama-2's form)
at least 159 come back under their own tokenizer, 134 where dolma encoded each paragraph apart, and at most one under
another. So most must. Short ones tell less: of 32 tokens up to half come back under another, of 8 up to five in six.
"""

from collections.abc import Sequence
from itertools import zip_longest

from tokenizers import Tokenizer

from repro.data.tokenizer import entries
from repro.data.tokens.token_file import Excerpt, TokenFile
from repro.errors import DataError

DOCUMENTS = 20  # spread over the files
_MOST = 2000  # tokens of each
_UNSURE = 16  # tokens before a cut that may be encoded otherwise, since what follows them is not known
_SHOWN = 6  # tokens of the example


def check_tokenizer(files: Sequence[TokenFile], tokenizer: Tokenizer, eos_id: int) -> None:
    """Refuse token files of another tokenizer, or of another integer type than its vocabulary's.

    Raises:
        DataError: of some documents, decoded and encoded again, no more than half give the same ids.
    """
    tried = _excerpts(files, tokenizer, eos_id)
    wrong = {place: found for place, excerpt in tried.items() if (found := _difference(tokenizer, excerpt))}
    if 2 * len(wrong) < len(tried) or not tried:
        return
    (path, start), (text, ids, expected) = next(iter(wrong.items()))
    raise DataError(
        f"of {len(tried)} documents only {len(tried) - len(wrong)} come back when their tokens are decoded and encoded "
        f"again, so these tokens are another tokenizer's: in the document at position {start} of {path} the text "
        f"{text!r} is {ids}, where this tokenizer gives {expected}; expected the one that made them"
    )


def _excerpts(files: Sequence[TokenFile], tokenizer: Tokenizer, eos_id: int) -> dict[tuple[str, int], Excerpt]:
    """The beginnings of some documents, by file and position."""
    found = {}
    for number in range(DOCUMENTS):
        which, share = divmod((number + 0.5) * len(files) / DOCUMENTS, 1)
        file = files[int(which)]
        excerpt = file.excerpt(entries(tokenizer), eos_id, share=share, most=_MOST)
        if excerpt.ids:
            found[str(file.path), excerpt.start] = excerpt
    return found


def _difference(tokenizer: Tokenizer, excerpt: Excerpt) -> tuple[str, list[int], list[int]] | None:
    """The text, ids and expected ids where an excerpt does not come back; special tokens such as a BOS do not count."""
    special = {id for id, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    ids = [id for id in excerpt.ids if id not in special]
    expected = tokenizer.encode(tokenizer.decode(ids, skip_special_tokens=False), add_special_tokens=False).ids
    sure = max(len(ids), len(expected)) if excerpt.is_whole else max(0, len(ids) - _UNSURE)
    if ids[:sure] == expected[:sure]:
        return None
    same = next(n for n, (a, b) in enumerate(zip_longest(ids, expected)) if a != b)
    here = slice(same, same + _SHOWN)
    return tokenizer.decode(ids[here]), ids[here], expected[here]
