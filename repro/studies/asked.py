"""The runs that a study asks for at one of its forms."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from repro import paths
from repro.claims.evidence.study import Bracket, Comparison, Study
from repro.errors import RecipeError, nearest
from repro.recipe import Recipe, load, runs
from repro.recipe.images import ImageRecipe
from repro.recipe.keys import full_key
from repro.recipe.loading import COMMAND_LINE
from repro.recipe.reading import parse
from repro.recipe.schema import LanguageRecipe

RATES = ("optim.lr", "optim.min_lr")
Key = tuple[str, str, str, float, int]  # role, rung, arm, factor, seed


@dataclass(frozen=True)
class Asked:
    """One run.

    Attributes:
        rung, role, arm, factor, seed: as in its row.
        overrides: ``key=value``, all that is set beside the recipe's name.
        recipe: what is trained.
    """

    rung: str
    role: str
    arm: str
    factor: float
    seed: int
    overrides: tuple[str, ...]
    recipe: Recipe

    @property
    def key(self) -> Key:
        """What tells it from all other runs of the form."""
        return self.role, self.rung, self.arm, self.factor, self.seed

    @property
    def out(self) -> Path | None:
        """Where runs that choose a rate lie, apart from others: what compares a recipe's seeds is not to find them."""
        return paths.runs() / "brackets" if self.role == "bracket" else None

    @property
    def folder(self) -> Path:
        """Where it lies: studies that ask for the same run share it."""
        return runs.folder(self.recipe, self.seed, self.out)

    @property
    def name(self) -> str:
        """Such as ``polynorm, seed 3``, or ``polynorm at 2 times its rate``."""
        times = f" at {self.factor:g} times its rate" if self.factor != 1 or self.role == "bracket" else ""
        return f"{self.arm}{times}, {self.rung}, seed {self.seed}"

    @property
    def command(self) -> tuple[str, ...]:
        """What follows ``python -m``."""
        seed = ("--seed", str(self.seed)) if self.seed else ()
        out = ("--out", str(self.out)) if self.out else ()
        return "repro", "run", self.recipe.name, *self.overrides, *seed, *out


@dataclass(frozen=True)
class Form:
    """A study at one of its forms, as a person asks for it.

    Attributes:
        study: which.
        name: of the form.
        overrides: ``key=value`` for all of its runs.
        seeds: of the primary comparison's arms; None for the study's own.
    """

    study: Study
    name: str
    overrides: tuple[str, ...] = ()
    seeds: int | None = None

    @property
    def bracket(self) -> Bracket | None:
        """How rates are chosen; None where none are."""
        return self.study.bracket_at(self.name)

    def seeds_of(self, arm: str) -> range:
        """From 0 on; the primary comparison's arms have more."""
        first = self.seeds or self.study.seeds
        primary = arm in (self.study.primary.a, self.study.primary.b)
        return range(first if primary else min(first, self.study.secondary_seeds))

    def pairs(self, comparison: Comparison) -> int:
        """Seeds that both arms have."""
        return min(len(self.seeds_of(arm)) for arm in (comparison.a, comparison.b))

    @cached_property
    def places(self) -> tuple[tuple[str, str], ...]:
        """Each rung with each arm, those of the primary comparison first."""
        primary = (self.study.primary.a, self.study.primary.b)
        arms = sorted(self.study.arms, key=lambda arm: arm not in primary)
        return tuple(product(self.study.forms[self.name], arms))

    def run(self, role: str, rung: str, arm: str, factor: float, seed: int) -> Asked:
        """One run of an arm."""
        overrides, recipe = self._recipe(rung, arm, factor)
        return Asked(rung, role, arm, float(factor), seed, overrides, recipe)

    def bracketing(self, rung: str, arm: str) -> list[Asked]:
        """The runs from which an arm's rate is chosen, before it is widened."""
        if self.bracket is None:
            return []
        return [self.run("bracket", rung, arm, factor, self.bracket.seed) for factor in self.bracket.factors]

    def measured(self, rung: str, arm: str, factors: Iterable[float]) -> list[Asked]:
        """The runs of an arm that are measured."""
        return [self.run("main", rung, arm, factor, seed) for seed in self.seeds_of(arm) for factor in factors]

    def _recipe(self, rung: str, arm: str, factor: float) -> tuple[tuple[str, ...], Recipe]:
        key = (rung, arm, float(factor))
        if key not in self._loaded:
            self._loaded[key] = self._load(*key)
        return self._loaded[key]

    @cached_property
    def _loaded(self) -> dict[tuple[str, str, float], tuple[tuple[str, ...], Recipe]]:
        return {}

    def _load(self, rung: str, arm: str, factor: float) -> tuple[tuple[str, ...], Recipe]:
        size, side = self.study.forms[self.name][rung], self.study.arms[arm]
        name = f"{self.study.family}-{size.scale}-{side.activation}"
        settings = size.set | given(self.study, self.overrides) | side.set
        recipe = load(name, words(settings))
        if factor != 1:
            settings |= _scaled(recipe, settings, factor)
            recipe = load(name, words(settings))
        return words(settings), recipe


def form(study: Study, name: str | None, overrides: Sequence[str], *, seeds: int | None = None) -> Form:
    """A study as a person asks for it.

    Raises:
        RecipeError: it has no such form, or a key may not be set for all of its runs.
    """
    if name is not None and name not in study.forms:
        hint = nearest(name, study.forms) or f" It has: {', '.join(study.forms)}."
        raise RecipeError(f"study {study.name} has no scale {name!r}.{hint}")
    found = Form(study, name or study.default, tuple(overrides), seeds)
    _refuse_what_is_compared(found, given(study, overrides))
    return found


def given(study: Study, overrides: Sequence[str]) -> dict[str, Any]:
    """What a person sets for all runs, by dotted key.

    Raises:
        RecipeError: it is no setting, or its key is unknown or stands twice.
    """
    found: dict[str, Any] = {}
    for override in overrides:
        word, equals, text = override.partition("=")
        if not equals:
            raise RecipeError(f"{COMMAND_LINE}: {override!r} is not key=value, such as data.corpus=python-packages")
        key = full_key(word, COMMAND_LINE, study.family)
        if key in found:
            raise RecipeError(f"{COMMAND_LINE}: {key} is set twice")
        found[key] = parse(text, f"{COMMAND_LINE}: {key}")
    return found


def words(settings: dict[str, Any]) -> tuple[str, ...]:
    """Settings as a person types them, in one order."""
    return tuple(
        f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in sorted(settings.items())
    )


def _scaled(recipe: Recipe, settings: dict[str, Any], factor: float) -> dict[str, Any]:
    """The rate, and its floor where that is set beside it; else the floor follows by itself."""
    assert isinstance(recipe, LanguageRecipe | ImageRecipe)
    scaled: dict[str, Any] = {"optim.lr": _digits(recipe.optim.lr * factor)}
    if isinstance(recipe, LanguageRecipe) and "optim.min_lr" in settings:
        scaled["optim.min_lr"] = _digits(recipe.optim.min_lr * factor)
    return scaled


def _digits(rate: float) -> float:
    """Four digits, as recipes have them."""
    assert math.isfinite(rate)
    return float(f"{rate:.4g}")


def _refuse_what_is_compared(of: Form, settings: dict[str, Any]) -> None:
    """Refuse keys that arms or the bracket set: what is given holds for all runs alike."""
    study = of.study
    for key in settings:
        if key in RATES and (of.bracket or study.sweep):
            why = (
                "tries learning rates itself" if study.sweep else "chooses the learning rate of each arm by its bracket"
            )
            raise RecipeError(f"{COMMAND_LINE}: {key} cannot be set for study {study.name}, which {why}")
        if arms := [name for name, arm in study.arms.items() if key in arm.set]:
            raise RecipeError(
                f"{COMMAND_LINE}: {key} cannot be set for study {study.name}: it is what sets its arm {arms[0]} apart"
            )
