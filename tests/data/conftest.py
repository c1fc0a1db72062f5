"""A small library of generated sources, a folder of files of every format, and what the kit prepares from them."""

import pytest

from repro.data.preparing import parallel
from repro.data.preparing.embedded import prepare
from tests.data.servers import serving
from tests.data.trees import library
from tests.data.written import every_format, in_place

VOCABULARY = 320
SHARD_BYTES = 8000  # several shards


@pytest.fixture(scope="session")
def sources_folder(tmp_path_factory):
    return library(tmp_path_factory.mktemp("library"))


@pytest.fixture
def prepare_in(sources_folder):
    """Prepares the small library below a root."""

    def prepare_in(root, **changes):
        options = {"vocab_size": VOCABULARY, "roots": [sources_folder], "shard_bytes": SHARD_BYTES}
        return prepare("python-stdlib", root=root, **(options | changes))

    return prepare_in


@pytest.fixture
def small_set(prepare_in, tmp_path):
    """The small library, prepared, for a test that damages it."""
    return prepare_in(tmp_path / "prepared")


@pytest.fixture(scope="session")
def shared_set(sources_folder, tmp_path_factory):
    """The same for tests that only read."""
    root = tmp_path_factory.mktemp("prepared")
    return prepare("python-stdlib", vocab_size=VOCABULARY, root=root, roots=[sources_folder], shard_bytes=SHARD_BYTES)


@pytest.fixture(scope="session")
def every(tmp_path_factory):
    """What asks for a folder of every format."""
    return every_format(tmp_path_factory.mktemp("corpus") / "every")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Where `repro prepare` prepares in the test's process, by threads."""
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(parallel, "workers", in_place)
    return tmp_path / "data"


@pytest.fixture
def server(monkeypatch):
    """A hub and a web server on this machine."""
    with serving(monkeypatch) as server:
        yield server
