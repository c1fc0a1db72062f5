"""The files of a data set, as they were when it was begun."""

import pytest

from repro import paths
from repro.data.files.remembered import remembered
from repro.errors import DataError
from repro.recipe.sources import Files, Source


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    return tmp_path


def source(revision="main"):
    read = Files(holds="text", mixed={"en": ("*.jsonl",)})
    unknown = {"files": "not known", "bytes": "not known", "tokens": "not known", "licence": "none"}
    where = {"kind": "hub", "source": "someone/books", "revision": revision, "read": read}
    return Source(name="books", about="books", tokenizer="bpe", **where, **unknown)


def test_the_hub_is_asked_once(server, root):
    server.publish("someone/books", {"a.jsonl": b"content"})
    first = remembered(source())
    server.publish("someone/books", {"a.jsonl": b"another", "b.jsonl": b"more"})
    asked = len(server.requests)
    assert remembered(source()) == first
    assert len(server.requests) == asked


def test_a_manifest_that_changes_is_listed_anew(server, root):
    server.publish("someone/books", {"a.jsonl": b"content"})
    remembered(source())
    other = source().model_copy(update={"read": Files(holds="text", mixed={"en": ("b.*",)})})
    with pytest.raises(DataError, match=r"'b\.\*' selects none of its 1 files"):
        remembered(other)


def test_a_damaged_memory_is_made_anew(server, root):
    server.publish("someone/books", {"a.jsonl": b"content"})
    first = remembered(source())
    (path,) = (paths.prepared() / "listings").iterdir()
    path.write_text(path.read_text()[:-5])
    assert remembered(source()) == first
