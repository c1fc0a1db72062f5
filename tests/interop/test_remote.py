"""The code that goes with an export: the same functions as ours, of nothing but torch and transformers."""

import ast
import sys
from functools import partial

import pytest
import torch
from torch import nn

from repro import activations, models
from repro.activations import PolyNorm, PolyReLU
from repro.interop.exporting import huggingface
from repro.models.moe import PerExpert
from repro.recipe.table import rows
from tests.interop import untrained

pytest.importorskip("transformers", "5")  # which dev has

from repro.interop.exporting.remote import activations_polycom, modeling_polycom

CLASSES = {"dense": modeling_polycom.PolyComForCausalLM, "moe": modeling_polycom.PolyComMoEForCausalLM}


@pytest.fixture
def twin(small):
    """Makes our network of a recipe and the exported code's, with the same random weights."""

    def twin(changes=(), activation="polynorm", family="dense"):
        recipe = small(changes, activation, family)
        ours = models.from_recipe(recipe.model).eval()
        ours.load_state_dict(untrained.weights(recipe))
        theirs = CLASSES[family](CLASSES[family].config_class(**own_code(recipe))).eval()
        renamed = {name if name == "lm_head.weight" else f"model.{name}": t for name, t in ours.state_dict().items()}
        theirs.load_state_dict(renamed, strict=True)
        return ours, theirs

    return twin


def own_code(recipe):
    """The configuration with our own code, of activations that transformers has too."""
    config, row = huggingface.config(recipe, {"bos_token_id": 0, "eos_token_id": 0}), rows()[recipe.model.activation]
    return config | {"activation": row.builds, "activation_options": row.options, "gated": row.gated}


@pytest.fixture
def tokens():
    return torch.randint(0, 512, (3, 33), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", activations.names())
@pytest.mark.parametrize("family", CLASSES)
@torch.no_grad()
def test_with_every_activation_of_the_table_the_logits_are_ours_to_the_bit(name, family, twin, tokens):
    ours, theirs = twin(activation=name, family=family)
    assert torch.equal(theirs(tokens).logits, ours(tokens))


@pytest.mark.parametrize("name", ["polynorm", "polynorm_l2", "polyrelu"])
@torch.no_grad()
def test_with_coefficients_of_each_expert_the_logits_are_ours_to_the_bit(name, twin, tokens):
    ours, theirs = twin({"model.coefficients": "expert"}, name, "moe")
    assert torch.equal(theirs(tokens).logits, ours(tokens))


@torch.no_grad()
def test_without_normalised_queries_and_keys_the_logits_are_ours_to_the_bit(twin, tokens):
    ours, theirs = twin({"model.qk_norm": "false"}, "swiglu", "moe")
    assert torch.equal(theirs(tokens).logits, ours(tokens))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", activations.names())
@torch.no_grad()
def test_an_activation_is_ours_to_the_bit_in_every_precision(name, dtype):
    row, ours = rows()[name], activations.build(name).eval()
    theirs = activations_polycom.build(row.builds, row.options).eval()
    for number, parameter in enumerate(ours.parameters()):
        parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))
    theirs.load_state_dict(ours.state_dict(), strict=True)
    for shape in [(7, 24), (2, 5, 24), (0, 24), (3, 1)]:
        inputs = 3 * torch.randn(1 + row.gated, *shape, generator=torch.Generator().manual_seed(9)).to(dtype)
        y = theirs(*inputs)
        assert y.dtype == dtype
        assert torch.equal(y, ours(*inputs)), shape


@pytest.mark.parametrize("make", [PolyReLU, PolyNorm, partial(PolyNorm, norm="l2"), partial(PolyReLU, order=1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_coefficients_of_each_expert_are_ours_to_the_bit(make, dtype):
    one = make()
    ours = PerExpert(one, 3)
    ours.coeff.normal_(generator=torch.Generator().manual_seed(0))
    options = {"order": one.order} | ({"norm": one.norm} if isinstance(one, PolyNorm) else {})
    theirs = activations_polycom.PerExpert(activations_polycom.build(type(one).__name__, options), 3)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x, ends = torch.randn(9, 16, generator=torch.Generator().manual_seed(1)).to(dtype), torch.tensor([4, 4, 9])
    assert torch.equal(theirs(x, ends), ours(x, ends))


@pytest.mark.parametrize("name", activations.names())
def test_an_activation_begins_as_ours(name):
    row = rows()[name]
    theirs, ours = activations_polycom.build(row.builds, row.options).state_dict(), activations.build(name).state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[key], ours[key]) for key in ours)


@pytest.mark.parametrize("family", CLASSES)
def test_a_model_made_from_its_configuration_alone_can_be_trained(family, small, tokens):
    config = CLASSES[family].config_class(**own_code(small(family=family)))
    model = CLASSES[family](config)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    loss = model(tokens, labels=tokens).loss
    assert loss.item() == pytest.approx(6.24, abs=0.2)  # ln 512
    loss.backward()
    assert all(parameter.grad.isfinite().all() and parameter.grad.any() for parameter in model.parameters())


def test_tensor_parallelism_leaves_a_row_that_is_normalised_whole():
    plans = [kind.config_class.base_model_tp_plan for kind in CLASSES.values()]
    assert all(plan and not any("mlp" in name for name in plan) for plan in plans)


@pytest.mark.parametrize("file", huggingface.CODE_FILES)
def test_the_code_imports_nothing_but_torch_transformers_and_itself(file):
    nodes = list(ast.walk(ast.parse((huggingface.CODE / file).read_text())))
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    assert {f"{node.module}.py" for node in froms if node.level} <= {*huggingface.CODE_FILES}
    whole = [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
    tops = {name.split(".")[0] for name in [*whole, *(node.module for node in froms if not node.level)]}
    assert tops - sys.stdlib_module_names <= {"torch", "transformers"}


def test_an_activation_that_torch_has_is_torch_s():
    assert type(activations_polycom.build("GELU", {})) is nn.GELU
