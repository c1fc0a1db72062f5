"""SGD, LAMB or AdamW for an image classifier, and the learning rate as a function of the step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from repro.errors import RunError
from repro.models.parameters import kinds
from repro.recipe.images import ImageOptim
from repro.training.schedule import cosine_with_warmup

SECOND_BETA = 0.999  # of LAMB and AdamW: default of both, and timm's A3
STEP_EPOCHS = 30  # torchvision V1: a tenth of the rate after so many epochs, and again
TENTH = 0.1


def optimizer(network: nn.Module, optim: ImageOptim) -> Optimizer:
    """The recipe's optimizer over ``network``; convolutions and the classifier decay, norms and coefficients do not.

    SGD is without Nesterov's step, as torchvision's, and its decay is added to the gradient. LAMB is timm's: parameters
    that do not decay take no trust ratio, and their bias correction counts the steps that the guard skips. Clipping is
    the guard's.

    Raises:
        RunError: LAMB is asked for and timm is not installed.
    """
    groups, betas = _groups(network, optim.weight_decay), (optim.momentum, SECOND_BETA)
    if optim.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=optim.lr, momentum=optim.momentum, foreach=True)  # torch shards no fused one
    if optim.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=optim.lr, betas=betas, fused=True)
    lamb: Optimizer = _lamb()(groups, lr=optim.lr, betas=betas, max_grad_norm=None)
    return lamb


def schedule(optim: ImageOptim, *, epochs: int, steps_per_epoch: int) -> Callable[[int], float]:
    """Fraction of the peak rate at each optimizer step: a linear warm-up, then a cosine to 0 or tenths."""
    warmup = optim.warmup_epochs * steps_per_epoch
    if optim.schedule == "cosine":
        return cosine_with_warmup(warmup=warmup, total=epochs * steps_per_epoch, floor=0)
    return tenths_with_warmup(warmup=warmup, every=STEP_EPOCHS * steps_per_epoch)


def tenths_with_warmup(*, warmup: int, every: int) -> Callable[[int], float]:
    """Fraction of the peak rate at each step: rises linearly over ``warmup`` steps and falls to a tenth at every
    multiple of ``every``, counted from the first step of the run (torchvision V1, which has no warm-up).
    """

    def fraction(step: int) -> float:
        return (step + 1) / warmup if step < warmup else TENTH ** (step // every)

    return fraction


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    kind = kinds(network)
    groups: dict[float, list[nn.Parameter]] = {weight_decay: [], 0.0: []}
    for name, parameter in network.named_parameters():
        groups[weight_decay if kind[name] == "matrices" else 0.0].append(parameter)
    return [{"params": group, "weight_decay": decay} for decay, group in groups.items() if group]


def _lamb() -> Any:
    try:
        from timm.optim.lamb import Lamb
    except ModuleNotFoundError as error:
        raise RunError(
            "optim.optimizer=lamb needs timm, which is not installed: pip install 'polycom-repro[vision]', "
            "or choose optim.optimizer=adamw with a rate of its own"
        ) from error
    return Lamb
