"""Models that know one device; how they are spread over several is decided elsewhere."""

from repro.models.building import distribution, from_recipe
from repro.models.ffn import GatedFFN, PlainFFN
from repro.models.mlp import MLP
from repro.models.moe import MoE
from repro.models.recurrent import Recurrent
from repro.models.resnet import ResNet, classifier_from_recipe, resnet50
from repro.models.transformer import Decoder

__all__ = [
    "MLP",
    "Decoder",
    "GatedFFN",
    "MoE",
    "PlainFFN",
    "Recurrent",
    "ResNet",
    "classifier_from_recipe",
    "distribution",
    "from_recipe",
    "resnet50",
]
