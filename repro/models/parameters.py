"""What each parameter is, told by the module that owns it."""

from torch import nn

from repro.models.ffn import GatedFFN, PlainFFN
from repro.models.norm import RMSNorm


def kinds(model: nn.Module) -> dict[str, str]:
    """``matrices``, ``embeddings``, ``norms`` or ``coefficients`` for each parameter, by its name.

    Coefficients are whatever an activation learns, however many dimensions it has.

    Raises:
        TypeError: a module owns parameters and is none of these, so nobody has said how they decay.
    """
    learned = {part for ffn in model.modules() if isinstance(ffn, PlainFFN | GatedFFN) for part in ffn.act_fn.modules()}
    return {
        f"{path}.{name}".lstrip("."): "coefficients" if module in learned else _kind(module)
        for path, module in model.named_modules()
        for name, _ in module.named_parameters(recurse=False)
    }


def _kind(module: nn.Module) -> str:
    if isinstance(module, nn.Linear):
        return "matrices"
    if isinstance(module, nn.Embedding):
        return "embeddings"
    if isinstance(module, RMSNorm):
        return "norms"
    raise TypeError(f"{type(module).__name__} owns parameters of no known kind: add it to {__name__}")
