"""Configurations of Llama and OLMoE whose feed-forward networks have any activation (PolyCom, arXiv 2411.03884).

Exported by polycom-repro. Apache-2.0.
"""

from typing import Any

from transformers import LlamaConfig, OlmoeConfig


def _whole_ffns(plan: dict[str, str]) -> dict[str, str]:
    """A plan of tensor parallelism that leaves FFNs whole: PolyNorm takes its mean over a complete row."""
    return {name: how for name, how in plan.items() if ".mlp." not in name}


class PolyComConfig(LlamaConfig):
    """Of a dense model.

    Args:
        activation: a class of ``activations_polycom.py`` or of ``torch.nn``.
        activation_options: what it is made with, such as ``{"order": 3}``.
        gated: whether it takes a gate and what it lets through.
        kwargs: as Llama's.
    """

    model_type = "polycom"
    base_model_tp_plan = _whole_ffns(LlamaConfig.base_model_tp_plan)

    def __init__(
        self,
        activation: str = "PolyNorm",
        activation_options: dict[str, Any] | None = None,
        gated: bool = False,
        **kwargs: Any,
    ) -> None:
        self.activation, self.activation_options, self.gated = activation, activation_options or {}, gated
        super().__init__(**kwargs)


class PolyComMoEConfig(OlmoeConfig):
    """Of a mixture of experts.

    Args:
        activation: a class of ``activations_polycom.py`` or of ``torch.nn``.
        activation_options: what it is made with, such as ``{"order": 3}``.
        gated: whether it takes a gate and what it lets through.
        per_expert: whether each expert has coefficients of its own.
        qk_norm: whether queries and keys are normalised.
        kwargs: as OLMoE's.
    """

    model_type = "polycom_moe"
    base_model_tp_plan = _whole_ffns(OlmoeConfig.base_model_tp_plan)
    base_model_ep_plan = None

    def __init__(
        self,
        activation: str = "PolyNorm",
        activation_options: dict[str, Any] | None = None,
        gated: bool = False,
        per_expert: bool = False,
        qk_norm: bool = True,
        **kwargs: Any,
    ) -> None:
        self.activation, self.activation_options, self.gated = activation, activation_options or {}, gated
        self.per_expert, self.qk_norm = per_expert, qk_norm
        super().__init__(**kwargs)
