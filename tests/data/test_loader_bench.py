"""The benchmark of the loader: that it runs and what it names, never how fast."""

import pytest

from repro.bench import feeding, loader
from repro.data.corpora import collect
from repro.data.manifest import Prepared

# From Python 3.12 a fork of a process with threads warns; the workers only read files.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")


@pytest.fixture
def few(prepare_in, sources_folder, monkeypatch):
    """Has everything measured on a small library, once and briefly."""

    def prepare(corpus, *, vocab_size, root, shard_bytes) -> Prepared:
        return prepare_in(root, shard_bytes=2**20)

    monkeypatch.setattr(loader, "prepare", prepare)
    monkeypatch.setattr(loader.corpora, "collect", lambda name, *_: collect(name, [sources_folder]))
    for name, value in {"CONTEXTS": (8, 16, 32), "TOKENS": 2**12, "SHARDS": 4, "BATCHES": 20}.items():
        monkeypatch.setattr(loader, name, value)
    for name in ("ROUNDS", "TOKENISED"):
        monkeypatch.setattr(loader, name, 1)
    for name, value in {"STEPS": 5, "ROUNDS": 1, "PAUSE": 0.01, "SLEPT": 0.03}.items():
        monkeypatch.setattr(feeding, name, value)


def test_it_measures_loading_tokenising_and_verifying(few, monkeypatch):
    monkeypatch.setattr(feeding, "measure", lambda prepared: iter(()))
    figures = list(loader.measure())
    assert [figure.unit for figure in figures] == 3 * ["Mtok/s per core"] + 2 * (2 * ["MB/s"] + ["%"])
    assert figures[0].case == "loading, context 8, micro-batch 16, 0 workers"
    assert figures[4].case == "tokenising into a shard"
    assert figures[7].case == "verifying a set"
    assert all(figure.value > 0 for figure in figures)


def test_it_holds_loading_against_the_steps_that_plan_forecasts(few, monkeypatch, shared_set):
    real = feeding.load
    monkeypatch.setattr(feeding, "load", lambda name: real(name, ["data.context=16"]))
    monkeypatch.setattr(feeding, "RECIPES", ("dense-4m-polynorm", "dense-1b-polynorm"))
    slept = []
    monkeypatch.setattr(feeding, "sleep", slept.append)  # its own: other threads sleep too
    figures = list(feeding.measure(shared_set))
    assert [figure.unit for figure in figures] == 6 * ["ms a step", "% of the step"]
    assert figures[0].case.startswith("dense-4m-polynorm on gpu, 1 x 4096 sequences: one core loads")
    assert figures[3].case.endswith(": training waits for a thread, median")
    assert figures[-1].case.endswith(": training waits for a thread, 99th percentile")
    assert all(figure.value > 0 for figure in figures)
    assert all(0 < pause <= feeding.PAUSE for pause in slept)
    # A step of 65,536 tokens took so long, by either of its rows.
    milliseconds, percent = (figure.value for figure in figures[:2])
    assert 100 * milliseconds / percent == pytest.approx(1000 * feeding._step("dense-4m-polynorm").seconds)


def test_waits_that_are_rarely_long_are_told_by_their_median_and_what_is_rare(monkeypatch, shared_set):
    step = feeding._step("dense-4m-polynorm")
    monkeypatch.setattr(feeding, "_step", lambda name: step)
    monkeypatch.setattr(feeding, "_loading", lambda *_: 0.5)
    monkeypatch.setattr(feeding, "_waits", lambda *_: [0.001] * 30 + [0.003] * 65 + [0.9] * 5)
    monkeypatch.setattr(feeding, "RECIPES", ("dense-4m-polynorm",))
    figures = list(feeding.measure(shared_set))
    assert [figure.value for figure in figures[::2]] == pytest.approx([500, 3, 900])
    assert [figure.value for figure in figures[1::2]] == pytest.approx(
        [100 * seconds / step.seconds for seconds in (0.5, 0.003, 0.9)]
    )


@pytest.mark.parametrize(("name", "machine"), [("dense-1b-polynorm", "gpu"), ("moe-1b7b-polynorm", "h100-8x8")])
def test_a_step_is_planned_where_its_recipe_fits(name, machine):
    step = feeding._step(name)
    assert step.machine == machine
    world = {"gpu": 1, "h100-8x8": 64}[machine]
    sequences = step.fit.micro_batch * step.fit.accumulation * world
    assert sequences * step.recipe.data.context == step.recipe.budget.tokens_per_step


def test_the_shards_of_the_enlarged_set_are_parts_of_one_file_and_whole(few, prepare_in, tmp_path):
    one = prepare_in(tmp_path / "one", shard_bytes=2**20)
    enlarged = loader._enlarged(one, 4)
    assert [shard.start for shard in enlarged.shards("train")] == [0, 1024, 2048, 3072]
    enlarged.verify()
