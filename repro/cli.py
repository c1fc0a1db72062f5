"""The command line: one short function a verb, and every mistake of a person's in one line.

Verbs import what they need when they run, so that `repro list` answers without torch.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repro.errors import ReproError, nearest

if TYPE_CHECKING:
    from rich.console import Console

    from repro.recipe import Machine, Recipe
    from repro.training.dry_run import DryRun

USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]  # click's, wherever this version of typer keeps it
INTERRUPTED = 130  # as a shell reports a process that Ctrl-C ended
CLOSED_PIPE = 141  # as a shell reports a process that wrote to a closed pipe

OVERVIEW = """Reproduce the PolyCom paper (arXiv 2411.03884): run a recipe by name, see the curve and the verdict.

A recipe's name is family-scale-activation, such as dense-1b-polynorm. For example:

\b
    repro list
    repro show dense-1b-polynorm --origin
    repro plan dense-1b-polynorm --on a100-4x8
"""

app = typer.Typer(help=OVERVIEW, add_completion=False, pretty_exceptions_enable=False)

Name = Annotated[str, typer.Argument(metavar="NAME", help="family-scale-activation", show_default=False)]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="such as lr=3e-4", show_default=False)]
On = Annotated[str, typer.Option("--on", metavar="MACHINE", help="A machine's name.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command("list")
def list_(
    family: Annotated[str | None, typer.Option(metavar="FAMILY", help="Only this family.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every admissible name.")] = False,
    as_json: Json = False,
) -> None:
    """The paper's recipes and the smokes, and what each can show."""
    from repro.recipe.listing import entry, listed

    recipes = listed(family, everything=everything)
    if as_json:
        print(json.dumps([entry(recipe) for recipe in recipes], indent=1))
        return
    from repro.recipe.display import print_list

    print_list(recipes)


@app.command()
def show(
    name: Name,
    overrides: Overrides = None,
    origin: Annotated[bool, typer.Option("--origin", help="The file that set each value.")] = False,
) -> None:
    """The resolved recipe as YAML."""
    from repro.recipe import load
    from repro.recipe.writing import as_yaml

    print(as_yaml(load(name, overrides or ()), origin=origin), end="")


@app.command()
def plan(
    name: Name,
    overrides: Overrides = None,
    on: On = "here",
    validate: Annotated[bool, typer.Option("--validate", help="Also shard it and train a step, on no device.")] = False,
    as_json: Json = False,
) -> None:
    """Parameters, FLOPs, memory, micro-batch, time, and the differences from the paper."""
    from dataclasses import asdict

    from repro.recipe import load, machine
    from repro.recipe.plan import plan as planned

    recipe, where = load(name, overrides or ()), machine(on)
    result = planned(recipe, where)
    if not as_json:
        from repro.recipe.display import print_plan

        print_plan(result, recipe, where)
    try:
        found = _validated(recipe, where) if validate else None
    except ReproError:
        if as_json:  # what is planned is told in any case
            print(json.dumps(asdict(result) | {"validated": None}, indent=1))
        raise
    if as_json:
        print(json.dumps(asdict(result) | {"validated": found and asdict(found)}, indent=1))
    elif found:
        _console().print(f"\nvalidated: {found}", highlight=False)


@app.command()
def run(
    name: Name,
    overrides: Overrides = None,
    on: On = "here",
    seed: Annotated[int, typer.Option(min=0, help="Of initial weights and data order.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where runs go, instead of ./runs.")] = None,
) -> None:
    """Train a recipe. A finished run says so, a partial one goes on."""
    from repro.training.start import start

    start(name, overrides or (), on=on, seed=seed, out=out, console=_console())


@app.command()
def launch(
    name: Name,
    overrides: Overrides = None,
    *,
    on: Annotated[str, typer.Option("--on", metavar="MACHINE", help="A machine's name.", show_default=False)],
    seed: Annotated[int, typer.Option(min=0, help="Of initial weights and data order.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where runs go, instead of ./runs.")] = None,
    submit: Annotated[bool, typer.Option("--submit", help="Hand the script to sbatch.")] = False,
) -> None:
    """The SLURM script of a run on many nodes, and the same as torchrun's and TorchX's line."""
    from repro.training.launch import job
    from repro.training.slurm import start

    start(job(name, overrides or (), on=on, seed=seed, out=out), submit=submit)


@app.command()
def smoke(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One recipe at the smoke's scale.")] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Every family: all activations of dense and moe, ReLU and PolyNorm of the others."),
    ] = False,
    on: On = "here",
) -> None:
    """Six activations side by side in a minute or two, then checks of the software."""
    from repro.studies.start import start

    start(name, everything=everything, on=on, console=_console())


@app.command()
def prepare(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="such as c4, or path=FOLDER", show_default=False)],
    settings: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="such as tokens=1e9")] = None,
) -> None:
    """Tokenise a data set into shards, restartable at any moment; or take over another program's tokens.

    A set by name, or any folder of JSON lines, parquet, zip or text: path=FOLDER text_key=text name=NAME

    tokenizer=olmo, FILE, or bpe with vocab_size=8192; tokens=1e9 for a part; held_out=20: one document in so many;
    unusable=0.01: documents that may be left out; processes=N; dry_run=true. On several machines shard=1/4 and so on,
    then the same without it. A folder of dolma's or OLMo's .npy or Megatron's .bin and .idx is checked and linked to
    (eos_id=0: what ends a document there).

    Or copy a folder of images smaller, so that a run spends less on decoding: images path=FOLDER short_side=256
    """
    from repro.data.preparing.start import start

    start([dataset, *(settings or ())], console=_console())


@app.command()
def compare(
    arms: Annotated[list[str], typer.Argument(metavar="A B ...", help="Recipes or run folders.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Differences of validation loss between recipes, per seed."""
    from repro.claims.start import start

    start(arms, as_json=as_json, console=_console())


@app.command()
def export(
    of: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or recipe@seed.", show_default=False)],
    to: Annotated[str, typer.Option("--to", metavar="safetensors", help="The format.", show_default=False)],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Instead of a file in the run's folder.")] = None,
) -> None:
    """Write the weights of a run's newest checkpoint for other programs. A file that is there is replaced.

    safetensors: one file with the model's own names, in float32, without the optimizer. Where a recipe averages weights
    (optim.ema) these are the averaged ones, which validation evaluates.
    """
    from repro.interop.start import start

    start(of, to=to, out=out, console=_console())


@app.command()
def doctor() -> None:
    """What works on this machine, what does not, and what to do about it."""
    from repro.training.doctor import start

    start(_console())


@app.command()
def bench(
    what: Annotated[
        str, typer.Argument(metavar="step|loader|tokenise|...", help="What to measure.", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write the files named above there.")] = None,
) -> None:
    """Measure, as rows like those of data/measured/.

    step: what the trainer adds to a training step on a CPU; bench.csv. On a GPU also steps of 1b, 1b7b and ResNet-50;
    bench-training.csv.

    loader: tokens a second of one core, against training steps. tokenise: text a second of all cores, against the
    tokenizer alone. images: images a second of one core, against the decoder alone; bench.csv.

    activations: PolyNorm and PolyReLU against their peers on a GPU; bench-activations.csv and activations.png.

    ffn: one 1b FFN with each activation, its memory and on a GPU its time; bench-ffn.csv.
    """
    from repro.bench.start import start

    start(what, out=out, console=_console())


def main() -> None:
    """The console script ``repro``."""
    sys.exit(status(sys.argv[1:]))


def status(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; a person's mistake is one line on stderr."""
    try:
        _run(list(arguments) or ["--help"])
        sys.stdout.flush()
    except typer.Exit as exit_:
        return exit_.exit_code
    except ReproError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
        return CLOSED_PIPE
    except OSError as error:
        if error.errno is None:
            raise
        return _complain(f"{error.filename or 'the disk'}: {error.strerror}", ReproError.exit_code)
    return 0


def _run(arguments: list[str]) -> None:
    command = typer.main.get_group(app)
    verbs = command.commands
    if not arguments[0].startswith("-") and arguments[0] not in verbs:
        hint = nearest(arguments[0], verbs) or f" There are: {', '.join(verbs)}."
        raise ReproError(f"repro has no verb {arguments[0]!r}.{hint}")
    try:
        with command.make_context("repro", arguments) as context:
            command.invoke(context)
    except USAGE_ERROR as error:
        raise ReproError(_usage(error)) from None


def _usage(error: Any) -> str:
    """What click found wrong, in one line, with the nearest option."""
    verb = error.ctx.command_path if error.ctx else "repro"
    option = getattr(error, "option_name", None)
    if option and error.ctx:
        hint = nearest(option, [name for parameter in error.ctx.command.params for name in parameter.opts])
        return f"{verb} has no option {option}.{hint} `{verb} --help` lists them."
    message = " ".join(error.format_message().split()).rstrip(".")
    return f"{message}. `{verb} --help` says more."


def _complain(message: str, code: int) -> int:
    if message:  # or another process of the run has told it
        print(f"repro: {message}", file=sys.stderr)
    return code


def _validated(recipe: "Recipe", where: "Machine") -> "DryRun":
    from repro.training.dry_run import dry_run

    return dry_run(recipe, where)


def _console() -> "Console":
    from repro.recipe.display import Terminal

    return Terminal()
