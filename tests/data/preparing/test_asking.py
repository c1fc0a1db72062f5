"""What a person can ask of `repro prepare`, what it will take, and the one line that a mistake gets."""

import re
import shutil
from functools import partial

import pytest

from repro import cli
from repro.data.files.pieces import pieces
from repro.data.preparing import estimate
from repro.data.preparing import files as prepare_files
from repro.data.preparing.asking import OF_A_FOLDER, SETTINGS, order
from repro.data.progress import silent
from repro.recipe import sources
from tests.data.token_files import documents, dolma
from tests.data.trees import contents
from tests.data.written import (
    VOCABULARY,
    json_lines,
    opened,
    own_tokenizer,
    prepare,
    refusal,
    said,
    texts,
    written,
)

pytestmark = pytest.mark.usefixtures("root")

BPE = f"vocab_size={VOCABULARY}"


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    """A folder of documents of one's own."""
    files = {f"{year}/{n}.jsonl": json_lines(texts(10 * year + n, 20), "text") for year in (1, 2) for n in range(3)}
    return written(tmp_path_factory.mktemp("own") / "letters", files)


@pytest.fixture
def helped(capsys):
    """What `repro prepare --help` says."""
    assert cli.status(["prepare", "--help"]) == 0
    return " ".join(capsys.readouterr().out.split())


# Words


def test_help_names_every_setting_of_a_data_set_and_of_a_folder(helped):
    told = set(re.findall(r"\b([a-z_]+)=", helped))
    assert {*SETTINGS, "path", "text_key"} <= told
    assert told <= {*OF_A_FOLDER, "short_side", "names"}  # of images and of tasks


@pytest.mark.parametrize("word", OF_A_FOLDER)
def test_every_setting_is_told_by_a_misspelt_one(word, letters):
    misspelt = f"{word[:-1]}{word[-1]}{word[-1]}"
    assert refusal(f"path={letters}", f"{misspelt}=1") == f"prepare has no setting {misspelt!r}. Did you mean {word!r}?"


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("tokenizer=nowhere.json", "tokenizer=nowhere.json: there is no such file; expected a tokenizer.json, "),
        ("tokenizer=tokenizer.model", "tokenizer=tokenizer.model: there is no such file"),
        ("vocab_size=256", "vocab_size=256 is too small: expected at least 257, one for every byte and one for "),
        ("vocab_size=1e4", "vocab_size=1e4: expected a whole number from 1 to 1000000, such as vocab_size=8192"),
        ("vocab_size=1000001", "vocab_size=1000001: expected a whole number from 1 to 1000000"),
        ("held_out=1", "held_out=1: expected a whole number from 2 to 1000000000, such as held_out=20"),
        ("unusable=1%", "unusable=1%: expected a share from 0 to 1, such as unusable=0.01"),
        ("tokens=all", "tokens=all: expected a number from 1 to 1e+15, such as tokens=250e9"),
        ("shard=0/4", "shard=0/4: expected i/n, the i-th of n parts, such as shard=1/4"),
        ("shard=5/4", "shard=5/4: expected i/n"),
        ("shard=1", "shard=1: expected i/n"),
        ("processes=0", "processes=0: expected a whole number from 1 to 4096, such as processes="),
        ("processes=4097", "processes=4097: expected a whole number from 1 to 4096"),
        (
            "name=my letters",
            "name=my letters: expected a word of letters, digits, '-', '_' and '.', such as name=my-corpus",
        ),
        ("name=../letters", "name=../letters: expected a word of letters, digits, "),
        ("name=.letters", "name=.letters: expected a word of letters, digits, "),
        ("name=c4", "name=c4 is a name of the kit's own: give another, such as name=my-c4"),
        ("name=2023", "name=2023: expected a word of letters, digits, "),
        ("name=true", "name=true: expected a word of letters, digits, "),
        ("name=listings", "name=listings is a name of the kit's own: give another, such as name=my-listings"),
        ("dry_run=yes", "dry_run=yes: expected true or false"),
        ("text_key", "'text_key' is not key=value, such as path=..."),
        ("text_key=", "'text_key=' is not key=value, such as path=..."),
        ("path=elsewhere", "path is set twice"),
    ],
)
def test_a_value_that_cannot_be_is_one_line_before_anything_is_written(word, complaint, letters, root):
    assert refusal(f"path={letters}", word).startswith(complaint)
    assert not root.exists()


def test_a_field_that_is_not_there_is_told_with_file_line_and_those_there_are(letters):
    told = refusal(f"path={letters}", BPE, "text_key=body")
    assert re.match(rf"{letters}/[12]/0.jsonl, line 1: no field 'body': there is id, meta, text; name it with ", told)


def test_a_vocabulary_is_of_a_bpe_only(letters, tmp_path):
    by = own_tokenizer(tmp_path / "tokenizer.json")
    told = refusal(f"path={letters}", f"tokenizer={by}", BPE)
    assert told == f"vocab_size is of a BPE that is trained for the corpus, and tokenizer={by} is there"


@pytest.mark.parametrize("word", ["path=letters", "text_key=body"])
def test_what_the_manifest_of_a_data_set_says_is_not_asked_for(word):
    key = word.partition("=")[0]
    assert refusal("c4", word) == f"prepare has no setting {key!r}. There is: {', '.join(SETTINGS)}."


def test_the_end_of_a_text_is_the_tokenizers(letters):
    assert refusal(f"path={letters}", "eos_id=0") == f"the folder {letters} holds text, to which eos_id does not apply"


def test_a_mistake_is_one_line_of_the_command_and_its_exit_code(letters, capsys):
    assert cli.status(["prepare", f"path={letters}", "token=1e9"]) == 2
    out, told = capsys.readouterr()
    assert (out, told) == ("", "repro: prepare has no setting 'token'. Did you mean 'tokens'?\n")


# Names


def test_what_is_spelt_otherwise_is_the_same_set(letters):
    def asked(*words):
        return order(None, dict(word.split("=") for word in (f"path={letters}", *words)), silent).asked.settings

    assert asked("text_key=text", "held_out=20") == asked() == (("path", str(letters)),)
    assert asked("tokens=1e3") == asked("tokens=1000")


def test_what_the_kit_prepared_is_no_text_of_a_folder(letters, tmp_path, monkeypatch):
    letters = shutil.copytree(letters, tmp_path / "letters")
    monkeypatch.setenv("REPRO_DATA", str(letters / "prepared"))
    prepare(f"path={letters}", BPE, "name=first")
    listing = order(None, {"path": str(letters)}, silent).asked.listing
    assert not [file.name for file in listing.files if file.name.startswith("prepared/")]
    assert listing.left_out["prepared by the kit"] > 0


def test_a_folder_that_is_called_as_a_data_set_is_told_how(letters, monkeypatch):
    monkeypatch.chdir(letters.parent)
    assert refusal("letters").startswith(
        "no data set is called 'letters'. There is a folder of that name: path=letters."
    )


def test_a_folder_is_called_as_it_is(letters, root):
    prepare(f"path={letters}/", BPE)
    opened(root / "letters" / f"bpe-{VOCABULARY}")
    assert sources.own() == ("letters",)


def test_a_file_is_called_without_its_suffix(letters, root):
    prepare(f"path={letters / '1' / '0.jsonl'}", BPE, "name=a.B_1-c", "held_out=4")
    opened(root / "a.B_1-c" / f"bpe-{VOCABULARY}")
    copy = shutil.copy(letters / "1" / "0.jsonl", root.parent / "words.en.jsonl")
    assert order(None, {"path": str(copy)}, silent).asked.corpus == "words.en"


def test_a_home_is_spelt_as_in_a_shell(letters, monkeypatch):
    monkeypatch.setenv("HOME", str(letters.parent))
    asked = order(None, {"path": "~/letters"}, silent).asked
    assert asked.settings == (("path", str(letters)),)


def test_without_a_name_or_a_folder_the_names_are_told():
    told = refusal("tokens=1e9")
    assert told.startswith("give the name of a data set, or path=FOLDER. Known: c4, fineweb-edu-sample, ")


@pytest.mark.parametrize(("word", "near"), [("wikipedai", "wikipedia"), ("olmoe-mix", "olmoe-mix-0924")])
def test_a_data_set_that_is_misspelt_is_told_the_nearest(word, near):
    assert refusal(word).startswith(f"no data set is called {word!r}. Did you mean {near!r}? Known: ")


def test_a_data_set_is_no_folder(tmp_path, monkeypatch, root):
    monkeypatch.chdir(tmp_path)
    assert refusal("path=c4") == "there is no folder c4 here, but a data set of that name: `repro prepare c4`"
    written(tmp_path, {"c4/a.txt": b"some text"})
    assert refusal("path=c4", BPE) == "name=c4 is a name of the kit's own: give another, such as name=my-c4"
    assert not root.exists()


def test_a_folder_that_is_misspelt_is_told_the_nearest(letters):
    told = refusal(f"path={letters.parent / 'leters'}")
    assert told == (
        f"there is no folder or file {letters.parent / 'leters'}: expected text, JSON lines, parquet or zip files. "
        "Did you mean 'letters'?"
    )


# A dry run


def lines_of(letters, *words):
    return said(f"path={letters}", "dry_run=true", "processes=2", *words)


def test_a_dry_run_says_bytes_tokens_hours_and_disk_and_writes_nothing(letters, root, monkeypatch):
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 0, 5 * 10**11))
    before = contents(letters)
    first, read, tokens, time, disk = lines_of(letters)
    n_bytes = sum(map(len, before.values()))
    assert first == f"letters: 6 files of the folder {letters}"
    assert read == f"to read: 6 files, {n_bytes / 1e6:.1f} MB as stored"
    assert tokens == f"tokens: about {n_bytes // 4:,} by bpe of 8,192 entries, {n_bytes / 2e6:.1f} MB; files come whole"
    hours = n_bytes / 4 / 0.60e6 / 3600
    assert time.startswith(f"time: about {hours:.2g} core-hours, ")
    assert time.endswith(" by 2 processes")
    assert disk == f"disk: about {1.1 * n_bytes / 2e6:.1f} MB, and {root} has 500.0 GB free"
    assert not root.exists()
    assert contents(letters) == before


def test_a_dry_run_of_a_part_is_about_that_part(letters, monkeypatch):
    monkeypatch.setattr(prepare_files, "pieces", partial(pieces, piece_bytes=1))  # each file for itself
    whole, third = (int(lines_of(letters, *words)[1].split()[2]) for words in ((), ("shard=2/3",)))
    assert (whole, third) == (6, 2)


def test_a_dry_run_of_some_tokens_is_about_those(letters):
    all_of_it, some = (lines_of(letters, *words)[2] for words in ((), ("tokens=9000",)))
    tokens = [int(line.split()[2].replace(",", "")) for line in (some, all_of_it)]
    assert 9000 <= tokens[0] < tokens[1], "files come whole"


def test_a_dry_run_needs_no_gated_tokenizer(letters, root):
    costs = said(f"path={letters}", "tokenizer=llama-2", "dry_run=true")
    assert any("by llama-2 of 32,000 entries" in line for line in costs)
    assert not root.exists()


def test_a_dry_run_finds_mistakes_as_well(letters):
    assert refusal(f"path={letters}", "dry_run=true", "tokens=none").startswith("tokens=none: expected ")


def test_a_dry_run_of_tokens_says_how_many_bytes_are_there(tmp_path, root):
    path = dolma(tmp_path / "shards" / "a.npy", documents(1, 4000, vocab_size=300), eos_id=0)
    by = own_tokenizer(tmp_path / "tokenizer.json")
    first, second = said(f"path={path.parent}", f"tokenizer={by}", "dry_run=true")
    assert first == f"shards: 1 files of {path.parent}"
    size = path.stat().st_size / 1e6
    assert second == f"they hold {size:.1f} MB of tokens, which are checked and linked to, at the speed of the disk"
    assert not root.exists()


# What is said of the end


def test_a_part_says_what_takes_the_parts_together(letters, root):
    (line,) = said(f"path={letters}", BPE, "shard=1/2")
    folder = root / "letters" / f"bpe-{VOCABULARY}.part-1-of-2"
    assert line == (
        f"{folder} holds part 1/2; when all parts are there, `repro prepare path={letters} {BPE}` takes them together"
    )


def test_a_set_says_what_it_holds_and_what_was_left_out(letters, tmp_path, root):
    folder = shutil.copytree(letters, tmp_path / "spoilt")
    written(folder, {"3/a.jsonl": json_lines(texts(50, 30), "text") + b'{"text": ""}\nnot JSON\n'})
    lines = said(f"path={folder}", BPE, "unusable=0.1")
    there = opened(root / "spoilt" / f"bpe-{VOCABULARY}")
    train, validation = (there.manifest.totals[split] for split in ("train", "validation"))
    assert train.documents + validation.documents == 150
    assert lines[:3] == [
        f"{there.folder} is complete and verified, fingerprint {there.fingerprint}",
        f"train: {train.tokens:,} tokens of {train.documents:,} documents",
        f"validation: {validation.tokens:,} tokens of {validation.documents:,} documents",
    ]
    assert lines[4] == "left out: 1 empty, 1 not JSON"
    assert lines[5] == f"more in {there.folder / 'README.md'}"
