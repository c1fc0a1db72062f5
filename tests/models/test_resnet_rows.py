"""What an activation that normalises takes for a row of an image, and how it lies in memory."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from repro import kernels
from repro.activations import PolyNorm, PolyReLU, reference
from repro.models.resnet import AXES
from tests.helpers import assert_sum_within_budget, assert_within_budget
from tests.models.resnets import FORMATS, RECIPE, filled, pictures, small


def reference_over(axes, x, coeff):
    """The definition, with the axes that make a row moved last and made one."""
    last = {"channel": (1,), "width": (3,), "chw": (1, 2, 3), "hw": (2, 3)}[axes]
    order = [d for d in range(4) if d not in last] + list(last)
    moved = x.permute(order)
    y = reference.polynorm(moved.flatten(4 - len(last)), coeff).view(moved.shape)
    return y.permute([order.index(d) for d in range(4)])


@FORMATS
@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_polynorm_over_any_axes_is_the_reference_over_them(axes, memory, dtype):
    x, dy = (scale * pictures(3, 20, 5, 7, memory=memory).to(dtype) for scale in (1.5, 1))
    module = PolyNorm()
    with torch.no_grad():
        module.coeff.copy_(torch.tensor([0.1, 0.5, -0.2, 0.4]))

    def results(function, x, coeff, dy):
        x, coeff = x.detach().requires_grad_(), coeff.detach().requires_grad_()
        y = function(x, coeff)
        return y.detach(), *torch.autograd.grad(y, (x, coeff), dy)

    def ours(x, coeff):
        return AXES[axes](lambda rows: torch.func.functional_call(module, {"coeff": coeff}, rows), x)

    def plain(x, coeff):
        return reference_over(axes, x, coeff)

    got, eager = results(ours, x, module.coeff, dy), results(plain, x, module.coeff, dy)
    truth = results(plain, x.double(), module.coeff.double(), dy.double())
    assert got[0].shape == got[1].shape == x.shape
    for y, of_eager, of_truth in zip(got[:2], eager, truth, strict=False):
        assert_within_budget(y, of_eager, of_truth)
    terms = (dy.double() * (AXES[axes](lambda rows: powers_over_norms(rows, 1e-6), x.double().abs()))).abs()
    assert_sum_within_budget(got[2], truth[2], terms.sum())


def powers_over_norms(rows, eps):
    """No term of a coefficient's gradient is larger than ``dy`` times this."""
    return sum(rows**i / (rows ** (2 * i)).mean(-1, keepdim=True).add(eps).sqrt() for i in range(1, 4)) + 1


def test_the_kernel_gets_channels_last_memory_as_rows_without_a_copy(monkeypatch):
    seen, kernel = [], kernels.polynorm
    monkeypatch.setattr(kernels, "polynorm", lambda x, *args: seen.append(x) or kernel(x, *args))
    x = pictures(2, 24, 6, 5, memory=torch.channels_last)
    y = AXES["channel"](PolyNorm(), x)
    assert seen[0].data_ptr() == x.data_ptr()
    assert seen[0].shape == (2, 6, 5, 24)
    assert seen[0].is_contiguous()
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["polynorm", "polyrelu", "relu"])
def test_every_site_is_contiguous_forward_and_backward(name):
    model, seen, gradients = filled(RECIPE.model_copy(update={"activation": name})), [], []

    def look(module, inputs, output):
        seen.append((inputs[0].is_contiguous(), output.is_contiguous(), inputs[0].shape[-1]))
        output.register_hook(lambda dy: gradients.append(dy.is_contiguous()))

    for module in model.activations().values():
        module.register_forward_hook(look)
    model(pictures(2, 3, 32, 32, memory=torch.channels_last)).sum().backward()
    channels = [8, *(c for width in (8, 8, 16) for c in (width, width, 4 * width))]
    assert seen == [(True, True, c) for c in channels]
    # The pooling before the classifier spreads its own gradient as NCHW.
    assert gradients == [False] + [True] * (len(channels) - 1)


class Copies(TorchDispatchMode):
    """Notes the shapes of what is copied."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (torch.ops.aten.copy_.default, torch.ops.aten.clone.default):
            self.shapes.append(tuple(args[0].shape))
        return function(*args, **(kwargs or {}))


def copied(model):
    x = pictures(2, 3, 16, 16, memory=torch.channels_last)
    with Copies() as copies:
        model(x).sum().backward()
    return [shape for shape in copies.shapes if len(shape) == 4]


def test_no_gradient_of_a_convolution_is_copied_into_that_of_its_weight():
    model = filled(RECIPE)
    assert copied(model) == []
    wide = [tuple(p.shape) for p in model.parameters() if p.dim() == 4 and p.shape[2:] != (1, 1)]
    assert sorted(copied(filled(RECIPE).to(memory_format=torch.contiguous_format))) == sorted(wide)


@pytest.mark.parametrize("axes", AXES)
def test_axes_are_those_of_the_whole_model(axes):
    model, seen = small("polynorm", norm_axes=axes), []
    for module in model.activations().values():
        module.register_forward_hook(lambda module, inputs, output: seen.append(tuple(inputs[0].shape[1:])))
    model(pictures(2, 3, 16, 8))
    first, last = {
        "channel": ((16, 8, 8), (2, 1, 256)),
        "width": ((8, 16, 8), (256, 2, 1)),
        "chw": ((8 * 16 * 8,), (256 * 2 * 1,)),
        "hw": ((8, 16 * 8), (256, 2 * 1)),
    }[axes]
    assert (seen[0], seen[-1]) == (first, last)


@FORMATS
@pytest.mark.parametrize("axes", AXES)
def test_what_does_not_normalise_is_the_same_over_any_axes(axes, memory):
    x, module = pictures(2, 3, 16, 16, memory=memory), PolyReLU()
    assert torch.equal(AXES[axes](module, x), module(x))
