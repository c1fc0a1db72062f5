"""A piece of a corpus as token shards: which documents, in which split, as which bytes."""

import hashlib
import json

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from repro.data import shards, tokenizer
from repro.data.files.inputs import InputFile
from repro.data.manifest import DOCUMENTS
from repro.data.preparing.tokenise import Target, Task, document, tokenise, tokenise_files
from repro.errors import DataError
from tests.data.trees import WORDS, contents, source
from tests.data.written import zipped

VOCABULARY = 320
NAME = "00012"
MEND = "mend it, or let such documents be left out with unusable=0.01 or more"


@pytest.fixture(scope="module")
def bpe(tmp_path_factory):
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    tokenizer.train(map(source, range(20)), VOCABULARY).save(str(path))
    return path


@pytest.fixture
def target(tmp_path, bpe):
    return Target(tmp_path / "set", bpe, VOCABULARY, tokenizer.EOS_ID)


@pytest.fixture
def made(tmp_path, target):
    """Tokenises files of JSON lines, each a list of texts; a text in bytes is a line as it is."""

    def made(*files, told=lambda n: None, split=None, **changes):
        listed = []
        for number, texts in enumerate(files):
            path = tmp_path / f"{number}.jsonl"
            lines = (text if isinstance(text, bytes) else json.dumps({"text": text}).encode() for text in texts)
            path.write_bytes(b"".join(line + b"\n" for line in lines))
            listed.append((InputFile(f"deep/{path.name}", "web", str(path), path.stat().st_size, split=split), path))
        rules = {"text_key": "text", "held_out": 4, "unusable": 0.0} | changes
        task = Task(name=NAME, subset="web", made_from="abc", files=tuple(listed), **rules)
        return tokenise_files(task, target, told)

    return made


@pytest.fixture
def refusal(made, target):
    """The one line in which files are refused; nothing of their shards stays."""

    def refusal(*files, **changes):
        with pytest.raises(DataError) as caught:
            made(*files, **changes)
        assert "\n" not in str(caught.value)
        assert contents(target.folder) == {}
        return str(caught.value)

    return refusal


def word_level(path, words, eos="</s>"):
    """A tokenizer for which a word is an id, the end of text too, unless it is made a special token."""
    vocabulary = {word: number for number, word in enumerate(words)}
    by = Tokenizer(models.WordLevel(vocabulary | {eos: len(vocabulary)}, unk_token=words[0]))
    by.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    by.save(str(path))
    return path


def is_held_out(text, held_out):
    return int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) % held_out == 0


def plainly_encoded(path, texts, eos_id, dtype="<u2"):
    """What `dolma tokens` writes of ``texts``: no header, the end of text after each."""
    by = Tokenizer.from_file(str(path))
    ids = [id for text in texts for id in (*by.encode(text, add_special_tokens=False).ids, eos_id)]
    return np.array(ids, dtype=dtype).tobytes()


TEXTS = [source(number, lines=number % 7 + 1) for number in range(60)]


@pytest.mark.parametrize("held_out", [1, 3, 20])
def test_the_hash_of_a_text_decides_its_split(made, target, held_out):
    piece = made(TEXTS, held_out=held_out)
    split = {
        "train": [text for text in TEXTS if not is_held_out(text, held_out)],
        "validation": [text for text in TEXTS if is_held_out(text, held_out)],
    }
    assert {shard.split: shard.documents for shard in piece.shards} == {
        name: len(texts) for name, texts in split.items() if texts
    }
    for shard in piece.shards:
        written = (target.folder / shard.file).read_bytes()
        assert written == plainly_encoded(target.tokenizer, split[shard.split], target.eos_id)
        assert shard.tokens == len(written) // 2
        assert shard.sha256 == hashlib.sha256(written).hexdigest()
        assert shard.bytes_of_text == sum(len(text.encode()) for text in split[shard.split])
        assert (shard.file, shard.subset, shard.start) == (f"{shard.split}/web-{NAME}.bin", "web", 0)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_the_split_of_a_publisher_stands(made, split):
    (shard,) = made(TEXTS, split=split).shards
    assert (shard.split, shard.documents) == (split, len(TEXTS))


def test_a_document_keeps_its_split_whatever_it_lies_beside(made, target):
    def held_out(*files):
        return {shard.split: (target.folder / shard.file).read_bytes() for shard in made(*files).shards}["validation"]

    assert held_out(TEXTS[:30], TEXTS[30:]) == held_out(TEXTS)
    assert held_out(TEXTS[:30]) + held_out(TEXTS[30:]) == held_out(TEXTS)


def test_a_piece_says_what_it_is_called_and_was_made_from(made):
    piece = made(TEXTS)
    assert (piece.name, piece.made_from, piece.left_out) == (NAME, "abc", {})


@pytest.mark.parametrize(
    ("subset", "name", "file"),
    [
        ("", "00003", "train/00003.bin"),
        ("", "train-00003", "train/00003.bin"),
        ("a b/../c:ö", "00003", "train/a_b_.._c_ö-00003.bin"),
    ],
)
def test_a_shard_is_called_as_its_subset_in_letters_that_a_folder_takes(target, subset, name, file):
    (shard,) = tokenise([document("a", "text", 7, "train")], target, name=name, subset=subset, made_from="").shards
    assert (shard.file, shard.subset) == (file, subset)
    assert (target.folder / DOCUMENTS / f"{name}.bin").is_file()


def test_the_hashes_of_all_documents_are_kept_in_order(made, target):
    piece = made(TEXTS[:30], TEXTS[30:])
    raw = (target.folder / DOCUMENTS / f"{NAME}.bin").read_bytes()
    assert piece.hashes == hashlib.sha256(raw).hexdigest()
    assert [int(number) for number in np.frombuffer(raw, "<u8")] == [
        int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) for text in TEXTS
    ]


def test_the_longest_document_is_told_with_its_place(made, bpe):
    texts = [TEXTS[0], source(99, lines=40), TEXTS[1]]
    longest = made(TEXTS[:5], texts, TEXTS[5:9]).longest
    assert longest.at == "deep/1.jsonl, line 2"
    assert longest.tokens == len(Tokenizer.from_file(str(bpe)).encode(texts[1]).ids) + 1


def test_of_documents_that_are_equally_long_the_first_is_the_longest(made):
    assert made([TEXTS[3]], [TEXTS[3], TEXTS[3]]).longest.at == "deep/0.jsonl, line 1"


def test_batches_change_no_byte(made, target, monkeypatch):
    whole, at_once = made(TEXTS, TEXTS[::-1]), contents(target.folder)
    monkeypatch.setattr(tokenizer, "_BATCH", 500)
    monkeypatch.setenv("RAYON_NUM_THREADS", "1")
    assert made(TEXTS, TEXTS[::-1]) == whole
    assert contents(target.folder) == at_once


def test_a_text_that_spells_the_end_of_text_is_encoded_as_letters(made, target):
    piece = made([f"a {tokenizer.EOS} b"], split="train")
    tokens = shards.read(target.folder / piece.shards[0].file, VOCABULARY)
    assert (tokens == target.eos_id).sum() == 1
    assert tokenizer.read(target.tokenizer).decode(tokens[:-1].tolist()) == f"a {tokenizer.EOS} b"


def test_an_end_of_text_within_a_text_is_refused(target, tmp_path):
    by = word_level(tmp_path / "words.json", WORDS)
    texts = [document(f"doc {number}", text, 7, "train") for number, text in enumerate(["def", "def </s> class"])]
    with pytest.raises(DataError) as caught:
        tokenise(texts, Target(target.folder, by, len(WORDS) + 1, len(WORDS)), name=NAME, subset="", made_from="")
    assert str(caught.value) == (
        f"{by} puts the end of a text, id {len(WORDS)}, into one of the texts from doc 0 to doc 1: "
        "expected a token that no text can spell"
    )
    assert contents(target.folder) == {}


def test_more_than_65536_entries_take_four_bytes(target, tmp_path):
    words = [f"w{number}" for number in range(70_000)]
    by = word_level(tmp_path / "words.json", words)
    texts = ["w0 w69999 w65536", "w1", " ".join(words[::-7])]
    documents = [document(str(number), text, 7, "train") for number, text in enumerate(texts)]
    piece = tokenise(documents, Target(target.folder, by, 70_001, 70_000), name=NAME, subset="", made_from="")
    (shard,) = piece.shards
    written = (target.folder / shard.file).read_bytes()
    assert written == plainly_encoded(by, texts, 70_000, "<u4")
    assert shard.tokens == len(written) // 4
    assert shards.read(target.folder / shard.file, 70_001)[:4].tolist() == [0, 69_999, 65_536, 70_000]


def test_an_id_beyond_the_vocabulary_is_refused_and_nothing_written(target, bpe):
    small = Target(target.folder, bpe, 300, tokenizer.EOS_ID)
    texts = [document(str(number), text, 4, None) for number, text in enumerate(TEXTS)]
    with pytest.raises(
        DataError, match=rf"web-{NAME}\.bin: token id 3\d\d is beyond the vocabulary: expected ids below 300"
    ):
        tokenise(texts, small, name=NAME, subset="web", made_from="")
    assert contents(target.folder) == {}


@pytest.mark.parametrize("files", [[], [[]], [[b"", b" "], [b""]]], ids=["no file", "an empty one", "blank lines"])
def test_a_piece_without_documents_has_no_shard(made, target, files):
    piece = made(*files)
    assert (piece.shards, piece.longest, piece.left_out) == ((), None, {})
    assert piece.hashes == hashlib.sha256(b"").hexdigest()
    assert contents(target.folder) == {f"{DOCUMENTS}/{NAME}.bin": b""}


def test_how_far_a_piece_is_read_is_told_over_all_its_files(made, tmp_path):
    read = []
    made(TEXTS[:20], TEXTS[20:30], TEXTS[30:], told=read.append)
    sizes = [(tmp_path / f"{number}.jsonl").stat().st_size for number in range(3)]
    assert read == sorted(read)
    assert read[-1] == sum(sizes)
    assert len(read) == len(TEXTS)


NOT_JSON = "not JSON: Expecting value: line 1 column 1 (char 0); expected an object with 'text' on each line"


def test_the_first_document_that_cannot_be_used_is_told_where_it_stands(refusal, tmp_path):
    said = refusal(TEXTS[:2], [*TEXTS[:3], b"plain words", b"\xff"])
    assert said == f"{tmp_path}/1.jsonl, line 4: {NOT_JSON}; {MEND}"


def test_unusable_documents_are_left_out_and_counted_by_reason(made, target):
    bad = [b"plain words", b"\xff", b"more words", b'{"text": ""}', b'{"body": "a"}']
    piece = made(TEXTS, [bad[0], *TEXTS[:8], *bad[1:]], unusable=0.5, split="train")
    assert piece.left_out == {"not JSON": 2, "not UTF-8": 1, "empty": 1, "no field 'text'": 1}
    (shard,) = piece.shards
    assert shard.documents == len(TEXTS) + 8
    written = (target.folder / shard.file).read_bytes()
    assert written == plainly_encoded(target.tokenizer, [*TEXTS, *TEXTS[:8]], target.eos_id)


def test_as_many_as_are_allowed_may_be_unusable_in_all_files_together(made):
    texts = [*TEXTS[:18], b"plain words", b"\xff"]
    assert made(texts, TEXTS, unusable=2 / (20 + len(TEXTS))).left_out == {"not JSON": 1, "not UTF-8": 1}


def test_more_than_are_allowed_are_refused_with_the_first_and_what_would_do(refusal, tmp_path):
    said = refusal(TEXTS[:20], [*TEXTS[:17], b"plain words", b"\xff", b"more words"], unusable=0.07)
    assert said == (
        f"{tmp_path}/1.jsonl, line 18: {NOT_JSON}; 3 of 40 documents of this file and those beside it cannot be used, "
        "more than unusable=0.07 allows: mend them, or leave them out with unusable=0.08"
    )


def test_all_may_be_unusable_where_that_is_asked_for(made):
    piece = made([b"plain words"], unusable=1.0)
    assert (piece.shards, piece.left_out) == ((), {"not JSON": 1})


def test_what_is_no_document_is_counted_and_needs_no_leave(tmp_path, target):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"a.txt": b"hej", "b.png": b"\0", "c.png": b"\0", "d": b"\0"}))
    file = InputFile("a.zip", "a", str(path), path.stat().st_size)
    task = Task(NAME, "a", "", ((file, path),), "text", 4, 0.0)
    piece = tokenise_files(task, target, lambda n: None)
    assert piece.left_out == {"not text (.png)": 2, "not text (no suffix)": 1}
    assert sum(shard.documents for shard in piece.shards) == 1


def test_a_damaged_file_leaves_nothing_of_the_piece(tmp_path, target):
    whole, broken = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    whole.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    broken.write_bytes(b"\x1f\x8b")
    files = tuple((InputFile(path.name, "a", str(path), 1), path) for path in (whole, broken))
    task = Task(NAME, "a", "", files, "text", 4, 0.0)
    with pytest.raises(DataError, match=r"b\.jsonl\.gz is damaged or ends early, after its beginning: "):
        tokenise_files(task, target, lambda n: None)
    assert contents(target.folder) == {}


def test_a_piece_that_is_stopped_leaves_nothing(made, target, monkeypatch):
    monkeypatch.setattr(tokenizer, "_BATCH", 500)
    seen = []

    def told(read):
        seen.append(read)
        if len(seen) == 50:
            assert list(target.folder.rglob(".*.bin*")), "the shards are being written"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(TEXTS, told=told)
    assert contents(target.folder) == {}
