"""Small models of others, and what an import makes of them."""

import argparse
import random

import numpy as np
import torch
from safetensors.torch import save_file

from repro import models
from repro.recipe import load
from repro.training.trained import Trained
from tests.interop import published

SIZES = {"vocab": 512, "d": 16, "layers": 2, "heads": 2}
WORDS = ["model.vocab_size=512", "model.d_model=16", "model.n_heads=2", "model.d_ff=48"]
TOKENS = torch.arange(2 * 12).view(2, 12) * 37 % 512


def width(activation):
    return 32 if activation == "swiglu" else 48


def megatron(activation):
    torch.manual_seed(0)
    return published.Megatron(**SIZES, d_ff=width(activation), name=activation)


def olmo(activation):
    torch.manual_seed(0)
    return published.OLMo(**SIZES, d_ff=width(activation), experts=4, top_k=2, name=activation)


def ours(name, words=WORDS):
    """A random model of a recipe."""
    torch.manual_seed(0)
    network = models.from_recipe(load(name, words).model)
    for tensor in network.parameters():
        torch.nn.init.normal_(tensor, std=0.2)
    return network


def network(folder):
    """The model of an imported run."""
    return Trained.at(folder).network(torch.device("cpu"))


@torch.no_grad()
def error_of(network, theirs):
    """The largest difference of logits to ``theirs`` in float64, over that which ``theirs`` has in float32."""
    rounded = theirs(TOKENS).double()
    truth = theirs.double()(TOKENS)
    return ((network(TOKENS).double() - truth).abs().max() / (rounded - truth).abs().max()).item()


def saved(path, tensors, **metadata):
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    return path


def args(**changes):
    settings = {"num_attention_heads": 2, "norm_epsilon": 1e-5, "rotary_base": 10_000, "swiglu": False}
    parallel = {"tensor_model_parallel_size": 1, "pipeline_model_parallel_size": 1, "params_dtype": torch.bfloat16}
    return argparse.Namespace(**settings | parallel | changes)


def megatron_file(folder, model, arguments, ranks=1):
    """``model_optim_rng.pt`` as Megatron writes it, with the state of its random generators."""
    states = [{"random_rng_state": random.getstate(), "np_rng_state": np.random.get_state()}]  # noqa: NPY002  # as they do
    content = {"args": arguments, "checkpoint_version": 3.0, "iteration": 7, "rng_state": states}
    for rank in range(ranks):
        (folder / f"iter_0000007/mp_rank_{rank:02d}").mkdir(parents=True)
        file = folder / f"iter_0000007/mp_rank_{rank:02d}/model_optim_rng.pt"
        torch.save(content | {"model": {"language_model": model.state_dict()}}, file)
    (folder / "latest_checkpointed_iteration.txt").write_text("7")
    return folder
