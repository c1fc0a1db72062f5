"""What `repro theory` found, as its JSON has it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro import paths
from repro.claims.evidence.verdicts import Status
from repro.claims.ledger.outcome import HERE, Decided
from repro.claims.ledger.places import named
from repro.digests import digest
from repro.errors import ReproError

NAME = "theory.json"
COMMAND = "repro theory"
DIGITS = 16  # of the digest of all that the file holds beside it

STATUS: Mapping[bool, Status] = {True: "supported", False: "contradicted"}


@dataclass(frozen=True)
class Theory:
    """A file of findings, or none.

    Attributes:
        findings: by id.
        source: the file, commit, device and date.
        lacking: what is wrong with it, if it is.
    """

    findings: Mapping[str, Mapping[str, Any]]
    source: str
    lacking: str = ""

    def decided(self, name: str, *, words: str | None) -> Decided:
        """What a finding comes to: of ``words="paper"`` the statement to the letter, else the mended one.

        With ``words="mended"`` the claim itself is stated as it was mended.
        """
        found = self.findings.get(name)
        if found is None or found["holds"] is None:
            return Decided("not run", "", self._without(name), "")
        mended = found["holds"] and not found["as_stated"]
        if mended and words == "paper":
            return Decided("contradicted", HERE, f"{found['key']}; holds only once it is mended", self.source)
        measured = f"{found['key']}; holds once it is mended" if mended and not words else found["key"]
        return Decided(STATUS[found["holds"]], HERE, measured, self.source)

    def _without(self, name: str) -> str:
        """Why a finding decides nothing; nothing where nothing was computed."""
        if not self.findings:
            return self.lacking
        what = "an observation, which is no statement," if name in self.findings else "no finding"
        return f"{self.source} has {what} called {name}; run `{COMMAND}` again"


NONE = Theory({}, "")


def files() -> tuple[Path, ...]:
    """Where findings are looked for, the first that is there being taken."""
    return Path("theory") / NAME, paths.data() / "measured" / NAME


def newest() -> Theory:
    """What was computed in the current folder, or else what comes with the kit."""
    file = next((file for file in files() if file.is_file()), None)
    if file is None:
        return NONE
    try:
        return _read(file)
    except ReproError as error:
        return Theory({}, "", str(error))


def _read(file: Path) -> Theory:
    """The file's findings.

    Raises:
        ReproError: it is damaged, or not what was written.
    """
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
        written, made = tree.pop("digest"), tree["made_with"]
        findings = {row["id"]: row for row in tree["findings"]}
        complete = all({"holds", "as_stated", "key"} <= row.keys() for row in findings.values())
        about = f"{named(file)}: {made['repro']}, {made['device']}, {made['date']}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _wrong(file, f"cannot be read ({type(error).__name__})") from None
    if written != digest(tree, DIGITS):
        raise _wrong(file, "is not what was written: its digest differs")
    if not complete:
        raise _wrong(file, "lacks what a finding has")
    return Theory(findings, about)


def _wrong(file: Path, why: str) -> ReproError:
    return ReproError(f"{named(file)} {why}; run `{COMMAND}` again")
