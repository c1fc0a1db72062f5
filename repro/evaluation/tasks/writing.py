"""Answers that a model writes itself, the likeliest token each time."""

from collections.abc import Sequence
from itertools import chain, groupby
from typing import NamedTuple

import torch.distributed as dist

from repro.data.progress import Progress, silent
from repro.evaluation.generating.generation import generate
from repro.evaluation.subject import Subject
from repro.evaluation.tasks import scoring

AT_A_TIME = 64  # prompts between two words of how far it is


class Prompt(NamedTuple):
    """What is gone on with, by how many tokens at most, and the texts that end it."""

    ids: scoring.Ids
    tokens: int
    until: tuple[str, ...]


def write(subject: Subject, prompts: Sequence[Prompt], progress: Progress = silent) -> list[str]:
    """What follows each prompt, without the text that ended it.

    Processes that are connected have to ask for the same, and all get all of it. Where each has the whole model, they
    share the work.
    """
    groups, done = _groups(list(dict.fromkeys(prompts))), 0
    own, ranks = _own(groups, subject)
    found: dict[Prompt, str] = {}
    for group in own:
        found |= dict(zip(group, _written(subject, group), strict=True))
        done += len(group) * ranks
        progress("write answers", min(done, len(prompts)), len(prompts))
    everywhere = _gathered(found, ranks)
    return [everywhere[prompt] for prompt in prompts]


def _groups(prompts: list[Prompt]) -> list[list[Prompt]]:
    """Of the same settings, prompts of equal length beside each other."""
    ordered = sorted(prompts, key=lambda prompt: (prompt.tokens, prompt.until, -len(prompt.ids), prompt.ids))
    same = [list(group) for _, group in groupby(ordered, lambda prompt: prompt[1:])]
    return list(chain(*([group[i : i + AT_A_TIME] for i in range(0, len(group), AT_A_TIME)] for group in same)))


def _own(groups: list[list[Prompt]], subject: Subject) -> tuple[list[list[Prompt]], int]:
    """What this process does, and among how many that is shared out."""
    if not dist.is_initialized() or scoring.is_sharded(subject.network):
        return groups, 1
    return groups[dist.get_rank() :: dist.get_world_size()], dist.get_world_size()


def _written(subject: Subject, group: Sequence[Prompt]) -> list[str]:
    _, tokens, until = group[0]
    ids = generate(subject, [prompt.ids for prompt in group], tokens=tokens, until=until)
    texts: list[str] = subject.tokenizer.decode_batch(ids)
    return [text[: min((text.index(end) for end in until if end in text), default=len(text))] for text in texts]


def _gathered(found: dict[Prompt, str], ranks: int) -> dict[Prompt, str]:
    if ranks == 1:
        return found
    everywhere: list[dict[Prompt, str]] = [{}] * ranks
    dist.all_gather_object(everywhere, found)
    return dict(chain(*(each.items() for each in everywhere)))
