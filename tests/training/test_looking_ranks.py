"""What is logged of states, gradients and updates is the same however a model lies on ranks."""

import json

import pytest

from tests.conftest import EXPERTS, SMALL
from tests.training.conftest import CALM
from tests.training.ranks import World, in_turn
from tests.training.test_states import scalars

LAYOUTS = {  # two ranks that share the weights out, and two that hold them whole each
    "shared": ("dense", {"shard": 2, "micro_batch": 1}),
    "copies": ("dense", {"shard": 1}),
    "mixture": ("moe", {"shard": 2}),
}
GROUPS = ("similarity/", "dead/", "kurtosis/", "gradient/", "update/")
BODY = """
from repro.data.manifest import Prepared
for name, (family, settings) in json.loads(os.environ["LAYOUTS"]).items():
    settings = [word for word in settings if ranks > 1 or not word.startswith("layout.")]
    recipe = load(f"{family}-smoke-polynorm", settings)
    run(recipe, cpus, Prepared.open(Path(os.environ["SET"])), seed=0, folder=Path(f"{name}_on_{ranks}"))
"""


def settings(family, layout):
    values = SMALL | CALM | {"analysis.every": 12} | {f"layout.{key}": value for key, value in layout.items()}
    values |= EXPERTS | {"model.d_ff": 24, "balance.scope": "global"} if family == "moe" else {}
    return [f"{key}={value}" for key, value in values.items()]


@pytest.fixture(scope="module")
def runs(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    layouts = json.dumps({name: (family, settings(family, layout)) for name, (family, layout) in LAYOUTS.items()})
    in_turn([World(ranks, BODY) for ranks in (1, 2)], folder, LAYOUTS=layouts, SET=str(prepared.folder))
    return folder


@pytest.mark.parametrize("name", LAYOUTS)
def test_two_ranks_see_what_one_does(name, runs):
    one, two = (scalars(runs / f"{name}_on_{ranks}", *GROUPS) for ranks in (1, 2))
    assert {tag.partition("/")[0] + "/" for tag in one} == set(GROUPS)
    assert one.keys() == two.keys()
    for tag, values in one.items():
        assert [step for step, _ in values] == [12, 24]
        # ranks add in another order: after 24 steps they were seen to differ by 7e-7
        assert two[tag] == [(step, pytest.approx(value, rel=1e-5)) for step, value in values], tag
