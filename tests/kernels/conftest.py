"""Where the fused kernels run: in Triton's interpreter on a CPU, or compiled on a GPU, never both in one process."""

import pytest
import torch

from repro import kernels
from repro.kernels.support import INSTALLED
from tests.kernels.inputs import interpreting


def the_interpreter_or_skip():
    if not INSTALLED:
        pytest.skip("Triton is not installed: it is made for Linux")
    if not interpreting():
        pytest.skip("the kernels are compiled for a GPU: Triton's interpreter is off (TRITON_INTERPRET=1)")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    if request.param == "cpu":
        the_interpreter_or_skip()
    elif not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    elif interpreting():
        pytest.skip("the kernels are in Triton's interpreter: the GPU's tests run alone, by -m gpu")
    return request.param


@pytest.fixture
def launched(monkeypatch):
    """The names of the fused functions called, forward and backward, in order."""
    from repro.kernels import launch  # not above: it makes the kernels, and this file is read before tests are chosen

    calls = []
    for name in ("polynorm", "polynorm_backward", "polyrelu", "polyrelu_backward"):
        real = getattr(launch, name)
        monkeypatch.setattr(launch, name, lambda *args, name=name, real=real: calls.append(name) or real(*args))
    return calls


@pytest.fixture
def modules_are_fused(monkeypatch, launched):
    """Has the modules use the fused kernels on a CPU too, where they would choose torch; gives what was called."""
    the_interpreter_or_skip()
    monkeypatch.setattr(kernels, "_fused", lambda *args, **options: True)
    return launched
