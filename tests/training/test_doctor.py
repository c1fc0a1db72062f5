"""What the doctor finds, and that it says what to do."""

import io
import math

import pytest
import torch
from rich.console import Console

from repro.errors import CheckFailed
from repro.recipe import machine
from repro.training import doctor
from repro.training.doctor import Finding, examine


def test_it_looks_at_everything_the_kit_stands_on():
    assert {"Python", "torch", "lightning", "import torchvision", "GPU", "fused kernels", "runs", "prepared data"} <= {
        finding.what for finding in examine()
    }


def test_this_machine_is_well():
    assert [finding for finding in examine() if not finding.works] == []


def test_a_folder_that_cannot_be_written_is_a_problem_with_a_remedy(tmp_path, monkeypatch):
    def refuse(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.paths.tempfile, "TemporaryFile", refuse)
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


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_kernels_are_said_to_need_one():
    finding = doctor._fused_kernels()
    assert (finding.works, finding.remedy) == (True, "")
    assert finding.found.startswith("Triton imports; its kernels need a GPU")


@pytest.fixture
def pretended_gpu(monkeypatch):
    """Has the doctor take this machine for one with a GPU; gives the function that sets what PolyNorm does there."""
    ones = torch.ones
    monkeypatch.setattr(doctor.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(doctor.torch, "ones", lambda *shape, device, dtype=None: ones(*shape, dtype=dtype))
    return lambda polynorm: monkeypatch.setattr(doctor.kernels, "polynorm", polynorm)


def test_a_kernel_that_gives_what_it_has_to_works(pretended_gpu):
    right = doctor.kernels.polynorm
    pretended_gpu(lambda x, coeff, backend: right(x, coeff))
    finding = doctor._fused_kernels()
    assert (finding.works, finding.found) == (True, "PolyNorm compiles and gives what it has to")


def test_a_kernel_that_cannot_be_compiled_is_a_problem_with_a_remedy(pretended_gpu):
    def uncompiled(x, coeff, backend):
        raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable.\nand more")

    pretended_gpu(uncompiled)
    finding = doctor._fused_kernels()
    assert not finding.works
    assert finding.found == "Failed to find C compiler. Please specify via CC environment variable."
    assert "apt-get install gcc python3-dev" in finding.remedy


@pytest.mark.parametrize("wrong", [0.5, math.nan])
def test_a_kernel_that_gives_something_else_is_a_problem(pretended_gpu, wrong):
    pretended_gpu(lambda x, coeff, backend: x * wrong)
    finding = doctor._fused_kernels()
    assert (finding.works, finding.found) == (False, f"PolyNorm of ones has to be 1 and is {wrong:g} to {wrong:g}")


def test_without_triton_torch_serves(monkeypatch):
    monkeypatch.setattr(doctor, "INSTALLED", False)
    assert doctor._fused_kernels().found == "Triton is not installed; torch serves"


def test_a_problem_fails_the_command_and_tells_the_remedy(monkeypatch):
    monkeypatch.setattr(
        doctor, "examine", lambda: [Finding("disk", False, "full", "make room"), Finding("GPU", True, "one")]
    )
    said = io.StringIO()
    with pytest.raises(CheckFailed, match="1 of 2 do not work: disk"):
        doctor.start(Console(file=said))
    assert "make room" in said.getvalue()
