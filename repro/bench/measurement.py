"""What the benchmark of the activations measures, as values: a case, and one implementation's figures there."""

from dataclasses import dataclass

import torch
from torch import Tensor

from repro.bench.timing import Timing

ORDER = 3  # the paper's
DTYPE = torch.bfloat16

CEILING = "ceiling"  # the implementation that only moves what has to be moved

# The least that has to be moved, in bytes per element of two: x in and y out; x and dy in and dx out; and both.
LEAST_BYTES = {"forward": 4, "backward": 6, "both": 10}
SCALES = 4 * ORDER  # bytes a row that our PolyNorm writes forward and reads backward besides


@dataclass(frozen=True)
class Case:
    """A function of ``(rows, width)`` numbers in bfloat16."""

    function: str
    width: int
    rows: int

    def __str__(self) -> str:
        return f"{self.function}, {self.rows:,} x {self.width:,}"

    @property
    def elements(self) -> int:
        """Numbers in x."""
        return self.rows * self.width

    @property
    def working_set(self) -> int:
        """Bytes of x and y."""
        return LEAST_BYTES["forward"] * self.elements


@dataclass(frozen=True)
class Inputs:
    """A case's numbers: x and dy, ``(rows, width)``, and coeff, ``(order + 1,)``, in float32."""

    x: Tensor
    dy: Tensor
    coeff: Tensor


@dataclass(frozen=True)
class Errors:
    """Distances from float64, relative to its length (L2)."""

    y: float
    dx: float
    dcoeff: float


@dataclass(frozen=True)
class Look:
    """What is known of an implementation at a case but its times; None is not known.

    ``launches`` is of the forward and of the backward pass. ``peak`` and ``kept`` are bytes, the one of a forward and a
    backward pass above x and dy, the other what is kept between them, x included. ``recompilations`` is such as
    ``1 of 63``, of the numbers of tokens that were tried after the first, and says so where it was cut short.
    """

    errors: Errors
    launches: tuple[int | None, int | None]
    peak: int
    kept: int
    deterministic: bool
    recompilations: str = ""


@dataclass(frozen=True)
class Measurement:
    """One implementation in one direction. ``note`` says why it has no ``timing``; of the ceiling, what was timed."""

    case: Case
    implementation: str
    direction: str
    timing: Timing | None = None
    ceiling: float | None = None
    look: Look | None = None
    note: str = ""

    @property
    def gb_per_s(self) -> float | None:
        """The least bytes over the time they took, in 10^9 bytes a second."""
        if self.timing is None:
            return None
        return LEAST_BYTES[self.direction] * self.case.elements / self.timing.median / 1e6

    @property
    def share(self) -> float | None:
        """Percent of the ceiling's speed, which was measured in the same rounds."""
        if self.timing is None or self.ceiling is None:
            return None
        return 100 * self.ceiling / self.timing.median

    def row(self) -> dict[str, object]:
        """The measurement as a row of the CSV; what is not known is empty."""
        case, timing, look = self.case, self.timing, self.look
        return {
            "function": case.function,
            "width": case.width,
            "rows": case.rows,
            "dtype": str(DTYPE).removeprefix("torch."),
            "order": ORDER,
            "implementation": self.implementation,
            "direction": self.direction,
            "median_ms": timing and timing.median,
            "p20_ms": timing and timing.low,
            "p80_ms": timing and timing.high,
            "rounds": timing and timing.rounds,
            "gb_per_s": self.gb_per_s,
            "percent_of_ceiling": self.share,
            "launches": look and self._launches(look),
            "peak_bytes_per_element": look and look.peak / case.elements,
            "kept_bytes_per_element": look and look.kept / case.elements,
            "error_y": look and look.errors.y,
            "error_dx": look and look.errors.dx,
            "error_dcoeff": look and look.errors.dcoeff,
            "deterministic": look and look.deterministic,
            "recompilations": look and look.recompilations,
            "note": self.note,
        }

    def _launches(self, look: Look) -> int | None:
        forward, backward = look.launches
        both = None if forward is None or backward is None else forward + backward
        return {"forward": forward, "backward": backward, "both": both}[self.direction]
