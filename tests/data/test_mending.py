"""What a damaged set says that mends it: words that `repro prepare` takes, and that make the same set again."""

import shlex

import pytest

from repro.data.manifest import MANIFEST, Manifest, Prepared
from repro.data.mending import mend
from repro.errors import DataError
from tests.data.trees import contents
from tests.data.written import VOCABULARY, json_lines, opened, prepare, texts, written


def of(shared_set, corpus, kind, vocab_size, **settings):
    """What a set of those words says, which need not be there."""
    tokenizer = shared_set.manifest.tokenizer.model_copy(update={"kind": kind})
    changes = {"corpus": corpus, "tokenizer": tokenizer, "vocab_size": vocab_size, "settings": settings}
    return mend(Manifest.model_construct(**dict(shared_set.manifest) | changes))


@pytest.mark.parametrize(
    ("corpus", "kind", "vocab_size", "settings", "words"),
    [
        ("python-stdlib", "bpe", 4096, {}, "python-stdlib vocab_size=4096"),
        ("olmoe-mix-0924", "olmo", 50_280, {"tokens": "1000"}, "olmoe-mix-0924 tokens=1000"),
        ("olmoe-mix-0924", "bpe", 8192, {}, "olmoe-mix-0924 tokenizer=bpe vocab_size=8192"),
        ("redpajama-1t", "llama-2", 32_000, {"held_out": "50"}, "redpajama-1t held_out=50 tokenizer=FILE"),
        ("ppl-validation-v3", "olmo", 50_280, {"eos_id": "0"}, "ppl-validation-v3 eos_id=0"),
        ("mine", "bpe", 300, {"path": "/a/mine", "text_key": "body"}, "path=/a/mine text_key=body vocab_size=300"),
        ("mine", "own", 700, {"path": "/a/my letters"}, "'path=/a/my letters' tokenizer=FILE name=mine"),
        ("mine", "olmo", 50_280, {"path": "/a/mine.jsonl"}, "path=/a/mine.jsonl tokenizer=olmo"),
    ],
)
def test_the_words_that_prepared_it_are_told(shared_set, corpus, kind, vocab_size, settings, words):
    assert of(shared_set, corpus, kind, vocab_size, **settings) == f"mend it with `repro prepare {words}`"


def test_what_no_manifest_tells_is_not_made_up(shared_set):
    """A published set under another name."""
    assert of(shared_set, "my-c4", "bpe", 8192, tokens="1000") == "prepare it again as it was prepared"


def told(folder):
    """The words of the command that the damaged set in ``folder`` tells."""
    with pytest.raises(DataError) as caught:
        Prepared.open(folder)
    return shlex.split(str(caught.value).partition("mend it with `repro prepare ")[2].partition("`")[0])


def test_the_command_that_a_damaged_set_tells_mends_it(tmp_path, root):
    written(tmp_path / "my letters", {"a.jsonl": json_lines(texts(1, 60), "body")})
    prepare(
        f"path={tmp_path / 'my letters'}", "text_key=body", f"vocab_size={VOCABULARY}", "held_out=7", "name=letters"
    )
    folder = root / "letters" / f"bpe-{VOCABULARY}"
    whole = contents(folder)
    path = folder / opened(folder).shards("train")[0].file
    path.write_bytes(path.read_bytes()[:-2])
    prepare(*told(folder))
    assert contents(folder) == whole


def test_a_set_whose_manifest_cannot_be_read_is_told_to_be_prepared_as_it_was(tmp_path, root):
    written(tmp_path / "letters", {"a.jsonl": json_lines(texts(1, 60), "text")})
    prepare(f"path={tmp_path / 'letters'}", f"vocab_size={VOCABULARY}")
    path = root / "letters" / f"bpe-{VOCABULARY}" / MANIFEST
    path.write_text(path.read_text()[:-50])
    with pytest.raises(DataError, match=r"cannot be used: .*; prepare it again as it was prepared$"):
        Prepared.open(path.parent)
