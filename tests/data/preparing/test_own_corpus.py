"""A folder of one's own, from `repro prepare` to `repro run`."""

from pathlib import Path

import pytest

from repro import cli
from repro.data.tokenizer import read
from tests.conftest import SMALL
from tests.data.token_files import dolma
from tests.data.written import json_lines, opened, own_tokenizer, prepare, said, texts, written
from tests.training.conftest import Numbers

# From Python 3.12 a fork of a process with threads warns; the workers only read files.
forks = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
pytestmark = [forks, pytest.mark.usefixtures("root")]

SIZES = {"home": 120, "work": 60}  # documents by subset
VOCABULARY = SMALL["model.vocab_size"]


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    """Documents of one's own, in two folders."""
    files = {f"{subset}/a.jsonl": json_lines(texts(n, n), "text") for subset, n in SIZES.items()}
    return written(tmp_path_factory.mktemp("own") / "letters", files)


@pytest.fixture
def run(tmp_path, capsys):
    """Trains the small recipe as the command line does; returns the exit code, what it says, and its numbers."""

    def run(*overrides, out=None):
        out = out or tmp_path / f"run-{len(list(tmp_path.glob('run-*')))}"
        settings = SMALL | dict(override.split("=", 1) for override in overrides)
        words = (f"{key}={value}" for key, value in settings.items())
        code = cli.status(["run", "dense-smoke-polynorm", *words, "--on", "cpu", "--out", str(out)])
        told = " ".join("".join(capsys.readouterr()).split())
        numbers = [Numbers.of(path.parent) for path in out.rglob("result.json")]
        return code, told, numbers[0] if numbers else None

    return run


def losses(numbers):
    return [float(row[2]) for row in numbers.rows if row[2]]


def test_a_folder_is_prepared_and_trained_on_whatever_the_loaders_workers(letters, run):
    prepare(f"path={letters}", f"vocab_size={VOCABULARY}")
    trained = [run("data.corpus=letters", f"data.workers={workers}") for workers in (0, 2)]
    assert [code for code, _, _ in trained] == [0, 0]
    assert trained[0][2] == trained[1][2]
    assert losses(trained[0][2])[-1] < losses(trained[0][2])[0] - 0.1
    assert " data letters" in trained[0][1]


def test_a_complete_run_is_not_taken_for_one_on_what_was_prepared_since(letters, root, run, tmp_path):
    there, out = root / "letters", tmp_path / "runs"
    prepare(f"path={letters}", f"vocab_size={VOCABULARY}")
    before = opened(there / f"bpe-{VOCABULARY}").fingerprint
    assert run("data.corpus=letters", out=out)[0] == 0
    assert run("data.corpus=letters", out=out)[1].startswith("already complete")
    there.rename(tmp_path / "elsewhere")
    code, told, _ = run("data.corpus=letters", out=out)
    assert (code, told.split(":")[0]) == (0, "already complete"), "where the data are gone"
    written(tmp_path / "others", {"a.jsonl": json_lines(texts(1, 100), "text")})
    prepare(f"path={tmp_path / 'others'}", "name=letters", f"vocab_size={VOCABULARY}")
    now = opened(there / f"bpe-{VOCABULARY}").fingerprint
    code, told, _ = run("data.corpus=letters", out=out)
    assert code == 2
    assert f"was trained on data with fingerprint {before}, and {there}/bpe-{VOCABULARY} now has {now}; use" in told


def test_its_subsets_can_be_mixed(letters, run):
    prepare(f"path={letters}", f"vocab_size={VOCABULARY}")
    code, told, mixed = run("data.corpus=letters", "data.mixture={home: 1, work: 3}")
    assert code == 0
    assert "home" in told
    assert "work" in told
    assert mixed != run("data.corpus=letters")[2]
    code, told, _ = run("data.corpus=letters", "data.mixture={hoem: 1}")
    assert code == 2
    assert "has no subset 'hoem'. Did you mean 'home'?" in told


def test_what_the_end_of_preparing_says_can_be_typed(letters, run):
    """The page beside the shards has the command that trains on them."""
    lines = said(f"path={letters}", f"vocab_size={VOCABULARY}")
    page = Path(lines[-1].removeprefix("more in ")).read_text()
    (command,) = (line for line in page.splitlines() if line.startswith("repro run "))
    budget = ("budget.tokens=", "optim.warmup_tokens=")  # less than the page has, since this is a test
    words = [word for word in command.split()[3:] if not word.startswith(budget)]
    assert "data.corpus=letters" in words, command
    assert run(*words)[0] == 0


def test_a_tokenizer_of_ones_own_makes_the_same_tokens_from_text_and_from_another_program(letters, run, tmp_path):
    by = own_tokenizer(tmp_path / "tokenizer.json")
    prepare(f"path={letters}", f"tokenizer={by}", "held_out=10")
    ids = [read(by).encode(text).ids for subset, n in SIZES.items() for text in texts(n, n)]
    dolma(tmp_path / "shards" / "a.npy", ids, eos_id=0)
    prepare(f"path={tmp_path / 'shards'}", f"tokenizer={by}", "held_out=10")
    for corpus in ("letters", "shards"):
        code, _, numbers = run(f"data.corpus={corpus}", "data.tokenizer=own")
        assert code == 0
        assert losses(numbers)[-1] < losses(numbers)[0] - 0.1


def test_an_unknown_corpus_names_the_nearest_of_the_known_and_ones_own(letters, run):
    prepare(f"path={letters}", f"vocab_size={VOCABULARY}")
    for word, near in (("leters", "letters"), ("wikipedai", "wikipedia")):
        code, told, _ = run(f"data.corpus={word}")
        assert code == 2
        assert f"no data set is called {word!r}. Did you mean {near!r}? Known: c4, " in told
        assert told.endswith(", letters")


def test_another_vocabulary_than_was_prepared_says_how_to_prepare_it(letters, run):
    prepare(f"path={letters}", f"vocab_size={VOCABULARY}")
    code, told, _ = run("data.corpus=letters", "model.vocab_size=768")
    assert code == 2
    assert "run `repro prepare path=FOLDER name=letters vocab_size=768`" in told
    code, told, _ = run("data.corpus=letters", "data.tokenizer=own")
    assert code == 2
    assert "tokenizer=FILE`" in told


def test_a_set_that_was_altered_is_not_trained_on(letters, root, run):
    prepare(f"path={letters}", f"vocab_size={VOCABULARY}")
    shard = root / "letters" / f"bpe-{VOCABULARY}" / "train" / "home-00000.bin"
    shard.write_bytes(shard.read_bytes()[::-1])
    code, told, _ = run("data.corpus=letters")
    assert code == 2
    assert f"{shard} is missing or altered: its sha256 is not the manifest's" in told
