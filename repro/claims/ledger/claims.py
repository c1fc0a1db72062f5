"""The ledger: every claim of the paper in our words, with what would decide it."""

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from repro import paths
from repro.errors import RecipeError
from repro.recipe.checking import checked
from repro.recipe.lists import Words
from repro.recipe.reading import read
from repro.recipe.schema import Section

FILE = "claims.yaml"
PLACE = f"data/{FILE}"
# What was trained or timed comes first where claims are ordered: a reader cannot work it out alone.
KINDS = ("study", "measured", "finding", "arithmetic", "needs")


class Published(Section):
    """What the paper prints.

    Attributes:
        text: the numbers with their unit, as printed.
        rounding: half of the last printed digit, in the same unit; null where nothing is a number, and of counts.
        cut: whether digits beyond the last were left out, and not rounded: then it is up to a whole last digit more.
        seeds: how many runs each number is of; null where the paper does not say.
    """

    text: str
    rounding: float | None = None
    cut: bool = False
    seeds: int | None = None


class Check(Section):
    """What decides a claim: exactly one of these.

    Attributes:
        finding: the id of a finding of ``repro theory``.
        words: of a finding, whose statement the claim has: the ``paper``'s to the letter, or, where that fails by a
            condition or a factor, what is left once that is ``mended``; of null it is told beside it.
        arithmetic: the name of a computation on the published numbers and on recipes.
        study: a study's name, with ``comparison``, the text of one of its comparisons.
        also: further ones, where a claim states several things: all of them have to hold.
        rungs: those of the study's sizes that the claim is about; all where none is named.
        measured: the name of a reading of the benchmarks' rows.
        needs: why nothing here decides it, such as ``full scale``.
    """

    finding: str | None = None
    words: Literal["paper", "mended"] | None = None
    arithmetic: str | None = None
    study: str | None = None
    comparison: str | None = None
    also: Words = ()
    rungs: Words = ()
    measured: str | None = None
    needs: str | None = None

    @property
    def kind(self) -> str:
        """Which of them it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @model_validator(mode="after")
    def _one(self) -> "Check":
        given = sum(getattr(self, kind) is not None for kind in KINDS)
        paired = (self.study is None) == (self.comparison is None) and (self.finding or not self.words)
        if given != 1 or not paired or (not self.study and (self.also or self.rungs)):
            raise ValueError(
                "check has to be one of finding (with words), arithmetic, study with comparison (and also, rungs), "
                "measured and needs"
            )
        return self


class Claim(Section):
    """A row of the ledger.

    Attributes:
        id: short, as ``E1``.
        group: the heading that it stands under.
        place: section, equation, figure or table.
        statement: in our words.
        published: what is printed, or null.
        check: what decides it.
        command: that a person runs to have it decided.
        scale: what that takes.
        criterion: when it counts as supported.
        caveats: what the reader must know, errors of the paper's text among them; in brackets the finding or the
            arithmetic that recomputes it.
        headline: whether it is one of the few that README and the report's first screen show.
    """

    id: str
    group: str
    place: str
    statement: str
    published: Published | None
    check: Check
    command: str
    scale: Literal["CPU seconds", "one GPU", "full scale"]
    criterion: str
    caveats: Words = ()
    headline: bool = False


@cache
def ledger() -> tuple[Claim, ...]:
    """All claims, in the order of the file.

    Raises:
        RecipeError: the file is wrong, or two rows have one id; one line that names the row and the key.
    """
    return _read(paths.data() / FILE)


def _read(path: Path) -> tuple[Claim, ...]:
    tree = read(path)
    if tree.keys() != {"claims"} or not isinstance(tree["claims"], list) or not tree["claims"]:
        raise RecipeError(f"{PLACE}: expected one key, claims, with a list of them")
    claims = tuple(_claim(number, row) for number, row in enumerate(tree["claims"], start=1))
    if twice := [name for name, times in Counter(claim.id for claim in claims).items() if times > 1]:
        raise RecipeError(f"{PLACE}: {twice[0]} is the id of two claims")
    return claims


def _claim(number: int, row: Any) -> Claim:
    if not isinstance(row, dict):
        raise RecipeError(f"{PLACE}: claim {number} is {type(row).__name__}; expected keys with values")
    return checked(Claim, row, f"{PLACE}: {row.get('id', f'claim {number}')}")
