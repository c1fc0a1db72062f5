"""Every run of every study is an admissible recipe, and arms that are compared are alike but for what is compared."""

import pytest

from repro.claims.evidence.pairing import OF_STABILITY
from repro.claims.evidence.study import MECHANISM, load, names
from repro.recipe import machine
from repro.recipe.counting import count
from repro.recipe.loading import paper_scale
from repro.recipe.schema import DecoderRecipe, LanguageRecipe
from repro.studies.asked import form
from repro.studies.cost import hours
from repro.studies.due import remaining
from repro.studies.refusals import refuse_unlike

FORMS = [(name, each) for name in names() for each in load(name).forms]
MINUTES = 10


@pytest.mark.parametrize(("name", "scale"), FORMS)
def test_every_run_loads_and_no_two_of_a_form_are_the_same(name, scale):
    asked = remaining(form(load(name), scale, ()), [])
    folders = [run.folder for run in asked]
    assert len(set(folders)) == len(folders)
    assert {run.recipe.family for run in asked} == {load(name).family}


@pytest.mark.parametrize(("name", "scale"), FORMS)
def test_arms_that_are_compared_have_the_same_ffn_matrices_data_and_budget(name, scale):
    of = form(load(name), scale, ())
    refuse_unlike(of)
    for rung in of.study.forms[scale]:
        recipes = {arm: of.run("main", rung, arm, 1.0, 0).recipe for arm in of.study.arms}
        if isinstance(next(iter(recipes.values())), DecoderRecipe):
            for comparison in of.study.comparisons:
                a, b = (count(recipes[arm].model).ffn_matrices for arm in (comparison.a, comparison.b))
                assert a == b


@pytest.mark.parametrize("name", names())
def test_a_study_has_two_sizes_below_the_papers_since_one_decides_nothing(name):
    study = load(name)
    rungs = [(scale, rung) for scale in study.forms if scale != MECHANISM for rung in study.forms[scale]]
    below = {study.size(*each) for each in rungs if study.forms[each[0]][each[1]].scale != paper_scale(study.family)}
    assert len(below) >= 2


@pytest.mark.parametrize("name", names())
def test_a_smoke_takes_ten_minutes_of_two_cores_at_most_by_plan(name):
    asked = remaining(form(load(name), MECHANISM, ()), [])
    assert hours(asked, machine("cpu")) * 60 < MINUTES


@pytest.mark.parametrize("name", names())
def test_a_smoke_reads_what_everybody_has(name):
    for run in remaining(form(load(name), MECHANISM, ()), []):
        data = run.recipe.data
        assert (data.corpus if isinstance(run.recipe, LanguageRecipe) else data.source) in {"python-stdlib", "glyphs"}


@pytest.mark.parametrize("scale", ["25m", "350m", "1b"])
def test_sizes_of_a_law_read_20_tokens_a_parameter_of_one_tokenizer_in_sequences_of_one_length(scale):
    of = form(load("scaling"), scale, ())
    recipes = [of.run("main", rung, "polynorm", 1.0, 0).recipe for rung in of.study.forms[scale]]
    assert len({(r.data.corpus, r.data.tokenizer, r.data.context, r.model.vocab_size) for r in recipes}) == 1
    for recipe in recipes:
        assert recipe.budget.tokens / count(recipe.model).non_embedding == pytest.approx(20, rel=0.1)
        assert recipe.optim.warmup_tokens == pytest.approx(recipe.budget.tokens / 10, rel=0.01)
    assert len(recipes) >= 4  # a law has three parameters


def test_the_smaller_mixture_has_the_rate_tokens_and_warm_up_of_its_larger_siblings_rules():
    recipe = form(load("table-2-3"), "mini", ()).run("main", "mini", "swiglu", 1.0, 0).recipe
    outside = count(recipe.model).active - 2 * recipe.model.vocab_size * recipe.model.d_model
    assert recipe.optim.lr == pytest.approx(0.00235 * (outside / 108e6) ** (-1 / 3), rel=1e-3)
    assert recipe.optim.min_lr == pytest.approx(recipe.optim.lr / 20, rel=1e-3)
    assert recipe.budget.tokens / outside == pytest.approx(20, rel=0.02)
    assert recipe.optim.warmup_tokens * 10 == recipe.budget.tokens == recipe.optim.schedule_tokens


def test_what_is_judged_by_signs_has_as_many_pairs_as_two_sizes_need():
    """All of one sign: 2 / 2^n, times the secondary comparisons, times two sizes, is below 5 %."""
    judged = [(load(name), each) for name in names() for each in load(name).comparisons if each.measure in OF_STABILITY]
    assert {study.name for study, _ in judged} == {"stability", "controls-rnn", "controls-mlp"}
    for study, comparison in judged:
        pairs = form(study, None, ()).pairs(comparison)
        family = 1 if comparison == study.primary else len(study.secondary)
        assert 2 * family * 2 ** (1 - pairs) < 0.05


def test_forms_of_published_rates_have_the_papers_rate():
    for name in ("table-1", "figure-5a", "figure-5b", "figure-5c", "figures-6-7"):
        of = form(load(name), "1b", ())
        assert {run.recipe.optim.lr for run in remaining(of, [])} == {3e-4}
