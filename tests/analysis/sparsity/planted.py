"""Neurons with drawn or planted weights."""

import torch

from repro import activations
from repro.analysis.sparsity.neurons import Neurons
from repro.recipe.table import rows


def learned(name, seed=1):
    """An activation as if trained a little: what it gives at 0 is then rarely 0."""
    module = activations.build(name).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return module


def drawn(activation, d_model=128, d_ff=516, *, seed=0, gated=False):
    """As the prototype of claims draws them: pre-activations are N(0, 1) for inputs of root mean square 1."""
    generator = torch.Generator().manual_seed(seed)
    first = (torch.randn(d_ff, d_model, generator=generator) / d_model**0.5 for _ in range(1 + gated))
    return Neurons(tuple(first), torch.randn(d_model, d_ff, generator=generator) / d_ff**0.5, activation)


def of_table(name, d_model=16, d_ff=24, **keys):
    """With the activation of a row of the table."""
    return drawn(learned(name), d_model, d_ff, gated=rows()[name].gated, **keys)


def output(neurons, x):
    """What the FFN gives, constant part and all."""
    return neurons.activation(*(x @ matrix.T for matrix in neurons.first)).float() @ neurons.columns


def stream(n=128, d_model=128, seed=3):
    """Rows of root mean square 1."""
    x = torch.randn(n, d_model, generator=torch.Generator().manual_seed(seed))
    return x / x.square().mean(-1, keepdim=True).sqrt()


def one_hot(down, activation=torch.relu):
    """Neurons of which row ``i`` of the identity turns on the i-th; ``down`` holds their columns."""
    return Neurons((torch.eye(len(down)),), torch.tensor(down, dtype=torch.float32).T.contiguous(), activation)
