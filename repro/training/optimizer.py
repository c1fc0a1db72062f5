"""AdamW with a decay per kind of parameter."""

import torch
from torch import nn

from repro.models.parameters import kinds
from repro.recipe.schema import Optim


def adamw(model: nn.Module, optim: Optim) -> torch.optim.AdamW:
    """AdamW over ``model``, decaying each kind of parameter as the recipe says and PolyCom coefficients never.

    The official dense code decays neither norms nor coefficients; the MoE's decays all but the coefficients.
    """
    decay = {**optim.weight_decay.model_dump(), "coefficients": 0.0}
    groups: dict[str, list[nn.Parameter]] = {kind: [] for kind in decay}
    kind_of = kinds(model)
    for name, parameter in model.named_parameters():
        groups[kind_of[name]].append(parameter)
    return torch.optim.AdamW(
        [{"params": group, "weight_decay": decay[kind]} for kind, group in groups.items() if group],
        lr=optim.lr,
        betas=optim.betas,
        eps=optim.eps,
        fused=True,
    )
