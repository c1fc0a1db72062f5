"""The manifests of data sets and of tokenizers."""

import re
from fnmatch import fnmatchcase

import pytest

from repro import paths
from repro.errors import DataError, RecipeError
from repro.recipe import sources

EMBEDDED = ("python-packages", "python-stdlib")
NAMES = (
    "c4",
    "fineweb-edu-sample",
    "olmoe-mix-0924",
    "ppl-validation-v3",
    *EMBEDDED,
    "redpajama-1t",
    "redpajama-1t-sample",
    "wikipedia",
    "wikitext-103",
)
PUBLISHED = [name for name in NAMES if name not in EMBEDDED]
COMMIT = re.compile(r"[0-9a-f]{40}")

# Files that are known to exist: seen in listings of the repositories, or fetched by others' scripts.
FILES = {
    "c4": {
        "en/c4-train.00000-of-01024.json.gz": ("train", "c4"),
        "en/c4-validation.00000-of-00008.json.gz": ("validation", "c4"),
        "en.noclean/c4-train.00030-of-07168.json.gz": None,
        "realnewslike/c4-train.00000-of-00512.json.gz": None,
        "gu/train/0000.parquet": None,
    },
    "fineweb-edu-sample": {
        "sample/10BT/000_00000.parquet": ("mixed", "fineweb-edu"),
        "sample/10BT/013_00000.parquet": ("mixed", "fineweb-edu"),
        "data/CC-MAIN-2024-10/000_00000.parquet": None,
    },
    "olmoe-mix-0924": {
        "data/dclm/dclm-0019.json.zst": ("mixed", "dclm"),
        "data/starcoder/github-issues-filtered-structured-0058.json.gz": ("mixed", "starcoder"),
        "data/pes2o/pes2o-0000.json.gz": ("mixed", "pes2o"),
        "data/arxiv/arxiv-0095.json.gz": ("mixed", "arxiv"),
        "data/open-web-math/046.jsonl.gz": ("mixed", "open-web-math"),
        "data/algebraic-stack/algebraic-stack-train-algebraic-stack-train-0000.json.gz": ("mixed", "algebraic-stack"),
        "data/wiki/wiki-0001.json.gz": ("mixed", "wiki"),
        "README.md": None,
        "olmoe-mix.png": None,
    },
    "ppl-validation-v3": {
        "c4_en/val/part-0-00000.npy": ("validation", "c4_en"),
        "dolma_common-crawl/val/part-0-00000.npy": ("validation", "dolma_common-crawl"),
    },
    "redpajama-1t": {
        "common_crawl/2019-30/en_head_0030.json.gz.dedup.classifier.jsonl.zst": ("mixed", "common_crawl"),
        "c4/c4-train.00000-of-01024.jsonl": ("mixed", "c4"),
        "github/filtered_a777da5620f1467f8df3616b17d533dc.sampled.jsonl": ("mixed", "github"),
        "arxiv/arxiv_024de5df-1b7f-447c-8c3a-51407d8d6732.jsonl": ("mixed", "arxiv"),
        "wikipedia/wiki.jsonl": ("mixed", "wikipedia"),
        "stackexchange/stackexchange.jsonl": ("mixed", "stackexchange"),
        "book/book.jsonl": None,
    },
    "redpajama-1t-sample": {
        "cc_2023-06_sample.jsonl": ("mixed", "common_crawl"),
        "c4_sample.jsonl": ("mixed", "c4"),
        "book_sample.jsonl": ("mixed", "book"),
        "RedPajama-Data-1T-Sample.py": None,
    },
    "wikipedia": {
        "20231101.en/train-00000-of-00041.parquet": ("mixed", "wikipedia"),
        "20231101.pt/train-00000-of-00006.parquet": None,
    },
    "wikitext-103": {
        "wikitext-103-raw-v1/train-00001-of-00002.parquet": ("train", "wikitext-103"),
        "wikitext-103-raw-v1/validation-00000-of-00001.parquet": ("validation", "wikitext-103"),
        "wikitext-103-raw-v1/test-00000-of-00001.parquet": None,
        "wikitext-103-v1/train-00000-of-00002.parquet": None,
    },
}


def selections(source):
    """Split, subset and pattern of all that a source reads."""
    return [
        (split, subset, pattern)
        for split in ("mixed", "train", "validation")
        for subset, patterns in getattr(source.read, split).items()
        for pattern in patterns
    ]


def test_every_data_set_of_the_design_has_a_manifest():
    assert sources.names() == NAMES
    assert set(FILES) == set(PUBLISHED)


@pytest.mark.parametrize("name", NAMES)
def test_a_manifest_reads_and_says_what_is_read_of_all_that_is_not_embedded(name):
    source = sources.load(name)
    assert source.name == name
    assert (source.read is None) == (source.kind == "embedded") == (name in EMBEDDED)


@pytest.mark.parametrize(
    ("name", "file", "expected"), [(name, *pair) for name, known in FILES.items() for pair in known.items()]
)
def test_patterns_select_the_files_that_are_meant_and_each_once(name, file, expected):
    found = [(split, subset) for split, subset, pattern in selections(sources.load(name)) if fnmatchcase(file, pattern)]
    assert found == ([] if expected is None else [expected])


@pytest.mark.parametrize("name", PUBLISHED)
def test_tokens_are_counted_of_the_subsets_that_are_read(name):
    source = sources.load(name)
    if source.subsets:
        assert list(source.subsets) == [subset for _, subset, _ in selections(source)]
        assert sum(source.subsets.values()) == pytest.approx(source.tokens, rel=1e-3)  # cards give three digits


@pytest.mark.parametrize("name", [name for name in PUBLISHED if sources.load(name).kind == "hub"])
def test_a_set_on_the_hub_names_its_repository_and_a_commit(name):
    source = sources.load(name)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", source.source)
    assert COMMIT.fullmatch(source.revision)
    assert not source.addresses


@pytest.mark.parametrize("name", [name for name in PUBLISHED if sources.load(name).kind == "web"])
def test_a_set_on_the_web_names_a_list_or_all_its_files(name):
    source = sources.load(name)
    if source.addresses:
        assert len(source.addresses) == source.files
        assert all(address.startswith(f"{source.source}/") for address in source.addresses)
    else:
        assert source.source.endswith(".txt")


def test_the_validation_sets_are_the_eleven_of_table_2_and_each_has_its_file():
    source = sources.load("ppl-validation-v3")
    below = [address.removeprefix(f"{source.source}/") for address in source.addresses]
    assert [name.split("/")[0] for name in below] == list(source.read.validation)
    assert len(source.read.validation) == 11
    assert (source.read.holds, source.read.mixed, source.read.train) == ("tokens", {}, {})


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_with_a_tokenizer_of_the_paper_finds_its_manifest(name):
    assert sources.load(name).tokenizer in {"bpe", *sources.tokenizers()}


def test_the_papers_tokenizers_are_pinned_and_end_documents_with_an_id_they_have():
    assert sources.tokenizers() == ("llama-2", "olmo")
    for name in sources.tokenizers():
        tokenizer = sources.load_tokenizer(name)
        assert COMMIT.fullmatch(tokenizer.revision)
        assert tokenizer.eos_id < tokenizer.vocab_size
        assert tokenizer.gated == (name == "llama-2")
        assert re.fullmatch(r"[0-9a-f]{64}|not known", tokenizer.sha256)
        assert tokenizer.probes
        assert all(ids and max(ids) < tokenizer.vocab_size for ids in tokenizer.probes.values())


def test_an_unknown_data_set_is_told_the_nearest():
    with pytest.raises(DataError, match=r"^no data set is called 'python-stdlb'\. Did you mean 'python-stdlib'\?"):
        sources.load("python-stdlb")


@pytest.mark.parametrize("name", ["c4", "wikipedia"])
def test_sets_of_figure_3_are_read_with_the_mixtures_tokenizer(name):
    assert sources.load(name).tokenizer == sources.load("olmoe-mix-0924").tokenizer == "olmo"


def stored(folder, monkeypatch, text):
    """``text`` as the manifest of a set called odd."""
    (folder / "manifests").mkdir()
    path = folder / "manifests" / "odd.yaml"
    path.write_text(text)
    monkeypatch.setattr(paths, "data", lambda: folder)
    return path


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("licences: two\n", "unknown key 'licences'. Did you mean 'licence'?"),
        ("read: {holds: words}\n", "read.holds is 'words'; expected 'text' or 'tokens'"),
        ("read: {hold: text}\n", "unknown key 'read.hold'. Did you mean 'holds'?"),
        ("read: {holds: text, mixed: {a: x}}\n", "read.mixed.a is 'x'; expected a list, such as [a, b]"),
        ("gated: yes\n", "gated is 'yes'; expected true or false"),
        ("gated: [\n", "did not find expected node content at line"),
        ("gated: true\ngated: true\n", "key 'gated' stands twice at line"),
    ],
)
def test_a_manifest_that_is_wrong_names_file_and_key(tmp_path, monkeypatch, added, said):
    original = (paths.data() / "manifests" / "python-stdlib.yaml").read_text()
    path = stored(tmp_path, monkeypatch, original + added)
    with pytest.raises(RecipeError) as refused:
        sources.load("odd")
    assert str(refused.value).startswith(f"{path}: {said}")
    assert "\n" not in str(refused.value)


def test_a_manifest_that_is_empty_or_lacks_a_key_says_so(tmp_path, monkeypatch):
    path = stored(tmp_path, monkeypatch, "")
    for text, said in (("", "holds NoneType; expected keys with values"), ("about: odd\n", "kind is missing")):
        path.write_text(text)
        with pytest.raises(RecipeError) as refused:
            sources.load("odd")
        assert str(refused.value) == f"{path}: {said}"


@pytest.mark.parametrize(
    ("written", "number"), [("1e9", 10**9), ("2_500", 2500), ("varies", "varies"), ("not known", "not known")]
)
def test_numbers_are_written_as_in_recipes(tmp_path, monkeypatch, written, number):
    original = (paths.data() / "manifests" / "c4.yaml").read_text()
    stored(tmp_path, monkeypatch, re.sub(r"(?m)^bytes: .*$", f"bytes: {written}", original))
    assert sources.load("odd").bytes == number


@pytest.mark.parametrize("written", ["many", "1.5"])
def test_a_size_that_is_no_number_names_its_key(tmp_path, monkeypatch, written):
    original = (paths.data() / "manifests" / "c4.yaml").read_text()
    path = stored(tmp_path, monkeypatch, re.sub(r"(?m)^bytes: .*$", f"bytes: {written}", original))
    with pytest.raises(RecipeError, match=rf"^{re.escape(str(path))}: bytes is .*; expected a whole number$"):
        sources.load("odd")
