"""Initial weights, each a pure function of (seed, parameter name).

So a weight is the same on one device and on 64, on a CPU and on a GPU, built directly or from the meta device; and two
arms of a comparison start from the same value in every weight that they have in common.
"""

import hashlib
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from repro.models.moe import Experts
from repro.models.resnet import kaiming

Distribution = Callable[[str, torch.Size, torch.Generator], Tensor]
OUTPUT_LAYERS = ("o_proj.weight", "down_proj.weight")  # the matrices that write to the residual stream


def small(d_model: int, n_layers: int) -> Distribution:
    """N(0, 2 / (5 d_model)), for what writes to the residual stream with 1 / (2 n_layers) of that variance.

    Official dense script: ``--init-method-std`` and Megatron's scaled output layers.
    """
    std = math.sqrt(2 / (5 * d_model))

    def draw(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
        scale = std / math.sqrt(2 * n_layers) if name.endswith(OUTPUT_LAYERS) else std
        return torch.empty(shape).normal_(0, scale, generator=generator)

    return draw


def truncated(d_model: int) -> Distribution:
    """N(0, 0.02^2 2048 / d_model) cut at three deviations, for every matrix alike.

    Official MoE configuration at its d_model of 2048. In proportion elsewhere (ours), so that what enters an activation
    has the same deviation at every size: at a tenth of it PolyNorm's eps would swallow the cube.
    """
    std = 0.02 * math.sqrt(2048 / d_model)

    def draw(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
        return nn.init.trunc_normal_(torch.empty(shape), 0, std, -3 * std, 3 * std, generator=generator)

    return draw


def factored(whole: Distribution) -> Distribution:
    """``whole``, but where a matrix is a product (:class:`repro.models.ffn.LowRank`), of its factors. Ours.

    The right one is drawn as the whole matrix would be, the left one from N(0, 1 / rank): so the product's weights have
    the variance of the whole's, and what goes from factor to factor that of what a whole matrix gives.
    """

    def draw(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
        if name.endswith(".left.weight"):
            return torch.empty(shape).normal_(0, 1 / math.sqrt(shape[1]), generator=generator)
        return whole(name.replace(".right.weight", ".weight"), shape, generator)

    return draw


def fans(features: int) -> Distribution:
    """torchvision's ResNet: for convolutions N(0, 2 / fan_out), for a classifier of ``features`` torch's own choice for
    weight and bias, uniform within 1 / sqrt(features).
    """
    bound = 1 / math.sqrt(features)

    def draw(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
        if len(shape) == 4:
            return kaiming(torch.empty(shape), generator)
        return torch.empty(shape).uniform_(-bound, bound, generator=generator)

    return draw


def initialise(model: nn.Module, seed: int, draw: Distribution) -> None:
    """Fill every parameter of ``model`` in place, also when it is sharded over devices.

    Matrices, convolutions and embeddings are drawn by ``draw``; norms, with their statistics, and coefficients take
    what their ``reset_parameters`` gives.
    """
    for path, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding | Experts):
            values = {
                name: draw(f"{path}.{name}", p.shape, _generator(seed, f"{path}.{name}")) for name, p in own.items()
            }
        else:
            values = _reset_values(module, own)
        for name, parameter in own.items():
            _fill(parameter, values[name])


def _generator(seed: int, name: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def _reset_values(module: nn.Module, own: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """What ``reset_parameters`` writes, asked on whole tensors: a sharded one cannot be indexed element by element."""
    if not own:
        return {}
    module._parameters.update({name: nn.Parameter(torch.empty(p.shape)) for name, p in own.items()})
    module.reset_parameters()  # type: ignore[operator]
    values = {name: p.detach() for name, p in module.named_parameters(recurse=False)}
    module._parameters.update(own)
    return values


@torch.no_grad()
def _fill(parameter: Tensor, value: Tensor) -> None:
    value = value.to(parameter.device, parameter.dtype)
    if isinstance(parameter, DTensor):
        shard = distribute_tensor(value, parameter.device_mesh, parameter.placements, src_data_rank=None)
        parameter.to_local().copy_(shard.to_local())
    else:
        parameter.copy_(value)
