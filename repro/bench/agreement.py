"""Whether the kernels are right: their distance from the reference in float64. No speed is told where they are not."""

import os
import sys
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from repro.activations import reference
from repro.bench.measurement import DTYPE, ORDER, Case, Errors, Inputs
from repro.bench.peers import OURS, Bound, peers
from repro.errors import CheckFailed, ReproError
from repro.kernels.support import interpreting

SLACK = 1.25  # times the error of rounding the truth to bfloat16 once, which cannot be avoided
TRUNCATION = 2.0  # times that error is made by Triton's interpreter, which cuts off instead of rounding
COEFFICIENTS = 1e-4  # for a sum in float32 of up to 2^28 products, which comes out within 1e-6
CHUNK = 2**24  # elements that are differentiated in float64 at once: 3 GB of intermediates


@dataclass(frozen=True)
class Truth:
    """What the reference gives for inputs in float64."""

    y: Tensor
    dx: Tensor
    dcoeff: Tensor


def place() -> torch.device:
    """The GPU; without one the processor, where Triton interprets kernels from here on.

    Raises:
        ReproError: there is a GPU and the environment asks for the interpreter; or there is none, and Triton was
            imported before, which is when it decides whether to interpret.
    """
    if torch.cuda.is_available():
        if interpreting():
            raise ReproError(
                "there is a GPU and TRITON_INTERPRET has kernels run on the processor; unset it and start again"
            )
        return torch.device("cuda")
    if "triton" in sys.modules and not interpreting():
        raise ReproError("Triton was imported without its interpreter; set TRITON_INTERPRET=1 and start again")
    os.environ["TRITON_INTERPRET"] = "1"
    return torch.device("cpu")


def name(device: torch.device) -> str:
    """Where the kernels run, for a person."""
    return torch.cuda.get_device_name() if device.type == "cuda" else "Triton's interpreter"


def inputs(case: Case, device: torch.device) -> Inputs:
    """Normal random numbers, and the coefficients of Section 2 as bfloat16 has them, so that all get the same.

    Drawn in float32 and rounded: drawn in bfloat16 some are exactly 0, where ReLU has no derivative to agree on.
    """
    generator = torch.Generator(device).manual_seed(0)

    def drawn() -> Tensor:
        return torch.randn(case.rows, case.width, device=device, generator=generator).to(DTYPE)

    coeff = torch.tensor([0.0] + [1 / ORDER] * ORDER, device=device, dtype=DTYPE)
    return Inputs(drawn(), drawn(), coeff.float())


def truth(function: str, given: Inputs) -> Truth:
    """The reference in float64, a part of the rows at a time."""
    coeff = given.coeff.double().requires_grad_()
    y, dx = (torch.empty_like(given.x, dtype=torch.float64) for _ in range(2))
    dcoeff = torch.zeros_like(coeff)
    rows = max(1, CHUNK // given.x.shape[-1])
    for start in range(0, len(given.x), rows):
        part = slice(start, start + rows)
        x = given.x[part].double().requires_grad_()
        out = getattr(reference, function)(x, coeff)
        y[part] = out.detach()
        dx[part], gradient = torch.autograd.grad(out, (x, coeff), given.dy[part].double())
        dcoeff += gradient
    return Truth(y, dx, dcoeff.detach())


def errors(bound: Bound, right: Truth) -> Errors:
    """How far an implementation is from the truth."""
    y = bound.forward()
    error_y = _relative(y.detach(), right.y)
    dx, *gradients = bound.backward(y, bound.incoming())
    dcoeff = bound.peer.layout.join(gradients)
    return Errors(error_y, _relative(dx, right.dx), _relative(dcoeff, right.dcoeff))


def allowed(right: Truth, device: torch.device) -> Errors:
    """The errors that a kernel may have."""
    slack = SLACK * (1 if device.type == "cuda" else TRUNCATION)
    y, dx = (slack * _relative(exact.to(DTYPE), exact) for exact in (right.y, right.dx))
    return Errors(y, dx, COEFFICIENTS)


def check(case: Case, device: torch.device) -> Errors:
    """The errors of our kernels at a case.

    Raises:
        CheckFailed: they are above what is allowed.
    """
    given = inputs(case, device)
    right = truth(case.function, given)
    found = errors(Bound(peers(case.function)[0], given), right)
    insist(case, found, allowed(right, device))
    return found


def insist(case: Case, found: Errors, budget: Errors) -> None:
    """Refuse errors above the budget.

    Raises:
        CheckFailed: naming the case and the figures.
    """
    for field in fields(Errors):
        error, most = getattr(found, field.name), getattr(budget, field.name)
        if not error <= most:  # nor is NaN
            raise CheckFailed(
                f"{case}: {field.name} of {OURS} is {error:.2e} from float64 (relative, L2) and may be {most:.2e}; "
                "no speed is told while a kernel is wrong"
            )


def _relative(value: Tensor, exact: Tensor) -> float:
    return float((value.double() - exact).norm() / exact.norm())
