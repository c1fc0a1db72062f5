"""How a recipe fits on a machine, and what it costs."""

from dataclasses import asdict, replace

import pytest

from repro.errors import RecipeError
from repro.recipe import load, machine
from repro.recipe.layout import USABLE, Fit, fit
from repro.recipe.memory import memory
from repro.recipe.plan import plan
from repro.recipe.speed import mfu

PAPER = "dense-1b-polynorm"


def test_the_papers_run_on_the_papers_machine():
    planned = plan(load(PAPER), machine("a100-4x8"))
    assert planned.fit == Fit(micro_batch=2, accumulation=1, shard=8)  # a copy in each node
    assert planned.misfit is None
    assert planned.steps == 953_675
    assert planned.tokens == 250_000_000_000
    assert planned.total_flops == pytest.approx(2.22e21, rel=0.01)  # research's estimate
    waiting = planned.communication.exposed_seconds / planned.communication.computation_seconds
    assert planned.gpu_hours == pytest.approx(
        4_400 * (1 + waiting), rel=0.01
    )  # research's estimate, at 45 % of the peak
    assert planned.checkpoint_gb == pytest.approx(16.145, abs=0.001)  # 12 bytes a parameter
    assert planned.differences == ()


def test_the_json_keeps_its_keys():
    printed = asdict(plan(load(PAPER), machine("gpu")))
    contract = {"parameters", "ffn_match_residual", "flops_per_token", "tokens", "steps", "memory_gb", "gpu_hours"}
    assert contract <= set(printed)
    assert {"total", "active", "non_embedding"} <= set(printed["parameters"])
    assert set(printed["flops_per_token"]) == {"causal", "palm"}
    assert printed["memory_gb"] == pytest.approx(sum(printed["memory_parts_gb"].values()))
    assert printed["communication"] is None
    assert set(asdict(plan(load(PAPER), machine("a100-4x8")))["communication"]) == {
        "gathered_gb",
        "reduced_gb",
        "copies_gb",
        "rate_gb_s",
        "copies_rate_gb_s",
        "seconds",
        "exposed_seconds",
        "computation_seconds",
    }


@pytest.mark.parametrize(
    ("name", "on"),
    [
        ("dense-smoke-swiglu", "cpu"),
        ("dense-smoke-swiglu", "gpu-x8"),
        ("dense-25m-polynorm", "cpu"),
        ("dense-25m-polynorm", "h100-8x8"),
        (PAPER, "gpu"),
        (PAPER, "a100-8x8"),
        ("dense-7b-powlu", "gpu-x8"),
    ],
)
def test_a_fit_makes_the_global_batch_and_leaves_memory(name, on):
    recipe, where = load(name), machine(on)
    found = fit(recipe, where)
    assert found.micro_batch * found.accumulation * where.world_size == recipe.sequences_per_step
    assert memory(recipe, where, found).total <= USABLE * where.memory_gb


def test_the_micro_batch_is_the_largest_that_fits():
    recipe, gpu = load(PAPER), machine("gpu")
    found = fit(recipe, gpu)
    assert found == Fit(micro_batch=4, accumulation=16, reduce_each=True)
    assert memory(recipe, gpu, replace(found, micro_batch=8, accumulation=8)).total > USABLE * gpu.memory_gb


def test_a_share_that_is_prime_is_made_one_sequence_at_a_time_or_whole():
    found = fit(load(PAPER, [f"tokens_per_step={13 * 4096}"]), machine("gpu"))
    assert found == Fit(micro_batch=1, accumulation=13, reduce_each=True)


def test_a_batch_that_the_devices_cannot_share_names_both_sides():
    recipe = load(PAPER, ["tokens_per_step=12288"])
    for ask in (fit, plan):
        with pytest.raises(RecipeError) as refused:
            ask(recipe, machine("a100-4x8"))
        assert str(refused.value) == (
            "dense-1b-polynorm has 3 sequences a step, which the 32 devices of machine 'a100-4x8' cannot share evenly; "
            "the nearest batch that they can make is budget.tokens_per_step=131072"
        )


@pytest.mark.parametrize(("sequences", "nearest"), [(33, 32), (63, 64), (95, 96), (1, 32)])
def test_the_nearest_batch_is_one_that_the_devices_can_make(sequences, nearest):
    with pytest.raises(RecipeError, match=f"tokens_per_step={nearest * 4096}$"):
        fit(load(PAPER, [f"tokens_per_step={sequences * 4096}"]), machine("a100-4x8"))


def test_a_model_too_large_is_refused_by_fit_and_reported_by_plan():
    recipe, gpu = load("dense-13b-relu"), machine("gpu")
    message = (
        "dense-13b-relu does not fit on machine 'gpu': one sequence at a time needs 214.4 GB on each device, "
        "208.3 GB of it for float32 weights, gradients and moments of 13,015,864,320 parameters; a device has 80.0 GB "
        "(90% of it usable); --on chooses another"
    )
    with pytest.raises(RecipeError) as refused:
        fit(recipe, gpu)
    assert str(refused.value) == message
    planned = plan(recipe, gpu)
    assert (planned.misfit, planned.fit, planned.tokens_per_second, planned.gpu_hours) == (message, None, None, None)
    assert planned.parameters.total == 13_015_864_320


def test_a_cpu_has_no_gpu_hours():
    planned = plan(load("dense-smoke-polynorm"), machine("cpu"))
    assert planned.gpu_hours is None
    assert planned.hours == pytest.approx(planned.tokens / planned.tokens_per_second / 3600)
    assert planned.fit == Fit(micro_batch=16, accumulation=1, reduce_each=True)


def test_speed_is_the_share_of_the_peak_that_is_expected():
    planned = plan(load(PAPER), machine("gpu"))
    assert planned.mfu == pytest.approx(0.40)
    assert planned.tokens_per_second * planned.flops_per_token.causal == pytest.approx(0.40 * 989e12)


def test_many_devices_reach_less_of_it_by_what_they_wait_for():
    planned = plan(load(PAPER), machine("a100-4x8"))
    talk = planned.communication
    assert planned.mfu == pytest.approx(0.45 / (1 + talk.exposed_seconds / talk.computation_seconds))
    assert planned.tokens_per_second == pytest.approx(262_144 / (talk.computation_seconds + talk.exposed_seconds))
    assert planned.hours == pytest.approx(planned.tokens / planned.tokens_per_second / 3600)


def test_blocks_that_are_computed_twice_take_a_third_longer():
    once, twice = (plan(load(PAPER, [f"layout.recompute={said}"]), machine("gpu")) for said in ("false", "true"))
    assert once.tokens_per_second / twice.tokens_per_second == pytest.approx(4 / 3)
    assert twice.mfu == pytest.approx(0.75 * once.mfu)


def test_a_narrow_model_reaches_less_of_a_gpu():
    gpu = machine("gpu")
    assert mfu(load(PAPER), gpu) == pytest.approx(gpu.expected_mfu)
    assert mfu(load("dense-124m-relu"), gpu) == pytest.approx(0.27, abs=0.01)  # the public record it is drawn through
    assert mfu(load("dense-smoke-relu"), machine("cpu")) == machine("cpu").expected_mfu


def test_a_share_of_the_peak_stays_below_it(copied):
    (copied / "machines" / "ideal.yaml").write_text(
        "{about: x, device: NVIDIA H200, nodes: 1, devices: 8, expected_mfu: 1}"
    )
    assert mfu(load("dense-13b-relu"), machine("ideal")) == 1


@pytest.mark.parametrize(("on", "images"), [("h100-8x8", 4), ("gpu", 256), ("gpu-x8", 32)])
def test_a_plan_says_how_many_images_a_batch_norm_sees_where_that_is_far_from_the_sources(on, images):
    planned = plan(load("resnet50-imagenet-relu"), machine(on))
    assert planned.fit.micro_batch == images
    said = [note for note in planned.notes if note.startswith("a batch norm sees the micro-batch of one device, ")]
    assert len(said) == (images != 32)
    assert all(f"{images} images here and 32 in torchvision V1" in note for note in said)


def test_a_plan_says_that_attention_within_documents_is_slower():
    masked, plain = (plan(load(PAPER, mask), machine("gpu")) for mask in (["document_mask=true"], []))
    assert [note.startswith("attention reads a mask of each sequence") for note in masked.notes] == [True]
    assert plain.notes == ()


def test_a_perceptron_has_no_batch_norm_to_speak_of():
    assert plan(load("mlp-smoke-relu"), machine("cpu")).notes == ()
