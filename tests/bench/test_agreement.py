"""No speed is told of a kernel that is wrong."""

import pytest
import torch

from repro import kernels
from repro.activations import reference
from repro.bench import agreement
from repro.bench.measurement import Case, Errors
from repro.errors import CheckFailed

pytestmark = pytest.mark.usefixtures("uncompiled")

BOTH = pytest.mark.parametrize("function", ["polynorm", "polyrelu"])


@BOTH
def test_our_kernels_are_within_the_budget(interpreter, function):
    found = agreement.check(Case(function, 96, 9), interpreter)
    assert 0 < found.y < 5e-3  # cut off to eight bits: at most 2^-8 of each number


@BOTH
def test_a_kernel_that_is_one_percent_off_is_refused(interpreter, monkeypatch, function):
    right = getattr(kernels, function)
    monkeypatch.setattr(kernels, function, lambda *args, **options: 0.99 * right(*args, **options))
    with pytest.raises(CheckFailed) as refused:
        agreement.check(Case(function, 96, 9), interpreter)
    said = str(refused.value)
    assert said.startswith(f"{function}, 9 x 96: y of ours is 1.")
    assert "and may be" in said
    assert said.endswith("no speed is told while a kernel is wrong")


def test_nan_is_refused():
    with pytest.raises(CheckFailed, match="dx of ours is nan"):
        agreement.insist(Case("polynorm", 8, 8), Errors(0, float("nan"), 0), Errors(1, 1, 1))


def test_on_a_gpu_a_quarter_more_than_one_rounding_is_allowed():
    given = agreement.inputs(Case("polynorm", 64, 32), torch.device("cpu"))
    right = agreement.truth("polynorm", given)
    once = ((right.y.bfloat16().double() - right.y).norm() / right.y.norm()).item()
    assert agreement.allowed(right, torch.device("cuda")).y == pytest.approx(1.25 * once)
    assert agreement.allowed(right, torch.device("cpu")).y == pytest.approx(2.5 * once)


def test_the_truth_in_parts_is_the_truth(monkeypatch):
    given = agreement.inputs(Case("polynorm", 16, 7), torch.device("cpu"))
    x, coeff = given.x.double().requires_grad_(), given.coeff.double().requires_grad_()
    y = reference.polynorm(x, coeff)
    whole = (y, *torch.autograd.grad(y, (x, coeff), given.dy.double()))
    monkeypatch.setattr(agreement, "CHUNK", 48)  # three rows
    parts = agreement.truth("polynorm", given)
    torch.testing.assert_close((parts.y, parts.dx, parts.dcoeff), whole)


def test_inputs_are_the_same_every_time_and_never_zero():
    first, second = (agreement.inputs(Case("polyrelu", 64, 512), torch.device("cpu")) for _ in range(2))
    assert torch.equal(first.x, second.x)
    assert (first.x != 0).all()


def test_triton_imported_without_its_interpreter_is_told(monkeypatch, interpreter):
    monkeypatch.setitem(agreement.sys.modules, "triton", agreement)
    monkeypatch.delenv("TRITON_INTERPRET")
    with pytest.raises(agreement.ReproError, match="set TRITON_INTERPRET=1 and start again"):
        agreement.place()


@pytest.mark.parametrize("value", ["1", "true", "ON"])
def test_whatever_triton_takes_for_yes_is_the_interpreter(monkeypatch, interpreter, value):
    monkeypatch.setenv("TRITON_INTERPRET", value)
    assert agreement.place() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(agreement.ReproError, match=r"there is a GPU and TRITON_INTERPRET .*; unset it and start again"):
        agreement.place()


def test_a_gpu_is_taken_where_nobody_asked_for_the_interpreter(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    assert agreement.place() == torch.device("cuda")
