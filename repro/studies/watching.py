"""A study as it goes: a table of arms by seeds on a terminal, elsewhere a line a minute."""

import time
from collections.abc import Iterator, Mapping, Sequence
from statistics import mean

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from repro.claims.evidence.rows import Row
from repro.recipe.display import duration
from repro.studies.asked import Form, Key
from repro.studies.due import at_edges, key_of, rate, remaining
from repro.studies.processes import Arm

MINUTE = 60.0  # seconds between lines where there is no terminal
OFTEN = 0.5  # and between tables where there is one


class Watch:
    """What a person sees of a study that runs.

    Args:
        of: the form.
        hours: of all that was missing as it began, by plan.
        console: where to say it.
    """

    def __init__(self, of: Form, hours: float, console: Console) -> None:
        self.of, self.hours, self.console = of, hours, console
        self.at_once = 1
        self.told = 0.0
        self.live: Live | None = None

    def __enter__(self) -> "Watch":
        if self.console.is_terminal:
            self.live = Live(console=self.console, refresh_per_second=4)
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the table as it is."""
        if self.live:
            self.live.stop()

    def begin(self, at_once: int) -> None:
        """Take note of how many run together, and show what they are at once."""
        self.at_once = at_once
        self.told = 0.0 if self.live else time.monotonic() - MINUTE + 1

    def show(self, rows: Sequence[Row], arms: Mapping[Key, Arm]) -> None:
        """Say where it is, if it was not just said."""
        now = time.monotonic()
        if now - self.told < (OFTEN if self.live else MINUTE):
            return
        self.told = now
        if self.live:
            self.live.update(Group(table(self.of, rows, arms), self._line(rows, arms)))
        else:
            self.console.print(self._line(rows, arms), highlight=False, soft_wrap=True)

    def _line(self, rows: Sequence[Row], arms: Mapping[Key, Arm]) -> str:
        missing = len(remaining(self.of, rows))
        running = [arm for arm in arms.values() if arm.process is not None and arm.seconds is None]
        failed, edges = sum(bool(arm.failed) for arm in arms.values()), len(at_edges(self.of, rows))
        told = [f"{len(rows)} runs done, {len(running)} running, {missing - len(running)} to come"]
        told += [f"{failed} failed"] if failed else []
        told += [f"{edges} arms at an edge of their rates come last"] if edges else []
        told += [f"{arm.name} at step {arm.step} of {arm.steps}" for arm in running[:1]]
        return f"{'; '.join(told)}; about {duration(self._left(missing, arms))} left"

    def _left(self, missing: int, arms: Mapping[Key, Arm]) -> float:
        """Hours, at the pace of the runs that ended; by plan before the first has."""
        taken = [arm.seconds for arm in arms.values() if arm.seconds]
        if not taken:
            return self.hours
        begun = sum(arm.step / arm.steps for arm in arms.values() if arm.process is not None and arm.seconds is None)
        return mean(taken) * max(missing - begun, 0.0) / self.at_once / 3600


def table(of: Form, rows: Sequence[Row], arms: Mapping[Key, Arm]) -> Table:
    """Arms by seeds: the loss of each run, or how far it is."""
    view = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    view.add_column("arm")
    view.add_column("rate", justify="right", no_wrap=True)
    seeds = range(max(len(of.seeds_of(arm)) for arm in of.study.arms))
    for seed in seeds:
        view.add_column(f"{seed}", justify="right", no_wrap=True)
    there = {key_of(row): row for row in rows}
    for rung, arm in of.places:
        name = f"{arm}, {rung}" if len(of.study.forms[of.name]) > 1 else arm
        for told, factor in _factors(of, rows, rung, arm):
            keys = [("main", rung, arm, factor, seed) for seed in seeds]
            view.add_row(name, told, *(_cell(key, there, arms) for key in keys))
    return view


def _factors(of: Form, rows: Sequence[Row], rung: str, arm: str) -> Iterator[tuple[str, float]]:
    """What an arm's runs are told by, and the factor of its rate that they have."""
    if of.study.sweep:
        yield from ((f"x{factor:g}", factor) for factor in of.study.sweep)
        return
    if of.bracket is None:
        yield "", 1.0
        return
    choice = rate(of, rows, rung, arm)
    tried = sum(row.role == "bracket" and (row.rung, row.arm) == (rung, arm) for row in rows)
    at = f"x{choice.factor:g}{', an edge' if choice.at_edge else ''}" if choice else f"{tried} tried"
    yield at, choice.factor if choice else 1.0


def _cell(key: Key, there: Mapping[Key, Row], arms: Mapping[Key, Arm]) -> str:
    if key in there:
        loss = there[key].validation_loss
        return "diverged" if loss is None else f"{loss:.4f}"
    if key not in arms:
        return ""
    arm = arms[key]
    if arm.failed:
        return "failed"
    return f"{arm.step / arm.steps:.0%}" if arm.process is not None else "waits"
