"""A checkpoint of others, as it lies on the disk: tensors by their names, of which numbers are read when they are asked
for. Nothing of it is executed.
"""

import argparse
import contextlib
import pickle
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from repro.errors import RunError
from repro.interop.importing import locating
from repro.interop.importing.layouts import Shape, Shapes, bare

# What Megatron writes beside its weights: the state of random generators, and words of an enumeration. Their names are
# bound to a class that does nothing.
_HARMLESS = ("numpy.", "megatron.")


@dataclass(frozen=True)
class Stored:
    """A tensor that lies in a file.

    Attributes:
        called: its name there.
        shape: its shape.
        is_real: whether it holds floating-point numbers.
        read: gives it.
    """

    called: str
    shape: Shape
    is_real: bool
    read: Callable[[], Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """What a person named.

    Attributes:
        path: as they named it.
        files: that hold it.
        tensors: by name, without what wrappers of a model put before it.
        beside: what a pickle holds beside the weights.
    """

    path: Path
    files: tuple[Path, ...]
    tensors: dict[str, Stored]
    beside: dict[str, Any]

    @classmethod
    def at(cls, path: Path) -> Self:
        """The one in a file or a folder.

        Raises:
            RunError: there is none, or it cannot be read, or not without executing it.
        """
        files, beside = locating.files(path), dict[str, Any]()
        found: list[Stored] = []
        for file in files:
            found += _of_safetensors(file) if file.suffix == ".safetensors" else _of_pickle(file, beside)
        return cls(path, files, _by_name(path, found), beside)

    @property
    def shapes(self) -> Shapes:
        """Of its tensors."""
        return {name: stored.shape for name, stored in self.tensors.items()}


def _by_name(path: Path, found: list[Stored]) -> dict[str, Stored]:
    by_name: dict[str, Stored] = {}
    for stored in found:
        name = bare(stored.called)
        if name in by_name:
            raise RunError(f"{path} holds two tensors for one: {by_name[name].called} and {stored.called}")
        by_name[name] = stored
    if not by_name:
        raise RunError(f"{path} holds no tensors")
    return by_name


def _of_safetensors(file: Path) -> list[Stored]:
    with _told(file), safe_open(file, "pt") as opened:
        slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118  # it is no dict
        return [
            Stored(name, tuple(one.get_shape()), "F" in one.get_dtype(), partial(_read, file, name))
            for name, one in slices.items()
        ]


def _read(file: Path, name: str) -> Tensor:
    with _told(file), safe_open(file, "pt") as opened:
        tensor: Tensor = opened.get_tensor(name)
    return tensor


def _of_pickle(file: Path, beside: dict[str, Any]) -> list[Stored]:
    """The tensors below ``model`` or ``state_dict``, or all; the rest goes to ``beside``."""
    content = _loaded(file)
    if not isinstance(content, dict):
        raise RunError(f"{file} holds a {type(content).__name__}; expected tensors by name")
    within = next((key for key in ("model", "state_dict") if isinstance(content.get(key), dict)), None)
    if within:
        beside |= {key: value for key, value in content.items() if key != within}
    return [
        Stored(name, tuple(tensor.shape), tensor.is_floating_point(), partial(_itself, tensor))
        for name, tensor in _flat(content[within] if within else content)
    ]


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def _flat(tree: dict[Any, Any], above: str = "") -> Iterator[tuple[str, Tensor]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        elif isinstance(value, Tensor):
            yield f"{above}{key}", value


class _Nothing:
    """Stands for what a pickle builds and nobody needs."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


def _loaded(file: Path) -> Any:
    """What a pickle holds, by torch's reader of weights: it knows tensors and plain values, and runs nothing.

    Raises:
        RunError: there is more in it, or it is damaged.
    """
    with _told(file):
        try:
            unknown = get_unsafe_globals_in_checkpoint(file)
        except ValueError:  # of a form before 2020, which names nothing beforehand and is not mapped
            return _weights(file, [], mapped=False)
        harmless = [name for name in unknown if name.startswith(_HARMLESS)]
        if refused := [name for name in unknown if name not in {*harmless, "argparse.Namespace"}]:
            raise RunError(
                f"{file} asks for {refused[0]}, which could run code when it is read, and is not read; have its author "
                "save the weights alone, best as safetensors"
            )
        return _weights(file, [argparse.Namespace, *((_Nothing, name) for name in harmless)], mapped=True)


def _weights(file: Path, known: list[Any], *, mapped: bool) -> Any:
    with safe_globals(known), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a pickle's protocol, if it is an odd one
        return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)


@contextlib.contextmanager
def _told(file: Path) -> Iterator[None]:
    try:
        yield
    except pickle.UnpicklingError as error:
        raise RunError(
            f"{file} holds more than weights, which could run code, or is damaged; it is not read"
        ) from error
    except (OSError, RuntimeError, EOFError, SafetensorError) as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"cannot read {file}: {cause}; it may have been cut short") from error
