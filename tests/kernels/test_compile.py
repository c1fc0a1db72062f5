"""The fused kernels under ``torch.compile``: one graph, the same numbers, for any number of tokens."""

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.autograd import grad

from repro import PolyNorm
from repro.models.ffn import PlainFFN
from tests.kernels.inputs import PAIRS, fused, leaf, other

pytestmark = [
    pytest.mark.compile,
    # torch's own: what torch 2.11 imports to compile, and how inductor calls Triton 3.9 for kernels of its own
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION is unset:UserWarning"),
]
BOTH = pytest.mark.parametrize("name", PAIRS)
WIDTH = 264  # more than the token counts: equal sizes would be taken for one and the same


@pytest.fixture(autouse=True)
def afresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def tokens_of(count, device, width=WIDTH):
    x = leaf(count, width, device=device)
    torch._dynamo.mark_dynamic(x, 0)
    return x


@BOTH
def test_one_graph_gives_the_values_and_gradients_of_no_graph(name, device, launched):
    def function(x, coeff):
        return 2 * fused(name, 1.5 * x, coeff)

    x, coeff, dy = leaf(6, WIDTH, device=device), leaf(4, device=device), other(6, WIDTH, device=device)
    y = function(x, coeff)
    plain = y, *grad(y, (x, coeff), dy)
    launched.clear()
    y = torch.compile(function, fullgraph=True)(x, coeff)
    torch.testing.assert_close((y, *grad(y, (x, coeff), dy)), plain, rtol=1e-5, atol=1e-5)
    assert launched == [name, f"{name}_backward"]


@BOTH
def test_64_token_counts_are_compiled_once(name, device):
    counter = CompileCounterWithBackend("inductor")
    compiled = torch.compile(lambda x, coeff: fused(name, 1.5 * x, coeff), backend=counter, fullgraph=True)
    coeff = leaf(4, device=device)
    for count in range(2, 66):  # of one alone torch always makes a graph of its own
        x = tokens_of(count, device)
        dx, _ = grad(compiled(x, coeff).sum(), (x, coeff))
        assert dx.shape == x.shape
    assert counter.frame_count == 1


@BOTH
def test_token_counts_that_nobody_announced_are_compiled_three_times(name, device):
    """For the first count, for any other, and for a single token."""
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(lambda x, coeff: fused(name, 1.5 * x, coeff), backend=counter, fullgraph=True)
    for count in (7, 5, 9, 33, 1, 12, 1, 64):
        compiled(leaf(count, WIDTH, device=device), leaf(4, device=device))
    assert counter.frame_count == 3


def test_a_feed_forward_network_is_one_graph_for_64_token_counts(modules_are_fused):
    torch.manual_seed(0)
    network = PlainFFN(72, WIDTH, PolyNorm())
    counter = CompileCounterWithBackend("inductor")
    compiled = torch.compile(network, backend=counter, fullgraph=True)
    for count in range(2, 66):
        x = tokens_of(count, "cpu", width=72)
        torch.testing.assert_close(compiled(x), network(x), rtol=1e-5, atol=1e-5)
    parameters = (x, *network.parameters())
    ours, plain = grad(compiled(x).sum(), parameters), grad(network(x).sum(), parameters)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)
    assert counter.frame_count == 1
    assert modules_are_fused.count("polynorm") == 2 * 65
