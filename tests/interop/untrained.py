"""A run's folder with random weights, as a run would leave it, without the seconds of training."""

import json
import shutil

import torch
import yaml
from torch.distributed.checkpoint import save

from repro import models
from repro.recipe import fingerprint
from repro.training import checkpoints
from repro.training.checkpoints import alone_on_purpose


def write(recipe, folder, prepared=None, *, steps=(1,)):
    """The folder of a run of ``recipe`` with a checkpoint of each step, and the tokenizer of ``prepared`` if given."""
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))
    if prepared:
        shutil.copy(prepared.folder / "tokenizer.json", folder)
        (folder / "vocabulary.json").write_text(json.dumps({"eos_id": prepared.manifest.eos_id}))
    for step in steps:
        _checkpoint(recipe, folder / "checkpoints" / checkpoints.name(step), step)
    return folder


def _checkpoint(recipe, path, step):
    path.mkdir(parents=True)
    state = {f"decoder.{name}": tensor for name, tensor in weights(recipe, seed=step).items()}
    torch.save({"global_step": step, "recipe": fingerprint(recipe)}, path / checkpoints.PROGRESS)
    with alone_on_purpose():
        save({"model": state}, checkpoint_id=path, no_dist=True)
    (path / checkpoints.FILES).write_text(json.dumps(checkpoints.sizes(path)))


def weights(recipe, seed=0):
    """Large enough that one token is likelier than the others, and no coefficient is as it begins."""
    generator = torch.Generator().manual_seed(seed)
    state = models.from_recipe(recipe.model).state_dict()
    return {name: 0.3 * torch.randn(tensor.shape, generator=generator) for name, tensor in state.items()}
