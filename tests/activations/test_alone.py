"""Taking the activation into one's own model needs torch and nothing else."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        absent = "lightning datasets pydantic yaml typer rich tokenizers transformers torchvision scipy matplotlib"
        if name.split(".")[0] in absent.split():
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())

import torch
from repro import PolyCom, PolyNorm, PolyReLU
from repro.activations import PolyPReLU

x = torch.randn(2, 8)
for act in (PolyNorm(), PolyReLU(), PolyCom("I", "silu", 2), PolyPReLU()):
    act(x).sum().backward()
    print(tuple(act(x).shape))
"""


def test_it_is_imported_and_trained_with_only_torch_installed():
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["(2, 8)"] * 4
