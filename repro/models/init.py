"""Initial weights, each a pure function of (seed, parameter name).

So a weight is the same on one device and on 64, on a CPU and on a GPU, built directly or from the meta device; and two
arms of a comparison start from the same value in every weight that they have in common.
"""

import hashlib
import math

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

OUTPUT_LAYERS = ("o_proj.weight", "down_proj.weight")  # the matrices that write to the residual stream


def initialise(decoder: nn.Module, seed: int, *, d_model: int, n_layers: int) -> None:
    """Fill every parameter of ``decoder`` in place, also when it is sharded over devices.

    Matrices and embeddings are drawn from N(0, 2 / (5 d_model)), and those that write to the residual stream from
    1 / (2 n_layers) of that variance (official script: ``--init-method-std`` and Megatron's scaled output layers).
    Norms and coefficients take what their own ``reset_parameters`` gives.
    """
    std = math.sqrt(2 / (5 * d_model))
    for path, module in decoder.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if isinstance(module, nn.Linear | nn.Embedding):
            values = {name: _normal(p.shape, seed, f"{path}.{name}", std, n_layers) for name, p in own.items()}
        else:
            values = _reset_values(module, own)
        for name, parameter in own.items():
            _fill(parameter, values[name])


def _normal(shape: torch.Size, seed: int, name: str, std: float, n_layers: int) -> Tensor:
    scale = std / math.sqrt(2 * n_layers) if name.endswith(OUTPUT_LAYERS) else std
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return torch.empty(shape).normal_(0, scale, generator=generator)


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
