"""What each parameter is, told by the module that owns it."""

from collections.abc import Iterable

from torch import nn

from repro.models.ffn import GatedFFN, PlainFFN
from repro.models.mlp import MLP
from repro.models.moe import Experts
from repro.models.norm import RMSNorm
from repro.models.recurrent import Recurrent
from repro.models.resnet import ResNet


def kinds(model: nn.Module) -> dict[str, str]:
    """``matrices``, ``embeddings``, ``norms`` or ``coefficients`` for each parameter, by its name.

    Coefficients are whatever an activation learns, however many dimensions it has; matrices are convolutions too, and
    the bias of a classifier, which decays with it as in torchvision's own training.

    Raises:
        TypeError: a module owns parameters and is none of these, so nobody has said how they decay.
    """
    learned = {
        part for module in model.modules() for activation in _activations(module) for part in activation.modules()
    }
    return {
        f"{path}.{name}".lstrip("."): "coefficients" if module in learned else _kind(module)
        for path, module in model.named_modules()
        for name, _ in module.named_parameters(recurse=False)
    }


def _activations(module: nn.Module) -> Iterable[nn.Module]:
    if isinstance(module, PlainFFN | GatedFFN | Experts):
        return [module.act_fn]
    return module.activations().values() if isinstance(module, ResNet | Recurrent | MLP) else []


def _kind(module: nn.Module) -> str:
    if isinstance(module, nn.Linear | nn.Conv2d | Experts):
        return "matrices"
    if isinstance(module, nn.Embedding):
        return "embeddings"
    if isinstance(module, RMSNorm | nn.BatchNorm2d):
        return "norms"
    raise TypeError(f"{type(module).__name__} owns parameters of no known kind: add it to {__name__}")
