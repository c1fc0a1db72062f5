"""Where the processes of a run meet, what they agree on before they train, and how all learn what ended one of them."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from repro.errors import Ended, ReproError, RunError
from repro.training.ranks import environment, is_first, rank, started

TIMEOUT = timedelta(minutes=10)  # for ranks to meet, and for one to wait for another
HEARD = timedelta(seconds=10)  # that a rank waits for the others to hear why the run ends
_ENDED, _HEARD, _ALL_HEARD = "ended", "heard", "all heard"

T = TypeVar("T")


@dataclass(frozen=True)
class Meeting:
    """What the processes of a run say to each other beside their training; one process has no ``store``."""

    store: Store | None = None

    def together(self, action: Callable[[], T], same: Callable[[T], Mapping[str, object]]) -> T:
        """What ``action`` gives on this rank.

        Args:
            action: what all ranks do before they train.
            same: of its result, by name, what has to be the same on all ranks.

        Raises:
            ReproError: on all ranks and in the same words, if it failed on one, or if they differ.
        """
        if self.store is None:
            return action()
        try:
            found = action()
        except ReproError as error:
            _refuse_failed(_of_all(_Answer(error.exit_code, str(error))))
            raise
        answers = _of_all(_Answer(said={name: str(value) for name, value in same(found).items()}))
        _refuse_failed(answers)
        _refuse_different(answers)
        return found

    def ended_by(self, error: Exception) -> Exception:
        """What this process is to raise, where it or another came to ``error``: the first tells it, others are silent.

        A crash, which nobody foresaw, stays what it is.
        """
        assert self.store is not None
        try:
            if isinstance(error, ReproError):
                self.store.compare_set(_ENDED, "", json.dumps([rank(), error.exit_code, str(error)]))
            if not self.store.check([_ENDED]):
                return error
            who, code, told = json.loads(self.store.get(_ENDED))
            all_know = self._part()
        except dist.DistError:  # the first is gone, and with it the store
            return error
        if all_know and not is_first():
            ending: ReproError = Ended("", code)
        elif isinstance(error, ReproError) and told == str(error):
            ending = error
        else:
            ending = Ended(f"rank {who}: {told}", code)
        ending.agreed = all_know
        return ending

    def _part(self) -> bool:
        """Stay until all ranks have heard the reason, as far as they can; whether they have.

        Those that wait for this one in gloo notice when it ends, so that only the first stays, which keeps the store.
        In NCCL they do not notice: whoever started them has to end them.
        """
        assert self.store is not None
        if self.store.add(_HEARD, 1) == started():
            self.store.set(_ALL_HEARD, "")
        if not torch.cuda.is_available():
            if dist.is_initialized():
                dist.destroy_process_group()
            if not is_first():
                return True
        try:
            self.store.wait([_ALL_HEARD], HEARD)
        except dist.DistStoreError:
            return False
        return True


@contextlib.contextmanager
def meeting() -> Iterator[Meeting]:
    """The processes that were started together, once all of them are there; what ends one ends all, with one code.

    Raises:
        RunError: not all came within ``TIMEOUT``.
    """
    if started() == 1:
        yield Meeting()
        return
    here = Meeting(_met())
    try:
        yield here
    except Exception as error:
        ending = here.ended_by(error)
        if ending is error:
            raise
        raise ending from None
    dist.destroy_process_group()


def _met() -> Store:
    """A store that all reach, and a process group for tensors on either kind of device."""
    place = environment()
    where = f"{place.main_address}:{place.main_port}"
    try:
        store: Store
        store, number, size = next(rendezvous("env://", rank=rank(), world_size=started(), timeout=TIMEOUT))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            store=PrefixStore("training", store),
            rank=number,
            world_size=size,
            timeout=TIMEOUT,
        )
    except dist.DistError as error:
        minutes = TIMEOUT.total_seconds() / 60
        raise RunError(
            f"rank {rank()} of {started()} waited {minutes:g} minutes at {where} and not all came: "
            f"{str(error).splitlines()[0]}"
        ) from None
    return store


@dataclass(frozen=True)
class _Answer:
    """Of one rank: how it failed, or what it found."""

    exit_code: int = 0
    failure: str = ""
    said: Mapping[str, str] | None = None


def _of_all(answer: _Answer) -> list[_Answer]:
    answers: list[Any] = [None] * started()
    dist.all_gather_object(answers, answer)
    return answers


def _refuse_failed(answers: list[_Answer]) -> None:
    failed = [(who, answer) for who, answer in enumerate(answers) if answer.exit_code]
    if failed and len({answer.failure for answer in answers}) > 1:
        who, first = failed[0]
        raise Ended(f"rank {who}: {first.failure}", first.exit_code)


def _refuse_different(answers: list[_Answer]) -> None:
    first, *others = (answer.said or {} for answer in answers)
    for who, other in enumerate(others, 1):
        for name, value in first.items():
            if other[name] != value:
                raise RunError(
                    f"ranks differ in {name}: rank 0 has {value}, rank {who} {other[name]}; they need the same "
                    "command, the same files and a run folder that all nodes share"
                )
