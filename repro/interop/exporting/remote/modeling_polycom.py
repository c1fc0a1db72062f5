"""Llama and OLMoE whose feed-forward networks have any activation (PolyCom, arXiv 2411.03884).

All but the feed-forward networks is transformers' own. Exported by polycom-repro. Apache-2.0.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaForCausalLM, LlamaModel, OlmoeForCausalLM, OlmoeModel
from transformers.models.olmoe.modeling_olmoe import OlmoeTopKRouter

from .activations_polycom import PerExpert, build
from .configuration_polycom import PolyComConfig, PolyComMoEConfig

WIDE = ["act_fn", "mlp.gate"]  # learned activations and routers stay in float32, as they were trained


class FFN(nn.Module):
    """``down(rho(up(x)))``, or ``down(rho(gate(x), up(x)))`` where the activation is gated.

    Shape:
        ``(..., hidden_size)`` to ``(..., hidden_size)``.
    """

    def __init__(self, config: PolyComConfig) -> None:
        super().__init__()
        outer, inner = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(outer, inner, bias=False) if config.gated else None
        self.up_proj = nn.Linear(outer, inner, bias=False)
        self.act_fn = build(config.activation, config.activation_options)
        self.down_proj = nn.Linear(inner, outer, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The network's output at ``x``."""
        inputs = [self.gate_proj(x)] if self.gate_proj else []
        y: Tensor = self.down_proj(self.act_fn(*inputs, self.up_proj(x)))
        return y


class Experts(nn.Module):
    """Stacked FFNs: weights ``(experts, out, in)``; of a gated one the first two are one, the gate's half first."""

    def __init__(self, config: PolyComMoEConfig) -> None:
        super().__init__()
        experts, outer, inner = config.num_experts, config.hidden_size, config.intermediate_size
        self.first = "gate_up_proj" if config.gated else "up_proj"
        self.register_parameter(self.first, nn.Parameter(torch.empty(experts, inner * (1 + config.gated), outer)))
        activation = build(config.activation, config.activation_options)
        self.act_fn = PerExpert(activation, experts) if config.per_expert else activation
        self.down_proj = nn.Parameter(torch.empty(experts, outer, inner))

    def forward(self, x: Tensor, ends: Tensor) -> Tensor:
        """Rows ``(n, hidden_size)`` sorted by expert through their experts; those of each end at ``ends``, int32."""
        h = _grouped(x, getattr(self, self.first), ends)
        if isinstance(self.act_fn, PerExpert):
            h = self.act_fn(h, ends)
        else:
            h = self.act_fn(*h.chunk(2, dim=-1)) if self.first == "gate_up_proj" else self.act_fn(h)
        return _grouped(h, self.down_proj, ends)


class Router(OlmoeTopKRouter):
    """OLMoE's, which may be in another precision than ``x``."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, and of the experts chosen the probabilities and the numbers, each a row a token."""
        logits = F.linear(x.to(self.weight.dtype), self.weight).float()
        weights, chosen = logits.softmax(-1).topk(self.top_k, dim=-1)
        return logits, weights, chosen


class MoE(nn.Module):
    """``sum over the experts of a token: probability x expert(token)``.

    Shape:
        ``(batch, seq, hidden_size)`` to the same.
    """

    def __init__(self, config: PolyComMoEConfig) -> None:
        super().__init__()
        self.gate, self.experts = Router(config), Experts(config)

    def forward(self, x: Tensor) -> Tensor:
        """The experts' weighted sum."""
        rows = x.flatten(0, -2)
        logits, weights, chosen = self.gate(rows)
        expert, order = chosen.flatten().sort(stable=True)
        ends = torch.searchsorted(expert, torch.arange(logits.shape[-1], device=x.device), right=True, out_int32=True)
        y = self.experts(rows[order // self.gate.top_k], ends)[order.argsort()]
        mixed: Tensor = (y.unflatten(0, (-1, self.gate.top_k)) * weights[..., None]).sum(1)
        return mixed.to(x.dtype).view_as(x)


def _grouped(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    return F.grouped_mm(x, weight.transpose(-2, -1), offs=ends)


class _Initialised:
    """What transformers asks for each module without weights: those of this file know how they begin."""

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[misc]  # transformers'
        if all(getattr(parameter, "_is_hf_initialized", False) for parameter in module.parameters(recurse=False)):
            return
        if isinstance(module, Experts):
            for weight in (getattr(module, module.first), module.down_proj):
                nn.init.normal_(weight, std=self.config.initializer_range)  # type: ignore[attr-defined]
        elif hasattr(module, "reset_parameters") and not isinstance(module, nn.Linear | nn.Embedding):
            module.reset_parameters()  # type: ignore[operator]  # a method, whatever torch's types make of attributes


class PolyComModel(_Initialised, LlamaModel):
    """Llama without its head, with another FFN in each layer."""

    config_class = PolyComConfig
    _keep_in_fp32_modules_strict = WIDE

    def __init__(self, config: PolyComConfig) -> None:
        super().__init__(config)
        for layer in self.layers:
            layer.mlp = FFN(config)
        self.post_init()


class PolyComForCausalLM(_Initialised, LlamaForCausalLM):
    """Llama with another FFN in each layer."""

    config_class = PolyComConfig
    _keep_in_fp32_modules_strict = WIDE

    def __init__(self, config: PolyComConfig) -> None:
        super().__init__(config)
        self.model = PolyComModel(config)
        self.post_init()


class PolyComMoEModel(_Initialised, OlmoeModel):
    """OLMoE without its head, with other experts in each layer."""

    config_class = PolyComMoEConfig
    _keep_in_fp32_modules_strict = WIDE

    def __init__(self, config: PolyComMoEConfig) -> None:
        super().__init__(config)
        for layer in self.layers:
            layer.mlp = MoE(config)
            if not config.qk_norm:
                layer.self_attn.q_norm = layer.self_attn.k_norm = nn.Identity()
        self.post_init()


class PolyComMoEForCausalLM(_Initialised, OlmoeForCausalLM):
    """OLMoE with other experts in each layer."""

    config_class = PolyComMoEConfig
    _keep_in_fp32_modules_strict = WIDE

    def __init__(self, config: PolyComMoEConfig) -> None:
        super().__init__(config)
        self.model = PolyComMoEModel(config)
        self.post_init()
