"""Memory by part: the formulas against what autograd keeps and against sums by hand."""

from dataclasses import replace

import pytest
import torch

from repro import models
from repro.models import distribution
from repro.models.init import initialise
from repro.models.loss import _LOGITS_PER_CHUNK
from repro.recipe import load, machine
from repro.recipe.layout import Fit
from repro.recipe.memory import LOGITS_PER_CHUNK, _loss, activations_per_token, bytes_per_number, memory


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
@pytest.mark.parametrize("rank", ["null", 64])
@pytest.mark.parametrize("activation", ["relu", "gelu", "swiglu", "polyrelu", "polynorm"])
def test_activations_are_what_autograd_keeps(activation, rank, dtype):
    model = load(f"dense-smoke-{activation}", ["d_ff=768", f"ffn_rank={rank}"]).model
    decoder = models.from_recipe(model)
    initialise(decoder, 0, distribution(model))
    measured = kept_per_token(decoder.to(dtype), torch.zeros(2, 64, dtype=torch.long))
    waiting_for_the_loss = dtype.itemsize * model.d_model
    # Not in the formula: the norms' and the attention's row sums in float32, the token and its rotation.
    row_sums = 4 * (2 * model.n_layers + 1) + 4 * model.n_heads * model.n_layers + 8 + 2 * 4 * 32 / 2
    assert measured <= activations_per_token(model, dtype.itemsize) - waiting_for_the_loss + row_sums
    assert measured == pytest.approx(activations_per_token(model, dtype.itemsize), rel=0.04)


def shared_by(devices, micro_batch=1, **options):
    """One copy of the model on so many devices, gathered block by block."""
    return Fit(micro_batch, 1, shard=devices, **{"reshard": True} | options)


def in_a_later_micro_batch(layout):
    """The same, where gradients of earlier ones are there, shared out."""
    return replace(layout, accumulation=2, reduce_each=True)


def test_states_are_16_bytes_a_parameter_over_all_devices():
    recipe = load("dense-1b-relu")
    for name in ("gpu", "gpu-x8", "a100-4x8"):
        on = machine(name)
        need = memory(recipe, on, in_a_later_micro_batch(shared_by(on.world_size)))
        assert need.weights + need.gradients + need.moments == pytest.approx(21.527 / on.world_size, rel=1e-3)


def test_a_step_of_one_micro_batch_has_no_gradients_yet_when_it_needs_most():
    recipe, on = load("dense-1b-relu"), machine("gpu-x8")
    alone, later = memory(recipe, on, shared_by(8)), memory(recipe, on, in_a_later_micro_batch(shared_by(8)))
    assert alone.gradients == 0
    assert later.total - alone.total == pytest.approx(later.gradients) == pytest.approx(later.weights)


def test_where_little_is_kept_the_most_is_needed_at_the_end_with_all_gradients():
    need = memory(load("dense-1b-relu"), machine("gpu"), shared_by(1, recompute=True))
    root = 2 * 32_000 * 2048
    assert need.gradients == need.weights
    assert need.gathered == pytest.approx((2 + 4) * root / 1e9)
    assert need.activations == pytest.approx(2 * 2048 * 4096 / 1e9)


@pytest.mark.parametrize("name", ["resnet50-imagenet-relu", "mlp-smoke-relu"])
def test_under_ddp_each_device_holds_all_states(name):
    on = machine("gpu-x8")
    alone, shared = memory(load(name), machine("gpu"), shared_by(1)), memory(load(name), on, shared_by(1))
    assert shared == alone
    sharded = memory(load(name, ["layout.strategy=fsdp2"]), on, shared_by(8))
    assert shared.weights == pytest.approx(8 * sharded.weights)
    assert shared.moments == pytest.approx(8 * sharded.moments)


def test_under_ddp_gradients_are_in_buckets_and_of_earlier_micro_batches_beside_them_and_nothing_is_gathered():
    recipe, on = load("resnet50-imagenet-relu"), machine("gpu")
    once, twice = (memory(recipe, on, Fit(32, times)) for times in (1, 2))
    assert once.weights == once.gradients == pytest.approx(4 * 25_557_032 / 1e9)
    assert twice.gradients == 2 * once.weights
    assert once.gathered == twice.gathered == 0


def test_a_sharded_resnet_is_gathered_whole_with_its_gradient():
    layout = in_a_later_micro_batch(shared_by(8))
    need = memory(load("resnet50-imagenet-relu", ["layout.strategy=fsdp2"]), machine("gpu-x8"), layout)
    assert need.gathered == pytest.approx(2 * 4 * 25_557_032 / 1e9)
    assert need.gradients == pytest.approx(4 * 25_557_032 / 8 / 1e9)


BLOCK, ROOT = 50_597_888, 131_072_000  # weights of dense-1b-relu


def test_at_the_loss_the_root_is_gathered_and_the_last_block_in_its_buffer():
    need = memory(load("dense-1b-relu"), machine("a100-4x8"), shared_by(32))
    assert need.gathered == pytest.approx(2 * (BLOCK + ROOT) / 1e9)


@pytest.mark.parametrize(("name", "buffer"), [("dense-1b-polynorm", 0), ("dense-1b-relu", BLOCK)])
def test_activations_that_learn_come_last_and_take_the_buffer_over(name, buffer):
    need = memory(load(name), machine("a100-4x8"), shared_by(32))
    assert need.gathered == pytest.approx(2 * (buffer + ROOT) / 1e9)


def test_while_a_gradient_is_sent_in_float32_the_next_block_is_fetched():
    layout = in_a_later_micro_batch(shared_by(8, recompute=True))
    need = memory(load("dense-13b-relu"), machine("gpu-x8"), layout)
    block, root = 317_204_480, 2 * 32_000 * 5120
    assert need.gathered == pytest.approx((2 * (root + 2 * block) + 4 * block) / 1e9)


def test_a_cpu_computes_in_float32_and_gathers_nothing():
    recipe, cpu = load("dense-smoke-polynorm"), machine("cpu")
    assert bytes_per_number(recipe, cpu) == 4
    assert memory(recipe, cpu, shared_by(1)).gathered == 0
    assert bytes_per_number(recipe, machine("gpu")) == 2
    assert bytes_per_number(load("dense-smoke-polynorm", ["precision=fp32"]), machine("gpu")) == 4


def test_the_logits_of_a_large_batch_never_exist_at_once():
    recipe, gpu = load("dense-1b-relu"), machine("gpu")
    assert LOGITS_PER_CHUNK == _LOGITS_PER_CHUNK
    assert memory(recipe, gpu, shared_by(1, 2)).loss == memory(recipe, gpu, shared_by(1, 4)).loss < 1


def test_activations_grow_with_the_micro_batch():
    recipe, gpu = load("dense-1b-relu"), machine("gpu")
    assert memory(recipe, gpu, shared_by(1, 4)).activations == 4 * memory(recipe, gpu, shared_by(1)).activations


def test_what_is_not_given_back_waits_whole_for_the_backward_pass():
    recipe, on = load("dense-1b-relu"), machine("gpu-x8")
    kept, given_back = (memory(recipe, on, shared_by(8, reshard=reshard)) for reshard in (False, True))
    assert kept.gathered - given_back.gathered == pytest.approx(2 * (1_345_423_360 - ROOT) / 1e9)


def test_gradients_that_wait_to_be_reduced_are_whole_on_each_device():
    recipe, on = load("dense-1b-relu"), machine("gpu-x8")
    once = memory(recipe, on, replace(shared_by(8), accumulation=2)).gradients
    each = memory(recipe, on, replace(shared_by(8), accumulation=2, reduce_each=True)).gradients
    assert once == 8 * each == pytest.approx(4 * 1_345_423_360 / 1e9)


def test_recomputation_keeps_the_input_of_each_block_and_one_whole_block():
    recipe, gpu = load("dense-1b-relu"), machine("gpu")
    layouts = (in_a_later_micro_batch(shared_by(1, recompute=twice)) for twice in (False, True))
    all_of_it, kept = (memory(recipe, gpu, layout).activations for layout in layouts)
    residual = 2 * 2048 * 4096 / 1e9
    last = (4 + 3 * 2) * 2048 * 4096 / 1e9
    gradients = 6 * residual  # of that block
    assert kept == pytest.approx(24 * residual + (all_of_it - last) / 24 + gradients)
    assert kept < all_of_it / 8


def test_a_mixture_has_gradients_of_each_experts_output_in_float32():
    recipe, on = load("moe-1b7b-swiglu"), machine("a100-8x8")
    need, twice = (memory(recipe, on, in_a_later_micro_batch(shared_by(64, size))) for size in (4, 8))
    tokens = 4 * 4096
    after = (4 + 3 * 2) * 2048  # the last norm's, gone by then
    formula = activations_per_token(recipe.model, 2) - after + (2 * 4 + 2) * 8 * 2048
    assert need.activations == pytest.approx(tokens * formula / 1e9)
    assert twice.activations == 2 * need.activations


@pytest.mark.parametrize(("width", "left"), [(2, 4 + 2), (4, 4)])
def test_a_second_chunk_of_logits_finds_what_is_left_of_the_first(width, left):
    model = load("dense-1b-relu").model
    head, logits = 32_000 * 2048, 1024 * 32_000
    assert _loss(model, 1024, width) == max(8 * logits + 4 * head, left * logits + (4 + width) * head)
    assert _loss(model, 2048, width) == (8 + left) * LOGITS_PER_CHUNK + 4 * head
