"""Recipes by name: what is laid over what, and which names there are."""

import pytest
import yaml

from repro.data import tokenizer
from repro.errors import RecipeError
from repro.recipe import from_file, load, names, schema
from repro.recipe.keys import keys
from repro.recipe.loading import admitted, families, paper_items, scales
from repro.recipe.table import rows
from repro.recipe.writing import as_yaml


def test_every_name_loads_as_what_it_says():
    for name in names():
        recipe = load(name)
        assert f"{recipe.family}-{recipe.scale}-{recipe.model.activation}" == recipe.name == name


def test_a_name_is_three_words_and_no_two_are_equal():
    assert {name.count("-") for name in names()} == {2}
    assert len(set(names())) == len(names())


def test_the_dense_family_has_the_scales_of_the_design_and_every_activation():
    assert set(scales("dense")) == {"smoke", "4m", "10m", "25m", "124m", "350m", "1b", "3b", "7b", "13b"}
    assert admitted("dense") == tuple(rows())


def test_a_family_may_admit_a_list(copied):
    base = copied / "dense" / "base.yaml"
    base.write_text(base.read_text().replace("admits: all ", "admits: [relu, polynorm] "))
    assert admitted("dense") == ("relu", "polynorm")
    with pytest.raises(RecipeError, match=r"no recipe is called 'dense-1b-gelu': dense does not admit gelu\."):
        load("dense-1b-gelu")


def test_the_papers_items_are_given_for_activations_that_exist():
    for family in families():
        for scale in scales(family):
            assert set(paper_items(family, scale)) <= set(admitted(family))


def test_each_value_knows_what_set_it():
    origin = load("dense-1b-polynorm", ["clip=0.5"]).origin
    assert origin["optim.betas"] == "recipes/dense/base.yaml"
    assert origin["optim.weight_decay.norms"] == "recipes/dense/base.yaml"
    assert origin["model.d_ff"] == "recipes/dense/1b.yaml"
    assert origin["paper_item"] == "recipes/dense/1b.yaml"
    assert origin["model.activation"] == "the name"
    assert origin["optim.clip"] == "the command line"
    assert set(origin) == set(keys("dense"))


def test_a_scale_is_laid_over_its_base():
    assert load("dense-1b-relu").checkpoints.every == 2500
    assert load("dense-4m-relu").checkpoints.every == 500


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("optim.lr=3e-4", "optim", "lr", 3e-4),
        ("lr=3e-4", "optim", "lr", 3e-4),
        ("n_layers=4", "model", "n_layers", 4),
        ("budget.tokens=2.5e5", "budget", "tokens", 250_000),
        ("budget.tokens=1_024", "budget", "tokens", 1024),
        ("corpus=python-packages", "data", "corpus", "python-packages"),
        ("betas=[0.8, 0.9]", "optim", "betas", (0.8, 0.9)),
        ("tasks=[piqa]", "evaluation", "tasks", ("piqa",)),
        ("evaluation.every=null", "evaluation", "every", None),
        ("mixture={c4: 0.7, arxiv: 2}", "data", "mixture", {"c4": 0.7, "arxiv": 2}),
    ],
)
def test_an_override_is_a_dotted_key_or_its_last_part(override, section, key, value):
    recipe = load("dense-smoke-polynorm", [override])
    assert getattr(getattr(recipe, section), key) == value


def test_lr_alone_takes_min_lr_along_in_proportion():
    optim = load("dense-smoke-polynorm", ["lr=3e-4"]).optim
    assert (optim.lr, optim.min_lr) == (3e-4, 1.5e-5)
    optim = load("dense-smoke-polynorm", ["lr=3e-4", "min_lr=1e-4"]).optim
    assert (optim.lr, optim.min_lr) == (3e-4, 1e-4)


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load("dense-1b-relu").model.n_layers = 3


@pytest.mark.parametrize("name", ["dense-1b-swiglu", "dense-smoke-polynorm", "dense-4m-polyrelu_r4"])
@pytest.mark.parametrize("origin", [False, True])
def test_what_show_prints_is_read_back_as_the_same_recipe(tmp_path, name, origin):
    recipe = load(name, ["lr=1e-3", "tasks=[]", 'mixture={"b.c": 1, "2020": 0.5}', "repetition={period: 3, times: 4}"])
    path = tmp_path / "recipe.yaml"
    path.write_text(as_yaml(recipe, origin=origin))
    again = from_file(path)
    assert again.model_dump() == recipe.model_dump()
    assert set(again.origin.values()) == {str(path)}


def test_what_a_run_records_is_read_back_as_the_same_recipe(tmp_path):
    recipe = load("dense-1b-swiglu")
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))
    assert from_file(path).model_dump() == recipe.model_dump()


def test_a_run_of_a_version_without_these_keys_is_read_as_what_that_version_did(tmp_path):
    recipe = load("dense-smoke-relu")
    path, tree = tmp_path / "recipe.yaml", recipe.model_dump(mode="json")
    for key in ("mixture", "repetition", "document_mask"):
        del tree["data"][key]
    path.write_text(yaml.safe_dump(tree))
    assert from_file(path).model_dump() == recipe.model_dump()
    del tree["data"]["context"]
    path.write_text(yaml.safe_dump(tree))
    with pytest.raises(RecipeError, match=r"data\.context is missing"):
        from_file(path)


def test_a_recipe_is_read_also_where_its_corpus_is_not_prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "none"))
    recipe = load("dense-smoke-relu", ["data.corpus=diary"])
    path = tmp_path / "recipe.yaml"
    path.write_text(as_yaml(recipe))
    assert from_file(path).data.corpus == "diary"


def test_a_recipe_file_is_read_anew_each_time(tmp_path):
    path = tmp_path / "recipe.yaml"
    for layers in (2, 3):
        path.write_text(as_yaml(load("dense-smoke-relu", [f"n_layers={layers}"])))
        assert from_file(path).model.n_layers == layers


def test_the_smallest_vocabulary_is_that_of_the_tokenizer_itself():
    assert schema.SMALLEST_VOCABULARY["bpe"] == tokenizer.SMALLEST_VOCABULARY


def test_steps_end_with_a_whole_one():
    assert load("dense-smoke-relu").steps == 250
    assert load("dense-smoke-relu", ["budget.tokens=1025"]).steps == 2
    assert load("dense-1b-relu").sequences_per_step == 64
