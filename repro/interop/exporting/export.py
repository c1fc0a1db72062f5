"""A run's weights on their way out: what is written where, in the formats there are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from torch import Tensor

from repro.data.progress import Progress, silent
from repro.errors import RunError
from repro.interop import folder
from repro.interop.exporting import huggingface, tokenizer_files
from repro.interop.exporting.card import Export, card
from repro.interop.exporting.pieces import Piece, read
from repro.interop.exporting.safetensors_file import in_order, make_room, write
from repro.interop.importing.imported import origin
from repro.paths import write_whole
from repro.recipe.schema import DecoderRecipe
from repro.training import checkpoints
from repro.training.record import versions
from repro.training.trained import Trained

SHARD = 2 * 10**9  # bytes of a file at most, but for a tensor that alone has more


@dataclass(frozen=True)
class Plan:
    """What is going to be written.

    Attributes:
        path: the file or folder.
        pieces: of all its safetensors files.
        texts: other files of a folder, by name.
    """

    path: Path
    pieces: Sequence[Piece]
    texts: dict[str, str]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(piece.size for piece in self.pieces) + sum(len(text.encode()) for text in self.texts.values())


def as_safetensors(trained: Trained, out: Path | None) -> Plan:
    """One file with the model's own names.

    Raises:
        RunError: there is no room for it.
    """
    path = out or trained.folder / f"{checkpoints.name(trained.step)}.safetensors"
    if path.exists() and not path.is_file():
        raise RunError(f"--out expects a file, and {path} is none; name one, such as weights.safetensors")
    weights = trained.weights
    plan = Plan(path, in_order(Piece.of(weights, name, name) for name in weights.outline), {})
    make_room(path, plan.size)
    return plan


def as_huggingface(trained: Trained, out: Path | None) -> Plan:
    """A folder that transformers loads, without the weights' own files.

    Raises:
        RunError: it is no decoder, its tokenizer is not here or not its own, or there is no room for it.
    """
    recipe = trained.recipe
    if not isinstance(recipe, DecoderRecipe):
        raise RunError(
            f"{recipe.name} is no decoder, which is what transformers loads; --to safetensors writes its weights"
        )
    path = out or trained.folder / f"hf-{checkpoints.name(trained.step)}"
    folder.check(path)
    plan = Plan(path, in_order(huggingface.pieces(recipe.model, trained.weights)), _texts(trained, recipe))
    make_room(path, plan.size)
    return plan


def write_file(trained: Trained, plan: Plan, progress: Progress = silent) -> None:
    """The file of :func:`as_safetensors`, aside and renamed when it is whole."""
    write(plan.path, plan.pieces, read(trained.weights, plan.pieces, progress), provenance(trained))


def write_folder(trained: Trained, plan: Plan, progress: Progress = silent) -> None:
    """The folder of :func:`as_huggingface`, aside and renamed when it is whole."""
    with folder.whole(plan.path) as aside:
        files = _weights(trained, plan, aside, read(trained.weights, plan.pieces, progress))
        for name, text in plan.texts.items():
            write_whole(aside / name, text)
        marked = provenance(trained) | {"date": _today(), "files": sorted([*files, *plan.texts])}
        write_whole(aside / folder.MARK, folder.as_json(marked))


def provenance(trained: Trained) -> dict[str, str]:
    """Where the numbers come from, as a file carries it."""
    return {
        "format": "pt",  # transformers 4 loads no file that does not say so
        "recipe": trained.recipe.name,
        "fingerprint": checkpoints.recipe_of(trained.weights.checkpoint),
        "step": str(trained.step),
        "weights": _kind(trained),
        "repro": versions()["repro"],
    }


def _kind(trained: Trained) -> str:
    if origin(trained.folder):
        return "imported"
    return "averaged" if trained.weights.network == "averaged" else "trained"


def _weights(trained: Trained, plan: Plan, aside: Path, tensors: Iterator[Tensor]) -> list[str]:
    """Write the safetensors files, with an index if there are several; their names."""
    shards = list(_shards(plan.pieces))
    names = [f"model-{i:05}-of-{len(shards):05}.safetensors" for i in range(1, len(shards) + 1)]
    names = names if len(shards) > 1 else ["model.safetensors"]
    for name, shard in zip(names, shards, strict=True):
        write(aside / name, shard, tensors, provenance(trained))
    if len(shards) == 1:
        return names
    where = {piece.name: name for name, shard in zip(names, shards, strict=True) for piece in shard}
    index = {"metadata": {"total_size": sum(piece.size for piece in plan.pieces)}, "weight_map": where}
    write_whole(aside / "model.safetensors.index.json", folder.as_json(index))
    return [*names, "model.safetensors.index.json"]


def _shards(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    shard: list[Piece] = []
    for piece in pieces:
        if shard and sum(other.size for other in shard) + piece.size > SHARD:
            yield shard
            shard = []
        shard.append(piece)
    yield shard


def _texts(trained: Trained, recipe: DecoderRecipe) -> dict[str, str]:
    vocabulary = trained.vocabulary
    ends = {"bos_token_id": vocabulary.first_id, "eos_token_id": vocabulary.eos_id}
    made = Export(
        folder=trained.folder,
        recipe=recipe,
        step=trained.step,
        fingerprint=checkpoints.recipe_of(trained.weights.checkpoint),
        date=_today(),
        made_by=versions()["repro"],
        begins=vocabulary.bos_id is not None,
    )
    code = {} if huggingface.is_stock(recipe.model) else _code()
    return {
        "config.json": folder.as_json(huggingface.config(recipe, ends)),
        "generation_config.json": folder.as_json(ends | {"pad_token_id": vocabulary.eos_id}),
        **tokenizer_files.files(vocabulary, recipe),
        **code,
        "README.md": card(made),
    }


def _code() -> dict[str, str]:
    return {name: (huggingface.CODE / name).read_text() for name in huggingface.CODE_FILES}


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
