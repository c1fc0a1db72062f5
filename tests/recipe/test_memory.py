"""Memory by part: the formulas against what autograd keeps and against sums by hand."""

import pytest
import torch

from repro import models
from repro.models import distribution
from repro.models.init import initialise
from repro.models.loss import _LOGITS_PER_CHUNK
from repro.recipe import load, machine
from repro.recipe.memory import LOGITS_PER_CHUNK, activations_per_token, bytes_per_number, memory


def kept_per_token(decoder, tokens):
    """Bytes that autograd keeps for the backward pass of the blocks and the last norm, parameters apart."""
    own = {p.untyped_storage().data_ptr() for p in decoder.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes(), tensor  # held, or its address would be used again
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        decoder.hidden(tokens)
    return sum(size for size, _ in kept.values()) / tokens.numel()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("activation", ["relu", "gelu", "swiglu", "polyrelu", "polynorm"])
def test_activations_are_what_autograd_keeps(activation, dtype):
    model = load(f"dense-smoke-{activation}", ["d_ff=768"]).model
    decoder = models.from_recipe(model)
    initialise(decoder, 0, distribution(model))
    measured = kept_per_token(decoder.to(dtype), torch.zeros(2, 64, dtype=torch.long))
    waiting_for_the_loss = dtype.itemsize * model.d_model
    # Not in the formula: the norms' and the attention's row sums in float32, the token and its rotation.
    row_sums = 4 * (2 * model.n_layers + 1) + 4 * model.n_heads * model.n_layers + 8 + 2 * 4 * 32 / 2
    assert measured <= activations_per_token(model, dtype.itemsize) - waiting_for_the_loss + row_sums
    assert measured == pytest.approx(activations_per_token(model, dtype.itemsize), rel=0.04)


def test_states_are_16_bytes_a_parameter_over_all_devices():
    recipe = load("dense-1b-relu")
    for name in ("gpu", "gpu-x8", "a100-4x8"):
        on = machine(name)
        need = memory(recipe, on, 1)
        assert need.weights + need.gradients + need.moments == pytest.approx(21.527 / on.world_size, rel=1e-3)


@pytest.mark.parametrize("name", ["resnet50-imagenet-relu", "mlp-smoke-relu"])
def test_under_ddp_each_device_holds_all_states(name):
    on = machine("gpu-x8")
    alone, shared = memory(load(name), machine("gpu"), 1), memory(load(name), on, 1)
    assert shared == alone
    sharded = memory(load(name, ["layout.strategy=fsdp2"]), on, 1)
    assert shared.weights == pytest.approx(8 * sharded.weights)
    assert shared.moments == pytest.approx(8 * sharded.moments)


def test_under_ddp_gradients_are_in_buckets_and_beside_them_and_nothing_is_gathered():
    gpu, cpu = (memory(load("resnet50-imagenet-relu"), machine(name), 1) for name in ("gpu", "cpu"))
    assert gpu.weights == cpu.weights == cpu.gradients == pytest.approx(4 * 25_557_032 / 1e9)
    assert gpu.gradients == 2 * gpu.weights
    assert gpu.gathered == 0


def test_a_sharded_resnet_is_gathered_whole_with_its_gradient():
    need = memory(load("resnet50-imagenet-relu", ["layout.strategy=fsdp2"]), machine("gpu-x8"), 1)
    assert need.gathered == pytest.approx(2 * 4 * 25_557_032 / 1e9)
    assert need.gradients == pytest.approx(4 * 25_557_032 / 8 / 1e9)


def test_a_gpu_gathers_what_it_computes_with():
    need = memory(load("dense-1b-relu"), machine("a100-4x8"), 1)
    block, root = 50_597_888, 131_072_000
    assert need.gathered == pytest.approx((2 * (2 * block + root) + 6 * block) / 1e9)


def test_a_cpu_computes_in_float32_and_gathers_nothing():
    recipe, cpu = load("dense-smoke-polynorm"), machine("cpu")
    assert bytes_per_number(recipe, cpu) == 4
    assert memory(recipe, cpu, 1).gathered == 0
    assert bytes_per_number(recipe, machine("gpu")) == 2
    assert bytes_per_number(load("dense-smoke-polynorm", ["precision=fp32"]), machine("gpu")) == 4


def test_the_logits_of_a_large_batch_never_exist_at_once():
    recipe, gpu = load("dense-1b-relu"), machine("gpu")
    assert LOGITS_PER_CHUNK == _LOGITS_PER_CHUNK
    assert memory(recipe, gpu, 2).loss == memory(recipe, gpu, 4).loss < 1


def test_activations_grow_with_the_micro_batch():
    recipe, gpu = load("dense-1b-relu"), machine("gpu")
    assert memory(recipe, gpu, 4).activations == 4 * memory(recipe, gpu, 1).activations
