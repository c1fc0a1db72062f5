"""Other programs' tokens to a set: the same batches as from the text, and one line where they cannot be used."""

import numpy as np
import pytest

from repro.data import tokenizer
from repro.data.files.inputs import InputFile, Listing
from repro.data.preparing import parallel
from repro.data.preparing import tokens as prepare_tokens
from repro.data.preparing.asking import order
from repro.data.preparing.files import Asked, prepare_files
from repro.data.preparing.tokenizer_files import given
from repro.data.preparing.tokens import AskedTokens
from repro.data.progress import silent
from repro.data.text import TextData
from repro.data.tokens.imports import token_files
from repro.errors import ReproError
from tests.data.token_files import dolma, megatron
from tests.data.written import (
    VOCABULARY,
    Command,
    Killed,
    json_lines,
    opened,
    own_tokenizer,
    prepare,
    refusal,
    texts,
    written,
)

PARTS = {"a": 60, "b": 25}  # documents by subset
HELD_OUT = 10
FOLDER = f"own-{VOCABULARY}"


@pytest.fixture(scope="module")
def by(tmp_path_factory):
    """The tokenizer that made the tokens."""
    return own_tokenizer(tmp_path_factory.mktemp("tokenizer") / "tokenizer.json")


@pytest.fixture(scope="module")
def encoded(by):
    """Ids of each document, by subset."""
    ours = tokenizer.read(by)
    return {subset: [ours.encode(text).ids for text in texts(ord(subset), n)] for subset, n in PARTS.items()}


def of_dolma(root, encoded):
    for subset, documents in encoded.items():
        dolma(root / subset / "part-0-00000.npy", documents, eos_id=0)


def of_megatron(root, encoded):
    """With documents of several sequences, in integers of twice the size that ours have."""
    for subset, documents in encoded.items():
        (root / subset).mkdir(parents=True)
        megatron(root / subset / "text_document.bin", documents, "int32", sentence=100, eos_id=0)


@pytest.fixture
def folder(tmp_path, encoded):
    """One of dolma's."""
    of_dolma(tmp_path / "tokens", encoded)
    return tmp_path / "tokens"


def from_text(imported, by, root):
    """Our own set of the same documents, in the same splits."""
    files = []
    for split in ("train", "validation"):
        for shard in imported.shards(split):
            documents = texts(ord(shard.subset), PARTS[shard.subset])
            own = documents[: shard.documents] if split == "train" else documents[-shard.documents :]
            path = root / split / f"{shard.subset}.jsonl"
            written(root, {f"{split}/{shard.subset}.jsonl": json_lines(own, "text")})
            files.append(InputFile(path.name, shard.subset, str(path), path.stat().st_size, split=split))
    return prepare_files(Asked("text", Listing(tuple(files), "a test", {}), given(str(by), root=root)), root=root)


def batches(prepared):
    options = {"context": 64, "sequences_per_step": 8, "micro_batch": 4, "steps": 60, "seed": 3, "workers": 0}
    data = TextData(prepared, validation_tokens=10**6, **options)
    return [batch.numpy().copy() for loader in (data.train_dataloader(), data.validation_batches()) for batch in loader]


@pytest.mark.parametrize("write", [of_dolma, of_megatron])
def test_tokens_give_the_same_batches_as_our_own_shards_of_their_text(write, encoded, by, root, tmp_path):
    write(tmp_path / "tokens", encoded)
    prepare(f"path={tmp_path / 'tokens'}", f"tokenizer={by}", f"held_out={HELD_OUT}")
    imported = opened(root / "tokens" / FOLDER)
    assert sum(total.documents for total in imported.manifest.totals.values()) == sum(PARTS.values())
    ours, theirs = batches(from_text(imported, by, tmp_path / "text")), batches(imported)
    assert len(ours) == len(theirs) > 120
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_bytes_that_are_ours_are_linked_to_and_others_converted(encoded, by, root, tmp_path):
    for write, linked in ((of_dolma, True), (of_megatron, False)):
        write(tmp_path / write.__name__, encoded)
        prepare(f"path={tmp_path / write.__name__}", f"tokenizer={by}")
        shards = [*(root / write.__name__ / FOLDER / "train").iterdir()]
        assert len(shards) == 2
        assert all(shard.is_symlink() == linked for shard in shards)


def test_processes_check_them_as_well(folder, by, tmp_path):
    command = Command([f"path={folder}", f"tokenizer={by}", "processes=2"], tmp_path)
    assert command.end() == (0, "")
    opened(tmp_path / "tokens" / FOLDER)


def test_a_restart_checks_no_file_again(folder, by, root, monkeypatch):
    checked, imported = [], prepare_tokens.imported

    def killed_at_b(file, **options):
        checked.append(file.subset)
        if checked == ["a", "b"]:
            raise Killed
        return imported(file, **options)

    monkeypatch.setattr(prepare_tokens, "imported", killed_at_b)
    words = f"path={folder}", f"tokenizer={by}", "processes=1"
    monkeypatch.setattr(parallel, "AHEAD", 1)
    with pytest.raises(Killed):
        prepare(*words)
    prepare(*words)
    assert checked == ["a", "b", "b"]
    opened(root / "tokens" / FOLDER)


def test_another_tokenizer_is_told_with_an_example(folder, root, tmp_path):
    other = own_tokenizer(tmp_path / "other.json", backwards=True)
    told = refusal(f"path={folder}", f"tokenizer={other}")
    assert "so these tokens are another tokenizer's: in the document at position " in told
    assert str(folder) in told
    assert not (root / "tokens" / FOLDER / "manifest.json").exists()


def test_tokens_without_a_tokenizer_ask_for_it(folder, root):
    for words in ((), ("tokenizer=bpe",)):
        assert refusal(f"path={folder}", *words) == (
            f"{folder} holds tokens, such as a/part-0-00000.npy: give the tokenizer that made them, tokenizer=FILE, or "
            "one of llama-2, olmo"
        )
    assert not root.exists()


@pytest.mark.parametrize("word", ["text_key=body", "unusable=0.1", "tokens=1e3", "shard=1/2", "vocab_size=320"])
def test_what_is_said_of_text_does_not_apply_to_tokens(word, folder, by, root):
    assert refusal(f"path={folder}", f"tokenizer={by}", word) == (
        f"{folder} holds tokens, such as a/part-0-00000.npy, to which {word.partition('=')[0]} does not apply"
    )
    assert not root.exists()


@pytest.mark.parametrize("eos_id", [-1, VOCABULARY])
def test_an_end_of_text_that_is_no_token_is_refused(eos_id, folder, by, root):
    told = refusal(f"path={folder}", f"tokenizer={by}", f"eos_id={eos_id}")
    assert told == f"eos_id={eos_id}: expected a whole number from 0 to {VOCABULARY - 1}, such as eos_id=0"


def test_text_beside_tokens_is_counted(folder, by, root):
    (folder / "notes.txt").write_text("Made yesterday.")
    listing = order(None, {"path": str(folder), "tokenizer": str(by)}, silent).asked.listing
    assert listing.left_out == {"text beside tokens": 1}


def test_an_id_beyond_the_vocabulary_is_told_with_its_place_and_leaves_nothing(encoded, by, root, tmp_path):
    wrong = [*encoded["a"][:30], [*encoded["a"][30], VOCABULARY], *encoded["a"][31:]]
    place = sum(len(ids) + 1 for ids in encoded["a"][:30]) + len(encoded["a"][30])
    path = dolma(tmp_path / "tokens" / "x.npy", wrong, eos_id=0)
    told = refusal(f"path={path.parent}", f"tokenizer={by}")
    assert told.startswith(f"{path}: token id {VOCABULARY} at position {place} is not of the vocabulary")
    assert not [*root.rglob("*.bin")]


def test_a_file_that_is_altered_later_is_told_and_taken_anew(folder, by, root):
    words = f"path={folder}", f"tokenizer={by}"
    prepare(*words)
    there = opened(root / "tokens" / FOLDER)
    path = folder / "a" / "part-0-00000.npy"
    ids = np.fromfile(path, "<u2")
    ids[10], ids[11] = ids[11], ids[10]
    ids.tofile(path)
    with pytest.raises(ReproError, match=r"train/a-00000\.bin is missing or altered: its sha256 is not the manifest's"):
        there.verify()
    prepare(*words)
    again = opened(root / "tokens" / FOLDER)
    assert again.fingerprint != there.fingerprint
    assert again.shards("train")[1] == there.shards("train")[1]


def test_a_file_that_is_gone_is_told(folder, by, root):
    prepare(f"path={folder}", f"tokenizer={by}")
    gone = folder / "a" / "part-0-00000.npy"
    gone.unlink()
    with pytest.raises(ReproError) as caught:
        opened(root / "tokens" / FOLDER)
    assert str(caught.value) == (
        f"{root / 'tokens' / FOLDER}/train/a-00000.bin links to {gone}, which is gone: put it back, or mend it with "
        f"`repro prepare path={folder} tokenizer=FILE`"
    )


@pytest.mark.parametrize("array", [np.ones((20, 4), "float32"), np.ones(9), np.ones((3, 3), int)])
def test_text_beside_an_array_of_something_else_is_read(array, tmp_path, root):
    folder = written(tmp_path / "letters", {"a.jsonl": json_lines(texts(1, 60), "text")})
    np.save(folder / "emb.npy", array)
    prepare(f"path={folder}", f"vocab_size={VOCABULARY}")
    there = opened(root / "letters" / f"bpe-{VOCABULARY}").manifest
    assert sum(total.documents for total in there.totals.values()) == 60
    assert there.left_out == {"not text (.npy)": 1}


def test_an_array_of_something_else_is_told_where_there_is_no_text(tmp_path, root):
    np.save(tmp_path / "emb.npy", np.ones(9))
    for path in (tmp_path, tmp_path / "emb.npy"):
        assert refusal(f"path={path}", "name=x").startswith(f"{tmp_path}/emb.npy is a numpy array of float64 and shape")


def test_an_array_of_something_else_among_tokens_is_told(folder, by, root):
    """Even beside text: the tokens must not be left out for its sake."""
    (folder / "notes.txt").write_text("Made yesterday.")
    np.save(folder / "emb.npy", np.ones(9))
    assert refusal(f"path={folder}", f"tokenizer={by}").startswith(f"{folder}/emb.npy is a numpy array of float64")


@pytest.mark.parametrize("write", [of_dolma, of_megatron])
def test_files_of_one_document_each_hold_nothing_out(write, encoded, by, root, tmp_path):
    write(tmp_path / "tokens", {"a": encoded["a"][:1], "b": encoded["b"][:1]})
    assert refusal(f"path={tmp_path / 'tokens'}", f"tokenizer={by}") == (
        f"{tmp_path / 'tokens'} holds so few documents that none is held out for validation, with held_out=20: "
        "expected more of them in a file, or a smaller held_out=N"
    )
    assert not (root / "tokens" / FOLDER / "manifest.json").exists()


def test_tokens_that_their_publisher_gives_for_validation_need_no_others(folder, by, root):
    files = token_files(folder)
    listing = Listing(
        tuple(InputFile(file.name, file.subset, str(file.path), file.size, split="validation") for file in files),
        "a test",
        {},
    )
    made = prepare_tokens.prepare_tokens(AskedTokens("tokens", listing, given(str(by), root=root), 20), root=root)
    assert made.tokens("train") == 0
    assert made.tokens("validation") > 0


def test_ids_that_no_tokenizer_has_are_told_with_their_place(by, root, tmp_path):
    (tmp_path / "tokens").mkdir()
    np.save(tmp_path / "tokens" / "a.npy", np.array([5, 9, -7, 0] * 9))
    assert refusal(f"path={tmp_path / 'tokens'}", f"tokenizer={by}").startswith(
        f"{tmp_path}/tokens/a.npy: token id -7 at position 2 is not of the vocabulary: expected ids from 0 to "
    )


def test_a_complete_set_of_another_tokenizer_is_refused(folder, by, root, tmp_path):
    prepare(f"path={folder}", f"tokenizer={by}")
    other = own_tokenizer(tmp_path / "other.json", backwards=True)
    told = refusal(f"path={folder}", f"tokenizer={other}")
    assert " is already prepared with tokenizer=" in told
    assert told.endswith("give another name=NAME, or remove that folder")
    opened(root / "tokens" / FOLDER)


@pytest.mark.parametrize("write", [dolma, megatron])
def test_documents_that_end_with_another_id_are_told_with_the_way_out_which_works(write, encoded, by, root, tmp_path):
    """Another than the tokenizer's own end of text, such as GPT-NeoX's 0 with OLMo's, which has the same ids."""
    other = tokenizer.read(by).encode("\x01").ids[0]
    write(tmp_path / "tokens.npy", encoded["a"], eos_id=other)
    words = f"path={tmp_path / 'tokens'}", f"tokenizer={by}"
    (tmp_path / "tokens").mkdir()
    for path in tmp_path.glob("tokens.*"):
        path.rename(tmp_path / "tokens" / path.name)
    told = refusal(*words)
    assert told.endswith(f"documents end with {'that' if write is dolma else other}, give eos_id={other}")
    prepare(*words, told.rpartition(" ")[2])
    there = opened(root / "tokens" / FOLDER)
    assert there.manifest.eos_id == other
    assert sum(total.documents for total in there.manifest.totals.values()) == PARTS["a"]
