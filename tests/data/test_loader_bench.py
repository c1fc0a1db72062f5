"""The benchmark of the loader: that it runs and what it names, never how fast."""

from repro.bench import loader
from repro.data.corpora import collect
from repro.data.manifest import Prepared


def test_it_measures_loading_at_three_contexts_and_tokenising(prepare_in, sources_folder, monkeypatch):
    def prepare(corpus, *, vocab_size, root, shard_bytes) -> Prepared:
        return prepare_in(root, shard_bytes=2**20)

    monkeypatch.setattr(loader, "prepare", prepare)
    monkeypatch.setattr(loader.corpora, "collect", lambda name, *_: collect(name, [sources_folder]))
    for name, value in {"CONTEXTS": (8, 16, 32), "TOKENS": 2**12, "BATCHES": 20, "ROUNDS": 1}.items():
        monkeypatch.setattr(loader, name, value)
    figures = list(loader.measure())
    assert [figure.unit for figure in figures] == 3 * ["Mtok/s per core"] + 2 * ["MB/s"] + ["%"]
    assert figures[0].case == "loading, context 8, micro-batch 16, 0 workers"
    assert all(figure.value > 0 for figure in figures)
