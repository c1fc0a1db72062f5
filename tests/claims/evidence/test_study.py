"""Studies as files: what one may say, and what is told of one that says it wrongly."""

import pytest

from repro import paths
from repro.claims.evidence import study
from repro.claims.evidence.study import MECHANISM, Comparison, Study, load, names
from repro.errors import RecipeError
from repro.recipe.checking import checked

WHOLE = {
    "name": "made",
    "about": "made up",
    "paper": None,
    "question": "Is it lower?",
    "family": "dense",
    "arms": {"polynorm": {"activation": "polynorm"}, "swiglu": {"activation": "swiglu"}},
    "forms": {"smoke": {"smoke": {"scale": "smoke"}}, "10m": {"10m": {"scale": "10m"}}},
    "primary": {"a": "polynorm", "says": "<", "b": "swiglu"},
}


def made(**values):
    return checked(Study, WHOLE | values, "recipes/studies/made.yaml")


def test_the_studies_of_the_kit():
    assert set(names()) >= {
        *("table-1", "table-2-3", "figure-5a", "figure-5b", "figure-5c", "figures-6-7"),
        *(
            "sparsity",
            "modern",
            "scaling",
            "stability",
            "rank",
            "rank-bound",
            "resnet50-cifar10",
            "controls-rnn",
            "controls-mlp",
        ),
    }


@pytest.mark.parametrize("name", names())
def test_a_study_has_a_form_for_a_cpu_and_a_larger_one_and_is_not_meant_at_the_cpus(name):
    found = load(name)
    assert {MECHANISM, found.default} <= found.forms.keys()
    assert found.default != MECHANISM


@pytest.mark.parametrize("name", names())
def test_no_two_comparisons_of_a_study_have_one_text(name):
    texts = [comparison.text for comparison in load(name).comparisons]
    assert len(set(texts)) == len(texts)


def test_a_comparison_in_words():
    assert Comparison(a="polynorm", says="<", b="swiglu").text == "polynorm < swiglu"
    assert Comparison(a="a", says=">", b="b", measure="top1").text == "a > b in top1"


@pytest.mark.parametrize(
    ("measure", "unit"), [("validation_loss", "nats"), ("loss_at_90", "nats"), ("top1", ""), ("inactive", "")]
)
def test_losses_are_counted_in_nats(measure, unit):
    assert Comparison(a="a", says="<", b="b", measure=measure).unit == unit


def test_the_primary_comparison_stands_first():
    found = made(secondary=[{"a": "swiglu", "says": "~", "b": "polynorm", "margin": 0.005}])
    assert [comparison.text for comparison in found.comparisons] == ["polynorm < swiglu", "swiglu ~ polynorm"]


def test_a_rung_counts_as_its_scale_and_one_that_changes_the_models_size_as_itself():
    rungs = {"whole": {"scale": "10m"}, "half": {"scale": "10m", "set": {"model.ffn_rank": 192}}}
    rungs |= {"narrow": {"scale": "10m", "set": {"model.d_model": 192, "model.d_ff": 792}}}
    found = made(forms={"smoke": {"smoke": {"scale": "smoke"}}, "10m": rungs})
    assert [found.size("10m", rung) for rung in rungs] == ["10m", "10m", "narrow"]


def test_a_form_of_published_rates_has_no_bracket():
    found = made(published_rates=["10m"])
    assert found.bracket_at("10m") is None
    assert found.bracket_at("smoke") == found.bracket


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"primary": {"a": "relu", "says": "<", "b": "swiglu"}}, "comparisons name relu, which is no arm"),
        ({"primary": {"a": "polynorm", "says": "=", "b": "swiglu"}}, "primary.says is '='; expected '<', '>' or '~'"),
        (
            {"primary": {"a": "polynorm", "says": "<", "b": "swiglu", "measure": "top_1"}},
            "no run has a measure 'top_1'. Did you mean 'top1'?",
        ),
        (
            {"primary": {"a": "polynorm", "says": "~", "b": "swiglu"}},
            "polynorm ~ swiglu: `~` and nothing else takes a margin",
        ),
        ({"bracket": {"factor": [1, 2]}}, "unknown key 'bracket.factor'. Did you mean 'factors'?"),
        ({"bracket": {"factors": [1]}}, "bracket.factors is [1]; expected a list of 2 or more"),
        ({"sweep": [1, 3]}, "a sweep measures all rates, so bracket has to be null"),
        ({"published_rates": ["1b"]}, "published_rates names 1b, which is no form"),
        ({"forms": {"1-b": {"1b": {"scale": "1b"}}}}, "form '1-b' has a hyphen or no size"),
        ({"seeds": 0}, "seeds is 0; expected a number above 0"),
    ],
)
def test_what_is_wrong_with_a_study_is_told_in_a_line(values, told):
    with pytest.raises(RecipeError) as error:
        made(**values)
    assert str(error.value) == f"recipes/studies/made.yaml: {told}"


def test_a_name_that_is_none_gets_the_nearest():
    with pytest.raises(RecipeError, match=r"^no study is called 'table1'\. Did you mean 'table-1'\?$"):
        load("table1")


def test_a_broken_file_is_named(tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "mine.yaml").write_text("about: mine\nseed: 3\n")
    monkeypatch.setattr(study.paths, "recipes", lambda: tmp_path)
    assert paths.recipes() == tmp_path
    with pytest.raises(RecipeError, match=r"^recipes/studies/mine\.yaml: unknown key 'seed'\. Did you mean 'seeds'\?$"):
        load("mine")
