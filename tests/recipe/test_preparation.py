"""What preparing a recipe's data costs, as `repro plan` tells it."""

from dataclasses import asdict

import pytest

from repro.errors import RecipeError
from repro.recipe import load, machine, preparation, sources
from repro.recipe.display import print_plan
from repro.recipe.plan import plan

PAPER = "dense-1b-polynorm"
MIXTURE = "moe-1b7b-polynorm"


def cost(name, *overrides, on="gpu"):
    return preparation.preparation(load(name, list(overrides)), machine(on))


def printed(capsys, name, *overrides, on="gpu"):
    recipe, where = load(name, list(overrides)), machine(on)
    print_plan(plan(recipe, where), recipe, where)
    return capsys.readouterr().out


def test_the_papers_dense_run_prepares_its_budget_and_what_is_held_out():
    told = cost(PAPER)
    assert told.tokens == 250_250_250_250  # 999 parts in a thousand are trained on
    assert told.share == pytest.approx(250.25 / 1184, rel=1e-4)
    assert told.download_gb == pytest.approx(2830 * told.share)
    assert told.shards_gb == pytest.approx(500.5, rel=1e-4)  # two bytes a token
    assert told.core_hours == pytest.approx(151, abs=1)  # research's estimate is 150
    assert told.hours == pytest.approx(told.core_hours / 64)
    assert told.gated == "meta-llama/Llama-2-7b-hf"
    assert told.command == "repro prepare redpajama-1t tokenizer=FILE tokens=251e9"


def test_the_papers_mixture_needs_no_one_asked():
    told = cost(MIXTURE, on="h100-8x8")
    assert (told.tokens, told.gated) == (200_200_200_200, None)
    assert told.command == "repro prepare olmoe-mix-0924 tokens=201e9"


def test_a_part_is_never_smaller_than_what_the_run_reads():
    for name in (PAPER, MIXTURE, "dense-4m-relu", "dense-350m-relu"):
        told = cost(name)
        assert float(told.command.rpartition("tokens=")[2]) >= told.tokens > load(name).budget.tokens


def test_a_run_of_several_epochs_prepares_the_whole_set():
    told = cost(PAPER, "data.corpus=redpajama-1t-sample")
    assert (told.tokens, told.share) == (1_000_000_000, 1)
    assert told.download_gb == pytest.approx(5.41)
    assert told.command == "repro prepare redpajama-1t-sample tokenizer=FILE"


def test_the_publishers_own_split_holds_nothing_out():
    assert cost(PAPER, "data.corpus=c4", "budget.tokens=1e9").tokens == 1_000_000_000


def test_a_short_run_prepares_enough_to_validate_on():
    told = cost("dense-10m-relu", "data.corpus=redpajama-1t")
    assert told.tokens == 1000 * 1_048_576 > 105_000_000
    for name in ("dense-4m-relu", "dense-10m-relu"):  # with some to spare, since documents are held out by chance
        recipe = load(name)
        assert cost(name).tokens / sources.load("fineweb-edu-sample").read.held_out > 1.5 * recipe.validation.tokens


def test_a_tokenizer_of_ones_own_is_trained_with_the_vocabulary_of_the_model():
    assert cost("dense-10m-relu").command == "repro prepare fineweb-edu-sample vocab_size=8192 tokens=108e6"
    told = cost("dense-10m-relu", "data.corpus=c4")
    assert told.command == "repro prepare c4 tokenizer=bpe vocab_size=8192 tokens=105e6"


def test_ids_take_four_bytes_from_a_vocabulary_on_that_two_cannot_number():
    narrow, wide = (cost("dense-10m-relu", f"vocab_size={size}") for size in (65_536, 65_537))
    assert wide.shards_gb == 2 * narrow.shards_gb == pytest.approx(4e-9 * wide.tokens)


def test_what_the_publisher_does_not_say_is_null_and_not_guessed(capsys):
    told = cost(PAPER, "data.corpus=wikipedia")
    assert (told.tokens, told.shards_gb, told.core_hours, told.hours) == (None, None, None, None)
    assert (told.share, told.download_gb) == (1, pytest.approx(11.6))
    assert told.command == "repro prepare wikipedia tokenizer=FILE"
    assert "wikipedia: tokens not known, 11.6 GB to download\n" in _squeezed(
        printed(capsys, PAPER, "data.corpus=wikipedia")
    )


def test_tokens_are_not_tokenised():
    told = cost(MIXTURE, "data.corpus=ppl-validation-v3")
    assert (told.core_hours, told.hours, told.download_gb) == (0, 0, None)


def test_time_is_by_this_machines_cores_here_and_by_64_elsewhere(monkeypatch):
    monkeypatch.setattr(preparation, "cores", lambda: 10)
    assert (cost(PAPER, on="here").cores, cost(PAPER, on="a100-4x8").cores) == (10, 64)
    assert cost(PAPER, on="here").hours == pytest.approx(cost(PAPER).core_hours / 10)


def test_a_mixture_prepares_so_much_that_its_scarcest_subset_lasts():
    told = cost(PAPER, "data.mixture={c4: 3, common_crawl: 1}", "budget.tokens=40e9")
    c4 = 30e9 / 175e9  # of it, which is 15 % of the set and three quarters of the mixture
    assert told.tokens == pytest.approx(c4 * 1_184e9 * 1000 / 999, rel=1e-6)
    assert told.share == pytest.approx(c4, rel=2e-3)
    assert told.mixture.startswith("enough to go through c4, the scarcest, at most once")
    assert told.command == "repro prepare redpajama-1t tokenizer=FILE tokens=204e9"


def test_a_mixture_in_natural_proportions_prepares_as_much_as_none():
    source = sources.load("redpajama-1t")
    mixture = ", ".join(f"{name}: {tokens}" for name, tokens in source.subsets.items())
    assert cost(PAPER, f"data.mixture={{{mixture}}}").tokens == pytest.approx(cost(PAPER).tokens, rel=1e-3)


def test_a_mixture_that_repeats_a_subset_says_how_often_and_prepares_all():
    told = cost(PAPER, "data.mixture={arxiv: 1, c4: 1}")
    assert (told.share, told.mixture) == (1, "all of it, and the mixture goes through arxiv 4.46 times")
    assert told.command == "repro prepare redpajama-1t tokenizer=FILE"


def test_a_mixture_of_subsets_of_unknown_size_prepares_all_and_says_why(capsys):
    overrides = ("data.corpus=redpajama-1t-sample", "data.mixture={arxiv: 1, c4: 1}", "budget.tokens=1e6")
    assert cost(PAPER, *overrides).command == "repro prepare redpajama-1t-sample tokenizer=FILE"
    said = " ".join(printed(capsys, PAPER, *overrides).split())
    assert "all of it: how many tokens each subset of the mixture holds is not published" in said


def test_a_mixture_of_what_the_set_does_not_have_is_told_the_nearest():
    with pytest.raises(RecipeError) as refused:
        cost(PAPER, "data.mixture={arxi: 1}")
    assert str(refused.value) == (
        "the command line: data.mixture: redpajama-1t has no subset 'arxi'. Did you mean 'arxiv'? It has: "
        "common_crawl, c4, github, arxiv, wikipedia, stackexchange"
    )


@pytest.mark.parametrize("name", ["dense-smoke-relu", "moe-smoke-relu"])
def test_an_embedded_corpus_costs_nothing_to_prepare(name, capsys):
    assert cost(name) is None
    assert "prepare" not in printed(capsys, name)


def test_images_are_not_prepared():
    assert plan(load("resnet50-imagenet-relu"), machine("gpu")).preparation is None


def test_a_corpus_of_ones_own_has_no_manifest_to_ask():
    recipe = load(PAPER)
    own = recipe.model_copy(update={"data": recipe.data.model_copy(update={"corpus": "diary"})})
    assert preparation.preparation(own, machine("gpu")) is None


@pytest.mark.parametrize("corpus", [name for name in sources.names() if sources.load(name).read])
def test_every_set_that_has_to_be_prepared_says_how(corpus, capsys):
    assert f"repro prepare {corpus} " in printed(capsys, PAPER, f"data.corpus={corpus}")


def test_a_plan_prints_the_cost_in_80_columns(capsys):
    said = printed(capsys, PAPER, on="a100-4x8")
    assert max(map(len, said.splitlines())) <= 80
    assert (
        "data redpajama-1t: 250 B tokens, 598 GB to download or more, 501 GB of shards "
        "2.36 hours on 64 cores to tokenise, 151 core-hours "
        "its tokenizer is gated: ask for it at huggingface.co/meta-llama/Llama-2-7b-hf "
        "repro prepare redpajama-1t tokenizer=FILE tokens=251e9 "
    ) in " ".join(said.split())


def test_a_plan_for_programs_has_the_same():
    assert set(asdict(plan(load(PAPER), machine("gpu")))["preparation"]) == {
        "corpus",
        "tokens",
        "share",
        "download_gb",
        "shards_gb",
        "core_hours",
        "cores",
        "hours",
        "mixture",
        "gated",
        "command",
    }


def _squeezed(text):
    return "\n".join(" ".join(line.split()) for line in text.splitlines()) + "\n"
