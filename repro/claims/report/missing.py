"""Runs that a study asks for and that are not here, with the command that makes them."""

from repro.claims.evidence.ran import Ran
from repro.claims.evidence.study import Study
from repro.claims.report.blocks import Block, Code, Items, Line, Piece, Section, Text
from repro.claims.report.gathered import Gathered

NAMED = 6  # arms at a size


def missing(found: Gathered) -> Section:
    """Of all studies."""
    lines = [line for ran in found.ran if (line := _of(ran))]
    lines += [line for of in found.studies if (line := _forms(found, of))]
    blocks: list[Block] = [Items(tuple(lines))] if lines else [Text("None: every form of every study has run.")]
    blocks += [Text(f"Not read: {line}") for line in found.damaged]
    return Section("Runs that are missing", "missing", tuple(blocks))


def _forms(found: Gathered, of: Study) -> Line:
    """Those that have not run at all."""
    there = {ran.form for ran in found.of(of.name)}
    commands = [piece for form in of.forms if form not in there for piece in (", ", *command(of, form))]
    return (f"{of.name}: ", *commands[1:]) if commands else ()


def command(of: Study, form: str) -> tuple[Piece, ...]:
    """What a person types; what it costs is said before anything starts."""
    return (Code(f"repro study {of.name} scale={form}"),)


def _of(ran: Ran) -> Line:
    """Measured runs that are not among the results."""
    there = {(row.rung, row.arm, row.seed) for row in ran.results.rows if row.role == "main"}
    seeds = [_seeds(ran.study, arm) for arm in ran.study.arms]
    gone = [
        f"{arm} at {rung}, {_named(lacking)}"
        for rung in ran.study.forms[ran.form]
        for arm, asked in zip(ran.study.arms, seeds, strict=True)
        if (lacking := [seed for seed in range(asked) if (rung, arm, seed) not in there])
    ]
    if not gone:
        return ()
    more = f" and {len(gone) - NAMED} more" if len(gone) > NAMED else ""
    return (f"{ran.study.name} at {ran.form}: {'; '.join(gone[:NAMED])}{more}: ", *command(ran.study, ran.form))


def _seeds(of: Study, arm: str) -> int:
    """How many are asked for: more of the primary comparison's arms."""
    return of.seeds if arm in (of.primary.a, of.primary.b) else of.secondary_seeds


def _named(seeds: list[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
