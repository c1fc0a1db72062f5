"""The tokenizer that a set is made with: the paper's, or a file of a person's own."""

import hashlib
from itertools import repeat
from pathlib import Path

import pytest
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers

from repro import paths
from repro.data import tokenizer
from repro.data.preparing.tokenizer_files import ENDS, PAPERS, Given, Own, given, prepared_folder
from repro.errors import DataError
from repro.recipe import sources
from tests.data.servers import status
from tests.data.trees import source

OLMO = {"source": "allenai/OLMo-1B", "revision": "5e" * 20, "file": "tokenizer.json", "gated": False}
LLAMA = {"source": "meta-llama/Llama-2-7b-hf", "revision": "5e" * 20, "file": "tokenizer.json", "gated": True}
TEXT = "class order yields\n"


def words(n, *more):
    """A tokenizer of ``n`` words, and of ``more``."""
    vocabulary = [*(f"w{number}" for number in range(n)), *more]
    by = Tokenizer(models.WordLevel({word: number for number, word in enumerate(vocabulary)}, unk_token="w0"))
    by.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return by


def content(by):
    return by.to_str(pretty=True).encode()


def digest(raw):
    return hashlib.sha256(raw).hexdigest()


@pytest.fixture(scope="module")
def bpe():
    """What stands for OLMo's here."""
    return tokenizer.train(map(source, range(20)), 300)


@pytest.fixture(scope="module")
def olmo(bpe):
    return content(bpe)


@pytest.fixture(scope="module")
def llama():
    return content(words(40, "</s>"))


@pytest.fixture
def root(bpe, olmo, tmp_path, monkeypatch):
    """The folder of prepared data, with manifests of small tokenizers in place of the paper's."""
    manifests = tmp_path / "facts" / "manifests" / "tokenizers"
    manifests.mkdir(parents=True)
    common = {"about": "", "licence": "ours"}
    probes = {TEXT: bpe.encode(TEXT).ids}
    entries = {"vocab_size": 300, "eos": tokenizer.EOS, "eos_id": 0, "sha256": digest(olmo), "probes": probes}
    (manifests / "olmo.yaml").write_text(yaml.safe_dump(common | OLMO | entries))
    entries = {"vocab_size": 41, "eos": "</s>", "eos_id": 40, "sha256": "not known", "probes": {"w3 w1": [3, 1]}}
    (manifests / "llama-2.yaml").write_text(yaml.safe_dump(common | LLAMA | entries))
    monkeypatch.setattr(paths, "data", lambda: tmp_path / "facts")
    return tmp_path / "root"


def put(path, raw):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    return path


def publish(server, raw):
    return server.put(f"{OLMO['source']}/resolve/{OLMO['revision']}/{OLMO['file']}", raw)


def refusal(*arguments, **options):
    with pytest.raises(DataError) as caught:
        given(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_papers_tokenizers_are_those_that_have_a_manifest():
    assert sources.tokenizers() == PAPERS


def test_a_tokenizer_of_the_paper_is_taken_from_where_the_kit_keeps_it(root, llama):
    path = put(root / "tokenizers" / "llama-2" / "tokenizer.json", llama)
    assert given("llama-2", root=root) == Given("llama-2", path, 41, 40, digest(llama))


@pytest.mark.parametrize("name", ["tokenizer.json", "mine.json", "olmo"])
def test_a_file_of_the_papers_tokenizer_is_known_by_its_entries_whatever_it_is_called(root, tmp_path, olmo, name):
    path = put(tmp_path / "here" / name, olmo)
    assert given(str(path), root=root) == Given("olmo", path, 300, 0, digest(olmo))


def test_the_gated_one_may_be_given_as_a_file(root, tmp_path, llama):
    path = put(tmp_path / "llama.json", llama)
    assert given(str(path), root=root) == Given("llama-2", path, 41, 40, digest(llama))


def test_a_folder_with_a_tokenizer_is_as_good_as_the_file(root, tmp_path, olmo, monkeypatch):
    path = put(tmp_path / "here" / "tokenizer.json", olmo)
    monkeypatch.setenv("HOME", str(tmp_path))
    for word in (str(path.parent), "~/here", "~/here/tokenizer.json"):
        assert given(word, root=root).path == path


@pytest.mark.parametrize(
    "other",
    [words(39, "</s>", "w39"), words(41, "</s>"), words(1, *(f"v{number}" for number in range(39)), "</s>")],
    ids=["another end of text", "more entries", "other words"],
)
def test_what_differs_from_the_papers_is_a_persons_own(root, tmp_path, other):
    path = put(tmp_path / "tokenizer.json", content(other))
    made = given(str(path), root=root)
    assert made.kind == "own"
    assert (made.vocab_size, made.eos_id) == (other.get_vocab_size(), other.token_to_id("</s>"))


@pytest.mark.parametrize("end", ENDS)
def test_the_end_of_text_of_a_persons_own_goes_by_any_usual_name(root, tmp_path, end):
    path = put(tmp_path / "tokenizer.json", content(words(9, end)))
    assert given(str(path), root=root) == Given("own", path, 10, 9, digest(path.read_bytes()))


def test_of_several_names_for_the_end_of_text_the_first_that_is_known_counts(root, tmp_path):
    path = put(tmp_path / "tokenizer.json", content(words(9, *ENDS[::-1])))
    assert given(str(path), root=root).eos_id == 9 + len(ENDS) - 1


def test_entries_are_counted_to_the_largest_id_where_some_are_left_out(root, tmp_path):
    by = Tokenizer(models.WordLevel({"w0": 0, "w1": 7, "</s>": 9}, unk_token="w0"))
    path = put(tmp_path / "tokenizer.json", content(by))
    assert (given(str(path), root=root).vocab_size, given(str(path), root=root).eos_id) == (10, 9)


def test_a_tokenizer_without_an_end_of_text_is_refused(root, tmp_path):
    path = put(tmp_path / "tokenizer.json", content(words(9)))
    assert refusal(str(path), root=root) == (
        f"{path} has no token for the end of a text: expected one of <|endoftext|>, </s>, <|end_of_text|>, <eos>, [EOS]"
    )


@pytest.mark.parametrize("word", ["missing.json", "empty", "lama-2"])
def test_a_file_that_is_not_there_is_told_with_what_is_expected(root, tmp_path, monkeypatch, word):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    assert refusal(word, root=root) == (
        f"tokenizer={word}: there is no such file; expected a tokenizer.json, a folder with one, or one of "
        "llama-2, olmo, bpe"
    )


def test_sentencepieces_own_format_is_refused_with_where_the_other_is_found(root, tmp_path):
    path = put(tmp_path / "tokenizer.model", b"\n\x0e\n\x05<unk>")
    said = refusal(str(path), root=root)
    assert said.startswith(f"tokenizer={path} is SentencePiece's own format: expected tokenizer.json, ")
    assert "-hf" in said


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff\xfe", b"[]"])
def test_a_file_that_is_no_tokenizer_is_named(root, tmp_path, raw):
    path = put(tmp_path / "tokenizer.json", raw)
    assert refusal(str(path), root=root).startswith(f"{path} is not a tokenizer: ")


def test_a_gated_tokenizer_that_is_not_here_says_what_to_do_and_asks_no_server(root, server):
    assert refusal("llama-2", root=root) == (
        "the tokenizer llama-2 is not here and may not be fetched for you: accept the terms at "
        "https://huggingface.co/meta-llama/Llama-2-7b-hf, download tokenizer.json there, and give tokenizer=FILE"
    )
    assert server.requests == []
    assert not root.exists()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (words(41, "</s>"), "it has 42 entries, expected 41"),
        (words(39, "</s>", "w39"), "</s> is 39, expected 40"),
        (words(40, "<s>"), "</s> is None, expected 40"),
        (
            words(1, "w3", "w1", *(f"v{number}" for number in range(37)), "</s>"),
            "'w3 w1' becomes [1, 2], expected [3, 1]",
        ),
    ],
)
def test_another_tokenizer_under_the_name_of_the_papers_is_refused(root, other, said):
    path = put(root / "tokenizers" / "llama-2" / "tokenizer.json", content(other))
    assert refusal("llama-2", root=root) == f"{path} is not the tokenizer llama-2: {said}"


def test_a_tokenizer_of_the_paper_is_fetched_once(root, server, olmo):
    publish(server, olmo)
    first = given("olmo", root=root)
    assert first == Given("olmo", first.path, 300, 0, digest(olmo))
    assert first.path.is_relative_to(root / "tokenizers" / "olmo")
    assert len(server.requests) == 1
    assert given("olmo", root=root) == first
    assert len(server.requests) == 1


def test_a_server_that_answers_late_is_asked_again(root, server, olmo):
    publish(server, olmo)
    server.fails("tokenizer.json", [status(503), status(503)])
    assert given("olmo", root=root).sha256 == digest(olmo)
    assert len(server.waits) == 2


def test_a_fetched_tokenizer_has_the_digest_that_is_published(root, server, olmo):
    publish(server, olmo.replace(b"ByteLevel", b"BiteLevel"))
    said = refusal("olmo", root=root)
    assert f"expected sha256 {digest(olmo)[:12]}, found " in said
    assert said.endswith("removed, run the same command again")
    assert list((root / "tokenizers" / "olmo").iterdir()) == []


def test_a_tokenizer_that_was_altered_where_it_lies_is_fetched_again(root, server, olmo):
    publish(server, olmo)
    path = given("olmo", root=root).path
    path.write_bytes(olmo[:-1])
    assert given("olmo", root=root).path.read_bytes() == olmo


@pytest.mark.parametrize("code", [404, 503])
def test_a_tokenizer_that_cannot_be_fetched_is_told_in_one_line(root, server, olmo, code):
    publish(server, olmo)
    server.fails("tokenizer.json", repeat(status(code)))
    assert f"answers {code}" in refusal("olmo", root=root)
    assert not list(root.rglob("tokenizer.json"))


def test_a_set_lies_by_its_corpus_its_kind_of_tokenizer_and_its_entries(tmp_path, monkeypatch):
    assert prepared_folder("c4", "olmo", 50_280, tmp_path) == tmp_path / "c4" / "olmo-50280"
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    assert prepared_folder("c4", "own", 7) == tmp_path / "c4" / "own-7"


def test_our_own_is_a_bpe_whose_end_of_text_is_its_first_entry():
    assert (Own(4096).kind, Own(4096).vocab_size, Own(4096).eos_id) == ("bpe", 4096, 0)
