"""Machines by name, and the machine that this is."""

import subprocess

import pytest

from repro.errors import RecipeError
from repro.recipe import here, machine, machines
from repro.recipe.machine import Machine

SMI = "NVIDIA H100 80GB HBM3, 81559\nNVIDIA H100 80GB HBM3, 81559\n"


@pytest.fixture
def smi(monkeypatch):
    """Puts an nvidia-smi on the path that gives an answer, or fails."""

    def install(answer, *, returncode=0):
        def run(command, **kwargs):
            assert command[0] == "nvidia-smi"
            if returncode:
                raise subprocess.CalledProcessError(returncode, command)
            return subprocess.CompletedProcess(command, 0, stdout=answer)

        monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
        monkeypatch.setattr("subprocess.run", run)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return install


def test_each_machine_of_the_design_has_a_file():
    assert set(machines()) == {"cpu", "cpu-x2", "cpu-2x1", "gpu", "gpu-x8", "a100-4x8", "a100-8x8", "h100-8x8"}
    for name in machines():
        assert isinstance(machine(name), Machine)
        assert machine(name).name == name


def test_the_papers_machine_is_32_a100():
    a100 = machine("a100-4x8")
    assert (a100.world_size, a100.nodes, a100.devices) == (32, 4, 8)
    assert (a100.memory_gb, a100.peak_tflops, a100.bandwidth_gb_s) == (80, 312, 2039)
    assert (a100.link_gb_s, a100.network_gb_s) == (300, 200)  # half of 600; eight cards of 200 Gbit/s
    assert a100.source == "NVIDIA A100 data sheet (SXM, 80 GB)"


def test_an_unknown_machine():
    with pytest.raises(RecipeError) as refused:
        machine("a100-4x9")
    assert str(refused.value) == "no machine is called 'a100-4x9'. Did you mean 'a100-4x8'?"
    with pytest.raises(RecipeError) as refused:
        machine("laptop")
    assert str(refused.value) == (
        "no machine is called 'laptop'. There are: here, a100-4x8, a100-8x8, cpu, cpu-2x1, cpu-x2, gpu, gpu-x8, "
        "h100-8x8."
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("device: NVIDIA H20", "device 'NVIDIA H20' has no row in recipes/devices.yaml. Did you mean 'NVIDIA H200'?"),
        ("nodes: 2", "device None has no row in recipes/devices.yaml."),
        ("device: NVIDIA H200\nnodes: 0", "nodes is 0; expected a number above 0"),
        ("device: NVIDIA H200\nnodes: 1\ndevices: 1", "about is missing"),
        ("device: NVIDIA H200\nnods: 1", "unknown key 'nods'. Did you mean 'nodes'?"),
        ("device: NVIDIA H200\nexpected_mfu: 40", "expected_mfu is 40; expected 1 or less"),
        (
            "device: NVIDIA H200\nabout: x\nnodes: 2\ndevices: 8",
            "nodes is 2 and network_gb_s is missing; expected the GB/s that a node sends",
        ),
        ("device: NVIDIA H200\nnetwork_gb_s: 0", "network_gb_s is 0; expected a number above 0"),
    ],
)
def test_a_machine_with_a_mistake_names_its_file(copied, line, message):
    (copied / "machines" / "mine.yaml").write_text(line + "\n")
    with pytest.raises(RecipeError) as refused:
        machine("mine")
    assert message in str(refused.value)
    assert str(refused.value).startswith("recipes/machines/mine.yaml: ")


def test_gpus_are_those_that_nvidia_smi_lists(smi):
    smi(SMI)
    found = here()
    assert (found.accelerator, found.device, found.world_size) == ("cuda", "NVIDIA H100 80GB HBM3", 2)
    assert found.memory_gb == pytest.approx(81559 * 2**20 / 1e9)
    assert (found.peak_tflops, found.link_gb_s, found.network_gb_s) == (989, 450, None)
    assert machine("here") == found


@pytest.mark.parametrize(("visible", "left"), [("0", 1), ("1,0", 2), ("0,-1,1", 1), ("GPU-1a2b,GPU-1c", 2), ("0,7", 1)])
def test_hidden_gpus_do_not_count(smi, monkeypatch, visible, left):
    smi(SMI)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert here().devices == left


@pytest.mark.parametrize("visible", ["", "-1"])
def test_with_all_gpus_hidden_it_is_a_cpu(smi, monkeypatch, visible):
    smi(SMI)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert here().accelerator == "cpu"


def test_an_unknown_gpu_has_its_own_memory_and_a_guess_for_the_rest(smi):
    smi("NVIDIA Fictional 9000, 24576\n")
    found = here()
    assert (found.device, found.source) == ("NVIDIA Fictional 9000", "a guess")
    assert found.memory_gb == pytest.approx(25.77, abs=0.01)


def test_unlike_gpus_count_as_so_many_of_the_smallest(smi):
    smi("NVIDIA H200, 143771\nNVIDIA H100 80GB HBM3, 81559\n")
    found = here()
    assert found.about == "this machine: 2 x NVIDIA H100 80GB HBM3 and NVIDIA H200"
    assert found.memory_gb == pytest.approx(85.5, abs=0.1)


def test_a_gpu_without_memory_of_its_own_takes_the_tables(smi):
    smi("NVIDIA H200, [N/A]\n")
    assert here().memory_gb == 141


@pytest.mark.parametrize("answer", ["", "No devices were found\n"])
def test_a_driver_without_gpus_leaves_the_cpu(smi, answer):
    smi(answer)
    assert here().accelerator == "cpu"


def test_a_driver_that_fails_leaves_the_cpu(smi):
    smi("", returncode=9)
    assert here().accelerator == "cpu"


def test_a_cpu_is_one_device_with_the_machines_memory(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    found = here()
    assert (found.accelerator, found.world_size) == ("cpu", 1)
    assert 0.5 < found.memory_gb < 1e5
