"""What the routers of a mixture of experts add to the loss."""

from collections.abc import Callable, Sequence
from functools import partial

import torch.distributed as dist
from torch import Tensor

from repro.models.balance import load_balancing, router_z
from repro.models.moe import Routing
from repro.recipe.families import MoERecipe
from repro.recipe.schema import LanguageRecipe


def auxiliary(recipe: LanguageRecipe) -> Callable[[Sequence[Routing]], Tensor] | None:
    """The auxiliary loss of a recipe, as a function of what the routers did; None in a dense model."""
    return partial(_loss, recipe) if isinstance(recipe, MoERecipe) else None


def _loss(recipe: MoERecipe, routing: Sequence[Routing]) -> Tensor:
    balance = recipe.balance
    seen = [_of_all_ranks(r) for r in routing] if balance.scope == "global" else routing
    return balance.load_balancing * load_balancing(seen) + balance.router_z * router_z(seen, recipe.model.top_k)


def _of_all_ranks(routing: Routing) -> Routing:
    """With the counts of all ranks. Probabilities stay local: gradients are averaged over ranks, and so are these."""
    if not dist.is_initialized():
        return routing
    counts = routing.counts.clone()
    dist.all_reduce(counts)
    return routing._replace(counts=counts)
