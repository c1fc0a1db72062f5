"""An import as a person sees it."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from repro.data.progress import Progress, bars
from repro.errors import ReproError, RunError, nearest
from repro.interop.importing import configuration, imported, torchvision, vocabularies
from repro.interop.importing.configuration import Told
from repro.interop.importing.fitting import Fitted
from repro.interop.importing.imported import Origin
from repro.interop.importing.layouts import Layout
from repro.interop.importing.official import MEGATRON, OLMO
from repro.interop.importing.stock import HUGGING_FACE
from repro.interop.importing.stored import Checkpoint
from repro.interop.importing.torchvision import TORCHVISION
from repro.recipe import LanguageRecipe, Recipe, load
from repro.recipe.settings import given, whole
from repro.training.vocabulary import Vocabulary

SOURCES: dict[str, tuple[Layout, ...]] = {
    "official": (MEGATRON, OLMO, HUGGING_FACE),
    "hf": (HUGGING_FACE,),
    "torchvision": (TORCHVISION,),
}
OWN = ("tokenizer", "step")  # settings of the import; the others are the recipe's
FURTHEST = 10**9  # a step


def start(path: Path, settings: Sequence[str], *, source: str, name: str, out: Path | None, console: Console) -> None:
    """Make a run of the weights in ``path``, which others trained; nothing of theirs is executed.

    Args:
        path: a file, or a folder with one or several.
        settings: ``tokenizer=FILE``, ``step=N`` that the checkpoint is to be called by, and ``key=value`` of the
            recipe.
        source: whose layout it has.
        name: of the recipe that it fits.
        out: where runs go, instead of ``runs``.
        console: tells what was found and written.

    Raises:
        ReproError: there is no such source or recipe, or the weights are not all and only those of its model.
    """
    layouts, (own, overrides) = _layouts(source), _divided(settings)
    step = whole("step", own.get("step", "0"), smallest=0, largest=FURTHEST, such_as=1000)
    recipe = load(name, overrides)
    checkpoint = Checkpoint.at(path)
    layout = _found(checkpoint, layouts, source, recipe)
    fitted = Fitted.of(checkpoint, layout, _told(checkpoint, layout, source), recipe)
    with bars() as progress:
        vocabulary, said = _vocabulary(own.get("tokenizer"), checkpoint, recipe, progress)
        notes = (*fitted.notes, *filter(None, [said]))
        origin = Origin(checkpoint, layout.name, source, step, vocabulary, notes)
        record = origin.record(progress)
        folder = imported.place(recipe, record, out)
        before = folder.exists()
        if not before:
            imported.write(folder, recipe, origin, record, fitted.read(progress))
    told = f"{checkpoint.path.name}: {len(fitted.tensors):,} tensors, {fitted.size:,} numbers, as {layout.name} lays "
    lines = [f"{told}them out", *notes, f"{'already imported' if before else 'imported'}: {folder}"]
    console.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)


def _layouts(source: str) -> tuple[Layout, ...]:
    if source not in SOURCES:
        hint = nearest(source, SOURCES) or f" There are: {', '.join(SOURCES)}."
        raise ReproError(f"there is no layout {source!r} to import from.{hint}")
    return SOURCES[source]


def _divided(settings: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Those of the import, and those of the recipe."""
    own = [setting for setting in settings if setting.partition("=")[0] in OWN]
    others = [setting for setting in settings if setting not in own]
    return given(own, OWN, verb="import", such_as="step=1000"), others


def _found(checkpoint: Checkpoint, layouts: tuple[Layout, ...], source: str, recipe: Recipe) -> Layout:
    """The layout whose names the tensors have."""
    for layout in layouts:
        if layout.anchor in checkpoint.tensors:
            if not isinstance(recipe, layout.recipe):
                raise RunError(f"{checkpoint.path} is laid out as by {layout.name}, and no model of {recipe.name} is")
            return layout
    others = [word for word, those in SOURCES.items() if any(one.anchor in checkpoint.tensors for one in those)]
    names = ", ".join(sorted(stored.called for stored in checkpoint.tensors.values())[:3])
    way_out = f"; try --from {others[0]}" if others else f"; its names begin with {names}"
    known = " or ".join(layout.name for layout in layouts)
    raise RunError(f"{checkpoint.path} is not laid out as by {known}, which --from {source} reads{way_out}")


def _told(checkpoint: Checkpoint, layout: Layout, source: str) -> Told:
    """What it says of itself; a stock model is refused that would be run by code of its author."""
    if layout is TORCHVISION:
        return torchvision.told(checkpoint.tensors)
    told = configuration.of(checkpoint)
    if source == "hf" and told.code:
        raise RunError(
            f"{checkpoint.path}: {told.where} has the model run by code that comes with it ({told.code}), which is "
            "never done here; --from official reads the weights alone, by their names"
        )
    if source == "hf" and told.kind and told.kind not in configuration.STOCK:
        known = " and ".join(configuration.STOCK)
        raise RunError(f"{checkpoint.path}: {told.where} says model_type={told.kind}; --from hf reads {known}")
    return told


def _vocabulary(
    word: str | None, checkpoint: Checkpoint, recipe: Recipe, progress: Progress
) -> tuple[Vocabulary | None, str]:
    if isinstance(recipe, LanguageRecipe):
        return vocabularies.find(word, checkpoint, recipe.model, progress)
    if word is not None:
        raise ReproError(f"tokenizer={word}: {recipe.name} classifies images and has none")
    return None, ""
