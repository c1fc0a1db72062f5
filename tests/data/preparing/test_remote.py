"""Files of the hub and the web to a set, through a server that fails as servers do."""

import gzip
import socket
from itertools import repeat
from pathlib import Path

import pytest
import yaml

from repro import cli, paths
from repro.data.files.network import WAITS
from repro.data.preparing import files as prepare_files
from repro.data.preparing import parallel
from repro.data.tokenizer import read
from tests.data.servers import drops, status
from tests.data.token_files import joined
from tests.data.trees import contents
from tests.data.written import (
    VOCABULARY,
    finished_pieces,
    in_place,
    json_lines,
    killed_at,
    opened,
    own_tokenizer,
    parquet,
    prepare,
    refusal,
    said,
    texts,
    written,
    zstd,
)

pytestmark = pytest.mark.usefixtures("root")

BOOKS = {
    "en/a.jsonl.gz": gzip.compress(json_lines(texts(1, 60), "text"), mtime=0),
    "en/b.jsonl.zst": zstd(json_lines(texts(2, 60), "text")),
    "fr/c.parquet": parquet(texts(3, 80), "text"),
    "it/d.jsonl": json_lines(texts(4, 50), "text"),
}
MIXED = {"mixed": {"en": ["en/*"], "fr": ["fr/*"], "it": ["it/*"]}, "held_out": 20}
BPE = f"vocab_size={VOCABULARY}"
FOLDER = Path("books") / f"bpe-{VOCABULARY}"
AGAIN = "run the same command again"


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    """Writes the manifest of a data set that the kit then knows beside its own."""
    manifests = tmp_path / "facts" / "manifests"
    manifests.mkdir(parents=True)
    for path in (paths.data() / "manifests").iterdir():
        (manifests / path.name).symlink_to(path)
    monkeypatch.setattr(paths, "data", lambda: tmp_path / "facts")

    def manifest(read, *, kind="hub", source="someone/books", tokenizer="bpe", **more):
        facts = dict.fromkeys(("files", "bytes", "tokens"), "not known") | {"about": "Books", "licence": "ours"} | more
        facts |= {"kind": kind, "source": source, "revision": "main", "tokenizer": tokenizer}
        (manifests / "books.yaml").write_text(yaml.safe_dump(facts | {"read": {"holds": "text"} | read}))

    return manifest


@pytest.fixture
def books(server, manifest):
    """Books on the hub; their server."""
    server.publish("someone/books", BOOKS)
    manifest(MIXED)
    return server


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What comes of the same files in a folder of one's own: of their tokens, since the pages name the places."""
    folder = written(tmp_path_factory.mktemp("own") / "books", BOOKS)
    root = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_DATA", str(root))
        patch.setattr(parallel, "workers", in_place)
        prepare(f"path={folder}", "name=own", BPE)
    return tokens(root / "own" / FOLDER.name)


def tokens(folder):
    return {name: raw for name, raw in contents(folder).items() if name.endswith((".bin", "tokenizer.json"))}


def test_a_set_of_the_hub_is_that_of_its_files_in_a_folder(books, whole, root):
    prepare("books", BPE)
    assert tokens(root / FOLDER) == whole
    there = opened(root / FOLDER)
    commit = books.repositories["someone/books"]["commit"]
    assert there.manifest.found_in == f"huggingface.co/datasets/someone/books at {commit}"
    assert there.manifest.totals["train"].documents + there.manifest.totals["validation"].documents == 250


def test_what_was_fetched_is_removed_when_it_is_used(books, root, monkeypatch):
    waiting, tokenise_files = [], prepare_files.tokenise_files

    def counting(task, *rest):
        waiting.append({path.name.partition("-")[2] for path in root.rglob("*.downloads/*")})
        return tokenise_files(task, *rest)

    monkeypatch.setattr(prepare_files, "tokenise_files", counting)
    monkeypatch.setattr(parallel, "AHEAD", 1)
    prepare("books", f"tokenizer={own_tokenizer(root.parent / 'tokenizer.json')}", "processes=1")
    assert sorted(map(sorted, waiting)) == [["a.jsonl.gz", "b.jsonl.zst"], ["c.parquet"], ["d.jsonl"]]
    assert {path.name for path in (root / "books").iterdir()} == {f"own-{VOCABULARY}", f"own-{VOCABULARY}.lock"}


def test_the_publishers_splits_are_kept(server, manifest, root):
    server.publish("someone/books", BOOKS)
    manifest({"train": {"en": ["en/*"]}, "validation": {"held": ["it/*"]}})
    prepare("books", BPE)
    there = opened(root / FOLDER)
    assert {(s.split, s.subset, s.documents) for s in there.manifest.shards} == {
        ("train", "en", 120),
        ("validation", "held", 50),
    }
    (held,) = there.shards("validation")
    ids = [there.tokenizer().encode(text).ids for text in texts(4, 50)]
    assert there.map(held).tolist() == joined(ids, eos_id=0).tolist()
    assert not server.asked("fr/c.parquet"), "what no pattern selects is not fetched"


def test_a_part_takes_every_file_of_the_publishers_validation(server, manifest, root):
    server.publish("someone/books", BOOKS)
    manifest({"train": {"en": ["en/*"], "fr": ["fr/*"]}, "validation": {"held": ["it/*"]}})
    prepare("books", BPE, "tokens=100")
    assert {(s.split, s.subset) for s in opened(root / FOLDER).manifest.shards} == {
        ("train", "en"),
        ("validation", "held"),
    }


def test_a_download_that_breaks_off_goes_on_where_it_ended(books, whole, root):
    books.fails("c.parquet", [drops(500), drops(1000)])
    prepare("books", BPE)
    assert tokens(root / FOLDER) == whole
    assert [headers.get("Range") for headers in books.asked("c.parquet")] == [None, "bytes=500-", "bytes=1500-"]


def test_a_download_that_never_ends_keeps_its_part_for_the_next_time(books, whole, root):
    books.fails("c.parquet", [drops(500), *[drops(0)] * (1 + len(WAITS))])
    told = refusal("books", BPE)
    assert told.endswith(f"; the part of 500 bytes is kept, {AGAIN}")
    prepare("books", BPE)
    assert tokens(root / FOLDER) == whole
    assert books.asked("c.parquet")[-1]["Range"] == "bytes=500-"


def test_another_file_than_was_published_is_told_and_not_used(books, whole, root):
    right = BOOKS["it/d.jsonl"]
    books.replace("it/d.jsonl", right.replace(b"token", b"tokem", 1))
    told = refusal("books", BPE)
    host = books.address.removeprefix("http://")
    assert told.startswith(f"it/d.jsonl as {host} has it: expected sha256 ")
    assert told.endswith(f"; removed, {AGAIN}")
    books.replace("it/d.jsonl", right)
    prepare("books", BPE)
    assert tokens(root / FOLDER) == whole


def test_a_server_that_is_overloaded_is_asked_again(books, whole, root):
    books.fails("a.jsonl.gz", [status(503), status(503), status(429, Retry_After="9")])
    prepare("books", BPE)
    assert tokens(root / FOLDER) == whole
    assert books.waits == [*WAITS[:2], 9]


def test_a_server_that_stays_overloaded_is_told_and_the_rest_is_kept(books, whole, root, monkeypatch):
    by = f"tokenizer={own_tokenizer(root.parent / 'tokenizer.json')}"
    monkeypatch.setattr(parallel, "AHEAD", 1)
    books.fails("d.jsonl", [status(503)] * (1 + len(WAITS)))
    told = refusal("books", by, "processes=1")
    assert "answers 503 (Service Unavailable) to http" in told
    assert told.endswith(f"; {AGAIN}")
    folder = root / "books" / f"own-{VOCABULARY}"
    kept = finished_pieces(folder)
    assert {path.name.partition("-")[0] for path in kept} == {"en", "fr"}
    prepare("books", by)
    opened(folder)
    assert kept.items() <= finished_pieces(folder).items()
    assert [len(books.asked(name)) for name in BOOKS] == [1, 1, 1, 2 + len(WAITS)], "nothing is fetched again"


@pytest.mark.parametrize("answer", [401, 403])
def test_a_gated_set_says_where_to_ask_for_it(server, manifest, root, answer):
    server.publish("someone/books", BOOKS, gated=answer)
    manifest(MIXED)
    told = refusal("books", BPE)
    assert "since someone/books is gated: accept its terms at https://huggingface.co/datasets/someone/books, " in told
    assert told.endswith("then `hf auth login` or set HF_TOKEN")
    assert not server.waits
    assert not list(root.rglob("*.bin"))


def test_a_gated_tokenizer_says_how_to_bring_it(books, root):
    told = refusal("books", "tokenizer=llama-2")
    assert told.startswith("the tokenizer llama-2 is not here and may not be fetched for you: accept the terms at ")
    assert told.endswith("and give tokenizer=FILE")


def test_without_a_network_one_line_says_so(manifest, server, root, monkeypatch, capsys):
    manifest(MIXED)
    with socket.socket() as closed:  # bound, and listening to nobody
        closed.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", f"http://{host}")
        assert cli.status(["prepare", "books", BPE]) == 2
    out, told = capsys.readouterr()
    assert out == ""
    assert told.startswith(f"repro: cannot reach {host}: ")
    assert told.endswith(f"; {AGAIN}\n")
    assert told.count("\n") == 1
    assert not root.exists()


def test_what_was_all_fetched_is_finished_without_a_network(books, whole, root, monkeypatch):
    """As on a machine whose jobs have none."""

    assert killed_at(0, prepare_files.Making, "commit", "books", BPE)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    del books.requests[:]
    prepare("books", BPE)
    assert tokens(root / FOLDER) == whole
    assert not books.requests


def test_a_dry_run_asks_for_the_list_only(books, root):
    lines = said("books", BPE, "dry_run=true", "processes=2")
    assert lines[0] == f"books: 4 files of huggingface.co/datasets/someone/books at {commit_of(books)}"
    total = sum(map(len, BOOKS.values())) / 1e6
    assert lines[1] == f"to read: 4 files, {total:.1f} MB as stored, of which {total:.1f} MB to fetch"
    assert not any("/resolve/" in path for path, _ in books.requests)
    assert not root.exists()


def commit_of(server):
    return server.repositories["someone/books"]["commit"]


# Tokens


@pytest.fixture
def evaluation(server, manifest, tmp_path):
    """Two validation sets of the web as ppl-validation-v3 has them: no list, no digest; and their tokenizer."""
    by = own_tokenizer(tmp_path / "tokenizer.json")
    files = {}
    for subset, n in (("c4_en", 30), ("pile", 20)):
        ids = joined([read(by).encode(text).ids for text in texts(n, n)], eos_id=0)
        files[subset] = server.put(f"eval/v3/{subset}/val/part-0-00000.npy", ids.astype("<u2").tobytes())
    manifest(
        {"holds": "tokens", "validation": {subset: [f"{subset}/*"] for subset in files}},
        kind="web",
        source=f"{server.address}/eval/v3",
        addresses=[*files.values()],
        tokenizer="olmo",
    )
    return by


def test_validation_sets_of_tokens_are_taken_from_the_web(server, evaluation, root):
    prepare("books", f"tokenizer={evaluation}")
    there = opened(root / "books" / f"own-{VOCABULARY}")
    assert [(s.split, s.subset, s.documents) for s in there.manifest.shards] == [
        ("validation", "c4_en", 30),
        ("validation", "pile", 20),
    ]
    assert there.tokens("train") == 0
    for shard, n in zip(there.shards("validation"), (30, 20), strict=True):
        ids = joined([read(evaluation).encode(text).ids for text in texts(n, n)], eos_id=0)
        assert there.map(shard).tolist() == ids.tolist()
    before = len(server.requests)
    prepare("books", f"tokenizer={evaluation}")
    assert len(server.requests) == before


def test_a_file_of_tokens_that_is_not_there_is_told_before_any_is_fetched(server, evaluation, root):
    server.fails("pile/val/part-0-00000.npy", repeat(status(404)))
    told = refusal("books", f"tokenizer={evaluation}")
    assert "answers 404 (Not Found) to " in told
    assert "pile/val/part-0-00000.npy" in told
    assert not list(root.rglob("*.npy*"))


def test_tokens_of_the_web_that_were_cut_are_fetched_to_their_end(server, evaluation, root):
    server.fails("c4_en/val/part-0-00000.npy", [drops(0), drops(999), drops(1)])
    prepare("books", f"tokenizer={evaluation}")
    assert opened(root / "books" / f"own-{VOCABULARY}").manifest.shards[0].documents == 30
