"""Whether the activations that training uses agree with the reference, where it runs."""

import json
import os
import subprocess
import sys

from repro.studies.check import Check

PROGRAM = "repro.studies.relative_errors"

# Of root-mean-square errors. Float32 rounds by 6e-8 and leaves some 1e-7 after the sums; products in TF32 or bfloat16
# would leave 1e-3. The one rounding to bfloat16 errs by at most 2^-8 of a number, in the root mean square by half of
# that. Triton's interpreter truncates instead, which is twice as much and still below the bound: 3.5e-3.
BOUNDS = {"float32": 1e-5, "bfloat16": 2**-8}


def agreement(accelerator: str) -> Check:
    """Measure on ``cpu``, with the kernels in Triton's interpreter, or on ``cuda``, and judge.

    In a process of its own: the interpreter has to be chosen before Triton is imported, and a kernel that crashes takes
    its process along.
    """
    environment = os.environ | {"TRITON_INTERPRET": str(int(accelerator == "cpu"))}
    command = [sys.executable, "-m", PROGRAM, accelerator]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = ended.stderr.strip().splitlines() or ["nothing"]
        return _check(False, f"the comparison ended with exit code {ended.returncode} and said: {said[-1]}")
    return judge(json.loads(ended.stdout.splitlines()[-1]))


def judge(errors: dict[str, dict[str, float]]) -> Check:
    """Whether all of what :func:`repro.studies.relative_errors.measure` gives is within the bounds; NaN is not."""
    within = all(error <= BOUNDS[dtype] for by_dtype in errors.values() for dtype, error in by_dtype.items())
    lines = [": ".join(filter(None, [what, _figures(by_dtype)])) for what, by_dtype in errors.items()]
    return _check(within, "\n".join(["largest error relative to float64", *lines]))


def _figures(by_dtype: dict[str, float]) -> str:
    return ", ".join(f"{error:.1e} in {dtype}" for dtype, error in by_dtype.items())


def _check(passed: bool, figures: str) -> Check:
    return Check("fast activations agree with the reference, forward and gradients", passed, figures)
