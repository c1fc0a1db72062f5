"""What evaluating tasks costs beside the forward passes that it takes.

ARC-E, COPA and PIQA, all items, as OLMo asks them, with an untrained 10m model and a tokenizer that is trained on what
they ask. The bare passes read the same tokens in the same batches and compute the same logits. Each is timed as often,
in turns, since the speed of a shared machine changes.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from repro import models
from repro.bench.rows import Figure
from repro.data import tokenizer
from repro.data.tasks import facts, rows
from repro.evaluation.subject import Subject
from repro.evaluation.tasks import harness, tasks
from repro.recipe import LanguageRecipe, load
from repro.recipe.machine import cores

NAMES = ("olmo_arc_easy", "olmo_copa", "olmo_piqa")
RECIPE = "dense-10m-polynorm"
ROUNDS = 2


def measure() -> Iterator[Figure]:
    """Seconds of an evaluation and of the bare forward passes, and how many times as long the one takes.

    Raises:
        DataError: the data of the tasks are not prepared.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(cores())
    rows.check(tuple(facts.task(name) for name in NAMES), rows.folder())
    subject = _subject(device)
    noted = _Noted(subject.network)
    _evaluate(replace(subject, network=noted))
    pairs = [(_seconds(lambda: _evaluate(subject)), _seconds(lambda: _bare(noted))) for _ in range(ROUNDS)]
    read = sum(tokens.numel() for tokens, _ in noted.calls)
    case = f"ARC-E, COPA and PIQA, 10m, {read:,} tokens with padding"
    yield Figure(f"evaluating, {case}", statistics.median(whole for whole, _ in pairs), "s")
    yield Figure(f"bare forward passes, {case}", statistics.median(bare for _, bare in pairs), "s")
    times = statistics.median(whole / bare for whole, bare in pairs)
    yield Figure("evaluating against bare forward passes", times, "x")


def _subject(device: torch.device) -> Subject:
    recipe = load(RECIPE)
    assert isinstance(recipe, LanguageRecipe)
    torch.manual_seed(0)
    network = models.from_recipe(recipe.model).requires_grad_(False).eval().to(device)
    files = [file for name in NAMES for file in facts.task(name).files]
    texts = [str(value) for file in files for row in rows.rows(file, rows.folder()) for value in row.values()]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "tokenizer.json"
        path.write_text(tokenizer.train(texts, recipe.model.vocab_size).to_str())
        by = tokenizer.read(path)
    return Subject(network, by, tokenizer.EOS_ID, recipe.data.context, recipe.data.document_mask, device)


class _Noted(nn.Module):
    """A network, and all that it was called with."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.calls: list[tuple[Tensor, Tensor]] = []

    def forward(self, tokens: Tensor, *, wanted: Tensor) -> Tensor:
        """Logits, as the network's."""
        self.calls.append((tokens, wanted))
        logits: Tensor = self.network(tokens, wanted=wanted)
        return logits


def _evaluate(subject: Subject) -> None:
    """From the files on the disk to the results."""
    harness.evaluate(subject, tasks.load(NAMES))


@torch.no_grad()
def _bare(noted: _Noted) -> None:
    for tokens, wanted in noted.calls:
        noted.network(tokens, wanted=wanted)


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start
