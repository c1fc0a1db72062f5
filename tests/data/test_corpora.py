"""The embedded corpora: which files, in which order, in which split."""

import sysconfig

import pytest

from repro.data import corpora
from repro.data.corpora import collect
from repro.errors import DataError
from tests.data.trees import library, source, tree


def split_of(corpus):
    return {document.name: document.split for document in corpus.documents}


def test_documents_come_in_the_order_of_their_names(sources_folder):
    names = [document.name for document in collect("python-stdlib", [sources_folder]).documents]
    assert names == sorted(names)
    assert len(names) == 40


def test_tests_installed_packages_and_small_files_are_left_out(tmp_path):
    library(tmp_path)
    known = split_of(collect("python-stdlib", [tmp_path]))
    tree(
        tmp_path, {"test/a.py": 100, "b/tests/c.py": 101, "site-packages/d.py": 102, "idlelib/e.py": 103, "f.txt": 104}
    )
    tree(tmp_path, {"small.py": "x = 1\n"})
    corpus = collect("python-stdlib", [tmp_path])
    assert split_of(corpus) == known
    assert corpus.left_out["smaller than 256 bytes"] == 1


def test_a_file_that_is_not_utf_8_is_counted_and_left_out(tmp_path):
    (library(tmp_path) / "latin.py").write_bytes(source(50).encode() + b"# caf\xe9\n")
    corpus = collect("python-stdlib", [tmp_path])
    assert corpus.left_out["not UTF-8"] == 1
    assert "latin.py" not in split_of(corpus)


def test_of_exact_duplicates_the_first_is_kept(tmp_path):
    tree(library(tmp_path), {"a_copy.py": 7})
    corpus = collect("python-stdlib", [tmp_path])
    assert corpus.left_out["exact duplicates"] == 1
    assert "a_copy.py" in split_of(corpus)
    assert "part_2/module_07.py" not in split_of(corpus)


def test_documents_that_come_or_go_move_no_other_to_the_other_split(tmp_path):
    before = split_of(collect("python-stdlib", [library(tmp_path)]))
    tree(tmp_path, {f"a_new/{number}.py": number for number in range(200, 260)})
    after = split_of(collect("python-stdlib", [tmp_path]))
    assert {name: after[name] for name in before} == before
    assert set(before.values()) == {"train", "validation"}


def test_the_split_of_a_file_follows_its_content_and_not_its_name(tmp_path):
    first = split_of(collect("python-stdlib", [library(tmp_path / "a")]))
    (tmp_path / "a" / "part_0").rename(tmp_path / "a" / "renamed")
    second = split_of(collect("python-stdlib", [tmp_path / "a"]))
    assert {name.replace("part_0", "renamed"): split for name, split in first.items()} == second


def packages(root, names, files=3):
    return tree(root, {f"{name}/{file}.py": hash_of(name, file) for name in names for file in range(files)})


def hash_of(name, file):
    return 1000 * sum(map(ord, name)) + file


# The first eight bytes of sha256("networkx") are 0 modulo 20, and those of the others are not.
NAMES = ("networkx", "numpy", "sympy", "torch")


def test_packages_are_split_whole(tmp_path):
    split = split_of(collect("python-packages", [packages(tmp_path, NAMES)]))
    assert {name.split("/")[0]: part for name, part in split.items()} == {
        "networkx": "validation",
        "numpy": "train",
        "sympy": "train",
        "torch": "train",
    }
    for package in NAMES:
        assert len({part for name, part in split.items() if name.startswith(f"{package}/")}) == 1


def test_the_kit_itself_is_no_part_of_the_packages(tmp_path):
    split = split_of(collect("python-packages", [packages(tmp_path, (*NAMES, "repro"))]))
    assert not [name for name in split if name.startswith("repro/")]


@pytest.mark.parametrize(("copied", "kept"), [(15, True), (16, False)])
def test_a_document_is_a_near_duplicate_from_eight_tenths_of_known_lines(tmp_path, copied, kept):
    known = source(hash_of("numpy", 0)).splitlines()[:copied]
    own = [f"a line of this package alone, number {number}" for number in range(20 - copied)]
    short = ["", "x = 1"] * 10
    tree(packages(tmp_path, NAMES), {"vendored/a.py": "\n".join([*short, *(f"    {line}" for line in known), *own])})
    corpus = collect("python-packages", [tmp_path])
    assert ("vendored/a.py" in split_of(corpus)) is kept
    assert corpus.left_out["near duplicates"] == (not kept)


def test_near_duplicates_stay_in_the_standard_library(tmp_path):
    tree(library(tmp_path), {"z.py": source(3) + "# and a line of its own at the end\n"})
    corpus = collect("python-stdlib", [tmp_path])
    assert "z.py" in split_of(corpus)
    assert corpus.left_out["near duplicates"] == 0


def test_a_corpus_without_a_split_says_so(tmp_path):
    with pytest.raises(DataError, match=r"python-packages has no validation documents in .*: expected more"):
        collect("python-packages", [packages(tmp_path, ["numpy"])])


def test_a_stripped_python_gives_torchs_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "_torch", lambda: library(tmp_path / "torch"))
    monkeypatch.setattr(sysconfig, "get_path", lambda kind: str(tree(tmp_path / "stdlib", {"os.py": 1})))
    corpus = collect("python-stdlib")
    assert corpus.found_in == "torch's package sources"
    assert len(corpus.documents) == 40


def test_this_pythons_library_is_found():
    corpus = collect("python-stdlib")
    assert "argparse.py" in split_of(corpus) or corpus.found_in == "torch's package sources"
    assert sum(document.n_bytes for document in corpus.documents) > corpora.SMALLEST_STDLIB


def test_progress_ends_at_the_total(sources_folder):
    told = []
    collect("python-stdlib", [sources_folder], progress=lambda *report: told.append(report))
    stage, done, total = told[-1]
    assert stage == "collect"
    assert done == total > 0
