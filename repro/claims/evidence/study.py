"""Studies: what is compared, at which sizes, with how many seeds, and which comparison was named before it ran."""

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from repro import paths
from repro.claims.evidence.rows import Row
from repro.errors import RecipeError, nearest
from repro.recipe.checking import checked
from repro.recipe.lists import Words
from repro.recipe.reading import place, read_once
from repro.recipe.schema import Section

MECHANISM = "smoke"  # the form that a CPU finishes in minutes: it shows that a mechanism is there, and no more
STAMP = "mechanism only: at this size it is no evidence about the paper"  # on whatever is told of that form
SAYS = {"<": "is lower than", ">": "is higher than", "~": "is like"}
SIZES = ("model.d_model", "model.n_layers", "model.d_ff", "model.experts", "model.width", "model.blocks")
MEASURES = tuple(field.name for field in fields(Row) if field.type == float | None)
Factors = Annotated[tuple[PositiveFloat, ...], Field(strict=False)]


class Comparison(Section):
    """What is stated of two arms, before anything runs.

    Attributes:
        a: an arm.
        says: ``<`` that its measure is lower, ``>`` higher, ``~`` alike within ``margin``.
        b: another arm.
        measure: a column of a run's row, such as ``validation_loss``.
        margin: of ``~``, in units of the measure.
        paper: the place that states it; null of what is ours.
    """

    a: str
    says: Literal["<", ">", "~"]
    b: str
    measure: str = "validation_loss"
    margin: float | None = Field(None, gt=0)
    paper: str | None = None

    @property
    def text(self) -> str:
        """Such as ``polynorm < swiglu``; the measure where it is not the loss."""
        of = "" if self.measure == "validation_loss" else f" in {self.measure}"
        return f"{self.a} {self.says} {self.b}{of}"

    @property
    def unit(self) -> str:
        """What its measure is counted in; nothing where that is no unit."""
        return "nats" if "loss" in self.measure.split("_") else ""

    @model_validator(mode="after")
    def _can_be_judged(self) -> "Comparison":
        if self.measure not in MEASURES:
            raise ValueError(f"no run has a measure {self.measure!r}.{nearest(self.measure, MEASURES)}")
        if (self.says == "~") != (self.margin is not None):
            raise ValueError(f"{self.text}: `~` and nothing else takes a margin")
        return self


class Arm(Section):
    """One side of comparisons: an activation, with what else is set of its recipe, by dotted key."""

    activation: str
    set: dict[str, Any] = Field(default_factory=dict)


class Rung(Section):
    """One size of a form: a scale of the family, with what else is set of its recipes, by dotted key."""

    scale: str
    set: dict[str, Any] = Field(default_factory=dict)


class Bracket(Section):
    """Learning rates that are tried for each arm, as factors of its recipe's, on a seed that is not measured.

    Where the best is at an edge it is widened up to ``widen`` times; if it still is, no verdict is given.
    """

    factors: Annotated[Factors, Field(min_length=2)] = (0.5, 1.0, 2.0)
    seed: PositiveInt = 1000
    widen: NonNegativeInt = 2


class Study(Section):
    """A file of ``recipes/studies``.

    Attributes:
        name: of the file.
        about, question: a line each.
        paper: the table or figure that it repeats; null of what is ours.
        family: of its recipes.
        arms: by name.
        forms: by name, from small to large, each with its sizes; a file has ``smoke`` and a larger one.
        primary: the one comparison that was named before anything ran.
        secondary: the others; what they come to is adjusted for their number.
        seeds, secondary_seeds: of the arms of the primary comparison, and of the rest.
        bracket: how rates are chosen; null: each arm has its recipe's own.
        published_rates: forms without a bracket, whose arms all have the recipe's own rate as the paper's runs had: at
            that size a bracket would cost more than what it is for.
        sweep: instead of a bracket, factors of the recipe's rate at all of which every arm is measured.
        analysis: parts of ``repro analyze`` that each measured run gets.
    """

    name: str
    about: str
    paper: str | None
    question: str
    family: str
    arms: dict[str, Arm]
    forms: dict[str, dict[str, Rung]]
    primary: Comparison
    secondary: Annotated[tuple[Comparison, ...], Field(strict=False)] = ()
    seeds: PositiveInt = 6
    secondary_seeds: PositiveInt = 3
    bracket: Bracket | None = Bracket()
    published_rates: Words = ()
    sweep: Factors = ()
    analysis: Words = ()

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The primary one first."""
        return (self.primary, *self.secondary)

    @property
    def default(self) -> str:
        """The form that is meant where none is named: the smallest that says something of the paper."""
        return next((form for form in self.forms if form != MECHANISM), MECHANISM)

    def size(self, form: str, rung: str) -> str:
        """What a rung counts as: its scale, or its own name where what it sets makes the model another size.

        So rungs of one scale that bound ranks are one size, and a scale made narrower is another.
        """
        of = self.forms[form][rung]
        return rung if of.set.keys() & SIZES else of.scale

    def bracket_at(self, form: str) -> Bracket | None:
        """How rates are chosen at a form; None where each arm has its recipe's own."""
        return None if form in self.published_rates else self.bracket

    @model_validator(mode="after")
    def _arms_are_there(self) -> "Study":
        named = {arm for each in self.comparisons for arm in (each.a, each.b)}
        if missing := sorted(named - self.arms.keys()):
            raise ValueError(f"comparisons name {', '.join(missing)}, which is no arm")
        return self

    @model_validator(mode="after")
    def _forms_are_whole(self) -> "Study":
        if wrong := [form for form in self.forms if "-" in form or not self.forms[form]]:
            raise ValueError(f"form {wrong[0]!r} has a hyphen or no size")  # the hyphen ends a study's name in a file's
        if missing := sorted(set(self.published_rates) - self.forms.keys()):
            raise ValueError(f"published_rates names {missing[0]}, which is no form")
        if self.sweep and self.bracket:
            raise ValueError("a sweep measures all rates, so bracket has to be null")
        return self


def names() -> tuple[str, ...]:
    """Of all studies."""
    return tuple(sorted(file.stem for file in (paths.recipes() / "studies").glob("*.yaml")))


def load(name: str) -> Study:
    """A study by its name.

    Raises:
        RecipeError: there is none, or its file is wrong.
    """
    if name not in names():
        hint = nearest(name, names()) or f" There are: {', '.join(names())}."
        raise RecipeError(f"no study is called {name!r}.{hint}")
    path = paths.recipes() / "studies" / f"{name}.yaml"
    return checked(Study, read_once(path) | {"name": name}, place(path))
