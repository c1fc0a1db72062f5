"""Small mixtures of experts and tokens for them."""

import torch
from torch import nn

from repro import activations
from repro.models import MoE
from repro.models.moe import PerExpert

D_MODEL, D_FF, EXPERTS, TOP_K = 64, 32, 8, 2


def filled(module, seed=0):
    """``module`` with weights drawn, norms and coefficients as they begin."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        if parameter.dim() > 1 and not name.endswith("coeff"):
            nn.init.normal_(parameter, std=0.1, generator=generator)
    return module


def moe(activation="swiglu", experts=EXPERTS, top_k=TOP_K, *, own=False):
    """A layer; with ``own`` coefficients for each expert."""
    gated, act = activation == "swiglu", activations.build(activation)
    return filled(MoE(experts, top_k, D_MODEL, D_FF, PerExpert(act, experts) if own else act, gated=gated))


def rows(n=33, seed=1):
    return torch.randn(2, n, D_MODEL, generator=torch.Generator().manual_seed(seed))
