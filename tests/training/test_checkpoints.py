"""Checkpoints of small modules: which are complete, which is the newest, and what of one is read."""

import os
import shutil

import pytest
import torch
from torch import nn

from repro.errors import RunError
from repro.training import checkpoints
from repro.training.checkpoints import complete, fill, name, outline, state_of, sweep
from repro.training.writing import Writing


def module(value=0.0):
    made = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    nn.init.constant_(made[0].weight, value)
    return made


def written(folder, step, *, called=None):
    """A checkpoint of a step whose weights all are that number."""
    trained = module(float(step))
    optimizer = torch.optim.AdamW(trained.parameters())
    trained(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    nn.init.constant_(trained[0].weight, step)
    path = folder / (called or name(step))
    Writing(path, state_of(trained, optimizer), {"global_step": step, "recipe": "12345678"}).finish()
    return path


def shard(path):
    return next(path.glob("*.distcp"))


def test_the_newest_is_that_of_the_last_step_whatever_names_and_times_say(tmp_path):
    paths = [written(tmp_path, step) for step in (20, 5, 10)]
    for age, path in enumerate(paths):
        os.utime(path, (age, age))
        os.utime(path / ".metadata", (age, age))
    renamed = paths[1].rename(tmp_path / "zz, the fifth")
    copy = shutil.copytree(paths[0], tmp_path / "a copy")
    found = complete(tmp_path)
    assert found[:2] == [renamed, paths[2]]
    assert set(found[2:]) == {paths[0], copy}
    assert [checkpoints.step_of(path) for path in found] == [5, 10, 20, 20]


def cut(path):
    os.truncate(path, path.stat().st_size - 1)


DAMAGES = {
    "no metadata": lambda path: (path / ".metadata").unlink(),
    "no progress": lambda path: (path / "progress.pt").unlink(),
    "no shard": lambda path: shard(path).unlink(),
    "a shard cut short": lambda path: cut(shard(path)),
    "an empty shard": lambda path: os.truncate(shard(path), 0),
    "metadata cut short": lambda path: cut(path / ".metadata"),
    "progress cut short": lambda path: cut(path / "progress.pt"),
    "no list of files": lambda path: (path / "files.json").unlink(),
    "another list": lambda path: (path / "files.json").write_text("[1]"),
    "hidden": lambda path: path.rename(path.with_name(f".{path.name}")),
    "a file": lambda path: (shutil.rmtree(path), path.touch()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_not_whole_is_passed_over_for_the_one_before(damage, tmp_path):
    older = written(tmp_path, 1)
    DAMAGES[damage](written(tmp_path, 2))
    assert complete(tmp_path) == [older]


def test_what_cannot_be_read_is_told_in_a_line_with_the_way_out(tmp_path):
    path = written(tmp_path, 2)
    damaged = path / "progress.pt"
    damaged.write_bytes(bytes(damaged.stat().st_size))
    with pytest.raises(
        RunError, match=rf"^cannot read the checkpoint {path}: .+; remove it to go on from an earlier"
    ) as e:
        complete(tmp_path)
    assert "\n" not in str(e.value)


def test_there_is_none_where_there_is_no_folder(tmp_path):
    assert complete(tmp_path / "nowhere") == []


def test_what_was_being_written_or_removed_is_swept_up(tmp_path):
    path = written(tmp_path, 1)
    for left in (".writing-step-00000002", ".removing-step-00000000"):
        shutil.copytree(path, tmp_path / left)
    assert complete(tmp_path) == [path]
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_the_outline_names_weights_and_buffers_and_nothing_of_the_optimizer(tmp_path):
    told = outline(written(tmp_path, 1))
    state = module().state_dict()
    assert {key: (tensor.shape, tensor.dtype) for key, tensor in told.items()} == {
        key: (tensor.shape, tensor.dtype) for key, tensor in state.items()
    }
    assert {tensor.device.type for tensor in told.values()} == {"meta"}


def test_some_of_the_weights_are_read_and_no_others(tmp_path):
    path = written(tmp_path, 7)
    wanted = {"0.weight": torch.zeros(2, 3), "1.num_batches_tracked": torch.tensor(0)}
    fill(path, wanted)
    assert torch.equal(wanted["0.weight"], torch.full((2, 3), 7.0))
    assert wanted["1.num_batches_tracked"] == 1


def test_a_weight_that_is_not_there_is_told_in_a_line(tmp_path):
    path = written(tmp_path, 7)
    with pytest.raises(RunError, match=rf"^cannot read the checkpoint {path}: .*1\.weigth"):
        fill(path, {"1.weigth": torch.zeros(2)})


def test_the_last_ones_and_the_milestones_are_kept(small, train, tmp_path):
    train(small({"checkpoints.every": 2, "checkpoints.keep": 3, "checkpoints.milestones": 6, "budget.tokens": 2048}))
    kept = [checkpoints.step_of(path) for path in complete(tmp_path / "run/checkpoints")]
    assert kept == [6, 10, 12, 14, 16]
