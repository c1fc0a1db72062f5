"""Which files of a folder hold a checkpoint of others."""

import json
from pathlib import Path

from repro.errors import RunError

PICKLES = (".pt", ".pth", ".bin")
# What a checkpoint is called by those that write one, the safest first: an index names the files of a model in several.
_NAMES = (
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "model_optim_rng.pt",
    "model.pt",
)
_EXPECTED = "expected a file of safetensors or torch, or a folder with " + ", ".join(_NAMES[1::2][:2]) + " or model.pt"
_MEGATRON = "latest_checkpointed_iteration.txt"


def files(path: Path) -> tuple[Path, ...]:
    """Those of the checkpoint that a person means by a file or a folder.

    Raises:
        RunError: there is none, it is of a kind that is not read, or some of its files are not there.
    """
    if path.is_dir():
        return _of_index(_within(_of_megatron(path)))
    if not path.is_file():
        raise RunError(f"{path}: there is no such file or folder; {_EXPECTED}")
    if path.suffix not in {".safetensors", ".json", *PICKLES}:
        raise RunError(f"{path} is no checkpoint by its name; {_EXPECTED}")
    return _of_index(path)


def _within(folder: Path) -> Path:
    """The file that begins the checkpoint: of a name that is known, or the only one."""
    if found := [folder / name for name in _NAMES if (folder / name).is_file()]:
        return found[0]
    every = sorted(path for path in folder.iterdir() if path.suffix in {".safetensors", *PICKLES} and path.is_file())
    if len(every) == 1:
        return every[0]
    found_instead = f"{len(every)} files that could be meant; name one" if every else f"none; {_EXPECTED}"
    raise RunError(f"{folder} is not known to hold a checkpoint: there is {found_instead}")


def _of_megatron(folder: Path) -> Path:
    """Megatron's ``iter_0001000/mp_rank_00``, from any folder above it."""
    latest = folder / _MEGATRON
    if latest.is_file():
        iteration = latest.read_text().strip()
        folder = folder / (f"iter_{int(iteration):07d}" if iteration.isdecimal() else iteration)
    ranks = sorted(path for path in folder.glob("mp_rank_*") if path.is_dir())
    if len(ranks) > 1:
        raise RunError(
            f"{folder} is split over {len(ranks)} ranks of tensor or pipeline parallelism, and only a checkpoint of "
            "one is read; Megatron's tools/checkpoint/util.py brings it to --target-tensor-parallel-size 1"
        )
    return ranks[0] if ranks else folder


def _of_index(path: Path) -> tuple[Path, ...]:
    """The file, or all that an index names."""
    if path.suffix != ".json":
        return (path,)
    try:
        listed = sorted(set(json.loads(path.read_text())["weight_map"].values()))
        named = tuple(path.parent / str(name) for name in listed)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is no index of a checkpoint's files: {type(error).__name__}") from error
    if missing := [file.name for file in named if not file.is_file()]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise RunError(f"{path.parent} lacks {missing[0]}{more} of the {len(named)} files that {path.name} names")
    return named
