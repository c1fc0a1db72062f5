"""Verbs that look at a recipe, without training."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from repro.cli import words
from repro.cli.app import app
from repro.errors import ReproError

if TYPE_CHECKING:
    from repro.recipe import Machine, Recipe
    from repro.training.dry_run import DryRun


@app.command("list")
def list_(
    family: Annotated[str | None, typer.Option(metavar="FAMILY", help="Only this family.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every admissible name.")] = False,
    as_json: words.Json = False,
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
    name: words.Name,
    overrides: words.Overrides = None,
    origin: Annotated[bool, typer.Option("--origin", help="The file that set each value.")] = False,
) -> None:
    """The resolved recipe as YAML."""
    from repro.recipe import load
    from repro.recipe.writing import as_yaml

    print(as_yaml(load(name, overrides or ()), origin=origin), end="")


@app.command()
def plan(
    name: words.Name,
    overrides: words.Overrides = None,
    on: words.On = "here",
    validate: Annotated[bool, typer.Option("--validate", help="Also shard it and train a step, on no device.")] = False,
    as_json: words.Json = False,
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
        words.console().print(f"\nvalidated: {found}", highlight=False)


def _validated(recipe: "Recipe", where: "Machine") -> "DryRun":
    from repro.training.dry_run import dry_run

    return dry_run(recipe, where)
