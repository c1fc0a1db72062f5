"""One line that says how a run is doing: a live bar on a terminal, a line a validation otherwise."""

from typing import Any

from lightning.pytorch.loggers import Logger
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SHOWN = {
    "loss": "loss {:#.4g}",
    "validation_loss": "validation {:#.4g}",
    "top1": "top-1 {:.1%}",
    "tokens_per_second": "{:,.0f} tok/s",
    "samples_per_second": "{:,.0f} images/s",
    "mfu": "MFU {:.1%}",
}


class ProgressLine(Logger):
    """Shows the latest of what is logged, and the time left. It listens as any logger does."""

    def __init__(self, console: Console, *, steps: int, done: int) -> None:
        super().__init__()
        self.console = console
        self.latest: dict[str, float] = {}
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[figures]}"), TimeRemainingColumn())
        self.progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self.task = self.progress.add_task("", total=steps, completed=done, figures="")
        self.steps = steps

    @property
    def name(self) -> None:
        """It writes no file."""

    @property
    def version(self) -> None:
        """It writes no file."""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Show the figures of this step."""
        self.progress.start()
        self.latest |= {key: value for key, value in metrics.items() if key in _SHOWN}
        figures = "  ".join(form.format(self.latest[key]) for key, form in _SHOWN.items() if key in self.latest)
        self.progress.update(self.task, completed=step, figures=figures)
        if not self.console.is_terminal and "validation_loss" in metrics:
            self.console.print(f"step {step:,} of {self.steps:,}  {figures}", highlight=False)

    def finalize(self, status: str) -> None:
        """Leave the last state of the bar on the screen."""
        self.progress.stop()
