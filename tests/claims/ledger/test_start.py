"""`repro claims` as a person and as a program sees it."""

import dataclasses
import io
import json
import subprocess
import sys

import pytest
from rich.console import Console

from repro.claims.ledger import start as verb
from repro.claims.ledger.claims import Check, Claim, Published, ledger
from repro.claims.ledger.outcome import HERE, PRINTED, Outcome

KEYS = ["id", "status", "scale", "published", "measured"]  # that stay


def outcome(name, status, *, group="Theory", scale=HERE, measured="0 of 7 differ", command="repro theory", **check):
    return Outcome(
        Claim(
            id=name,
            group=group,
            place="Table [1]",
            statement="It is lower than [that] of what it is compared with, at every size that there is.",
            published=Published(text="2.17 nats", rounding=0.005, seeds=1),
            check=Check(**(check or {"finding": "lemma-1"})),
            command=command,
            scale=scale if scale in verb.SCALES else "one GPU",
            criterion="That it is.",
        ),
        status,
        scale,
        measured,
        "theory/theory.json",
    )


FOUND = [
    outcome("T-1", "supported"),
    outcome("T-2", "contradicted"),
    outcome("E1", "not resolved", group="Dense model", scale="4m, 10m", study="table-1", comparison="a < b"),
    outcome("E2", "not run", group="Dense model", scale="one GPU", measured="", study="table-1", comparison="a < c"),
    outcome("E3", "supported", group="Dense model", scale=PRINTED, arithmetic="table_3_wins"),
    outcome("E4", "not run", group="Dense model", scale="full scale", measured="needs full scale", needs="full scale"),
]


@pytest.fixture
def run(monkeypatch):
    """What the verb prints."""

    def run(found=FOUND, *, width=80):
        monkeypatch.setattr(verb, "outcomes", lambda: list(found))
        console = Console(width=width, record=True, file=io.StringIO())
        verb.start(as_json=False, console=console)
        return console.export_text()

    return run


def test_each_claim_stands_under_its_heading_with_its_status_in_words(run):
    lines = run().splitlines()
    assert lines.index("Theory") < next(n for n, line in enumerate(lines) if line.startswith("T-1"))
    assert any(line.startswith("T-2  contradicted") for line in lines)
    assert "It is lower than [that] of what" in run()
    assert "(Table [1])" in " ".join(run().split())


def test_what_comes_with_the_kit_was_not_computed_here(run):
    shipped = dataclasses.replace(FOUND[0], source="data/measured/theory.json: 0.1.0, AMD EPYC, 2026-11-22")
    assert "computed, data/measured/theory.json: 0 of 7 differ" in run([shipped])
    assert "computed here: 0 of 7 differ" in run(FOUND[:1])


def test_what_decides_it_stands_below_with_the_scale(run):
    assert "4m, 10m: 0 of 7 differ" in run()
    assert "needs full scale" in run()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_line_is_longer_than_the_terminal(run, width):
    assert max(map(len, run(width=width).splitlines())) <= width


def test_counts_tell_what_kind_of_evidence_there_is(run):
    rows = {line[:16].strip(): line[16:].split() for line in run().splitlines() if line[:16].strip()}
    assert rows["computed here"] == ["1", "1", "0", "0"]
    assert rows["printed numbers"] == ["1", "0", "0", "0"]
    assert rows["measured runs"] == ["0", "0", "1", "1"]
    assert rows["full scale"] == ["0", "0", "0", "1"]
    assert rows["in all"] == ["2", "1", "1", "2"]
    assert "6 claims" in run()


def test_the_end_says_what_to_run_for_which_claims(run):
    end = run().split("To run next")[1]
    assert "one GPU  repro theory  E1, E2" in end
    assert "takes two sizes that agree" in end
    assert "1 more need what is said there, such as full scale" in " ".join(end.split())


def test_where_all_is_decided_nothing_is_to_run(run):
    assert "To run next" not in run(FOUND[:2])


def test_json_has_the_keys_that_stay_and_says_the_same(monkeypatch, capsys):
    monkeypatch.setattr(verb, "outcomes", lambda: FOUND)
    verb.start(as_json=True, console=Console())
    rows = json.loads(capsys.readouterr().out)
    assert [row["status"] for row in rows] == [each.status for each in FOUND]
    assert all(list(row)[:5] == KEYS for row in rows)
    assert rows[0]["published"] == "2.17 nats"
    assert (rows[0]["rounding"], rows[0]["seeds"]) == (0.005, 1)
    assert rows[2]["check"] == {"study": "table-1", "comparison": "a < b"}


def test_it_answers_without_torch_and_prints_every_claim():
    script = (
        "import sys; from rich.console import Console; from repro.claims.ledger.start import start; "
        "start(as_json=True, console=Console()); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "lightning", "triton", "matplotlib"} & set(done.stderr.split())
    assert [row["id"] for row in json.loads(done.stdout)] == [claim.id for claim in ledger()]
