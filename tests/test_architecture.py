"""Who may import whom: a layer may import the layers below it, and neither those above nor its neighbours."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

LAYERS = [
    {"digests", "errors", "markdown", "paths"},
    {"kernels", "recipe"},
    {"activations"},
    {"models"},
    {"analysis", "data"},
    {"training"},
    {"evaluation", "theory", "interop", "claims"},
    {"studies", "bench", "inspection"},
    {"cli"},
    {"__main__"},
]
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
PACKAGE = Path(__file__).parents[1] / "repro"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported(path):
    """The parts of the package that a file names in its imports, wherever in the file they stand."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "repro":
            yield from (alias.name for alias in node.names if alias.name != "__version__")
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("repro."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("repro."))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for other in set(imported(path)) - {own}:
        assert HEIGHT[other] < HEIGHT[own], f"repro.{own} must not import repro.{other}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_is_longer_than_300_lines(path):
    assert path.read_text().count("\n") <= 300


def loaded(modules):
    """What a fresh Python has loaded after importing ``modules``."""
    script = f"import sys, {modules}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_recipes_and_claims_need_no_torch():
    modules = "repro.cli, repro.recipe.plan, repro.recipe.runs, repro.claims.compare, repro.studies.smoke"
    assert not loaded(modules) & {"torch", "lightning", "triton"}


def test_activations_and_kernels_need_torch_alone():
    assert not loaded("repro.activations, repro.kernels") & {
        "lightning",
        "pydantic",
        "yaml",
        "datasets",
        "rich",
        "typer",
    }


def test_the_other_lightning_is_imported_nowhere():
    assert not [path for path in FILES if "pytorch_lightning" in path.read_text()]
