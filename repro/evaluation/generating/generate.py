"""Generation as a person sees it: a text, and what a run's model goes on with, as it comes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from tokenizers import Tokenizer

from repro.errors import RecipeError, ReproError
from repro.evaluation.generating.generation import Sampling, chooser, going_on, refuse, room, visible
from repro.evaluation.subject import Subject
from repro.recipe import machine
from repro.recipe.runs import find
from repro.recipe.settings import given, whole
from repro.training.run import check
from repro.training.trained import Trained

TOKENS = 64  # or what there is room for
SAMPLING = ("temperature", "top_k", "top_p")  # any of which has tokens drawn
KNOWN = ("tokens", *SAMPLING, "seed", "step")
LARGEST = 2**31 - 1
SUCH_AS = f"tokens={TOKENS}; a prompt of several words stands in quotes"
INCOMPLETE = "\ufffd"  # what bytes are decoded to that are no character, or none yet


def start(of: str, prompt: str, settings: Sequence[str], *, on: str, console: Console) -> None:
    """Print ``prompt`` and what the model of a run goes on with, one token after another.

    Raises:
        ReproError: a setting is wrong, or there is no such run, checkpoint or machine, or no room in the context.
    """
    asked = Asked.of(settings)
    _refuse_bytes(prompt)
    subject = _subject(of, asked.step, on)
    read = subject.tokenizer.encode(prompt, add_special_tokens=False).ids
    new = ids(subject, subject.begun(read), asked)
    console.file.write(prompt)
    try:
        for piece in texts(subject.tokenizer, read, new):
            console.file.write(piece)
            console.file.flush()
    finally:
        console.file.write("\n")  # after Ctrl-C too


@dataclass(frozen=True)
class Asked:
    """The ``key=value`` words that follow the prompt.

    Attributes:
        tokens: at most; None is :data:`TOKENS`, or what there is room for.
        sampling: None takes the likeliest token each time.
        step: of the checkpoint; None is the newest.
    """

    tokens: int | None
    sampling: Sampling | None
    step: int | None

    @classmethod
    def of(cls, settings: Sequence[str]) -> "Asked":
        """What ``settings`` say.

        Raises:
            ReproError: one is not ``key=value``, unknown, set twice, or out of its range.
        """
        words = given(settings, KNOWN, verb="generate", such_as=SUCH_AS)
        tokens = whole("tokens", words["tokens"], largest=LARGEST, such_as=TOKENS) if "tokens" in words else None
        step = whole("step", words["step"], largest=LARGEST, such_as=1000, smallest=0) if "step" in words else None
        return cls(tokens, _sampling(words), step)


def ids(subject: Subject, prompt: Sequence[int], asked: Asked) -> Iterator[int]:
    """What follows a prompt, up to the end of text.

    Raises:
        RunError: at once, if there is no room for it.
    """
    seen = visible(subject, prompt)
    tokens = asked.tokens or min(TOKENS, room(subject, seen))
    refuse(subject, seen, tokens)
    steps = going_on(subject, [seen], tokens=tokens, choose=chooser(asked.sampling, [0]))
    return _up_to(subject.eos_id, (id_ for (id_,) in steps))


def texts(tokenizer: Tokenizer, before: Sequence[int], new: Iterator[int]) -> Iterator[str]:
    """The texts of ``new`` tokens after those ``before``, which never end within a character unless at the end."""
    every, said = list(before), len(tokenizer.decode(list(before)))
    for id_ in new:
        every.append(id_)
        text = tokenizer.decode(every)
        if not text.endswith(INCOMPLETE):
            yield text[said:]
            said = len(text)
    yield tokenizer.decode(every)[said:]


def _refuse_bytes(prompt: str) -> None:
    """Python has surrogates for what of the command line is not UTF-8."""
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise ReproError(
            f"the prompt is not UTF-8 from character {error.start + 1:,} on; tokens are of UTF-8"
        ) from None


def _up_to(end: int, of: Iterator[int]) -> Iterator[int]:
    for id_ in of:
        if id_ == end:
            return
        yield id_


def _subject(of: str, step: int | None, on: str) -> Subject:
    place = machine(on)
    check(place)
    return Subject.of(Trained.at(find(of), step), torch.device(place.accelerator))


def _sampling(words: dict[str, str]) -> Sampling | None:
    if not any(key in words for key in SAMPLING):
        if "seed" in words:
            raise RecipeError(f"seed={words['seed']}: nothing is drawn without {', '.join(SAMPLING[:-1])} or top_p")
        return None
    top_k = whole("top_k", words["top_k"], largest=LARGEST, such_as=50) if "top_k" in words else None
    top_p = _above_0("top_p", words["top_p"], largest=1, such_as=0.9) if "top_p" in words else None
    temperature = _above_0("temperature", words.get("temperature", "1"), largest=100, such_as=0.8)
    seed = whole("seed", words.get("seed", "0"), largest=LARGEST, such_as=0, smallest=0)
    return Sampling(temperature, top_k, top_p, seed)


def _above_0(key: str, value: str, *, largest: float, such_as: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number <= largest:
        without = "; without it and top_k and top_p the likeliest token is taken" if key == "temperature" else ""
        raise RecipeError(
            f"{key}={value}: expected a number above 0, up to {largest:g}, such as {key}={such_as}{without}"
        )
    return number
