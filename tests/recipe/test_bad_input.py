"""What a person gets for a mistake: one line that names the place, what was expected and the nearest valid choice."""

import pytest

from repro.errors import RecipeError
from repro.recipe import from_file, load, names
from repro.recipe.loading import families
from repro.recipe.writing import as_yaml

NAMED, FAMILIES = "no recipe is called", ", ".join(families())
FORM = "expected family-scale-activation, such as dense-1b-polynorm"


def refusal(name, *overrides):
    with pytest.raises(RecipeError) as refused:
        load(name, overrides)
    message = str(refused.value)
    assert "\n" not in message
    assert refused.value.exit_code == 2
    return message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "dense-1b-polynrm",
            f"{NAMED} 'dense-1b-polynrm': no activation is called 'polynrm'. Did you mean 'dense-1b-polynorm'?",
        ),
        (
            "dense-1c-polynorm",
            f"{NAMED} 'dense-1c-polynorm': no scale is called '1c'. Did you mean 'dense-1b-polynorm'?",
        ),
        (
            "dens-1b-polynorm",
            f"{NAMED} 'dens-1b-polynorm': no family is called 'dens'. Did you mean 'dense-1b-polynorm'?",
        ),
        (
            "dense-1b-polyrelu-r4",
            f"{NAMED} 'dense-1b-polyrelu-r4'; {FORM}. Did you mean 'dense-1b-polyrelu_r4'?",
        ),
        ("xyz", f"{NAMED} 'xyz'; {FORM}."),
        ("", f"{NAMED} ''; {FORM}."),
        ("a-b-c", f"{NAMED} 'a-b-c': no family is called 'a'. There are: {FAMILIES}."),
        ("..-machines-cpu", f"{NAMED} '..-machines-cpu': no family is called '..'. There are: {FAMILIES}."),
    ],
)
def test_an_unknown_name(name, message):
    assert refusal(name) == message


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("lr=abc", "optim.lr is 'abc'; expected a number"),
        ("lr=", "optim.lr is empty; expected a number"),
        ("lr=on", "optim.lr is 'on'; expected a number"),
        ("lr=true", "optim.lr is true; expected a number"),
        ("lr=0", "optim.lr is 0; expected a number above 0"),
        ("lr=-1e-3", "optim.lr is -0.001; expected a number above 0"),
        ("lr=1e400", "optim.lr is inf; expected a finite number"),
        ("lr=[1]", "optim.lr is [1]; expected a number"),
        ("lr={a: 1}", 'optim.lr is {"a": 1}; expected a number'),
        ("warmup_tokens=16:30", "optim.warmup_tokens is '16:30'; expected a whole number"),
        ("n_layers=true", "model.n_layers is true; expected a whole number"),
        ("n_layers=2.5", "model.n_layers is 2.5; expected a whole number"),
        ("n_layers=2.0", "model.n_layers is 2.0; expected a whole number"),
        ("n_layers=0", "model.n_layers is 0; expected a number above 0"),
        ("n_layers=1e30", "model.n_layers is 1e+30; expected a whole number"),
        ("workers=-1", "data.workers is -1; expected 0 or more"),
        ("corpus=3", "data.corpus is 3; expected a word"),
        ("precision=fp16", "precision is 'fp16'; expected 'bf16' or 'fp32'"),
        ("tokenizer=gpt2", "data.tokenizer is 'gpt2'; expected 'bpe', 'llama-2', 'olmo' or 'own'"),
        ("mixture={}", "data.mixture is {}; expected keys with values"),
        ("mixture=c4", "data.mixture is 'c4'; expected keys with values"),
        ("mixture={c4: 0}", "data.mixture.c4 is 0; expected a number above 0"),
        ("mixture={c4: 1e400}", "data.mixture.c4 is inf; expected a finite number"),
        ("mixture={2020: 1}", "data.mixture holds 2020; expected a word"),
        ("repetition=13", "data.repetition is 13; expected keys with values"),
        ("repetition={period: 13}", "data.repetition.times is missing"),
        ("repetition={period: 13, times: 1}", "data.repetition.times is 1; expected 2 or more"),
        ("repetition={period: 13, times: 2, step: 1}", "unknown key 'data.repetition.step'."),
        ("repetition={period: 13, tims: 2}", "unknown key 'data.repetition.tims'. Did you mean 'times'?"),
        ("document_mask=1", "data.document_mask is 1; expected true or false"),
        ("deterministic=on", "deterministic is 'on'; expected true or false"),
        ("tasks=piqa", "evaluation.tasks is 'piqa'; expected a list, such as [a, b]"),
        ("tasks=[1]", "evaluation.tasks holds 1; expected a word"),
        ("sets=[]", "validation.sets is []; expected a list of 1 or more"),
        ("sets=c4", "validation.sets is 'c4'; expected a list, such as [a, b]"),
        ("sets=[c4, held-out, c4]", 'validation.sets is ["c4", "held-out", "c4"]; expected each word once'),
        ("tasks=[piqa, piqa]", 'evaluation.tasks is ["piqa", "piqa"]; expected each word once'),
        ("betas=[0.9]", "optim.betas is [0.9]; expected a longer list, such as [a, b]"),
        ("betas=[1, 2, 3]", "optim.betas is [1, 2, 3]; expected a list of 2"),
        ("betas=[0.9, 1.0]", "optim.betas holds 1.0; expected a number below 1"),
        ("betas=0.9,0.95", "optim.betas is '0.9,0.95'; expected a list, such as [a, b]"),
        ("ffn_rank=0", "model.ffn_rank is 0; expected a number above 0"),
        ("ffn_rank=half", "model.ffn_rank is 'half'; expected a whole number"),
        ("rank_penalty=up", "optim.rank_penalty is 'up'; expected a number"),
        ("rank_penalty=1e400", "optim.rank_penalty is inf; expected a finite number"),
        ("analysis.every=0", "analysis.every is 0; expected a number above 0"),
        ("analysis.evry=5", "unknown key 'analysis.evry'. Did you mean 'analysis.every'?"),
        ("fnn_rank=8", "unknown key 'fnn_rank'. Did you mean 'model.ffn_rank'?"),
        ("rank_penlty=1", "unknown key 'rank_penlty'. Did you mean 'optim.rank_penalty'?"),
        ("spike=1", "optim.guard.spike is 1; expected a number above 1"),
        ("lr=[1", "optim.lr: '[1' is no value"),
    ],
)
def test_a_value_of_the_wrong_kind(override, message):
    assert refusal("dense-smoke-polynorm", override) == f"the command line: {message}"


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("moe-smoke-relu", "ffn_rank=8", "ffn_rank=8 is for dense decoders; experts have whole matrices only"),
        (
            "rnn-smoke-relu",
            "rank_penalty=-0.1",
            "optim.rank_penalty=-0.1 is for decoders, whose FFN matrices it moves; rnn has none",
        ),
        ("rnn-smoke-relu", "ffn_rank=8", "unknown key 'ffn_rank'. `repro show NAME` lists the keys."),
        ("mlp-smoke-relu", "rank_penalty=1", "unknown key 'rank_penalty'. `repro show NAME` lists the keys."),
        (
            "dense-smoke-swiglu",
            "ffn_rank=65",
            "ffn_rank=65 is above 64, the smaller side of its FFN matrices and the most that their rank can be",
        ),
    ],
)
def test_ranks_are_for_ffn_matrices(name, override, message):
    assert refusal(name, override) == f"the command line: {message}"


def test_the_smaller_side_may_be_the_hidden_one():
    assert load("dense-smoke-swiglu", ["d_ff=48", "ffn_rank=32"]).model.ffn_rank == 32
    assert "ffn_rank=33 is above 32" in refusal("dense-smoke-swiglu", "d_ff=48", "ffn_rank=33")


@pytest.mark.parametrize("name", ["dense-1b-relu", "moe-smoke-relu", "rnn-smoke-relu"])
def test_a_language_model_is_sharded(name):
    assert refusal(name, "strategy=ddp") == (
        "the command line: layout.strategy=ddp is for images, whose classifiers compute in bfloat16 by autocast; "
        "language models do so by the policy of layout.strategy=fsdp2"
    )
    assert refusal("resnet50-a3-relu", "strategy=pp") == (
        "the command line: layout.strategy is 'pp'; expected 'fsdp2' or 'ddp'"
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("blocks=[]", "the command line: model.blocks is []; expected a list of 1 or more"),
        ("blocks=[0]", "the command line: model.blocks holds 0; expected a number above 0"),
        (
            "warmup_epochs=10",
            "the command line and recipes/resnet50/smoke.yaml: optim.warmup_epochs=10 is more than budget.epochs=3",
        ),
        ("interpolation=cubic", "the command line: data.interpolation is 'cubic'; expected 'bilinear' or 'random'"),
    ],
)
def test_an_image_recipe_that_cannot_be(override, message):
    assert refusal("resnet50-smoke-relu", override) == message


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("lr", "'lr' is not key=value, such as lr=3e-4"),
        ("optim.lrr=1", "unknown key 'optim.lrr'. Did you mean 'optim.lr'?"),
        ("lrr=1", "unknown key 'lrr'. Did you mean 'optim.lr'?"),
        ("d_modle=64", "unknown key 'd_modle'. Did you mean 'model.d_model'?"),
        ("origin=x", "unknown key 'origin'. `repro show NAME` lists the keys."),
        (
            "every=3",
            "every could be checkpoints.every or analysis.every or validation.every or evaluation.every; write it out",
        ),
        ("budget=3", "budget is a section and takes no value; its keys are budget.tokens, budget.tokens_per_step"),
        (
            "weight_decay=0",
            (
                "optim.weight_decay is a section and takes no value; its keys are "
                "optim.weight_decay.matrices, optim.weight_decay.embeddings, optim.weight_decay.norms"
            ),
        ),
        *(
            (
                f"{key}=16",
                f"{key} cannot be set alone; expected all of it, such as data.repetition={{period: 13, times: 32}}",
            )
            for key in ("data.repetition.times", "repetition.times", "times", "repetition.tims")
        ),
        ("mixture.c4=2", "unknown key 'mixture.c4'. Did you mean 'data.mixture'?"),
        ("scale=4m", "scale follows from the recipe's name and cannot be set; choose another name"),
        ("activation=gelu", "model.activation follows from the recipe's name and cannot be set; choose another name"),
    ],
)
def test_a_key_that_cannot_be_set(override, message):
    assert refusal("dense-smoke-polynorm", override) == f"the command line: {message}"


def test_a_section_given_a_value():
    message = refusal("dense-smoke-polynorm", "optim=3")
    assert message.startswith(
        "the command line: optim is a section and takes no value; its keys are optim.lr, optim.min_lr"
    )


def test_a_key_set_twice():
    assert refusal("dense-smoke-polynorm", "lr=1e-3", "optim.lr=2e-3") == "the command line: optim.lr is set twice"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "n_heads=3",
            (
                "recipes/dense/smoke.yaml and the command line: d_model=64 does not divide into n_heads=3 heads of "
                "even width, as rotary positions need"
            ),
        ),
        (
            "context=48",
            (
                "recipes/dense/smoke.yaml and the command line: budget.tokens_per_step=1024 is not a multiple of "
                "data.context=48"
            ),
        ),
        (
            "validation.tokens=3",
            "the command line and recipes/dense/smoke.yaml: validation.tokens=3 is less than one data.context=64",
        ),
        (
            "vocab_size=100",
            (
                "the command line and recipes/dense/smoke.yaml: model.vocab_size=100 is below the 257 tokens of "
                "data.tokenizer=bpe"
            ),
        ),
        (
            "tokenizer=llama-2",
            (
                "recipes/dense/smoke.yaml and the command line: model.vocab_size=4096 is below the 32000 tokens of "
                "data.tokenizer=llama-2"
            ),
        ),
        (
            "min_lr=1",
            "the command line and recipes/dense/smoke.yaml: min_lr=1 is above lr=0.01, where the cosine starts",
        ),
    ],
)
def test_values_that_do_not_go_together_name_both_sides(override, message):
    assert refusal("dense-smoke-polynorm", override) == message


def test_a_gated_width_that_is_not_whole():
    assert refusal("dense-smoke-swiglu", "d_ff=100") == (
        "the command line: d_ff=100 leaves a gated FFN two thirds of a width that is not whole; "
        "expected a multiple of 3, such as 99 or 102"
    )
    assert load("dense-smoke-gelu", ["d_ff=100"]).model.d_ff == 100


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("optim: {lrr: 1.0e-3}", "recipes/dense/mine.yaml: unknown key 'optim.lrr'. Did you mean 'optim.lr'?"),
        ("optim: 3", "recipes/dense/mine.yaml: optim is a section and takes no value; its keys are optim.lr,"),
        ("optim: {}", "recipes/dense/mine.yaml: optim is a section and takes no value; its keys are optim.lr,"),
        ("name: mine", "recipes/dense/mine.yaml: name follows from the recipe's name and cannot be set;"),
        ("about: mine", "recipes/dense/base.yaml and recipes/dense/mine.yaml: shows is missing"),
        ("about: a\nabout: b", "recipes/dense/mine.yaml: key 'about' stands twice at line 2"),
        ("paper_items: [relu]", "recipes/dense/mine.yaml: paper_items is ['relu']; expected activations with tables"),
    ],
)
def test_a_scale_with_a_mistake_names_its_file(copied, line, message):
    (copied / "dense" / "mine.yaml").write_text(line)
    assert refusal("dense-mine-relu").startswith(message)


def test_a_base_that_admits_what_there_is_not(copied):
    base = copied / "dense" / "base.yaml"
    base.write_text(base.read_text().replace("admits: all ", "admits: [relu, polynrm] "))
    with pytest.raises(RecipeError) as refused:
        names()
    assert str(refused.value) == (
        "recipes/dense/base.yaml: admits is ['relu', 'polynrm']; expected all, plain, or a list of rows of "
        "activations.yaml"
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("swish: {builds: SiLU, kept: 2}", "recipes/activations.yaml: swish: paper is missing"),
        (
            "swish: {builds: SiLU, kept: two, paper: x}",
            "recipes/activations.yaml: swish: kept is 'two'; expected a whole",
        ),
        (
            "swish: {bilds: SiLU, kept: 2, paper: x}",
            "recipes/activations.yaml: swish: unknown key 'bilds'. Did you mean 'builds'?",
        ),
        (
            "swish: {builds: SiLU, kept: 2, paper: x, gatted: true}",
            "recipes/activations.yaml: swish: unknown key 'gatted'. Did you mean 'gated'?",
        ),
        ("swish: SiLU", "recipes/activations.yaml: swish holds str; expected keys with values"),
        (
            "si-lu: {builds: SiLU, kept: 2, paper: x}",
            "recipes/activations.yaml: 'si-lu' has a hyphen, which separates the words of a recipe's name",
        ),
    ],
)
def test_a_row_with_a_mistake_names_the_table(copied, row, message):
    (copied / "activations.yaml").write_text(row)
    assert refusal("dense-1b-relu").startswith(message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("d_model: 64", "d_model: wide", "model.d_model is 'wide'; expected a whole number"),
        ("d_model: 64", "d_modle: 64", "unknown key 'model.d_modle'. Did you mean 'model.d_model'?"),
        ("  d_model: 64\n", "", "model.d_model is missing"),
        (
            "activation: relu",
            "activation: rele",
            "name=dense-smoke-relu does not spell family, scale and model.activation",
        ),
        ("relu", "rele", "no activation is called 'rele'. Did you mean 'relu'?"),
        ("keep: 2", "keep: 2\n  keep: 3", "key 'keep' stands twice at line"),
    ],
)
def test_a_run_folders_recipe_with_a_mistake_names_the_file(tmp_path, old, new, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(as_yaml(load("dense-smoke-relu")).replace(old, new))
    with pytest.raises(RecipeError) as refused:
        from_file(path)
    assert str(refused.value).startswith(f"{path}: {message}")
    assert "\n" not in str(refused.value)
