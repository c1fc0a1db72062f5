"""Auxiliary losses that keep experts in use, as OLMo's branch and its megablocks define them.

Both are means over layers. Hugging Face's OLMoE pools the layers before it multiplies, which is another number.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from repro.models.moe import Routing


def load_balancing(routing: Sequence[Routing]) -> Tensor:
    """Mean over layers of ``E sum_e f_e P_e``: 1 when all ``E`` experts get equal shares of tokens and probability.

    ``f_e`` is the share of assignments that went to expert e and ``P_e`` its mean probability, through which alone
    the gradient flows.
    """
    counts, probability = torch.stack([r.counts for r in routing]), torch.stack([r.probability for r in routing])
    shares = counts / counts.sum(-1, keepdim=True)
    return counts.shape[-1] * (shares * probability).sum(-1).mean()


def router_z(routing: Sequence[Routing], top_k: int) -> Tensor:
    """Mean over layers and tokens of the squared log-sum-exp of the router's logits, divided by ``top_k``.

    OLMo's branch divides so; ST-MoE, where the loss comes from, does not.
    """
    return torch.stack([r.z for r in routing]).mean() / top_k
