"""`repro import` as a person runs it."""

import pytest

from repro import cli
from repro.recipe import runs
from tests.interop.checkpoints import WORDS


@pytest.fixture
def imported(tmp_path, capsys):
    """Runs ``repro import`` on a path and gives its exit code, what it printed and what it complained of."""

    def imported(path, name, *words, source="official"):
        arguments = ["import", path, *WORDS, *words, "--from", source, "--as", name, "--out", tmp_path / "runs"]
        capsys.readouterr()  # what others said while they wrote it
        code = cli.status([*map(str, arguments)])
        return code, *capsys.readouterr()

    return imported


@pytest.fixture
def run(imported):
    """Imports a path and gives the run's folder."""

    def run(path, name, *words, source="official"):
        code, told, complaint = imported(path, name, *words, source=source)
        assert code == 0, complaint
        return runs.find(told.rpartition("imported: ")[2].strip())

    return run


@pytest.fixture
def refused(imported, tmp_path):
    """What the import of a path complains of; nothing is written."""

    def refused(path, name, *words, source="official"):
        code, _, complaint = imported(path, name, *words, source=source)
        assert code == 2
        assert complaint.startswith("repro: ")
        assert complaint.count("\n") == 1
        assert not (tmp_path / "runs").exists()
        return complaint

    return refused
