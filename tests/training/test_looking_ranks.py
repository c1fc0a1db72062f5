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


ALIVE = """
import torch
from repro.analysis.inputs import Call
from repro.training.callbacks.states import Look
look, act = Look(torch.device("cpu")), torch.nn.ReLU()
x = torch.linspace(-2, -1, 24).view(6, 4)
if rank == 1:
    x[2, 3] = 5.0  # the last unit lives in one row
look._call(Call("plain", act, x, act(x)))
y = x.abs() if rank == 1 else x  # expert 0 has all rows of rank 0, expert 1 those of rank 1, where all its units live
look._call(Call("experts", act, y, act(y), expert=torch.full((6,), rank), experts=2))
look.bring_together()
Path(f"{rank}.json").write_text(json.dumps(look.row()))
"""


def test_a_neuron_that_lives_on_one_rank_lives(tmp_path):
    in_turn([World(2, ALIVE)], tmp_path)
    rows = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert rows[0] == rows[1]
    assert (rows[0]["dead/plain"], rows[0]["dead/experts"]) == (0.75, 0.5)
