"""Which files of the hub or the web a corpus is made of, and the one line that says why they cannot be told."""

import hashlib
import socket

import pytest
from huggingface_hub import constants

from repro.data.files.fetch import fetch
from repro.data.files.listing import listed
from repro.data.files.network import WAITS
from repro.errors import DataError
from repro.recipe.sources import Files, Source
from tests.data.servers import status

BOOKS = {
    "README.md": b"about the books",
    "en/b.jsonl.gz": b"b in English",
    "en/a.jsonl.gz": b"a in English",
    "en/held.jsonl.gz": b"held out in English",
    "de/x y.jsonl.gz": b"x in German",
}


@pytest.fixture
def commit(server):
    """Of the books, which are on the hub."""
    return server.publish("someone/books", BOOKS, small=["README.md"])


def source(kind="hub", where="someone/books", revision="main", **read):
    """A manifest; by default of every .gz file of the books."""
    return Source(
        name="books",
        about="Books for tests",
        kind=kind,
        source=where,
        revision=revision,
        licence="ours",
        files="not known",
        bytes="not known",
        tokens="not known",
        tokenizer="bpe",
        read=Files(holds="text", **(read or {"mixed": {"all": ("*.gz",)}})),
    )


def names(listing):
    return [file.name for file in listing.files]


def refused(wanted):
    """The one line that listing ends with."""
    with pytest.raises(DataError) as caught:
        listed(wanted)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# The hub


def test_a_repository_is_listed_at_the_commit_of_its_revision(server, commit):
    listing = listed(source())
    assert listing.found_in == f"huggingface.co/datasets/someone/books at {commit}"
    assert listing.files[0].where.startswith(f"{server.address}/datasets/someone/books/resolve/{commit}/")
    assert listed(source(revision=commit)) == listing


def test_its_files_come_with_size_and_digest_over_all_pages(commit):
    listing = listed(source(mixed={"all": ("*",)}))
    assert {file.name: file.size for file in listing.files} == {name: len(content) for name, content in BOOKS.items()}
    digests = {file.name: file.sha256 for file in listing.files}
    assert digests.pop("README.md") is None
    assert digests == {name: hashlib.sha256(BOOKS[name]).hexdigest() for name in digests}


def test_a_listed_file_can_be_fetched(commit, tmp_path):
    for file in listed(source()).files:
        assert fetch(file, tmp_path).read_bytes() == BOOKS[file.name]


def test_files_are_in_the_order_of_the_subsets_and_by_name_in_each(commit):
    read = {
        "mixed": {"German": ("de/*",), "English": ("en/b*", "en/a*")},
        "validation": {"English": ("en/held*",)},
    }
    listing = listed(source(**read))
    assert [(file.name, file.subset, file.split) for file in listing.files] == [
        ("de/x y.jsonl.gz", "German", None),
        ("en/a.jsonl.gz", "English", None),
        ("en/b.jsonl.gz", "English", None),
        ("en/held.jsonl.gz", "English", "validation"),
    ]


def test_the_publishers_splits_are_kept(commit):
    listing = listed(source(train={"all": ("*/[abx]*",)}, validation={"all": ("*/held*",)}))
    assert [file.split for file in listing.files] == ["train"] * 3 + ["validation"]


def test_a_pattern_that_selects_nothing_is_told_with_the_nearest_name(commit):
    message = refused(source(mixed={"English": ("en/a.json.gz",)}))
    assert message.startswith(
        f"huggingface.co/datasets/someone/books at {commit}: 'en/a.json.gz' selects none of its 5"
    )
    assert message.endswith("Did you mean 'en/a.jsonl.gz'?")


def test_a_pattern_like_no_name_is_told_with_some_names(commit):
    assert refused(source(mixed={"all": ("0",)})).endswith("There is README.md, de/x y.jsonl.gz, en/a.jsonl.gz ...")


def test_a_file_that_two_patterns_select_is_refused(commit):
    read = {"train": {"English": ("en/*",)}, "validation": {"English": ("*/held*",)}}
    assert "'en/*' and '*/held*' both select en/held.jsonl.gz: expected one of them" in refused(source(**read))


def test_a_set_that_reads_no_files_is_refused():
    assert "the manifest of books lists no files" in refused(source().model_copy(update={"read": None}))


def test_a_repository_that_is_not_there_says_what_was_expected(server):
    message = refused(source(where="someone/bucks"))
    assert "answers 401 (Unauthorized): expected a data set called someone/bucks, or, if it is private," in message


def test_a_revision_that_is_not_there_is_named(commit):
    assert "someone/books has no revision refs/pr/1; expected `main`" in refused(source(revision="refs/pr/1"))


def test_a_name_that_no_repository_can_have_is_refused(server):
    message = refused(source(where="huggingface.co/datasets/someone/books"))
    assert "huggingface.co/datasets/someone/books" in message
    assert message.endswith("expected the name of a repository, such as allenai/c4")


def test_a_gated_repository_says_where_to_ask(server, commit):
    server.fails(f"/tree/{commit}", [status(403, X_Error_Code="GatedRepo")])
    assert "accept its terms at https://huggingface.co/datasets/someone/books, then `hf auth login`" in refused(
        source()
    )


def test_a_hub_that_cannot_answer_just_now_is_asked_again(server, commit):
    server.fails("/revision/main", [status(503), status(429, Retry_After="7")])
    assert names(listed(source()))
    assert server.waits == [WAITS[0], 7]


def test_a_page_that_is_not_the_hubs_is_told(server, commit):
    server.fails("/revision/main", [lambda handler, content: handler.send(200, {}, b"<html>log in")] * 6)
    assert f"127.0.0.1:{server.port} answers with something else than the hub does" in refused(source())


def test_without_a_network_one_line_says_who_cannot_be_reached(server, monkeypatch):
    with socket.socket() as closed:  # bound, and listening to nobody
        closed.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", f"http://{host}")
        message = refused(source())
    assert message.startswith(f"cannot reach {host}: ")
    assert message.endswith("; run the same command again")


def test_offline_mode_is_named_and_not_waited_for(server, commit, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in refused(source())
    assert not server.waits


# The web


def on_web(server, lines, **read):
    return source("web", server.put("v1/urls.txt", lines), **(read or {"mixed": {"all": ("*",)}}))


def test_a_list_names_a_file_a_line(server):
    host = f"127.0.0.1:{server.port}"
    far = f"http://localhost:{server.port}/de/x.jsonl"
    for path, size in {"v1/en/a.jsonl": 3, "v1/en/b c.jsonl": 4, "de/x.jsonl": 5}.items():
        server.put(path, b"." * size)
    lines = f"# the books\n\nen/a.jsonl\n  /v1/en/b%20c.jsonl?key=1 \r\n{far}\n".encode()
    listing = listed(on_web(server, lines))
    assert {file.name: (file.where, file.size, file.sha256) for file in listing.files} == {
        f"{host}/v1/en/a.jsonl": (f"http://{host}/v1/en/a.jsonl", 3, None),
        f"{host}/v1/en/b c.jsonl": (f"http://{host}/v1/en/b%20c.jsonl?key=1", 4, None),
        f"localhost:{server.port}/de/x.jsonl": (far, 5, None),
    }
    assert listing.found_in == f"http://{host}/v1/urls.txt, list of sha256 {hashlib.sha256(lines).hexdigest()[:12]}"


def test_a_file_of_a_list_that_is_not_there_is_told_before_any_work(server):
    server.put("v1/a.jsonl", b"content")
    assert f"answers 404 (Not Found) to {server.address}/v1/b.jsonl" in refused(on_web(server, b"a.jsonl\nb.jsonl"))


def test_names_are_below_the_longest_common_folder(server):
    lines = b"data/v1/en/a.jsonl\ndata/v1/en/b.jsonl\ndata/v1/de/x.jsonl\n"
    for line in lines.decode().split():
        server.put(f"v1/{line}", b"content")
    read = {"mixed": {"German": ("de/*",), "English": ("en/*",)}}
    assert names(listed(on_web(server, lines, **read))) == ["de/x.jsonl", "en/a.jsonl", "en/b.jsonl"]


def test_a_list_of_one_file_calls_it_by_its_last_name(server, tmp_path):
    server.put("v1/data/a.jsonl", b"content")
    (file,) = listed(on_web(server, b"data/a.jsonl")).files
    assert file.name == "a.jsonl"
    assert fetch(file, tmp_path).read_bytes() == b"content"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (b"# nothing\n", ": expected an address on each line, found none"),
        (b"a.jsonl\nftp://host/b.jsonl\n", "line 2: expected an http(s) address, found 'ftp://host/b.jsonl'"),
        (b"a.jsonl?1\na.jsonl?2\n", "a.jsonl?2 are both called a.jsonl: expected other names"),
        (b"a.jsonl\n\xff\n", "byte 8: expected a list in UTF-8"),
    ],
)
def test_a_list_that_cannot_be_used_is_told_with_its_place(lines, told, server):
    wanted = on_web(server, lines)
    assert refused(wanted).startswith(wanted.source)
    assert told in refused(wanted)


def test_a_manifest_can_list_the_addresses_itself(server):
    root = f"{server.address}/eval"
    addresses = tuple(server.put(f"eval/{name}/part-0.npy", b"tokens") for name in ("c4", "pile"))
    manifest = source("web", root, validation={"pile": ("pile/*",), "c4": ("c4/*",)})
    listing = listed(manifest.model_copy(update={"addresses": addresses}))
    assert [(file.name, file.where) for file in listing.files] == [
        ("pile/part-0.npy", addresses[1]),
        ("c4/part-0.npy", addresses[0]),
    ]
    assert listing.found_in.startswith(f"{root}, list of sha256 ")
    assert not server.asked("/eval")


def test_a_list_that_is_not_there_is_told(server):
    assert "answers 404 (Not Found) to " in refused(source("web", f"{server.address}/urls.txt"))


def test_a_list_is_asked_for_again(server):
    server.put("v1/a.jsonl", b"content")
    wanted = on_web(server, b"a.jsonl")
    server.fails("urls.txt", [status(503)] * 2)
    assert names(listed(wanted)) == ["a.jsonl"]
    assert server.waits == list(WAITS[:2])
