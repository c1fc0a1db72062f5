"""The paper's values, each asserted by itself; the golden files beside hold the rest."""

import pytest

from repro.recipe import load
from repro.recipe.parameters import count, ffn_width, gated_width

PAPER = ["swiglu", "gelu", "relu", "polyrelu", "polynorm"]
LADDER = [("dense", "4m"), ("dense", "10m"), ("dense", "25m"), ("dense", "124m"), ("dense", "350m"), ("moe", "tiny")]


@pytest.mark.parametrize("activation", PAPER)
def test_the_dense_model_is_that_of_table_5(activation):
    recipe = load(f"dense-1b-{activation}")
    model = recipe.model
    assert (model.d_model, model.n_layers, model.n_heads, recipe.data.context) == (2048, 24, 16, 4096)
    assert ffn_width(model) == (5504 if activation == "swiglu" else 8256)
    assert recipe.paper_item == "Figure 1, Table 1"


@pytest.mark.parametrize("activation", PAPER)
def test_it_is_trained_as_section_4_1_says(activation):
    recipe = load(f"dense-1b-{activation}")
    assert recipe.optim.betas == (0.9, 0.95)
    assert (recipe.optim.lr, recipe.optim.min_lr) == (3e-4, 1.5e-5)
    assert (recipe.data.corpus, recipe.budget.tokens) == ("redpajama-1t", 250_000_000_000)


def test_what_the_paper_leaves_out_is_the_official_scripts():
    recipe = load("dense-1b-polynorm")
    assert recipe.budget.tokens_per_step == 262_144
    assert recipe.optim.warmup_tokens == 620_000_000
    assert (recipe.optim.eps, recipe.optim.clip) == (1e-8, 1.0)
    assert recipe.optim.weight_decay.model_dump() == {"matrices": 0.1, "embeddings": 0.1, "norms": 0.0}
    assert (recipe.model.vocab_size, recipe.data.tokenizer) == (32_000, "llama-2")
    assert (recipe.model.rope_theta, recipe.model.norm_eps, recipe.model.init) == (10_000, 1e-5, "small")
    assert recipe.validation.every == 10_000


def test_it_is_evaluated_on_the_tasks_of_table_1():
    tasks = load("dense-1b-polynorm").evaluation.tasks
    assert tasks == ("arc_easy", "arc_challenge", "hellaswag", "piqa", "sciq", "winogrande")


@pytest.mark.parametrize(("activation", "width"), [("swiglu", 1024), ("polynorm", 1536)])
def test_the_mixture_is_that_of_table_6(activation, width):
    recipe = load(f"moe-1b7b-{activation}")
    model = recipe.model
    assert (model.d_model, model.n_layers, model.n_heads, recipe.data.context) == (2048, 16, 16, 4096)
    assert (model.experts, model.top_k, ffn_width(model)) == (64, 8, width)
    assert recipe.paper_item == "Figures 3, 4; Tables 2, 3"


def test_the_mixture_is_trained_as_section_4_2_says():
    recipe = load("moe-1b7b-polynorm")
    assert (recipe.optim.lr, recipe.optim.betas) == (4e-4, (0.9, 0.95))
    assert (recipe.data.corpus, recipe.budget.tokens) == ("olmoe-mix-0924", 200_000_000_000)


def test_what_section_4_2_leaves_out_is_the_official_configurations():
    recipe = load("moe-1b7b-polynorm")
    model, optim, balance = recipe.model, recipe.optim, recipe.balance
    assert recipe.budget.tokens_per_step == 1024 * 4096
    assert (optim.warmup_tokens, optim.schedule_tokens) == (2500 * 1024 * 4096, 5_000_000_000_000)
    assert (optim.min_lr, optim.eps, optim.clip) == (4e-5, 1e-8, 1.0)
    assert optim.weight_decay.model_dump() == {"matrices": 0.1, "embeddings": 0.1, "norms": 0.1}
    assert (model.vocab_size, recipe.data.tokenizer, model.rope_theta, model.norm_eps) == (50_304, "olmo", 10_000, 1e-5)
    assert (model.init, model.qk_norm, model.coefficients) == ("truncated", True, "layer")
    assert (balance.load_balancing, balance.router_z, balance.scope) == (0.01, 0.001, "local")
    assert recipe.data.repetition.model_dump() == {"period": 13, "times": 32}


def test_the_paper_takes_its_data_as_it_is_and_attends_across_documents():
    data = [load(name).data for name in ("dense-1b-polynorm", "moe-1b7b-polynorm")]
    assert [(d.mixture, d.document_mask) for d in data] == [(None, False)] * 2
    assert data[0].repetition is None


@pytest.mark.parametrize(
    ("activation", "item"),
    [
        ("polyrelu_r2", "Figure 5(a)"),
        ("polyrelu_r4", "Figure 5(a)"),
        ("polyprelu", "Figure 5(b)"),
        ("polyrelunorm", "Figure 5(b)"),
        ("relu2", "Figure 5(c)"),
        ("xielu", None),
    ],
)
def test_an_ablation_names_its_figure(activation, item):
    assert load(f"dense-1b-{activation}").paper_item == item


@pytest.mark.parametrize(("plain", "gated"), [(8256, 5504), (1536, 1024)], ids=["Table 5", "Table 6"])
def test_a_gated_width_is_the_papers(plain, gated):
    assert gated_width(plain) == gated


@pytest.mark.parametrize(("family", "scale"), LADDER)
def test_a_rung_of_the_ladder_follows_its_rule(family, scale):
    recipe = load(f"{family}-{scale}-relu")
    counted = count(recipe.model)
    embeddings = counted.total - counted.non_embedding
    lr = 0.00235 * ((counted.active - embeddings) / 108e6) ** (-1 / 3)
    assert recipe.optim.lr == pytest.approx(lr, rel=5e-4)
    assert recipe.optim.min_lr == pytest.approx(0.05 * recipe.optim.lr, rel=5e-4)
    assert recipe.optim.warmup_tokens == recipe.budget.tokens // 10


def test_the_mixtures_rung_ends_with_its_cosine():
    recipe = load("moe-tiny-relu")
    assert recipe.optim.schedule_tokens == recipe.budget.tokens


@pytest.mark.parametrize(
    ("scale", "millions"),
    [("smoke", 0.10), ("4m", 4.8), ("10m", 10.6), ("25m", 25.7), ("124m", 85), ("350m", 308), ("1b", 1214)],
)
def test_a_scale_has_the_size_of_the_design(scale, millions):
    assert count(load(f"dense-{scale}-relu").model).non_embedding / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize("scale", ["3b", "7b", "13b"])
def test_the_next_check_trains_on_20_tokens_a_parameter_and_otherwise_as_the_paper(scale):
    recipe, paper = load(f"dense-{scale}-relu"), load("dense-1b-relu")
    assert recipe.budget.tokens == pytest.approx(20 * count(recipe.model).total, rel=0.01)
    assert (recipe.optim, recipe.data) == (paper.optim, paper.data)


def test_the_smoke_takes_250_steps_and_keeps_two_checkpoints():
    recipe = load("dense-smoke-polynorm")
    assert (recipe.steps, recipe.sequences_per_step, recipe.model.vocab_size) == (250, 16, 4096)
    assert (recipe.validation.every, recipe.validation.tokens) == (50, 16_384)
    assert (recipe.checkpoints.every, recipe.checkpoints.keep) == (100, 2)
