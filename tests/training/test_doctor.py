"""What the doctor finds, and that it says what to do."""

import io

import pytest
from rich.console import Console

from repro.errors import CheckFailed
from repro.recipe import machine
from repro.training import doctor
from repro.training.doctor import Finding, examine


def test_it_looks_at_everything_the_kit_stands_on():
    assert {"Python", "torch", "lightning", "import torchvision", "GPU", "runs", "prepared data"} <= {
        finding.what for finding in examine()
    }


def test_this_machine_is_well():
    assert [finding for finding in examine() if not finding.works] == []


def test_a_folder_that_cannot_be_written_is_a_problem_with_a_remedy(tmp_path, monkeypatch):
    def refuse(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    finding = doctor._folder("runs", tmp_path / "runs")
    assert not finding.works
    assert finding.found == f"{tmp_path}: Permission denied"
    assert "--out" in finding.remedy


def test_a_file_where_a_folder_should_be_is_a_problem(tmp_path):
    (tmp_path / "data").write_text("")
    assert not doctor._folder("prepared data", tmp_path / "data").works


def test_a_gpu_that_torch_cannot_use_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor, "here", lambda: machine("gpu"))
    (finding,) = doctor._gpu()
    assert (finding.works, finding.found) == (False, "there is one, and torch cannot use it")


def test_a_package_that_does_not_import_is_a_problem(monkeypatch):
    def broken(package):
        raise RuntimeError("operator torchvision::nms does not exist\nand much more")

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    finding = doctor._import("torchvision", "install both with one command")
    assert (finding.works, finding.found) == (False, "operator torchvision::nms does not exist")


def test_a_problem_fails_the_command_and_tells_the_remedy(monkeypatch):
    monkeypatch.setattr(
        doctor, "examine", lambda: [Finding("disk", False, "full", "make room"), Finding("GPU", True, "one")]
    )
    said = io.StringIO()
    with pytest.raises(CheckFailed, match="1 of 2 do not work: disk"):
        doctor.start(Console(file=said))
    assert "make room" in said.getvalue()
