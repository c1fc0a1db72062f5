"""What `repro analyze` finds of a run's activations, in every family."""

import math
from dataclasses import replace

import pytest
import torch

from repro import models
from repro.analysis.inputs import places
from repro.analysis.overflow import FORMATS
from repro.errors import RunError
from repro.inspection import activations
from repro.inspection.coefficients import learned
from repro.inspection.sample import sample
from repro.recipe import load
from repro.training.trained import Trained

CPU = torch.device("cpu")


def measured(checkpoints, size):
    given, done = sample(checkpoints[-1], CPU, size=size), []
    found = activations.measure(checkpoints, given, done.append)
    assert sum(done) == activations.work(checkpoints, given) == given.size
    return found, given


def planted(trained, network):
    """The checkpoint, as if this were its network."""
    trained = replace(trained)
    object.__setattr__(trained, "network", lambda device: network)
    return trained


@pytest.fixture
def dense(a_run):
    return Trained.every(a_run)


def test_every_family_has_activations():
    for name in ("dense-smoke-relu", "moe-smoke-swiglu", "resnet50-smoke-relu", "rnn-smoke-relu", "mlp-smoke-relu"):
        assert activations.refusal(load(name)) == ""


def test_a_decoder_has_a_row_a_layer_that_a_plain_computation_gives(dense):
    found, given = measured(dense, 256)
    network = dense[-1].network(CPU)
    seen = {}
    network.layers[1].mlp.act_fn.register_forward_hook(lambda _, x, y: seen.update(x=x[0].double(), y=y.double()))
    network.layers[1].mlp.register_forward_hook(lambda _, x, y: seen.update(out=y.double()))
    network(given.inputs)
    _, row = found.tables["activations"]
    rms = {name: value.square().mean().sqrt().item() for name, value in seen.items()}
    assert (row["step"], row["layer"], row["name"], row["neurons"]) == (24, 1, "layers.1.mlp", 48)
    assert row["gain"] == pytest.approx(rms["y"] / rms["x"], rel=1e-5)
    assert row["output_rms"] == pytest.approx(rms["out"], rel=1e-5)
    assert row["input_max_over_rms"] == pytest.approx(seen["x"].abs().max().item() / rms["x"], rel=1e-5)
    x = seen["x"] - seen["x"].mean()
    assert row["input_kurtosis"] == pytest.approx(((x**4).mean() / x.square().mean() ** 2).item(), rel=1e-5)
    assert row["constant_term"] == pytest.approx(network.layers[1].mlp.act_fn.coeff[0].item())
    assert row["exact_zeros_share"] == row["dead_share"] == 0


def test_a_neuron_whose_input_is_always_0_is_dead(dense):
    network = dense[-1].network(CPU)
    network.layers[0].mlp.up_proj.weight[:6] = 0

    found = activations.measure([planted(dense[-1], network)], sample(dense[-1], CPU, size=256), lambda n: None)
    first, second = found.tables["activations"]
    assert first["never_moved_share"] == first["exact_zeros_share"] == first["dead_share"] == pytest.approx(6 / 48)
    assert second["dead_share"] == 0


def test_overflow_is_counted_by_layer_power_and_format(dense):
    found, _ = measured(dense, 256)
    rows = found.tables["overflow"]
    assert {row["format"] for row in rows} == set(FORMATS)
    assert {(row["what"], row["power"]) for row in rows} == {
        *(("input", 1), ("term", 2), ("term", 3), ("norm", 2), ("norm", 4), ("norm", 6)),
    }
    assert {row["layer"] for row in rows} == {0, 1}
    assert all(row["numbers"] <= 256 * 48 for row in rows)
    assert not any(row["overflow"] for row in rows if row["format"] == "float32")


def test_a_classifier_has_a_row_an_activation_and_no_ffn(a_classifier):
    found, _ = measured(Trained.every(a_classifier), 20)
    rows = found.tables["activations"]
    network = Trained.at(a_classifier).network(CPU)
    assert [row["name"] for row in rows] == list(network.activations())
    assert {row["output_rms"] for row in rows} == {None}
    blocks = list(dict.fromkeys(name.rpartition(".")[0] for name in network.activations()))
    assert [row["layer"] for row in rows] == [blocks.index(row["name"].rpartition(".")[0]) for row in rows]
    assert rows[0]["neurons"] == network.bn1.num_features, "channels"


def test_no_cell_is_nan(dense):
    found, _ = measured(dense, 16)
    values = [value for rows in found.tables.values() for row in rows for value in row.values()]
    assert not any(isinstance(value, float) and math.isnan(value) for value in values)


def test_arrays_hold_each_layers_histogram(dense):
    found, given = measured(dense, 256)
    arrays = found.arrays["inputs"]
    assert set(arrays) == {f"layers.{i}.mlp.{what}" for i in (0, 1) for what in ("counts", "edges")}
    assert arrays["layers.0.mlp.counts"].sum() == given.size * 48
    assert len(arrays["layers.0.mlp.edges"]) == len(arrays["layers.0.mlp.counts"]) + 1


def test_figures_say_what_they_are_of(dense):
    found, _ = measured(dense, 256)
    assert set(found.figures) == {"inputs", "sizes", "coefficients", "coefficients_over_training"}
    assert found.figures["inputs"].title == "polynorm on its inputs"
    assert all("256 held-out tokens" in found.figures[name].caption for name in ("inputs", "sizes"))


def test_numbers_that_are_not_finite_are_refused_by_their_layer(dense):
    network = dense[-1].network(CPU)
    network.layers[1].mlp.up_proj.weight[3] = math.nan
    with pytest.raises(
        RunError, match=r"step-00000024: [\d,]+ numbers of what goes into layers\.1\.mlp are not finite"
    ):
        activations.measure([planted(dense[-1], network)], sample(dense[-1], CPU, size=32), lambda n: None)


def test_what_was_learned_is_there_at_every_checkpoint(dense):
    found, _ = measured(dense, 16)
    rows = found.tables["coefficients"]
    assert [(row["step"], row["layer"], row["power"]) for row in rows] == [
        (step, layer, power) for step in (20, 24) for layer in (0, 1) for power in range(4)
    ]
    for trained in dense:
        for layer, block in enumerate(trained.network(CPU).layers):
            own = [row["value"] for row in rows if (row["step"], row["layer"]) == (trained.step, layer)]
            assert own == block.mlp.act_fn.coeff.tolist()
    assert {row["parameter"] for row in rows} == {"coeff"}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("dense-smoke-relu", set()),
        ("dense-smoke-polyprelu", {"coeff", "rho.weight"}),
        ("dense-smoke-xielu", {"alpha_p", "alpha_n"}),
        ("moe-smoke-polynorm", {"coeff"}),
        ("resnet50-smoke-polynorm", {"coeff"}),
        ("rnn-smoke-polynorm", {"coeff"}),
    ],
)
def test_all_that_an_activation_learns_is_known_by_its_layer(word, expected):
    with torch.device("meta"):
        network = models.from_recipe(load(word).model)
    found = learned(network)
    assert {own for _, own in found.values()} == expected
    assert {name for name, _ in found.values()} <= set(places(network))


def test_few_windows_are_said_to_be_few(dense):
    few, _ = measured(dense, 256)
    assert few.remarks[0].startswith("Nothing here has an interval, and of fewer than 30 windows")
    more, _ = measured(dense, 512)
    assert not any("interval" in remark for remark in more.remarks)
