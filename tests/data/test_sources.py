"""The manifests of data sets."""

import pytest

from repro import paths
from repro.data import sources
from repro.errors import DataError

NAMES = ("fineweb-edu-sample", "olmoe-mix-0924", "python-packages", "python-stdlib", "redpajama-1t")


def test_every_data_set_of_the_design_has_a_manifest():
    assert sources.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_manifest_reads(name):
    source = sources.load(name)
    assert source.kind == ("embedded" if name.startswith("python-") else "hub")


def test_the_subsets_of_redpajama_sum_to_its_size():
    source = sources.load("redpajama-1t")
    assert sum(source.subsets.values()) == source.tokens == 1_210_000_000_000


def test_the_subsets_of_olmoe_mix_sum_to_its_size():
    source = sources.load("olmoe-mix-0924")
    assert sum(source.subsets.values()) == pytest.approx(source.tokens, rel=1e-3)  # the card gives three digits


def test_an_unknown_data_set_is_told_the_nearest():
    with pytest.raises(DataError, match=r"^no data set is called 'python-stdlb'\. Did you mean 'python-stdlib'\?"):
        sources.load("python-stdlb")


def test_a_manifest_with_an_unknown_key_names_file_and_key(tmp_path, monkeypatch):
    original = (paths.data() / "manifests" / "python-stdlib.yaml").read_text()
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "odd.yaml").write_text(original + "licences: two\n")
    monkeypatch.setattr(paths, "data", lambda: tmp_path)
    with pytest.raises(DataError, match=r"odd\.yaml: licences: "):
        sources.load("odd")
