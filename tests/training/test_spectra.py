"""Ranks of matrices as a model trains: those of its checkpoints, once a step, on any number of ranks."""

import json
import math
import weakref
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from repro import activations
from repro.analysis.matrices import normalised_ranks
from repro.models import PlainFFN
from repro.training import checkpoints
from repro.training.callbacks import spectra, turns
from repro.training.callbacks.spectra import Spectra
from tests.conftest import EXPERTS, SMALL
from tests.training.conftest import CALM
from tests.training.ranks import on_ranks
from tests.training.test_magnitudes import Rows
from tests.training.test_tensorboard import events

EVERY = {"analysis.every": 8}
NEVER = {"analysis.every": "null"}
TAGS = {f"rank/{layer}/{part}" for layer in (0, 1) for part in ("up", "down")}


def logged(folder):
    """Values by tag and step."""
    read = events(folder)
    tags = [tag for tag in read.Tags()["scalars"] if tag.startswith("rank/")]
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in tags}


def of_checkpoint(folder, layer, part):
    """The normalised ranks of a tensor at the end of a run."""
    newest = checkpoints.complete(folder / "checkpoints")[-1]
    (name,) = [n for n in checkpoints.outline(newest) if f"layers.{layer}.mlp." in n and f"{part}_proj" in n]
    weight = torch.empty(checkpoints.outline(newest)[name].shape)
    checkpoints.fill(newest, {name: weight})
    return normalised_ranks(weight if weight.ndim == 3 else weight[None])


@pytest.fixture
def trained(small, train, tmp_path):
    def fit(changes=EVERY, name="run", *, family="dense", **options):
        numbers = train(small(changes, family=family), name, **options)
        return numbers, tmp_path / name

    return fit


def test_each_part_of_each_layer_is_logged_at_its_steps_and_at_the_end(trained):
    _, folder = trained(EVERY | {"analysis.every": 10})
    found = logged(folder)
    assert set(found) == TAGS
    assert {tuple(step for step, _ in values) for values in found.values()} == {(10, 20, 24)}


def test_what_is_logged_is_the_rank_of_what_is_trained(trained):
    _, folder = trained()
    for layer in (0, 1):
        for part in ("up", "down"):
            (expected,) = of_checkpoint(folder, layer, part)
            assert logged(folder)[f"rank/{layer}/{part}"][-1] == (24, pytest.approx(expected, rel=1e-6))


def test_of_experts_it_is_the_mean_and_the_smallest(trained):
    _, folder = trained(family="moe")
    found = logged(folder)
    assert set(found) == TAGS | {f"{tag}/smallest" for tag in TAGS}
    expected = of_checkpoint(folder, 1, "up")
    assert len(expected) == 4
    assert found["rank/1/up"][-1][1] == pytest.approx(sum(expected) / 4, rel=1e-6)
    assert found["rank/1/up/smallest"][-1][1] == pytest.approx(min(expected), rel=1e-6)


def test_it_changes_nothing_of_the_training(trained):
    assert trained(EVERY, "with")[0] == trained(NEVER, "without")[0]


def test_a_run_that_was_stopped_has_each_step_once(trained):
    _, whole = trained(EVERY, "whole")
    _, stopped = trained(EVERY, "stopped", stop_at=(13, 18))
    assert logged(stopped) == logged(whole)


def test_it_is_drawn_at_the_end(trained):
    _, folder = trained()
    (event,) = events(folder).Images("figure/ranks")
    assert event.step == 24
    assert event.width > event.height > 200


BODY = """
from repro.data.manifest import Prepared
prepared = Prepared.open(Path(os.environ["PREPARED"]))
for family, settings in json.loads(os.environ["SETTINGS"]).items():
    run(load(f"{family}-smoke-polynorm", settings), cpus, prepared, seed=0, folder=Path(family))
"""


def test_two_ranks_log_what_one_does(trained, prepared, tmp_path):
    """They add gradients in another order, which moves weights, and so ranks, by some 1e-6."""
    calm = {family: SMALL | CALM | EVERY | extra for family, extra in (("dense", {}), ("moe", EXPERTS))}
    calm["moe"] |= {"balance.scope": "global"}
    settings = {family: [f"{key}={value}" for key, value in own.items()] for family, own in calm.items()}
    on_ranks(2, BODY, tmp_path / "two", PREPARED=str(prepared.folder), SETTINGS=json.dumps(settings))
    for family, own in calm.items():
        _, alone = trained(own, f"alone-{family}", family=family)
        ours, theirs = logged(tmp_path / "two" / family), logged(alone)
        assert ours.keys() == theirs.keys()
        for tag, values in ours.items():
            assert values == [(step, pytest.approx(value, rel=1e-5)) for step, value in theirs[tag]]


def once(*networks, rank=0, ranks=1):
    """What is logged of a training module's networks at a step."""
    module, rows = nn.Module(), Rows()
    for number, network in enumerate(networks):
        module.add_module(f"network{number}", network)
    strategy = SimpleNamespace(root_device=torch.device("cpu"), reduce=lambda table, reduce_op: table)
    trainer = SimpleNamespace(
        accumulate_grad_batches=1,
        global_step=3,
        max_steps=9,
        world_size=ranks,
        global_rank=rank,
        is_global_zero=True,
        loggers=[rows],
        callbacks=[],
        strategy=strategy,
    )
    Spectra(3).on_train_batch_end(trainer, module, None, None, 0)
    return rows.rows[3]


def ffn():
    made = PlainFFN(6, 9, activations.build("relu"))
    nn.init.eye_(made.up_proj.weight)
    return made


def test_an_average_of_the_weights_is_passed_over():
    average, network = ffn().requires_grad_(False), ffn()
    nn.init.zeros_(average.up_proj.weight)
    assert once(average, network)["rank/0/up"] > 1


def test_what_is_not_finite_is_logged_as_it_is_and_stops_nothing():
    network = ffn()
    with torch.no_grad():
        network.up_proj.weight[1, 2] = math.inf
    row = once(network)
    assert math.isnan(row["rank/0/up"])
    assert math.isfinite(row["rank/0/down"])


def test_a_matrix_of_zeros_has_rank_zero():
    network = ffn()
    nn.init.zeros_(network.down_proj.weight)
    assert once(network)["rank/0/down"] == 0


def test_ranks_compute_when_each_has_its_tensor_and_hold_two_at_most(monkeypatch):
    """Six tensors on four ranks: one that computed between two that are gathered would have all others wait."""
    done, whole = [], []

    def gathered(parameter):
        done.append("gather")
        whole.append(weakref.ref(own := parameter.detach().clone()))
        assert sum(each() is not None for each in whole) <= 2
        return own

    monkeypatch.setattr(turns, "_whole", gathered)
    monkeypatch.setattr(spectra, "normalised_ranks", lambda matrices: done.append("compute") or [1.0])
    row = once(nn.Sequential(ffn(), ffn(), ffn()), rank=1, ranks=4)
    assert done == ["gather"] * 4 + ["compute"] + ["gather"] * 2 + ["compute"]
    assert [tag for tag, value in row.items() if value] == ["rank/0/down", "rank/2/down"]
