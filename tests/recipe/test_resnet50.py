"""The recipes of image classifiers hold the values of the sources that they name."""

import pytest
import torch
import yaml

from repro import paths
from repro.recipe import listing, load, resnet
from repro.recipe.loading import admitted, paper_items, paper_scale, scales
from repro.recipe.table import rows
from repro.training.image_optimizer import schedule

SOURCES = ("torchvision V1", "timm", "He et al. 2016", "ours", "ILSVRC")


def plain():
    return tuple(name for name, row in rows().items() if not row.gated)


def test_it_admits_every_activation_that_is_not_gated():
    assert admitted("resnet50") == plain()


def test_the_scales_are_the_designs():
    assert set(scales("resnet50")) == {"smoke", "cifar10", "a3", "imagenet"}


@pytest.mark.parametrize("scale", ["smoke", "cifar10", "a3", "imagenet"])
@pytest.mark.parametrize("activation", plain())
def test_every_name_loads(scale, activation):
    recipe = load(f"resnet50-{scale}-{activation}")
    assert recipe.steps == recipe.budget.epochs * (recipe.data.images // recipe.budget.samples_per_step)


@pytest.mark.parametrize("scale", ["cifar10", "a3", "imagenet"])
def test_all_but_the_smoke_are_resnet_50(scale):
    model = load(f"resnet50-{scale}-relu").model
    assert (model.blocks, model.width, resnet.sites(model)) == ((3, 4, 6, 3), 64, 49)


def test_imagenet_is_torchvisions_first_recipe():
    recipe = load("resnet50-imagenet-relu")
    optim, data = recipe.optim, recipe.data
    assert (optim.optimizer, optim.lr, optim.momentum, optim.weight_decay) == ("sgd", 0.1, 0.9, 1e-4)
    assert (optim.schedule, optim.warmup_epochs, optim.clip, optim.loss) == ("step", 0, None, "cross-entropy")
    assert (optim.label_smoothing, optim.ema, data.mixup, data.cutmix, data.randaugment) == (0, 0, 0, 0, 0)
    assert (data.size, data.test_resize, data.test_size, data.crop, data.flip) == (
        224,
        256,
        224,
        "random-resized",
        True,
    )
    assert (recipe.budget.epochs, recipe.budget.samples_per_step, recipe.steps_per_epoch) == (90, 256, 5004)
    assert resnet.count(recipe.model).total == 25_557_032


def test_a3_is_timms():
    recipe = load("resnet50-a3-polynorm")
    optim, data = recipe.optim, recipe.data
    assert (optim.optimizer, optim.lr, optim.weight_decay, optim.clip) == ("lamb", 8e-3, 0.02, 1)
    assert (optim.schedule, optim.warmup_epochs, optim.loss, optim.label_smoothing) == ("cosine", 5, "binary", 0)
    assert (data.size, data.test_size, data.test_resize, data.interpolation) == (160, 224, 235, "random")
    assert (data.mixup, data.cutmix, data.randaugment) == (0.1, 1, 6)
    assert (recipe.budget.epochs, recipe.budget.samples_per_step) == (100, 2048)


def test_a3s_test_images_are_resized_as_timm_resizes_them():
    timm = pytest.importorskip("timm.data.transforms_factory")
    resize, crop, *_ = timm.transforms_imagenet_eval(224, crop_pct=0.95, interpolation="bicubic").transforms
    data = load("resnet50-a3-relu").data
    assert (resize.size, crop.size) == (data.test_resize, (data.test_size, data.test_size))


def test_a3s_header_says_how_its_rate_differs_from_timms():
    recipe = load("resnet50-a3-relu")
    fraction = schedule(recipe.optim, epochs=recipe.budget.epochs, steps_per_epoch=recipe.steps_per_epoch)
    timm = pytest.importorskip("timm.scheduler")
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=recipe.optim.lr)
    theirs = timm.CosineLRScheduler(sgd, t_initial=100, lr_min=1e-6, warmup_t=5, warmup_lr_init=1e-4)
    theirs.step(50)
    text = (paths.recipes() / "resnet50" / "a3.yaml").read_text()
    for rate in (recipe.optim.lr * fraction(50 * recipe.steps_per_epoch), sgd.param_groups[0]["lr"]):
        assert f"{1e3 * rate:.2f}e-3" in text


def test_one_scale_is_the_papers_and_no_number_is_claimed_for_it():
    assert paper_scale("resnet50") == "imagenet"
    assert set(paper_items("resnet50", "imagenet")) == {"relu", "polynorm"}
    assert "not available to us" in load("resnet50-imagenet-polynorm").paper_item


def test_the_base_says_whose_settings_these_are():
    text = (paths.recipes() / "resnet50" / "base.yaml").read_text()
    assert "not available to us" in text.replace("\n# ", " ")
    assert "torchvision V1" in text
    assert "timm RSB A3" in text


@pytest.mark.parametrize("scale", ["imagenet", "a3"])
def test_each_value_of_the_table_s_recipes_says_where_it_comes_from(scale):
    """What is off, and the shape of a ResNet-50, needs no source."""
    path = paths.recipes() / "resnet50" / f"{scale}.yaml"
    known = {"classes", "blocks", "width", "stem", "source", "minutes", "keep", "every"}
    for line in path.read_text().splitlines():
        key, _, value = line.partition("#")[0].strip().partition(":")
        if line.startswith("  ") and key not in known | {"relu", "polynorm"} and value.strip() not in {"0", "null"}:
            assert any(source in line for source in SOURCES), line


def test_a_scale_s_model_sets_what_the_base_leaves_open():
    base = yaml.safe_load((paths.recipes() / "resnet50" / "base.yaml").read_text())
    for scale in scales("resnet50"):
        own = yaml.safe_load((paths.recipes() / "resnet50" / f"{scale}.yaml").read_text())
        assert not own["model"].keys() & base["model"].keys()
        assert {"about", "shows", "model", "data", "optim", "budget", "validation"} <= own.keys()


def test_the_list_shows_the_papers_and_its_smokes():
    assert [recipe.name for recipe in listing.listed("resnet50")] == [
        "resnet50-smoke-relu",
        "resnet50-smoke-polynorm",
        "resnet50-imagenet-relu",
        "resnet50-imagenet-polynorm",
    ]
