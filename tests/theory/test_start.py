"""`repro theory` as a person sees it: what it prints, writes and refuses."""

import errno
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from repro.errors import RecipeError, ReproError
from repro.theory import start as verb
from repro.theory.findings import Finding
from repro.theory.fitting import curve

HOLDS = Finding(
    "one",
    "Theorem 1",
    "It is so.",
    True,
    "0 of 7 of them differ.",
    key="0 of 7 differ",
    curves=(curve("line", (1, 2), (1, 4)),),
)
FAILS = Finding(
    "two",
    "Lemma [2]",
    "It is | so.",
    False,
    "7 of 7 of them differ.",
    "The proof says *no*: 2 != 1.",
    {"all": 7},
    key="7 differ",
)
MENDED = Finding("mended", "Lemma 3", "It is.", True, "", as_stated=False)
SEEN = Finding("seen", "Beside", "Whether it is.", None, "")


@pytest.fixture
def found(monkeypatch):
    """Sets what is found instead of computing it."""

    def found(*findings):
        monkeypatch.setattr(verb, "PARTS", tuple((lambda each=each: [each]) for each in findings))

    found(HOLDS, FAILS)
    return found


@pytest.fixture
def run(found, tmp_path):
    """Runs the verb and gives what it printed."""

    def run(*settings, out=tmp_path / "out", width=100):
        console = Console(width=width, record=True, file=io.StringIO())
        verb.start(settings, out=out, console=console)
        return console.export_text()

    return run


def test_it_prints_each_statement_with_what_was_seen(run):
    printed = run()
    assert "0 of 7 differ" in printed
    assert "of them" not in printed  # which is on the page
    assert "Lemma [2]" in printed


def test_what_is_observed_or_mended_is_told_apart_everywhere(run, found, tmp_path):
    found(MENDED, SEEN)
    printed = run()
    page = (tmp_path / "out" / "README.md").read_text()
    written = json.loads((tmp_path / "out" / "theory.json").read_text())["findings"]
    assert "does not hold" not in printed + page.lower().split("## made")[0]
    assert all("holds, mended" in text and "observed" in text for text in (printed, page))
    assert [(each["holds"], each["as_stated"]) for each in written] == [(True, False), (None, True)]


def test_what_was_computed_is_written_before_anything_is_trained(run, tmp_path, monkeypatch):
    def fails(seeds, progress):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(verb.learned, "findings", fails)
    with pytest.raises(RuntimeError, match="out of memory"):
        run("learned=true")
    assert len(json.loads((tmp_path / "out" / "theory.json").read_text())["findings"]) == 2


def test_what_does_not_hold_is_said_again_at_the_end(run, found):
    assert "does not hold: Lemma [2]: It is | so." in run()
    found(HOLDS)
    assert "does not hold" not in run()


def test_a_narrow_terminal_has_no_longer_lines(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert max(map(len, run(out=None, width=80).splitlines())) <= 80


def test_it_writes_json_for_programs(run, tmp_path):
    run()
    written = json.loads((tmp_path / "out" / "theory.json").read_text())
    assert [(each["id"], each["holds"], each["figure"]) for each in written["findings"]] == [
        ("one", True, "one.png"),
        ("two", False, ""),
    ]
    assert written["findings"][0]["curves"][0] == {
        "name": "line",
        "x": [1, 2],
        "y": [1, 4],
        "slope": pytest.approx(2),
        "paper": None,
        "ours": None,
        "low": [],
        "high": [],
    }
    assert written["findings"][1]["numbers"] == {"all": 7}
    assert {"repro", "torch", "device", "date"} <= set(written["made_with"])


def test_the_page_shows_figures_that_lie_beside_it(run, tmp_path):
    run()
    page = (tmp_path / "out" / "README.md").read_text()
    assert "![" in page
    assert "](one.png)" in page
    assert "**Does not hold: Lemma \\[2\\].**" in page
    assert (tmp_path / "out" / "one.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["README.md", "one.png", "theory.json"]


def test_the_page_leaves_numbers_of_every_seed_to_the_json(run, found, tmp_path):
    found(replace(FAILS, numbers={f"seed{i}": i for i in range(100)}))
    run()
    page = (tmp_path / "out" / "README.md").read_text()
    assert "100 numbers are in `theory.json`." in page
    assert "seed7" not in page
    assert '"seed7": 7' in (tmp_path / "out" / "theory.json").read_text()


def test_without_out_the_folder_is_theory(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(out=None)
    assert (tmp_path / "theory" / "README.md").is_file()


def test_it_takes_the_place_of_what_was_written_before(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text("of last year")
    run()
    assert "last year" not in (tmp_path / "out" / "README.md").read_text()


def test_a_file_in_the_place_of_the_folder_is_told_before_anything_is_computed(run, found, tmp_path):
    (tmp_path / "file").write_text("")
    found(None)  # which cannot be written
    with pytest.raises(ReproError, match="is a file, and a folder is written there; name one with --out"):
        run(out=tmp_path / "file")


def test_a_folder_below_a_file_is_told(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ReproError, match=r"cannot be written \(Not a directory\); name another folder with --out"):
        run(out=tmp_path / "file" / "out")


def test_a_full_disk_leaves_the_page_of_before(run, tmp_path, monkeypatch):
    run()
    page = (tmp_path / "out" / "README.md").read_text()

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(verb, "write_whole", full)
    with pytest.raises(ReproError, match=r"\(No space left on device\); the page there is as it was$"):
        run()
    assert (tmp_path / "out" / "README.md").read_text() == page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["learned"], "'learned' is not key=value, such as learned=true"),
        (["learnt=true"], "theory has no setting 'learnt'. Did you mean 'learned'?"),
        (["learned=yes"], "learned=yes: expected true or false"),
        (["learned=true", "seeds=1"], "seeds=1: expected a whole number from 2 to 50, such as seeds=5"),
        (["seeds=3"], "seeds= is for networks that are trained, and none is: add learned=true"),
    ],
)
def test_a_wrong_setting_is_one_line(run, tmp_path, words, said):
    with pytest.raises(RecipeError) as refused:
        run(*words)
    assert str(refused.value) == said
    assert not (tmp_path / "out").exists()


def test_networks_are_trained_on_request_alone(run, monkeypatch):
    asked = []
    monkeypatch.setattr(verb.learned, "findings", lambda seeds, progress: asked.append(seeds) or [HOLDS])
    run()
    assert asked == []
    run("learned=true")
    run("learned=true", "seeds=3")
    assert asked == [verb.SEEDS, 3]
