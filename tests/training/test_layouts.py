"""However a model lies on several ranks, and however the batch is made there, it is the same training."""

import json

import pytest

from repro.errors import RecipeError
from repro.recipe import load, machine
from repro.recipe.layout import fit
from tests.conftest import EXPERTS, SMALL
from tests.training.conftest import CALM, Numbers, assert_nearly_equal
from tests.training.ranks import on_ranks

LAYOUTS = {  # shard, micro-batch of 4 or 2 sequences, and what is done twice
    "shared out": ("dense", {"shard": 2}),
    "a copy on each": ("dense", {"shard": 1}),
    "accumulating": ("dense", {"shard": 2, "micro_batch": 1}),
    "accumulating and reducing each": ("dense", {"shard": 2, "micro_batch": 1, "reduce_each": "true"}),
    "gathering and computing twice": ("dense", {"shard": 2, "reshard": "true", "recompute": "true"}),
    "mixture, shared out": ("moe", {"shard": 2}),
    "mixture, computing twice": ("moe", {"shard": 2, "recompute": "true"}),
}
COPIES = {  # each of 2 ranks, of 2 sequences a rank
    "two by two": ("dense", {"shard": 2}),
    "accumulating": ("dense", {"shard": 2, "micro_batch": 1}),
    "accumulating and reducing each": ("dense", {"shard": 2, "micro_batch": 1, "reduce_each": "true"}),
}
BODY = """
import json
from repro.data.manifest import Prepared
prepared = Prepared.open(Path(os.environ["PREPARED"]))
for name, (family, settings) in json.loads(os.environ["LAYOUTS"]).items():
    recipe = load(f"{family}-smoke-polynorm", settings)
    run(recipe, cpus, prepared, seed=0, folder=Path(name))
"""


def settings(family, layout):
    values = SMALL | CALM | (EXPERTS | {"balance.scope": "global"} if family == "moe" else {})
    return [f"{key}={value}" for key, value in (values | {f"layout.{key}": v for key, v in layout.items()}).items()]


def started(layouts, ranks, folder, prepared):
    wanted = {name: (family, settings(family, layout)) for name, (family, layout) in layouts.items()}
    on_ranks(ranks, BODY, folder, PREPARED=str(prepared.folder), LAYOUTS=json.dumps(wanted))
    return folder


@pytest.fixture(scope="module")
def two_ranks(prepared, tmp_path_factory):
    return started(LAYOUTS, 2, tmp_path_factory.mktemp("two"), prepared)


@pytest.fixture
def alone(small, train):
    return lambda family: train(small(CALM | ({"balance.scope": "global"} if family == "moe" else {}), family=family))


@pytest.mark.parametrize("name", LAYOUTS)
def test_two_ranks_train_as_one(name, two_ranks, alone):
    assert_nearly_equal(Numbers.of(two_ranks / name), alone(LAYOUTS[name][0]))


@pytest.fixture(scope="module")
def four_ranks(prepared, tmp_path_factory):
    return started(COPIES, 4, tmp_path_factory.mktemp("four"), prepared)


@pytest.mark.parametrize("name", COPIES)
def test_four_ranks_train_as_one_in_two_copies_of_two(name, four_ranks, alone):
    assert_nearly_equal(Numbers.of(four_ranks / name), alone("dense"))


def test_a_number_that_does_not_divide_the_devices_is_refused():
    with pytest.raises(RecipeError, match=r"layout\.shard=3 does not divide the 8 devices of machine 'gpu-x8'"):
        fit(load("dense-1b-relu", ["layout.shard=3"]), machine("gpu-x8"))


def test_a_micro_batch_that_does_not_divide_the_share_is_refused():
    with pytest.raises(RecipeError, match=r"layout\.micro_batch=3 does not divide the 8 sequences of a device's share"):
        fit(load("dense-1b-relu", ["micro_batch=3"]), machine("gpu-x8"))
