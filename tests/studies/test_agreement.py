"""The smoke's comparison of the operators with the reference: it passes here, and finds what is wrong."""

import math

import pytest
import torch

from repro import kernels
from repro.studies import agreement as agreeing
from repro.studies import relative_errors
from repro.studies.agreement import BOUNDS, agreement, judge
from repro.studies.relative_errors import measure


def test_the_kernels_agree_here_in_the_interpreter():
    check = agreement("cpu")
    assert check.passed, check.figures
    first, eager, fused = check.figures.splitlines()
    assert first == "largest error relative to float64"
    assert eager.startswith("torch on the CPU: ")
    assert fused.startswith("Triton kernels in the interpreter: ")
    assert all(" in float32, " in line and line.endswith(" in bfloat16") for line in (eager, fused))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_the_compiled_kernels_agree_on_a_gpu():
    check = agreement("cuda")
    assert check.passed, check.figures
    assert f"Triton kernels on {torch.cuda.get_device_name()}: " in check.figures


@pytest.fixture
def without_triton(monkeypatch):
    monkeypatch.setattr(relative_errors, "INSTALLED", False)


def test_where_triton_is_not_installed_it_says_so_and_compares_the_rest(without_triton):
    check = judge(measure("cpu"))
    assert check.passed
    assert check.figures.splitlines()[1].startswith("torch on the CPU: ")
    assert check.figures.splitlines()[2] == "no Triton kernels: Triton is not installed"


def test_gradients_of_coefficients_are_held_to_float32_whatever_comes_in(without_triton):
    ((by_dtype, _),) = [measure("cpu").values()]
    assert by_dtype["float32"] < 1e-6 < by_dtype["bfloat16"]


WRONG = {
    "the output": lambda y, x, coeff: y * 1.0001,
    "one coefficient's gradient": lambda y, x, coeff: y + 1e-3 * (coeff[2] - coeff[2].detach()),
    "the input's gradient": lambda y, x, coeff: y + 1e-3 * (x - x.detach()),
    "a value that was never written": lambda y, x, coeff: y.index_fill(1, torch.tensor(3), math.nan),
}


@pytest.mark.parametrize("name", ["polynorm", "polyrelu"])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_fast_activation_that_is_wrong_is_found(without_triton, monkeypatch, name, wrong):
    right = getattr(kernels, name)
    monkeypatch.setattr(kernels, name, lambda x, coeff, **options: wrong(right(x, coeff, **options), x, coeff))
    assert not judge(measure("cpu")).passed


@pytest.mark.parametrize("dtype", BOUNDS)
def test_one_error_over_its_bound_is_enough(dtype):
    def judged(error):
        return judge({"torch": {"float32": 1e-7, "bfloat16": 2e-3}, "kernels": {dtype: error}}).passed

    assert judged(BOUNDS[dtype])
    assert not judged(1.01 * BOUNDS[dtype])
    assert not judged(math.nan)


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Has another program do the measuring."""

    def become(text):
        (tmp_path / "measuring.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(agreeing, "PROGRAM", "measuring")

    return become


def test_a_kernel_that_crashes_fails_the_check_with_what_it_said(program):
    program("raise RuntimeError('Triton Error [CUDA]: an illegal memory access was encountered')")
    check = agreement("cuda")
    assert not check.passed
    assert check.figures == (
        "the comparison ended with exit code 1 and said: "
        "RuntimeError: Triton Error [CUDA]: an illegal memory access was encountered"
    )


def test_a_process_that_dies_without_a_word_fails_the_check(program):
    program("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    check = agreement("cpu")
    assert (check.passed, check.figures) == (False, "the comparison ended with exit code -9 and said: nothing")


@pytest.mark.parametrize(("accelerator", "chosen"), [("cpu", "1"), ("cuda", "0")])
def test_the_interpreter_is_chosen_for_the_cpu_alone(program, monkeypatch, accelerator, chosen):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    program("import json, os, sys; print(json.dumps({f'{sys.argv[1]} {os.environ[\"TRITON_INTERPRET\"]}': {}}))")
    assert agreement(accelerator).figures.splitlines()[1] == f"{accelerator} {chosen}"
