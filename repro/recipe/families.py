"""What each family of recipes adds to what all language models have."""

from typing import Literal, Self

from pydantic import NonNegativeFloat, PositiveInt, model_validator

from repro.errors import RecipeError, nearest
from repro.recipe.controls import MLPRecipe, RNNRecipe
from repro.recipe.images import ResNetRecipe
from repro.recipe.schema import DecoderRecipe, Model, Optim, Recipe, Section


class DenseRecipe(DecoderRecipe):
    """Section 4.1."""

    family: Literal["dense"]


class MoEModel(Model):
    """A decoder whose FFNs are mixtures of experts, each of width ``d_ff`` (section 4.2, Table 6)."""

    qk_norm: bool  # normalise queries and keys, each whole, before they are split into heads
    experts: PositiveInt
    top_k: PositiveInt  # experts a token, weighted by the router's probabilities as they are
    coefficients: Literal["layer", "expert"]  # one set for all experts of a layer, or one for each

    @model_validator(mode="after")
    def _routes(self) -> Self:
        if self.top_k > self.experts:
            raise ValueError(f"top_k={self.top_k} is above experts={self.experts}; expected 1 to {self.experts}")
        if self.ffn_rank:
            raise ValueError(f"ffn_rank={self.ffn_rank} is for dense decoders; experts have whole matrices only")
        if self.d_model % 8:
            raise ValueError(f"d_model={self.d_model} is not a multiple of 8, as the grouped product of experts needs")
        return self


class MoEOptim(Optim):
    """AdamW, whose cosine may be longer than the budget."""

    schedule_tokens: PositiveInt  # from the first token to where the cosine reaches ``min_lr``


class Balance(Section):
    """Auxiliary losses of the routers, as OLMo's branch defines them: means over layers, zero is off."""

    load_balancing: NonNegativeFloat  # weight of experts x sum over experts of (share of tokens x mean probability)
    router_z: NonNegativeFloat  # weight of the mean squared log-sum-exp of the logits, divided by top_k
    scope: Literal[
        "local", "global"
    ]  # over which tokens shares are taken: of a device's micro-batch, or of all devices'


class MoERecipe(DecoderRecipe):
    """Section 4.2."""

    family: Literal["moe"]
    model: MoEModel
    optim: MoEOptim
    balance: Balance

    @model_validator(mode="after")
    def _is_scheduled(self) -> Self:
        if self.optim.schedule_tokens < self.budget.tokens:
            raise ValueError(
                f"optim.schedule_tokens={self.optim.schedule_tokens} is less than budget.tokens={self.budget.tokens}"
            )
        return self


FAMILIES: dict[str, type[Recipe]] = {
    "dense": DenseRecipe,
    "moe": MoERecipe,
    "resnet50": ResNetRecipe,
    "rnn": RNNRecipe,
    "mlp": MLPRecipe,
}


def schema(family: str) -> type[Recipe]:
    """The recipe class of a family.

    Raises:
        RecipeError: there is no such family.
    """
    if family not in FAMILIES:
        raise RecipeError(
            f"no family is called {family!r}.{nearest(family, FAMILIES)} There are: {', '.join(FAMILIES)}"
        )
    return FAMILIES[family]
