"""What is compared computes the same function, takes the same coefficients and gives gradients in one layout."""

import sys
import types

import pytest
import torch

from repro.activations import reference
from repro.bench import peers as module
from repro.bench.measurement import Inputs
from repro.bench.peers import ASCENDING, FUNCTIONS, LIGER, OFFICIAL, Bound, Peer, absent, peers

pytestmark = pytest.mark.usefixtures("uncompiled", "interpreter")


@pytest.fixture(autouse=True)
def _looked_for_anew():
    absent.cache_clear()
    yield
    absent.cache_clear()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_all_agree_with_the_reference_in_float32(function):
    torch.manual_seed(0)
    x, dy, coeff = torch.randn(5, 24), torch.randn(5, 24), torch.randn(4)
    truth = [x.double().requires_grad_(), coeff.double().requires_grad_()]
    y = getattr(reference, function)(*truth)
    dx, dcoeff = torch.autograd.grad(y, truth, dy.double())
    for peer in peers(function):
        bound = Bound(peer, Inputs(x, dy, coeff))
        ours = bound.forward()
        gradients = bound.backward(ours, bound.incoming())
        # Powers of up to 30 in float32, and sums of 120 of their products: a few units of the largest.
        for found, right in ((ours, y), (gradients[0], dx), (peer.layout.join(gradients[1:]), dcoeff)):
            assert (found - right).norm() <= 1e-6 * right.norm(), peer.name


def test_the_official_code_is_given_its_own_dtype_and_order_of_coefficients():
    weight, bias = OFFICIAL.split(torch.tensor([0.5, 1.0, 2.0, 3.0]), torch.bfloat16)
    assert (weight.tolist(), bias.tolist()) == ([3.0, 2.0, 1.0], [0.5])
    assert weight.dtype == bias.dtype == torch.bfloat16


@pytest.mark.parametrize("layout", [OFFICIAL, LIGER])
def test_what_is_split_is_joined_again(layout):
    coeff = torch.tensor([0.5, 1.0, 2.0, 3.0])
    assert torch.equal(layout.join(layout.split(coeff, torch.float32)), coeff)


def test_liger_is_given_a_bias_without_dimensions_and_may_write_into_its_own_gradient(monkeypatch):
    called = []
    function = types.SimpleNamespace(apply=lambda *args: called.append(args) or args[0])
    liger = types.SimpleNamespace(LigerPolyNormFunction=function)
    monkeypatch.setitem(sys.modules, "liger_kernel", types.ModuleType("liger_kernel"))
    monkeypatch.setitem(sys.modules, "liger_kernel.ops", types.ModuleType("liger_kernel.ops"))
    monkeypatch.setitem(sys.modules, "liger_kernel.ops.poly_norm", liger)
    x, coeff = torch.randn(2, 8), torch.tensor([0.0, 1.0, 2.0, 3.0])
    named = {peer.name: peer for peer in peers("polynorm")}
    for name, in_place in (("liger in place", True), ("liger", False)):
        named[name].call(x, *named[name].layout.split(coeff, x.dtype))
        _, weight, bias, eps, written = called.pop()
        assert (weight.tolist(), bias.shape, eps, written) == ([3.0, 2.0, 1.0], (), 1e-6, in_place)
        assert named[name].overwrites == in_place
    assert "liger" not in {peer.name for peer in peers("polyrelu")}


def test_what_is_not_installed_is_named_and_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "liger_kernel", None)
    assert absent() == {"liger": "liger-kernel is not installed (pip install liger-kernel)"}
    assert not any(peer.name.startswith("liger") for peer in peers("polynorm"))


def test_an_import_that_fails_is_told(monkeypatch):
    def fail(name):
        raise RuntimeError("no driver\nand more")

    monkeypatch.setattr(module.importlib, "import_module", fail)
    assert absent() == {"liger": "its import failed: RuntimeError: no driver"}


def test_who_writes_into_the_gradient_is_given_one_of_its_own():
    given = Inputs(torch.randn(2, 8), torch.randn(2, 8), torch.randn(4))
    for overwrites in (True, False):
        bound = Bound(Peer("one", lambda x, coeff: x, ASCENDING, overwrites), given)
        assert (bound.incoming().data_ptr() != given.dy.data_ptr()) == overwrites
        assert torch.equal(bound.incoming(), given.dy)


def test_a_failure_is_one_line():
    assert module.first_line(torch.OutOfMemoryError("CUDA out of memory.\nTried much")) == "out of memory"
    assert module.first_line(ValueError("no\nyes")) == "ValueError: no"
    assert module.first_line(ValueError()) == "ValueError"
