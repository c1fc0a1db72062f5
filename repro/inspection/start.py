"""`repro analyze`: the checkpoints of a run, looked into, as a person sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn

from repro.data.progress import Progress, bars
from repro.data.shards import sha256
from repro.errors import ReproError, RunError
from repro.evaluation.work import Count
from repro.inspection import written
from repro.inspection.found import Found
from repro.inspection.measures import COMPARES, NAMES, READS_NOTHING, WRITES, comparing, measure
from repro.inspection.page import page, section
from repro.inspection.sample import Sample, no_sample, sample
from repro.inspection.settings import Settings
from repro.recipe import Machine, machine, runs
from repro.recipe.schema import LanguageRecipe
from repro.training.holding import held, told
from repro.training.record import device as device_here
from repro.training.record import versions
from repro.training.run import check
from repro.training.trained import Trained

KEPT = "; what was there before and the parts that were finished are kept"
LOCK = ".analysis.lock"


def start(of: str, settings: Sequence[str], *, on: str, console: Console) -> None:
    """Look into a run and write what is found beside it, saying on ``console`` what came out and where it lies.

    Each part is written as it is finished: what stops a later one takes none of it away.

    Raises:
        ReproError: something is not there, or does not fit, before anything is computed; or a part failed, after the
            others were written.
    """
    look = _begin(of, Settings.of(settings), machine(on))
    for line in look.remarks:
        console.print(line, highlight=False, soft_wrap=True, markup=False, style="yellow")
    refusal = f"{look.folder} is being analysed by another process; wait for it"
    holding = held(look.folder / LOCK, refusal=refusal)
    with told(look.folder, also=KEPT), holding, bars(MofNCompleteColumn()) as progress:
        made, failed = _made(look, progress)
    for part in made:
        console.print(_line(part), highlight=False, soft_wrap=True, markup=False)
    where = look.folder / written.FOLDER
    console.print(f"kept in {where}; read {where / written.PAGE}", highlight=False, soft_wrap=True, markup=False)
    if failed:
        raise RunError("; ".join(failed))


@dataclass(frozen=True)
class Look:
    """What is looked into, and with what.

    Attributes:
        checkpoints: oldest first.
        sample: that networks are given.
        parts: words of the measures that apply.
        refused: why others do not, by their words.
        against: a second run's newest checkpoint.
        remarks: what a person should know before it begins.
    """

    checkpoints: list[Trained]
    sample: Sample
    parts: tuple[str, ...]
    refused: dict[str, str]
    against: Trained | None
    remarks: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """The run's."""
        return self.checkpoints[-1].folder

    def found(self, name: str, count: Count) -> Found:
        """What the measure of this word finds."""
        if self.against and name in COMPARES:
            return comparing(name).measure(self.checkpoints, self.sample, count, against=self.against)
        return measure(name).measure(self.checkpoints, self.sample, count)

    def page(self, index: written.Index) -> str:
        """Of all parts that lie beside the run."""
        recipe = self.checkpoints[-1].recipe
        why = {name: measure(name).refusal(recipe) for name in NAMES if name not in index}
        absent = {name: said or f"not looked into yet: `parts={name}` adds it" for name, said in why.items()}
        return page(recipe, {name: index[name] for name in NAMES if name in index}, absent)


def _begin(of: str, settings: Settings, on: Machine) -> Look:
    """What can be wrong is told now."""
    check(on)
    folder, step, device = runs.find(of), settings.step, torch.device(on.accelerator)
    checkpoints = Trained.every(folder) if step is None else [Trained.at(folder, step)]
    newest = checkpoints[-1]
    settings.refuse_idle(of, newest.recipe)
    refused = {name: why for name in settings.parts if (why := measure(name).refusal(newest.recipe))}
    parts = tuple(name for name in settings.parts if name not in refused)
    if not parts:
        raise RunError("; ".join(f"{name}: {why}" for name, why in refused.items()))
    written.refuse_foreign(folder, [pattern for name in parts for pattern in WRITES[name]])
    compares = [name for name in COMPARES if name in parts]
    against = _second(settings.against, newest) if settings.against and compares else None
    if set(parts) <= set(READS_NOTHING):
        given = no_sample(device)
    else:
        given = sample(newest, device, size=settings.tokens or settings.images, name=settings.set)
    remarks = [f"{name}: {why}" for name, why in refused.items()]
    if settings.against and not compares:
        remarks.append(f"against={settings.against} is left out: {COMPARES[0]} alone takes it")
    if on.world_size > 1:
        remarks.append(f"machine {on.name!r} has {on.world_size} devices, of which the first computes this")
    return Look(checkpoints, given, parts, refused, against, tuple(remarks))


def _second(of: str, newest: Trained) -> Trained:
    """The newest checkpoint of a run that has the same tokens.

    Raises:
        RunError: it has others, or none, or no states to compare.
    """
    other = Trained.at(runs.find(of))
    for name in COMPARES:
        if why := measure(name).refusal(other.recipe):
            raise RunError(f"against={of}: {why}")
    if not isinstance(other.recipe, LanguageRecipe) or sha256(other.vocabulary.path) != sha256(newest.vocabulary.path):
        raise RunError(f"against={of}: expected a language model of the same tokenizer, so that both read the same")
    return other


def _made(look: Look, progress: Progress) -> tuple[list[written.Part], list[str]]:
    """Each part, written, and in a line each what of the others was not to be had.

    Raises:
        ReproError: there is no part.
    """
    made: list[written.Part] = []
    failed: dict[str, ReproError] = {}
    for name in look.parts:
        try:
            found = look.found(name, Count(name, _work(look, name), progress))
        except ReproError as error:
            failed[name] = error
            continue
        made.append(_part(look, name, found))
        written.write(look.folder, made[-1:], look.page)
    if not made:
        raise next(iter(failed.values()))
    return made, [f"{name}: {error}" for name, error in failed.items()]


def _part(look: Look, name: str, found: Found) -> written.Part:
    steps = sorted({row["step"] for rows in found.tables.values() for row in rows if row.get("step") is not None})
    on = device_here() if look.sample.device.type == "cuda" or not torch.cuda.is_available() else "CPU"
    here = versions()
    made = {
        "step": ", ".join(f"{step:,}" for step in steps),
        "sample": "none" if name in READS_NOTHING else look.sample.what,
        "device": on,
        "made with": f"polycom-repro {here['repro']}, torch {here['torch']}",
        "date": datetime.now(UTC).date().isoformat(),
    }
    return written.Part(name, found, section(name, measure(name).ABOUT, found), made, look.checkpoints[-1].step)


def _work(look: Look, name: str) -> int:
    """How much there is to be done; 0 where that is not known."""
    return measure(name).work(look.checkpoints, look.sample)


def _line(part: written.Part) -> str:
    counted = (part.found.figures, "figure"), (part.found.tables, "table"), (part.found.arrays, "array file")
    return f"{part.name}: {', '.join(_many(len(of), what) for of, what in counted if of)}"


def _many(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
