"""Metrics of answers that lm-eval has not, or not with every version of what it needs."""

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def coqa(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Exact match and F1 of words of the answer to the last question, against those that people gave.

    The answer is the first line of what was written. With several references, each is left out once and the best of
    the others counts, which is how people are scored too: Reddy et al., "CoQA", section 6, as lm-eval has it.
    """
    answer = results[0].strip().split("\n")[0]
    golds = references(doc)
    left = [golds[:i] + golds[i + 1 :] for i in range(len(golds))] if len(golds) > 1 else [golds]
    best = [[max(metric(gold, answer) for gold in some) for some in left] for metric in (exact, f1)]
    return {name: sum(each) / len(golds) for name, each in zip(("em", "f1"), best, strict=True)}


def references(doc: Mapping[str, Any]) -> list[str]:
    """The answers that people gave to the last question, each once whatever its case."""
    turn = len(doc["questions"]["input_text"]) - 1
    others = [other["input_text"][turn] for other in (doc.get("additional_answers") or {}).values() if other]
    given = [doc["answers"]["input_text"][turn], *others]
    return list({text.lower(): text for text in given}.values())


def words(text: str) -> list[str]:
    """Of an answer, lower-case, without punctuation and articles, as SQuAD compares them."""
    return re.sub(r"\b(a|an|the)\b", " ", text.lower().translate(_NO_PUNCTUATION)).split()


def exact(gold: str, answer: str) -> float:
    """Whether the words are the same."""
    return float(words(gold) == words(answer))


def f1(gold: str, answer: str) -> float:
    """The harmonic mean of the shares of words that the two have in common; of no words, whether both have none."""
    expected, found = words(gold), words(answer)
    if not expected or not found:
        return float(expected == found)
    common = (Counter(expected) & Counter(found)).total()
    return 2 * common / (len(expected) + len(found))


def bits_per_byte(doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, tuple[float, int]]:
    """Nats of a published solution and its bytes, which the task adds up to bits per byte."""
    return {"bits_per_byte": (results[0][0], len(doc["canonical_solution"].encode()))}


# What works out the results of a task of our own, by its name.
OF: Mapping[str, Callable[..., dict[str, Any]]] = {"coqa": coqa, "humaneval_reference": bits_per_byte}
