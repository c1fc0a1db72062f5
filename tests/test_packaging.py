"""The package as it is installed: one list of dependencies, and a wheel that carries the facts."""

import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pinned():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {normal(line.split("==")[0]) for line in lines if not line.startswith("#")}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def named(requirement):
    return normal(re.match(r"[\w.-]+", requirement)[0])


def test_conda_gets_its_packages_from_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    assert pip == {"pip": ["-c constraints.txt", "-e .[dev]"]}


def test_every_dependency_is_pinned_in_the_constraints():
    extras = [
        r for extra in PROJECT["optional-dependencies"].values() for r in extra if not r.startswith(PROJECT["name"])
    ]
    assert {named(requirement) for requirement in PROJECT["dependencies"] + extras} <= pinned()


def test_development_installs_every_extra_so_that_no_parity_test_skips():
    extras = set(PROJECT["optional-dependencies"]) - {"dev"}
    assert PROJECT["optional-dependencies"]["dev"][0] == f"{PROJECT['name']}[{','.join(sorted(extras))}]"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_carries_recipes_and_facts(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for file in (
        "recipes/activations.yaml",
        "recipes/dense/1b.yaml",
        "recipes/machines/cpu.yaml",
        "data/manifests/python-stdlib.yaml",
        "data/published/table1.csv",
        "data/measured/smoke.png",
    ):
        assert f"repro/_assets/{file}" in names


def test_an_installed_wheel_lists_its_recipes_outside_the_checkout(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    site = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    zipfile.ZipFile(wheel).extractall(site)
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(ours))
    listed = subprocess.run(
        [tmp_path / "venv" / "bin" / "python", "-m", "repro", "list"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "dense-1b-polynorm" in listed.stdout
