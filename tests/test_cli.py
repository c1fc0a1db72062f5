"""The command line: what it prints, what it refuses, and what it does not import."""

import json
import os
import subprocess
import sys

import pytest
import typer

from repro import cli
from repro.errors import CheckFailed
from repro.recipe import load
from repro.recipe.writing import as_yaml

NAME = "dense-smoke-polynorm"


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs a command and gives its exit code, what it printed and what it complained of."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        code = cli.status(arguments)
        printed, complaint = capsys.readouterr()
        return code, printed, complaint

    return run


@pytest.fixture
def refused(run):
    """Runs a command that is refused with exit code 2 and gives its complaint, one line."""

    def refused(*arguments):
        code, printed, complaint = run(*arguments)
        assert (code, printed) == (2, "")
        assert complaint.startswith("repro: ")
        assert complaint.count("\n") == 1
        return complaint.removeprefix("repro: ").removesuffix("\n")

    return refused


def test_list_shows_the_papers_recipes_and_the_smokes(run):
    code, printed, _ = run("list")
    assert code == 0
    names = {word for word in printed.split() if word.count("-") == 2}
    assert {
        f"dense-{scale}-{activation}" for scale in ("smoke", "1b") for activation in ("swiglu", "polynorm")
    } <= names
    assert {tuple(name.split("-")[:2]) for name in names} >= {("dense", "smoke"), ("dense", "1b"), ("moe", "1b7b")}
    assert {name.split("-")[1] for name in names if name.startswith("dense")} == {"smoke", "1b"}
    assert max(map(len, printed.splitlines())) <= 80


def test_list_all_has_every_name(run):
    from repro.recipe import names

    listed = json.loads(run("list", "--all", "--json")[1])
    assert {one["name"] for one in listed} == set(names())


def test_list_for_programs_keeps_its_keys(run):
    code, printed, _ = run("list", "--family", "dense", "--json")
    assert code == 0
    (paper,) = (one for one in json.loads(printed) if one["name"] == "dense-1b-polynorm")
    assert paper == {
        "name": "dense-1b-polynorm",
        "family": "dense",
        "scale": "1b",
        "activation": "polynorm",
        "paper_item": "Figure 1, Table 1",
        "parameters": 1_345_423_456,
        "tokens": 250_000_000_000,
    }


def test_show_prints_the_recipe(run):
    assert run("show", NAME, "lr=1e-3") == (0, as_yaml(load(NAME, ["lr=1e-3"])), "")
    assert run("show", NAME, "--origin") == (0, as_yaml(load(NAME), origin=True), "")


def test_plan_for_programs_keeps_its_keys(run):
    code, printed, _ = run("plan", "dense-1b-polynorm", "--on", "a100-4x8", "--json")
    planned = json.loads(printed)
    assert code == 0
    assert planned["parameters"].items() >= {"total": 1_345_423_456, "active": 1_345_423_456}.items()
    assert planned["parameters"]["non_embedding"] == 1_214_351_456
    assert planned["ffn_match_residual"] == 0
    assert set(planned["flops_per_token"]) == {"causal", "palm"}
    assert (planned["tokens"], planned["steps"]) == (250_000_000_000, 953_675)
    assert planned["memory_gb"] > 0
    assert planned["gpu_hours"] > 0
    assert planned["fit"].items() >= {"micro_batch": 2, "accumulation": 1, "shard": 8}.items()


@pytest.mark.parametrize("name", ["dense-1b-polynorm", "dense-4m-swiglu", "dense-13b-relu"])
def test_plan_fits_80_columns(run, name):
    code, printed, _ = run("plan", name, "--on", "gpu")
    assert code == 0
    assert max(map(len, printed.splitlines())) <= 80
    assert name in printed


def test_a_plan_speaks_of_causal_attention_only_where_there_are_tokens(run):
    assert "MFU (causal; a guess until measured)" in " ".join(run("plan", NAME, "--on", "gpu")[1].split())
    assert "MFU (a guess until measured)" in " ".join(run("plan", "mlp-smoke-relu", "--on", "gpu")[1].split())


def test_plan_is_for_this_machine_unless_another_is_named(run):
    assert run("plan", NAME) == run("plan", NAME, "--on", "here")


@pytest.mark.parametrize("arguments", [(), ("--help",), ("list", "--help"), ("plan", "--help")])
def test_help_is_no_mistake(run, arguments):
    code, printed, complaint = run(*arguments)
    assert (code, complaint) == (0, "")
    assert "Usage" in printed


def test_the_smoke_says_what_all_of_it_is(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    said = " ".join(run("smoke", "--help")[1].split())
    assert "Every family: all activations of dense and moe, ReLU and PolyNorm of the others." in said


def test_the_overview_has_an_example_and_every_verb(run):
    printed = run()[1]
    assert "repro plan dense-1b-polynorm --on a100-4x8" in printed
    for verb in FLAGS:
        assert f" {verb} " in printed


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("lst",), "repro has no verb 'lst'. Did you mean 'list'?"),
        (
            ("list", "--famly", "x"),
            "repro list has no option --famly. Did you mean '--family'? `repro list --help` lists them.",
        ),
        (("list", "--family", "dence"), "no family is called 'dence'. Did you mean 'dense'?"),
        (("--version",), "repro has no option --version. `repro --help` lists them."),
        (("show",), "Missing argument 'NAME'. `repro show --help` says more."),
        (("list", "x"), "Got unexpected extra argument(s) (x). `repro list --help` says more."),
        (("plan", NAME, "--on", "a100-4x9"), "no machine is called 'a100-4x9'. Did you mean 'a100-4x8'?"),
        (("show", NAME, "lr=abc"), "the command line: optim.lr is 'abc'; expected a number"),
        (("plan", NAME, "n_layers=true"), "the command line: model.n_layers is true; expected a whole number"),
    ],
)
def test_a_mistake_is_one_line_with_the_nearest_choice(refused, arguments, complaint):
    assert refused(*arguments) == complaint


def test_an_option_without_its_value(refused):
    assert refused("plan", NAME, "--on") == "Option '--on' requires an argument. `repro --help` says more."


def test_an_unknown_verb_that_is_near_none_lists_them(refused):
    assert refused("xyzzy").startswith("repro has no verb 'xyzzy'. There are: list, show, plan")


def test_a_batch_that_the_machine_cannot_make(refused):
    assert "cannot share evenly" in refused("plan", "dense-1b-relu", "tokens_per_step=12288", "--on", "a100-4x8")


def during_list(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("repro.recipe.listing.listed", fail)


def test_an_error_brings_its_own_exit_code(run, monkeypatch):
    during_list(monkeypatch, CheckFailed("the losses differ"))
    assert run("list") == (1, "", "repro: the losses differ\n")


def test_ctrl_c_is_one_line(run, monkeypatch):
    during_list(monkeypatch, KeyboardInterrupt)
    assert run("list") == (130, "", "repro: interrupted\n")


def test_our_own_mistakes_are_not_hidden(run, monkeypatch):
    during_list(monkeypatch, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        run("list")


@pytest.mark.parametrize("command", ["list", "show dense-1b-polynorm", "plan dense-1b-polynorm --on gpu --json"])
def test_a_closed_pipe_is_quiet(command):
    script = f"{sys.executable} -m repro {command} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert (done.returncode in {0, 141}, done.stderr) == (True, "")


def test_python_m_repro_is_repro():
    done = subprocess.run([sys.executable, "-m", "repro", "show", NAME, "optim=3"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "repro: the command line: optim is a section and takes no value; its keys are optim.lr"
    )


@pytest.mark.parametrize("command", ["list --all", f"show {NAME}", f"plan {NAME}", f"plan {NAME} --json", "--help"])
def test_looking_at_recipes_needs_no_torch(command):
    script = f"import sys; from repro.cli import status; code = status({command.split()}); print(code, *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"}
    )
    code, *modules = done.stdout.splitlines()[-1].split()
    assert code == "0"
    assert not {"torch", "lightning", "numpy", "triton"} & set(modules)


FLAGS = {
    "list": {"--family", "--all", "--json"},
    "show": {"--origin"},
    "plan": {"--on", "--validate", "--json"},
    "run": {"--on", "--seed", "--out"},
    "launch": {"--on", "--seed", "--out", "--submit"},
    "smoke": {"--all", "--on"},
    "prepare": set(),
    "eval": {"--sets", "--tasks", "--on"},
    "generate": {"--on"},
    "export": {"--to", "--out"},
    "import": {"--from", "--as", "--out"},
    "analyze": {"--on"},
    "theory": {"--out"},
    "study": {"--seeds", "--on", "--submit"},
    "compare": {"--json"},
    "claims": {"--json"},
    "report": {"--out"},
    "doctor": set(),
    "bench": {"--out"},
}


def test_a_new_knob_is_a_recipe_key_and_not_a_flag():
    commands = typer.main.get_group(cli.app).commands
    found = {
        verb: {flag for option in command.params for flag in option.opts if flag.startswith("--")}
        for verb, command in commands.items()
    }
    assert found == FLAGS
