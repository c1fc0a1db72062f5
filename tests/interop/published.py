"""Models written from the published formulas, with the parameters and the names of the code that trained them.

Nothing of the kit is used: each is what the paper's equations and its code's shapes say, slowly and in any precision.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


def linear(inputs, outputs):
    return nn.Linear(inputs, outputs, bias=False)


class Norm(nn.Module):
    """``x / sqrt(mean(x^2) + 1e-5)``, scaled."""

    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(1 + 0.1 * torch.randn(d))

    def forward(self, x):
        return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * self.weight


def normalised(x):
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()


class Descending(nn.Module):
    """Order 3, coefficients from the third power down and the constant apart, around ``power(x, i)``."""

    def __init__(self, power):
        super().__init__()
        self.power = power
        self.weight, self.bias = nn.Parameter(torch.randn(3)), nn.Parameter(torch.randn(1))

    def forward(self, x):
        cubed, squared, plain = (self.power(x, i) for i in (3, 2, 1))
        return self.weight[0] * cubed + self.weight[1] * squared + self.weight[2] * plain + self.bias


def activation(name):
    """``PolyNorm`` and ``PolyReLU`` with what they learn; the others learn nothing."""
    if name == "polynorm":
        return Descending(lambda x, i: normalised(x**i))
    if name == "polyrelu":
        return Descending(lambda x, i: x.clamp(min=0) ** i)
    return {"gelu": nn.GELU(), "relu2": Squared(), "swiglu": Gated()}[name]


class Squared(nn.Module):
    def forward(self, x):
        return x.clamp(min=0) ** 2


class Gated(nn.Module):
    """The gate is the first half."""

    def forward(self, x):
        gate, up = x.chunk(2, dim=-1)
        return gate * gate.sigmoid() * up


def attend(q, k, v):
    """Causal attention of ``(batch, seq, heads, width)``, with rotary positions over the two halves of a head."""
    n, width = q.shape[1], q.shape[-1]
    angle = torch.arange(n)[:, None] / 10_000.0 ** (torch.arange(0, width, 2) / width)
    turn = torch.polar(torch.ones_like(angle, dtype=torch.float64), angle.double())

    def turned(x):
        pairs = torch.complex(*(half.contiguous() for half in x.double().chunk(2, dim=-1))) * turn[:, None]
        return torch.cat((pairs.real, pairs.imag), dim=-1).to(x.dtype)

    scores = torch.einsum("bqhw,bkhw->bhqk", turned(q), turned(k)) / math.sqrt(width)
    scores = scores.masked_fill(torch.ones(n, n).triu(1).bool(), -math.inf)
    return torch.einsum("bhqk,bkhw->bqhw", scores.softmax(-1), v).flatten(2)


class MegatronLayer(nn.Module):
    def __init__(self, d, heads, d_ff, name):
        super().__init__()
        self.heads = heads
        self.input_norm, self.post_attention_norm = Norm(d), Norm(d)
        self.self_attention = nn.ModuleDict({"query_key_value": linear(d, 3 * d), "dense": linear(d, d)})
        width = 2 * d_ff if name == "swiglu" else d_ff
        self.mlp = nn.ModuleDict(
            {
                "dense_h_to_4h": linear(d, width),
                "activation_func": activation(name),
                "dense_4h_to_h": linear(d_ff, d),
            }
        )

    def forward(self, x):
        mixed = self.self_attention["query_key_value"](self.input_norm(x))
        by_head = mixed.unflatten(-1, (self.heads, 3 * x.shape[-1] // self.heads))  # a head's query, key and value
        x = x + self.self_attention["dense"](attend(*by_head.chunk(3, dim=-1)))
        h = self.mlp["dense_h_to_4h"](self.post_attention_norm(x))
        return x + self.mlp["dense_4h_to_h"](self.mlp["activation_func"](h))


class Megatron(nn.Module):
    """The dense model of the official code."""

    def __init__(self, *, vocab, d, layers, heads, d_ff, name):
        super().__init__()
        self.embedding = nn.ModuleDict({"word_embeddings": nn.Embedding(vocab, d)})
        blocks = nn.ModuleList(MegatronLayer(d, heads, d_ff, name) for _ in range(layers))
        self.encoder = nn.ModuleDict({"layers": blocks, "final_norm": Norm(d)})
        self.output_layer = linear(d, vocab)

    def forward(self, tokens):
        x = self.embedding["word_embeddings"](tokens)
        for layer in self.encoder["layers"]:
            x = layer(x)
        return self.output_layer(self.encoder["final_norm"](x))


class Experts(nn.Module):
    """megablocks' experts: matrices one below the other, the second multiplied from the right."""

    def __init__(self, d, d_ff, experts, *, gated):
        super().__init__()
        self.experts = experts
        names = ("w1", "v1", "w2") if gated else ("w1", "w2")
        for name in names:
            self.register_parameter(name, nn.Parameter(torch.randn(experts * d_ff, d) / math.sqrt(d)))

    def forward(self, x, expert, act):
        w1, v1, w2 = (
            None if matrix is None else matrix.view(self.experts, -1, x.shape[-1])[expert]
            for matrix in (self.w1, getattr(self, "v1", None), self.w2)
        )
        h = x @ w1.T
        return (act(h) if v1 is None else F.silu(h) * (x @ v1.T)) @ w2


class OLMoBlock(nn.Module):
    def __init__(self, d, heads, d_ff, experts, top_k, name):
        super().__init__()
        self.heads, self.top_k = heads, top_k
        self.attn_norm, self.ff_norm, self.q_norm, self.k_norm = Norm(d), Norm(d), Norm(d), Norm(d)
        self.att_proj, self.attn_out = linear(d, 3 * d), linear(d, d)
        self.act = activation(name)
        mlp = Experts(d, d_ff, experts, gated=name == "swiglu")
        router, those = nn.ModuleDict({"layer": linear(d, experts)}), nn.ModuleDict({"mlp": mlp})
        self.ffn = nn.ModuleDict({"router": router, "experts": those})

    def forward(self, x):
        q, k, v = self.att_proj(self.attn_norm(x)).chunk(3, dim=-1)
        heads = (one.unflatten(-1, (self.heads, -1)) for one in (self.q_norm(q), self.k_norm(k), v))
        x = x + self.attn_out(attend(*heads))
        return x + self.mixture(self.ff_norm(x))

    def mixture(self, x):
        weights, chosen = self.ffn["router"]["layer"](x).softmax(-1).topk(self.top_k)
        y = torch.zeros_like(x)
        for b, t, i in torch.cartesian_prod(*(torch.arange(n) for n in chosen.shape)).tolist():
            expert = self.ffn["experts"]["mlp"](x[b, t], chosen[b, t, i], self.act)
            y[b, t] += weights[b, t, i] * expert
        return y


class OLMo(nn.Module):
    """The mixture of the official code."""

    def __init__(self, *, vocab, d, layers, heads, d_ff, experts, top_k, name):
        super().__init__()
        blocks = nn.ModuleList(OLMoBlock(d, heads, d_ff, experts, top_k, name) for _ in range(layers))
        parts = {"wte": nn.Embedding(vocab, d), "blocks": blocks, "ln_f": Norm(d), "ff_out": linear(d, vocab)}
        self.transformer = nn.ModuleDict(parts)

    def forward(self, tokens):
        x = self.transformer["wte"](tokens)
        for block in self.transformer["blocks"]:
            x = block(x)
        return self.transformer["ff_out"](self.transformer["ln_f"](x))
