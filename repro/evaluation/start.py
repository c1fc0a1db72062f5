"""`repro eval`: a run's checkpoints on sets of text and downstream tasks, or on images, as a person sees it."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn

from repro.data.progress import bars, silent
from repro.errors import ReproError
from repro.evaluation import results, tables
from repro.evaluation.images import Images
from repro.evaluation.processes import Command, device, start_all
from repro.evaluation.sets import find
from repro.evaluation.settings import Asked, Settings
from repro.evaluation.work import Left, Piece
from repro.recipe import machine, runs
from repro.recipe.images import ImageRecipe
from repro.training.holding import held, told
from repro.training.meeting import meeting
from repro.training.ranks import by_torchrun, is_first, started
from repro.training.record import versions
from repro.training.run import check
from repro.training.torchrun import handed_over
from repro.training.trained import Trained

SHOW = {"losses": tables.show_losses, "tasks": tables.show_tasks, "images": tables.show_images}
KEPT = "; what was evaluated before is kept"


def start(of: str, settings: Sequence[str], *, sets: str | None, tasks: str | None, on: str, console: Console) -> None:
    """Evaluate the checkpoints of a run, saying on ``console`` what came out.

    Raises:
        ReproError: something is not there, or does not fit; before anything is computed.
    """
    say = console if is_first() else Console(quiet=True)
    asked = Asked(of, Settings.of(settings), sets, tasks, machine(on))
    try:
        with meeting() as others:
            beginning = others.together(lambda: _begin(asked), Beginning.said)
            if asked.machine.world_size > started():
                start_all(Command(asked.machine, asked.arguments))
            else:
                _evaluate(beginning, asked, say)
    except ReproError as error:
        if not (by_torchrun() and handed_over(error)):
            raise


@dataclass(frozen=True)
class Beginning:
    """What all processes begin with: the checkpoints, newest first as a person waits for them, and what they meet."""

    folder: Path
    checkpoints: list[Trained]
    pieces: list[Piece]
    left: Left

    def said(self) -> dict[str, object]:
        """What is to be the same on all processes, in the words of an error."""
        return {
            "the run's folder": self.folder,
            "its checkpoints": [of.step for of in self.checkpoints],
            "what they are evaluated on": [str(piece) for piece in self.pieces],
            "what was evaluated before": self.left.done,
            "the version": versions()["repro"],
        }


def _begin(asked: Asked) -> Beginning:
    """What can be wrong is told now."""
    check(asked.machine)
    folder, step = runs.find(asked.of), asked.settings.step
    checkpoints = Trained.every(folder)[::-1] if step is None else [Trained.at(folder, step)]
    pieces = _pieces(asked, checkpoints[0])
    return Beginning(folder, checkpoints, pieces, Left.of(checkpoints, pieces))


def _pieces(asked: Asked, of: Trained) -> list[Piece]:
    if isinstance(of.recipe, ImageRecipe):
        asked.refuse_text(of.recipe.name)
        return [Images.of(of)]
    names, settings = asked.names(of.recipe), asked.settings
    sets: list[Piece] = [find(name, of, tokens=settings.tokens) for name in names.sets]
    if not names.tasks:
        return sets
    from repro.evaluation.tasks.task_piece import find as find_tasks  # lm-eval takes seconds to import

    return [*sets, *find_tasks(names.tasks, files=settings.files, limit=settings.limit)]


def _evaluate(beginning: Beginning, asked: Asked, say: Console) -> None:
    """In this process, alone or one of several."""
    for name, steps in beginning.left.done.items():
        if steps:
            at = ", ".join(f"{step:,}" for step in sorted(steps))
            say.print(f"evaluated before: {name} at step {at}", highlight=False, soft_wrap=True, markup=False)
    shown = bars(MofNCompleteColumn()) if is_first() else contextlib.nullcontext(silent)
    with told(beginning.folder, also=KEPT), _alone(beginning.folder), shown as progress:
        remarks = beginning.left.do(device(asked.machine), progress)
    if is_first():
        _show(beginning, remarks, say)


def _show(beginning: Beginning, remarks: Sequence[str], say: Console) -> None:
    steps = {of.step for of in beginning.checkpoints}
    for kind in dict.fromkeys(piece.kind for piece in beginning.pieces):
        names = {piece.name for piece in beginning.pieces if piece.kind == kind}
        rows = results.read(beginning.folder, kind)
        SHOW[kind]([row for row in rows if row["step"] in steps and results.name_of(kind, row) in names], say)
    for remark in remarks:
        say.print(remark, highlight=False, soft_wrap=True, markup=False, style="yellow")
    where = beginning.folder / results.FOLDER
    say.print(f"kept in {where}", highlight=False, soft_wrap=True, markup=False)


def _alone(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Hold a run's evaluations, in the first process for all."""
    if not is_first():
        return contextlib.nullcontext()
    refusal = f"{folder} is being evaluated by another process; wait for it"
    return held(folder / results.FOLDER / ".lock", refusal=refusal)
