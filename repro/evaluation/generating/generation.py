"""What a model goes on with, as token ids: the likeliest each time, or drawn."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from repro.errors import RunError
from repro.evaluation.subject import Subject
from repro.models import Decoder
from repro.models.cache import Cache

AT_A_TIME = 16  # prompts of one length; each has a cache of its own size

Choose = Callable[[Tensor], Tensor]  # of logits ``(batch, vocab)``, ids ``(batch,)``


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn: by the softmax of ``logits / temperature``, cut to the likeliest.

    Attributes:
        temperature: above 0.
        top_k: only of so many of the likeliest; None is all.
        top_p: only of the likeliest that together reach this share of what ``top_k`` leaves; None is all.
        seed: of the first prompt, whose number each prompt adds to it, so that its draws depend on no other.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def draw(self, logits: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """An id for each row of ``(batch, vocab)``, by one number of its generator, which is the processor's."""
        below = logits.double() - logits.amax(-1, keepdim=True)  # or a low temperature would make infinities
        p, ids = (below / self.temperature).softmax(-1).sort(descending=True, stable=True)
        if self.top_k is not None:
            p[:, self.top_k :] = 0
        if self.top_p is not None:
            p[p.cumsum(-1) - p >= self.top_p * p.sum(-1, keepdim=True)] = 0
        up_to = p.cumsum(-1)
        uniform = torch.cat([torch.rand(1, dtype=torch.float64, generator=each) for each in generators])
        rank = torch.searchsorted(up_to, uniform.to(p.device)[:, None] * up_to[:, -1:], right=True)
        return ids.gather(-1, rank.clamp(max=(p > 0).sum(-1, keepdim=True) - 1))[:, 0]


class Cached:
    """Reads tokens once, with a cache of ``most``."""

    def __init__(self, network: nn.Module, most: int) -> None:
        self.network, self.cache = network, Cache(most)

    def __call__(self, tokens: Tensor) -> Tensor:
        """Read ``(batch, new)`` on; logits of what follows, ``(batch, vocab)``."""
        logits: Tensor = self.network(tokens, wanted=_last(tokens), cache=self.cache)
        return logits

    def forget(self) -> None:
        """What was read."""
        self.cache.length = 0


class Recomputed:
    """Reads everything again with each token, for a network that takes no cache."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.read: list[Tensor] = []

    def __call__(self, tokens: Tensor) -> Tensor:
        """Read ``(batch, new)`` on; logits of what follows, ``(batch, vocab)``."""
        self.read.append(tokens)
        everything = torch.cat(self.read, dim=1)
        logits: Tensor = self.network(everything, wanted=_last(everything))
        return logits

    def forget(self) -> None:
        """What was read."""
        self.read.clear()


Reader = Cached | Recomputed


def reader(network: nn.Module, most: int) -> Reader:
    """What reads up to ``most`` tokens, cheapest."""
    return Cached(network, most) if isinstance(network, Decoder) else Recomputed(network)


def generate(
    subject: Subject,
    prompts: Sequence[Sequence[int]],
    *,
    tokens: int,
    sampling: Sampling | None = None,
    until: Sequence[str] = (),
) -> list[list[int]]:
    """What follows each prompt.

    Prompts of equal length are gone on with together, others apart. Of equal logits the lower id is taken. Processes
    that share out one model have to ask for the same.

    Args:
        subject: the model.
        prompts: token ids; an empty one is that a document begins.
        tokens: at most.
        sampling: None takes the likeliest each time.
        until: texts that end it.

    Returns:
        The ids without the end of text, if it was that which ended them; a text of ``until`` is in them, and may be
        followed by the rest of its last token.

    Raises:
        RunError: prompt and ``tokens`` are longer than the context.
    """
    seen = [visible(subject, prompt) for prompt in prompts]
    for prompt in seen:
        refuse(subject, prompt, tokens)
    written: list[list[int]] = [[] for _ in seen]
    for numbers in _together(seen, subject.eos_id):
        texts = [_Text(subject, until) for _ in numbers]
        rows = [seen[number] for number in numbers]
        for new in going_on(subject, rows, tokens=tokens, choose=chooser(sampling, numbers)):
            for text, id_ in zip(texts, new, strict=True):
                text.take(id_)
            if all(text.over for text in texts):
                break
        for number, text in zip(numbers, texts, strict=True):
            written[number] = text.ids
    return written


def visible(subject: Subject, prompt: Sequence[int]) -> list[int]:
    """What of a prompt its continuation sees: all, or its last document where attention stays within one."""
    ids = list(prompt) or [subject.bos_id]
    if not subject.within_documents or subject.eos_id not in ids[:-1]:
        return ids
    ends = max(i for i, id_ in enumerate(ids[:-1]) if id_ == subject.eos_id)
    return visible(subject, ids[ends + 1 :])


def room(subject: Subject, prompt: Sequence[int]) -> int:
    """Tokens that the context has room for after a prompt.

    Raises:
        RunError: none.
    """
    left = subject.context - len(prompt)
    if left < 1:
        raise RunError(f"the prompt has {len(prompt)} tokens, and the model sees {subject.context} with what follows")
    return left


def refuse(subject: Subject, prompt: Sequence[int], tokens: int) -> None:
    """Refuse to write more than the context has room for.

    Raises:
        RunError: saying how much that is.
    """
    left = room(subject, prompt)
    if tokens > left:
        after = f"after the prompt's {len(prompt)} of the {subject.context} that the model sees"
        raise RunError(f"tokens={tokens}: there is room for {left} {after}")


def chooser(sampling: Sampling | None, numbers: Sequence[int]) -> Choose:
    """What chooses the next tokens of prompts by their ``numbers``."""
    if sampling is None:
        return partial(torch.argmax, dim=-1)
    generators = [torch.Generator().manual_seed(sampling.seed + number) for number in numbers]
    return partial(sampling.draw, generators=generators)


def going_on(subject: Subject, prompts: Sequence[Sequence[int]], *, tokens: int, choose: Choose) -> Iterator[list[int]]:
    """The next ids of prompts of equal length, ``tokens`` times; each is read when the one after it is asked for.

    All of them, or none, end in the end of text: no document that follows sees it, where attention stays within one.
    """
    read = reader(subject.network, len(prompts[0]) + tokens)
    new = torch.tensor(prompts, device=subject.device)
    rounds = without_end(read, new, choose)
    yield next(rounds)
    if subject.within_documents and prompts[0][-1] == subject.eos_id:
        read.forget()
    yield from islice(rounds, tokens - 1)


@torch.no_grad()
def without_end(read: Reader, tokens: Tensor, choose: Choose) -> Iterator[list[int]]:
    """The next ids of rows of tokens, ``(batch, seq)``, again and again.

    Raises:
        RunError: the largest logit of a row is no number, or infinite.
    """
    while True:
        logits = read(tokens)
        if not logits.amax(-1).isfinite().all():  # a NaN is the largest
            raise RunError("the model's logits are not finite, as of a training that diverged: nothing can be chosen")
        chosen = choose(logits)
        yield chosen.tolist()
        tokens = chosen[:, None]


class _Text:
    """What was written so far, and whether it has ended."""

    def __init__(self, subject: Subject, until: Sequence[str]) -> None:
        self.tokenizer: Tokenizer = subject.tokenizer
        self.eos_id, self.until = subject.eos_id, until
        self.ids: list[int] = []
        self.over = False

    def take(self, id_: int) -> None:
        """Take an id, unless it has ended: others of its batch may go on."""
        if not self.over and id_ != self.eos_id:
            self.ids.append(id_)
        self.over = self.over or id_ == self.eos_id or self._is_complete()

    def _is_complete(self) -> bool:
        text = self.tokenizer.decode(self.ids) if self.until else ""
        return any(end in text for end in self.until)


def _last(tokens: Tensor) -> Tensor:
    """Of ``(batch, seq)``, the last of each row."""
    wanted = torch.zeros_like(tokens, dtype=torch.bool)
    wanted[:, -1] = True
    return wanted


def _together(prompts: Sequence[Sequence[int]], eos_id: int) -> Iterator[list[int]]:
    """Numbers of prompts of equal length, of which all or none end in the end of text."""

    def kind(number: int) -> tuple[int, bool]:
        return len(prompts[number]), prompts[number][-1] == eos_id

    for _, same in groupby(sorted(range(len(prompts)), key=kind), kind):
        while numbers := list(islice(same, AT_A_TIME)):
            yield numbers
