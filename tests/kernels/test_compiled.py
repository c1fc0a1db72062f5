"""What the compiler makes of the kernels, for GPUs that are not here: its own report on each.

Registers and local memory are read from the compiled code by ``cuobjdump``, instructions by ``nvdisasm``, both of which
come with Triton.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from repro.kernels.support import INSTALLED

REGISTERS, WARPS = 65_536, 64  # of a multiprocessor, sm_80 and sm_90
# Programs that fit on a multiprocessor at once: while one waits for its numbers, another has its own to work on.
AT_ONCE = {
    "rowwise.forward": 3,
    "rowwise.forward_wide": 2,
    "rowwise.backward": 2,
    "rowwise.backward_wide": 2,
    "elementwise.forward": 8,
    "elementwise.backward": 4,
    "fold.fold": 1,  # of a few thousand numbers
}


@pytest.mark.skipif(not INSTALLED, reason="Triton is not installed: it is made for Linux")
@pytest.mark.parametrize("direction", ["backward", "forward"])
@pytest.mark.parametrize("capability", [80, 90])
def test_kernels_spill_nothing_move_16_bytes_at_a_time_and_count_rows_in_64_bits(capability, direction, tmp_path):
    reports = compiled(capability, direction, tmp_path)
    assert {report["kernel"] for report in reports} == {
        name for name in AT_ONCE if direction in name or (direction == "backward" and name == "fold.fold")
    }
    said = [
        f"sm_{capability} {report['case']}, {report['kernel']}: {what}"
        for report in reports
        for what in complaints(report)
    ]
    assert not said, "\n".join(said)


def compiled(capability: int, direction: str, folder: Path) -> list[dict[str, Any]]:
    """Reports of a process without the interpreter, which leaves nothing behind and whose warnings are errors."""
    environment = os.environ | {"TRITON_CACHE_DIR": str(folder)}
    environment.pop("TRITON_INTERPRET", None)
    command = [sys.executable, "-W", "error", "-m", "tests.kernels.compiled", str(capability), direction]
    root = Path(__file__).parents[2]
    ended = subprocess.run(command, cwd=root, env=environment, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout)


def complaints(report: dict[str, Any]) -> Iterator[str]:
    if report["stack"] or report["spills"]:
        yield f"spills: {report['stack']} bytes of stack, {report['spills']} accesses, {report['registers']} registers"
    if at_once(report) < AT_ONCE[report["kernel"]]:
        yield f"{report['registers']} registers of {report['num_warps']} warps: {at_once(report)} programs at once"
    if report["kernel"] != "fold.fold":
        yield from _narrow(report)
    if report["atomics"]:
        yield f"{report['atomics']} atomic operations"
    if report["rows_in_32_bits"] or not report["rows_in_64_bits"]:
        yield f"the row is used {report['rows_in_32_bits']} times in 32 bits, {report['rows_in_64_bits']} in 64"


def at_once(report: dict[str, Any]) -> int:
    """Programs that the registers of a multiprocessor hold; a warp is given them 256 at a time."""
    a_warp = -(-report["registers"] * 32 // 256) * 256
    return min(WARPS, REGISTERS // a_warp) // report["num_warps"]


def _narrow(report: dict[str, Any]) -> Iterator[str]:
    """Rows are read and written 16 bytes at a time; all else are coefficients, and a scale or sum of each power."""
    rows = report.get("ROWS", 1)
    rows_to_a_thread = max(1, rows * report["BLOCK"] // (8 * 32 * report["num_warps"])) if rows > 1 else 1
    numbers = (report["order"] + 1) * (1 + rows_to_a_thread)
    for what in ("loads", "stores"):
        narrow = report[what] - report[f"wide_{what}"]
        if not report[f"wide_{what}"] or narrow > numbers:
            yield f"{narrow} of {report[what]} {what} are of less than 16 bytes; at most {numbers} are of numbers"
