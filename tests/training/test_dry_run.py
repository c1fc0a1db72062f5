"""A step of fake tensors on machines that are not there: what it finds, and that it leaves nothing behind."""

import json
import sys

import pytest
import torch
import torch.distributed as dist
from torch._subclasses.fake_tensor import FakeTensor
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate

from repro import cli
from repro.errors import CheckFailed, RecipeError, RunError
from repro.kernels import eager
from repro.models.transformer import Block
from repro.recipe import load, machine
from repro.training import dry_run as module
from repro.training.dry_run import dry_run

BUDGET = 0.05  # of the peak: the plan knows no order of operations within a block; 2 % were seen, of resharded ones 4
SMOKE = ("dense-smoke-polynorm", "gpu-x8")


@pytest.fixture(autouse=True)
def leaves_nothing_behind():
    before = torch.UntypedStorage.resize_
    yield
    assert not dist.is_initialized() or dist.get_backend() != "fake"
    assert torch.UntypedStorage.resize_ == before
    assert not torch.ones(1).is_cuda
    assert "is_cuda" not in vars(FakeTensor)


def run(name, on, *overrides):
    return dry_run(load(name, overrides), machine(on))


# At the paper's widths, of two layers.
LAYOUTS = {
    "shared by eight, eight copies": ("dense-1b-polynorm", "h100-8x8", ""),
    "shared by 64": ("dense-1b-swiglu", "h100-8x8", "shard=64"),
    "gathered twice and reduced each": ("dense-1b-polynorm", "gpu-x8", "micro_batch=2 reshard=true reduce_each=true"),
    "gradients that wait": ("dense-1b-relu", "gpu-x8", "micro_batch=2 reduce_each=false"),
    "computed twice": ("dense-1b-polynorm", "a100-4x8", "micro_batch=1 recompute=true"),
    "everything twice": ("dense-1b-swiglu", "gpu-x8", "micro_batch=4 recompute=true reshard=true reduce_each=true"),
    "one device": ("dense-1b-polynorm", "gpu", "micro_batch=2"),
    "a mixture": ("moe-1b7b-polynorm", "a100-8x8", "micro_batch=2 shard=8 reshard=true reduce_each=true"),
    "a mixture shared by 64": ("moe-1b7b-swiglu", "h100-8x8", "micro_batch=1 shard=64"),
    "a mixture computed twice": ("moe-1b7b-polynorm", "h100-8x8", "micro_batch=4 shard=8 recompute=true"),
    "several processors": ("dense-1b-swiglu", "cpu-x2", "context=128 tokens_per_step=512"),
    "torch's operators of a learned activation": ("dense-1b-polyprelu", "gpu-x8", "micro_batch=2"),
    "torch's operators of a gated one": ("dense-1b-powlu", "gpu-x8", "micro_batch=2"),
    "one processor": ("dense-1b-polynorm", "cpu", "d_model=512 context=512 tokens_per_step=4096"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_plans_memory_is_what_torchs_tracker_finds(name):
    recipe, on, overrides = LAYOUTS[name]
    found = run(recipe, on, "n_layers=2", *overrides.split())
    assert found.plan_gb == pytest.approx(found.peak_gb, rel=BUDGET)
    assert sum(found.parts_gb.values()) == found.peak_gb


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
@pytest.mark.parametrize("activation", ["relu", "polynorm"])
def test_so_it_is_of_images(strategy, activation):
    overrides = ("blocks=[1, 1, 1, 1]", "samples_per_step=512", f"strategy={strategy}")
    found = run(f"resnet50-imagenet-{activation}", "gpu-x8", *overrides)
    assert found.plan_gb == pytest.approx(found.peak_gb, rel=BUDGET)
    assert ("Buckets" in found.parts_gb) == (strategy == "ddp")


def test_averaged_weights_are_held_too():
    plain, averaged = (
        run("resnet50-smoke-relu", "gpu-x8", "samples_per_step=64", "layout.strategy=fsdp2", *ema)
        for ema in ([], ["ema=0.99"])
    )
    assert averaged.states_gb.weights == 2 * plain.states_gb.weights
    assert averaged.peak_gb - plain.peak_gb == pytest.approx(plain.states_gb.weights)


@pytest.mark.parametrize("family", ["dense", "moe"])
def test_documents_and_repetitions_are_told_apart_there_too(family):
    name, filtered = f"{family}-smoke-polynorm", "repetition={period: 13, times: 3}"
    masked, plain = (run(name, "gpu-x8", filtered, *mask) for mask in (["document_mask=true"], []))
    assert masked.weights == plain.weights
    assert masked.peak_gb >= plain.peak_gb
    assert [masked.plan_gb, plain.plan_gb] == pytest.approx([masked.peak_gb, plain.peak_gb], rel=BUDGET)


@pytest.mark.parametrize("recompute", ["true", "false"])
def test_a_mask_of_documents_takes_what_is_planned_for_it(recompute):
    overrides = ("n_layers=2", "micro_batch=4", f"recompute={recompute}")
    masked, plain = (run("dense-1b-relu", "gpu-x8", *overrides, *mask) for mask in (["document_mask=true"], []))
    assert masked.plan_gb - plain.plan_gb == pytest.approx(2 * 4 * 4096**2 / 1e9)
    assert masked.peak_gb - plain.peak_gb == pytest.approx(2 * 4 * 4096**2 / 1e9, rel=0.01)


def test_states_are_a_devices_share():
    found = run("dense-1b-swiglu", "h100-8x8", "n_layers=2", "shard=64")
    whole = 4 * sum(weight.numel() for weight in module._module(load("dense-1b-swiglu", ["n_layers=2"])).parameters())
    states = found.states_gb
    assert states.weights == states.gradients == states.moments / 2 == pytest.approx(whole / 64 / 1e9)
    assert (found.devices, found.shard) == (64, 64)


def test_a_weight_that_was_left_whole_is_found(monkeypatch):
    def forgetful(network, over, sharding):
        fully_shard(network, mesh=over, ignored_params={network.lm_head.weight})

    monkeypatch.setattr(module, "shard", forgetful)
    with pytest.raises(CheckFailed) as found:
        run(*SMOKE)
    assert str(found.value) == (
        "decoder.lm_head.weight is whole on each device, where each of 8 devices should have its share"
    )


def test_a_mesh_of_the_wrong_shape_is_found(monkeypatch):
    meant = module.mesh
    monkeypatch.setattr(module, "mesh", lambda device, world_size, ranks: meant(device, world_size, world_size))
    with pytest.raises(
        CheckFailed, match=r"embed_tokens\.weight lies as \(Shard\(dim=0\),\) on devices \(64,\), where"
    ):
        run("dense-1b-swiglu", "h100-8x8", "n_layers=1", "shard=8")


def test_a_weight_without_a_gradient_is_found(monkeypatch):
    def attending(self, x, positions, bias):
        return x + self.self_attn(self.input_layernorm(x), positions, bias), None

    monkeypatch.setattr(Block, "forward", attending)
    said = r"^decoder\.layers\.0\.post_attention_layernorm\.weight has no gradient after a step, one of 8 such weights$"
    with pytest.raises(CheckFailed, match=said):
        run("dense-smoke-swiglu", "gpu-x8")


MOE = ("moe-smoke-polynorm", "h100-8x8", "tokens_per_step=4096", "shard=64")  # four experts


def test_experts_are_shared_out_by_their_width_among_more_devices():
    found = run(*MOE, "d_ff=192")
    assert found.plan_gb == pytest.approx(found.peak_gb, rel=BUDGET)


def test_a_width_that_does_not_divide_is_refused_in_a_line():
    told = (
        r"cannot be shared out over 64 devices of machine 'h100-8x8', which divide neither its experts nor their width"
    )
    with pytest.raises(RecipeError, match=told):
        run(*MOE)


def test_what_needs_more_than_is_planned_fails(monkeypatch):
    """Such as coefficients of each expert, which no fused operator serves and whose backward pass is not counted."""
    monkeypatch.setattr(module, "FULL", 1e-5)
    told = (
        r"^dense-smoke-polynorm does not fit on machine 'gpu-x8': torch's tracker finds 0\.0 GB at the peak of a step, "
    )
    with pytest.raises(CheckFailed, match=told + r"the plan says 0\.0, and 0% of a device's 80\.0 are usable$"):
        run(*SMOKE)


def test_a_gpu_has_fused_operators_also_where_they_compute_again(monkeypatch):
    monkeypatch.setattr(eager, "polynorm", None)
    run(*SMOKE, "recompute=true")
    with pytest.raises(TypeError, match="not callable"):
        run(SMOKE[0], "cpu-x2")


def test_ctrl_c_ends_it(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    hook = sys.excepthook
    monkeypatch.setattr(module, "_loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(*SMOKE)
    assert not dist.is_initialized()
    assert sys.excepthook == hook


def test_it_stays_out_of_a_run_of_several_processes(one_process_group):
    with pytest.raises(RunError, match="a dry run needs a process of its own; this one is one of 1"):
        run(*SMOKE)
    assert dist.get_backend() == "gloo"


def test_real_ranks_can_meet_afterwards(request):
    run(*SMOKE)
    request.getfixturevalue("one_process_group")
    ones = torch.ones(2)
    dist.all_reduce(ones)
    assert ones.tolist() == [1, 1]


@pytest.fixture
def command(capsys, monkeypatch):
    """Runs ``repro plan`` and gives its exit code, what it printed and what it complained of."""
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *arguments: (cli.status(["plan", *arguments]), *capsys.readouterr())


def test_the_verb_tells_it_under_the_plan(command):
    code, printed, complaint = command(SMOKE[0], "--on", SMOKE[1], "--validate")
    assert (code, complaint) == (0, "")
    told = " ".join(printed.split("\n\n")[-1].split())
    assert told.startswith("validated: 21 tensors of weights shared out over 8 devices; one step of fake tensors in ")
    assert "torch's tracker finds" in told
    assert max(map(len, printed.splitlines())) <= 80


def test_programs_get_the_figures_or_null(command):
    validated, not_asked = (
        json.loads(command(SMOKE[0], "--on", SMOKE[1], "--json", *flag)[1])["validated"]
        for flag in (["--validate"], [])
    )
    assert not_asked is None
    assert set(validated) == {
        *("devices", "shard", "weights", "states_gb", "peak_gb", "parts_gb", "plan_gb", "seconds"),
    }
    assert set(validated["states_gb"]) == {"weights", "gradients", "moments"}


def test_a_batch_that_the_devices_cannot_share_is_a_mistake_in_a_line(command):
    code, printed, complaint = command("dense-1b-relu", "tokens_per_step=12288", "--on", "a100-4x8", "--validate")
    assert (code, printed) == (2, "")
    assert "cannot share evenly" in complaint
    assert complaint.count("\n") == 1


def test_what_does_not_fit_is_planned_and_then_refused(command):
    code, printed, complaint = command("dense-13b-relu", "--on", "gpu", "--validate")
    assert code == 2
    assert "does not fit on machine 'gpu'" in " ".join(printed.split())
    assert complaint.startswith("repro: dense-13b-relu does not fit on machine 'gpu'")
    assert complaint.count("\n") == 1


def test_the_gradient_is_clipped(monkeypatch):
    clipped = []
    clip = torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *words: clipped.append(clip(*words)))
    run(*SMOKE)
    (norm,) = clipped
    assert norm.shape == ()


def test_a_gradient_that_lies_elsewhere_is_found(monkeypatch):
    clip = torch.nn.utils.clip_grad_norm_

    def clip_and_gather(weights, limit):
        weights = list(weights)
        clip(weights, limit)
        weights[0].grad = None
        weights[0].grad = weights[0].detach().redistribute(placements=[Replicate()])

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", clip_and_gather)
    with pytest.raises(
        CheckFailed, match=r"^the gradient of \S+ lies as \(Replicate\(\),\) on devices \(8,\), where each"
    ):
        run(*SMOKE)


def test_what_is_planned_is_told_as_json_too_where_it_cannot_be_validated(capsys):
    assert cli.status(["plan", "dense-13b-relu", "--on", "gpu", "--json", "--validate"]) == 2
    told = capsys.readouterr()
    assert json.loads(told.out)["validated"] is None
    assert told.err.startswith("repro: dense-13b-relu does not fit on machine 'gpu'")
