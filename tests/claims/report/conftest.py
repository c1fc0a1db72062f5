"""Studies with a known answer, and a ledger of a few claims, in a folder of their own."""

import pytest

from repro.claims.evidence import store
from repro.claims.ledger.claims import Check, Claim, Published
from repro.claims.ledger.outcome import Outcome
from repro.claims.report import gathered
from repro.errors import RecipeError
from tests.claims import made


def outcome(
    status="supported", *, id="E1", group="Dense models", scale="exact", study=None, measured="-0.02 nats", **values
):
    check = Check(study=study, comparison="polynorm < swiglu") if study else Check(arithmetic="averages")
    content = {
        "id": id,
        "group": group,
        "place": "Table 1",
        "statement": f"Statement {id} holds.",
        "published": Published(text="2.17 against 2.19", rounding=0.005, seeds=1),
        "check": check,
        "command": "repro study table-1",
        "scale": "one GPU",
        "criterion": "the interval excludes 0",
        "caveats": ("the text says 8 of 9 and the table 7",),
    }
    measured = "" if status == "not run" else measured
    return Outcome(Claim(**(content | values)), status, scale, measured, "table1.csv, commit 0ce561f, 2026-11-22")


ONE = outcome()
EFFECTS = {"polynorm": -0.02, "relu": 0.015}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Puts studies, with simulated results of some of their forms, and outcomes where the report looks for them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(store, "folders", lambda: (tmp_path / "runs" / "studies",))

    def put(*studies, forms=("smoke", "10m"), outcomes=(ONE,), effects=EFFECTS, **values):
        def load(name):
            found = [each for each in studies if each.name == name]
            if not found:
                raise RecipeError(f"no study is called {name!r}.")
            return found[0]

        monkeypatch.setattr(gathered.study, "names", lambda: tuple(each.name for each in studies))
        monkeypatch.setattr(gathered.study, "load", load)
        monkeypatch.setattr(gathered.checks, "outcomes", lambda judged: list(outcomes))
        for each in studies:
            for form in forms:
                found = made.results(each, form, effects, **values)
                store.write(found, store.place(each.name, form, tmp_path / "runs" / "studies"))
        return gathered.everything()

    return put
