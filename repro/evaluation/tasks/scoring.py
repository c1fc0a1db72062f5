"""How likely a model finds text after a context: sums of log-probabilities of tokens, as lm-eval defines them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from repro.data.progress import Progress, silent
from repro.evaluation.ranks import rank, world_size
from repro.evaluation.subject import Subject

TOKENS = {"cpu": 1024, "cuda": 16384}  # of a batch, padding included; a longer sequence is a batch by itself
ROWS = 1024  # of logits that are at a time in float32

Ids = tuple[int, ...]


class Pair(NamedTuple):
    """Tokens whose likelihood is asked for, and those that they follow, of which there is one or more."""

    context: Ids
    continuation: Ids


class Score(NamedTuple):
    """Of a continuation: its log-likelihood in nats, and whether each of its tokens is the likeliest in its place."""

    log_likelihood: float
    greedy: bool


@dataclass
class Reading:
    """What the network reads once, and the continuations that are scored by it.

    Attributes:
        inputs: token ids.
        asked: the number of a pair, and what the last inputs should be followed by.
    """

    inputs: Ids
    asked: list[tuple[int, Ids]] = field(default_factory=list)

    @property
    def wanted(self) -> int:
        """Of how many of the last inputs the logits are needed."""
        return max(len(targets) for _, targets in self.asked)


def scores(subject: Subject, pairs: Sequence[Pair], progress: Progress = silent) -> list[Score]:
    """Of each pair. Pairs that have the same inputs share a forward pass.

    What is longer than the context loses tokens from the left, and a continuation that is longer by itself is scored
    by windows, each of its tokens once and the last ones with a whole context, as lm-eval's rolling likelihood.

    Processes that are connected have to ask for the same. They share the batches and all get all the scores; each does
    equally many forward passes, as a sharded model needs.

    Args:
        subject: the model.
        pairs: in any order, and as often as one likes.
        progress: told of the tokens that were read.
    """
    numbers = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
    groups = batches(readings(numbers, subject.context), TOKENS[subject.device.type])
    found = np.zeros((len(numbers), 2))  # log-likelihood, and how many tokens are not the likeliest
    total, done = sum(len(one.inputs) for group in groups for one in group), 0
    for group in groups[rank() :: world_size()]:
        _score(subject, group, found)
        done += sum(len(one.inputs) for one in group) * world_size()
        progress("score answers", min(done, total), total)
    for _ in range(_short(len(groups))):
        _score(subject, groups[0], np.zeros_like(found))
    _add_up(found, subject.device)
    return [Score(float(found[numbers[pair], 0]), bool(found[numbers[pair], 1] == 0)) for pair in pairs]


def readings(numbers: dict[Pair, int], context: int) -> list[Reading]:
    """What has to be read for pairs by their numbers, each once."""
    found: dict[Ids, Reading] = {}
    for pair, number in numbers.items():
        for inputs, targets in windows(pair, context):
            found.setdefault(inputs, Reading(inputs)).asked.append((number, targets))
    return list(found.values())


def windows(pair: Pair, context: int) -> Iterator[tuple[Ids, Ids]]:
    """Inputs of at most ``context`` tokens, and what their last ones should be followed by."""
    together, before = pair.context + pair.continuation, len(pair.context)
    for start in range(before, len(together), context):
        end = min(start + context, len(together))
        yield together[max(0, end - 1 - context) : end - 1], together[start:end]


def batches(found: Sequence[Reading], tokens: int) -> list[list[Reading]]:
    """Of about equal length, the longest first, so that memory that does not suffice shows at once."""
    groups: list[list[Reading]] = []
    for one in sorted(found, key=lambda one: (-len(one.inputs), one.inputs)):
        if not groups or len(groups[-1][0].inputs) * (len(groups[-1]) + 1) > tokens:
            groups.append([])
        groups[-1].append(one)
    return groups


def read(network: nn.Module, group: Sequence[Reading], padding: int, device: torch.device) -> Tensor:
    """Logits of the last inputs of each sequence of a batch, as many as it wants, one sequence after the other."""
    length = max(len(one.inputs) for one in group)
    tokens = torch.tensor([one.inputs + (padding,) * (length - len(one.inputs)) for one in group])
    ends = torch.tensor([len(one.inputs) for one in group])[:, None]
    wants = torch.tensor([one.wanted for one in group])[:, None]
    positions = torch.arange(length)
    wanted = (positions < ends) & (positions >= ends - wants)
    logits: Tensor = network(tokens.to(device), wanted=wanted.to(device))
    return logits


@torch.no_grad()
def _score(subject: Subject, group: Sequence[Reading], found: NDArray[np.float64]) -> None:
    """Add what a batch says of pairs to ``found``."""
    logits = read(subject.network, group, subject.eos_id, subject.device)
    pairs, rows, targets = _cells(group)
    total, likeliest = _reduced(logits)
    cells = logits[rows.to(logits.device), targets.to(logits.device)].float().cpu() - total[rows]
    np.add.at(found[:, 0], pairs, cells.double().numpy())
    np.add.at(found[:, 1], pairs, (likeliest[rows] != targets).numpy())


def _cells(group: Sequence[Reading]) -> tuple[NDArray[np.int64], Tensor, Tensor]:
    """For each token that is scored the number of its pair, and the row and column of its logit."""
    pairs: list[int] = []
    rows: list[int] = []
    columns: list[int] = []
    end = 0
    for one in group:
        end += one.wanted
        for number, targets in one.asked:
            pairs += [number] * len(targets)
            rows += range(end - len(targets), end)
            columns += targets
    return np.array(pairs), torch.tensor(rows), torch.tensor(columns)


def _reduced(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row the log of the sum of exponentials, in float32, and the likeliest column."""
    chunks = logits.split(ROWS)
    total = torch.cat([chunk.float().logsumexp(-1) for chunk in chunks])
    return total.cpu(), torch.cat([chunk.argmax(-1) for chunk in chunks]).cpu()


def is_sharded(network: nn.Module) -> bool:
    """Whether processes hold parts of it, so that they have to read at the same time."""
    return any(isinstance(weight, DTensor) for weight in network.parameters())


def _short(groups: int) -> int:
    """Batches that this process has fewer than another."""
    return -(-groups // world_size()) - len(range(rank(), groups, world_size()))


def _add_up(found: NDArray[np.float64], device: torch.device) -> None:
    """Sum over processes; each number was found by one or, of a continuation of several windows, by a few."""
    if world_size() > 1:
        everywhere = torch.from_numpy(found).to(device)
        dist.all_reduce(everywhere)
        found[:] = everywhere.cpu().numpy()
