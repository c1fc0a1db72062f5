"""Models of this kit as lm-eval asks them."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM

from repro.data.progress import Progress, silent
from repro.evaluation.subject import Subject
from repro.evaluation.tasks import scoring, writing
from repro.evaluation.tasks.scoring import Pair, Score
from repro.evaluation.tasks.writing import Prompt

LONGEST = 256  # tokens of a written answer where a task does not say


class Harness(TemplateLM):  # type: ignore[misc]
    """A model, for ``lm_eval.evaluator.evaluate``. Texts become tokens as lm-eval's own model ``hf`` makes them.

    Args:
        subject: the model.
        apart: the tasks of which context and answer become tokens apart from each other.
        rooms: tokens that a task has read at most, where that is fewer than the model's context.
        progress: told of the tokens that were read.
    """

    def __init__(
        self,
        subject: Subject,
        *,
        apart: frozenset[str] = frozenset(),
        rooms: Mapping[str, int] = MappingProxyType({}),
        progress: Progress = silent,
    ) -> None:
        super().__init__()
        self.subject, self.apart, self.rooms, self.progress = subject, apart, rooms, progress
        self.cut: set[tuple[str | None, int | None]] = set()  # items, by task and number, that did not fit the context
        self._ids: dict[str, list[int]] = {}

    @property
    def eot_token_id(self) -> int:
        """What ends a text."""
        return self.subject.eos_id

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text that follows nothing."""
        return self.subject.bos_id

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        """Token ids, without any that the text does not spell."""
        if string not in self._ids:
            self._encode([string])
        return self._ids[string]

    def loglikelihood(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[Score]:
        """How likely each continuation is after its context, and whether it is the likeliest."""
        self._encode(dict.fromkeys(text for request in requests for text in self._texts(request)))
        pairs = [self._pair(request) for request in requests]
        self._ids.clear()
        fitted = [self._fitted(request, pair) for request, pair in zip(requests, pairs, strict=True)]
        return scoring.scores(self.subject, fitted, self.progress)

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        """How likely each text is, each token once."""
        pairs = [Pair((self.prefix_token_id,), tuple(self.tok_encode(request.args[0]))) for request in requests]
        return [score.log_likelihood for score in scoring.scores(self.subject, pairs, self.progress)]

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """What the model goes on with, the likeliest each time, up to a text of ``until`` or the end of its own."""
        prompts = [self._prompt(request) for request in requests]
        return writing.write(self.subject, prompts, self.progress)

    def _prompt(self, request: Instance) -> Prompt:
        """The answer gets half of the context at most; the text before it loses what does not fit, from the left."""
        context, settings = request.args
        tokens = min(settings.get("max_gen_toks", LONGEST), self.subject.context // 2)
        ids, room = self.tok_encode(context) or [self.prefix_token_id], self.subject.context - tokens
        if len(ids) > room:
            self.cut.add((request.task_name, request.doc_id))
        until = settings.get("until", ())
        return Prompt(tuple(ids[-room:]), tokens, (until,) if isinstance(until, str) else tuple(until))

    def room(self, task: str | None) -> int:
        """Tokens that are read at most."""
        return min(self.subject.context, self.rooms.get(task or "", self.subject.context))

    def _fitted(self, request: Instance, pair: Pair) -> Pair:
        """What loses tokens from the left where the context and the answer are longer than a task has read."""
        room = self.room(request.task_name) + 1  # the last token is not read
        if len(pair.context) + len(pair.continuation) <= room:
            return pair
        self.cut.add((request.task_name, request.doc_id))
        return Pair(pair.context[-max(1, room - len(pair.continuation)) :], pair.continuation)

    def _loglikelihood_tokens(self, requests: Any, **kwargs: Any) -> list[Score]:
        pairs = [Pair(tuple(context), tuple(continuation)) for _, context, continuation in requests]
        return scoring.scores(self.subject, pairs, self.progress)

    def _texts(self, request: Instance) -> tuple[str, ...]:
        context, continuation = request.args
        if not context or request.task_name in self.apart:
            return context, continuation
        return context.rstrip(), context + continuation

    def _pair(self, request: Instance) -> Pair:
        context, continuation = request.args
        if context and request.task_name not in self.apart:
            return Pair(*(tuple(ids) for ids in self._encode_pair(context, continuation)))
        before = self.tok_encode(context) if context else [self.prefix_token_id]
        return Pair(tuple(before), tuple(self.tok_encode(continuation)))

    def _encode(self, texts: Iterable[str]) -> None:
        new = [text for text in texts if text not in self._ids]
        encodings = self.subject.tokenizer.encode_batch_fast(new, add_special_tokens=False)
        self._ids |= {text: encoding.ids for text, encoding in zip(new, encodings, strict=True)}
