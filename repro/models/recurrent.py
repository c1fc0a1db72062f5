"""A recurrent network without normalisation layers, where an activation feeds itself once a token.

A control: in the transformers of the paper a norm stands before each activation; here nothing but the activation keeps
the state within bounds.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from repro.models.loss import next_token_loss
from repro.models.sites import Activation, maker
from repro.models.transformer import Loss

if TYPE_CHECKING:
    from repro.recipe.controls import RNNModel

# Standard deviation of what enters the first layer (ours). At 1 every plain polynomial of the table overflows within a
# sequence before anything is learned, at 0.3 some do; from 0.15 down every row begins finite. Matrices keep it, and so
# does ReLU through time and layers.
INPUT_DEVIATION = 0.1


class Recurrent(nn.Module):
    """An Elman network as a language model: an embedding, recurrent layers, and a head that is not tied to it.

    Args:
        vocab_size: rows of the embedding and of the head.
        d_model: width of the embedding and of each layer's state.
        n_layers: recurrent layers, each with an activation of its own.
        activation: a plain one: a name of the table, or what makes a new module.

    Raises:
        RecipeError: an activation that is gated, unknown, or a module in place of what makes one.
    """

    def __init__(self, *, vocab_size: int, d_model: int, n_layers: int, activation: Activation) -> None:
        super().__init__()
        new = maker(activation)
        self.embed_tokens = nn.Embedding(vocab_size, d_model)
        self.layers = nn.ModuleList(RecurrentLayer(d_model, new()) for _ in range(n_layers))
        self.lm_head = nn.Linear(d_model, vocab_size, bias=False)

    def forward(self, tokens: Tensor, targets: Tensor | None = None, *, wanted: Tensor | None = None) -> Tensor | Loss:
        """Logits, or with ``targets`` the loss, as :meth:`repro.models.transformer.Decoder.forward`.

        Args:
            tokens: ``(batch, seq)``, token ids; the state begins at 0 with each sequence.
            targets: ``(batch, seq)``, the id that follows each token.
            wanted: ``(batch, seq)`` bool, the positions of which logits are computed; None is all.
        """
        x: Tensor = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x)
        if targets is None:
            logits: Tensor = self.lm_head(x if wanted is None else x[wanted])
            return logits
        return Loss(*next_token_loss(x, self.lm_head.weight, targets), routing=())

    def activations(self) -> dict[str, nn.Module]:
        """The activation of each layer, by its name."""
        return {f"layers.{i}.act": self.get_submodule(f"layers.{i}.act") for i in range(len(self.layers))}


class RecurrentLayer(nn.Module):
    """``h_t = act(W x_t + U h_{t-1})`` with ``h_0 = 0`` (Elman, 1990), without biases, as everywhere in the decoder.

    Args:
        d_model: width of input and state.
        act: called once a token, with ``(batch, d_model)``.

    Shape:
        ``(batch, seq, d_model)`` to the same.
    """

    def __init__(self, d_model: int, act: nn.Module) -> None:
        super().__init__()
        self.input = nn.Linear(d_model, d_model, bias=False)
        self.recurrent = nn.Linear(d_model, d_model, bias=False)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """The states of all tokens."""
        driven: Tensor = self.input(x)
        h, states = torch.zeros_like(driven[:, 0]), []
        for step in driven.unbind(1):
            h = self.act(step + self.recurrent(h))
            states.append(h)
        return torch.stack(states, dim=1)


def elman(d_model: int) -> Callable[[str, torch.Size, torch.Generator], Tensor]:
    """The initial weights of :class:`Recurrent`, one distribution for all activations.

    Recurrent matrices are orthogonal (Saxe et al., arXiv 1312.6120), so that a state grows or shrinks by its activation
    alone. The rest is ours: input matrices and the head N(0, 1 / d_model), the embedding N(0, 0.01).
    """

    def draw(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
        if name.endswith("recurrent.weight"):
            return nn.init.orthogonal_(torch.empty(shape), generator=generator)
        std = INPUT_DEVIATION if name.endswith("embed_tokens.weight") else d_model**-0.5
        return torch.empty(shape).normal_(0, std, generator=generator)

    return draw


def recurrent_from_recipe(model: "RNNModel") -> Recurrent:
    """The network that a recipe's ``model`` section describes, with uninitialised weights on the current device."""
    return Recurrent(**model.model_dump())
