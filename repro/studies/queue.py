"""The runs of a study on this machine: one process each, a few at a time, until none is due."""

from collections.abc import Sequence

from repro.recipe import Machine
from repro.recipe.layout import USABLE
from repro.recipe.machine import cores
from repro.recipe.plan import plan
from repro.studies.asked import Asked, Form, Key
from repro.studies.due import due
from repro.studies.processes import Arm, hide_other_gpus, run_all, share
from repro.studies.recorded import Recorded, is_trained, unanalysed
from repro.studies.watching import Watch

PROCESS_GB = 1.0  # of memory beside what the plan counts: Python and torch


class Queue:
    """Starts what is due, and records each run as it ends, which makes others due.

    Processes share what torch and Triton keep of compiled code, by default in folders of the person's own, so that a
    GPU compiles once for all runs.

    Args:
        of: the form.
        machine: this one.
        recorded: its results.
        watch: told a few times a second.

    Attributes:
        failed: runs that ended with an error, and how; each is tried once.
    """

    def __init__(self, of: Form, machine: Machine, recorded: Recorded, watch: Watch) -> None:
        self.of, self.machine, self.recorded, self.watch = of, machine, recorded, watch
        self.asked: dict[Key, Asked] = {}
        self.arms: dict[Key, Arm] = {}
        self.failed: dict[Key, str] = {}

    def work(self) -> None:
        """Until nothing is due."""
        waiting: list[Arm] = []
        self._add(waiting)
        if not waiting:
            return
        at_once, method = self._share(list(self.asked.values()))
        self.watch.begin(at_once)
        try:
            run_all(waiting, at_once=at_once, method=method, show=self._show, more=self._go_on)
        finally:
            self._record()

    def _show(self) -> None:
        self.watch.show(self.recorded.rows, self.arms)

    def _go_on(self, waiting: list[Arm]) -> None:
        """When a run has ended."""
        self._record()
        self._add(waiting)

    def _add(self, waiting: list[Arm]) -> None:
        """Put what is due among those that wait, in its order."""
        todo = self._untold()
        for run in todo:
            if run.key not in self.arms:
                self.asked[run.key], self.arms[run.key] = run, self._arm(run)
                waiting.append(self.arms[run.key])
        order = {id(self.arms[run.key]): place for place, run in enumerate(todo)}
        waiting.sort(key=lambda arm: order[id(arm)])

    def _untold(self) -> list[Asked]:
        """What is due once the runs that are trained already have their rows, which makes others due."""
        todo = due(self.of, self.recorded.rows, self.failed)
        done = [run for run in todo if run.key not in self.arms and self._has_ended(run)]
        for run in done:
            self.recorded.add(run)
        return self._untold() if done else todo

    def _record(self) -> None:
        """Those that have ended since."""
        for key, run in list(self.asked.items()):
            arm = self.arms[key]
            if arm.seconds is None:
                continue
            del self.asked[key]
            if self._has_ended(run):
                arm.failed = None  # a divergence ends with an error, and is a result
                self.recorded.add(run)
            else:
                self.failed[key] = arm.failed or f"it left no result: {arm.log}"

    def _has_ended(self, run: Asked) -> bool:
        return is_trained(run.folder) and not unanalysed(self.of, run)

    def _arm(self, run: Asked) -> Arm:
        """Its process: training, analysis, or one after the other."""
        on = ("--on", self.machine.name)
        parts = ",".join(unanalysed(self.of, run))
        look = ("repro", "analyze", str(run.folder), f"parts={parts}", *on) if parts else ()
        train = () if is_trained(run.folder) else (*run.command, *on)
        return Arm(run.name, train or look, run.folder, run.recipe.steps, then=look if train else ())

    def _share(self, asked: Sequence[Asked]) -> tuple[int, str]:
        """As many on a CPU as it has cores, and as its memory holds."""
        if self.machine.accelerator == "cuda" and self.machine.world_size == 1:
            hide_other_gpus()
        need = max(plan(run.recipe, self.machine).memory_gb for run in asked) + PROCESS_GB
        return share(self.machine, at_most=min(cores(), int(USABLE * self.machine.memory_gb / need)))
