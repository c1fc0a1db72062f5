"""The README's commands run, and its Python too."""

import gzip
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from repro.claims.ledger.checks import outcomes
from repro.claims.ledger.headline import headline

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TEXT = README.read_text()
ELSEWHERE = {  # minutes: run there instead
    "repro smoke": "make smoke",
    "repro run dense-smoke-gelu --on cpu-x2": "tests/training/test_launch.py",
    "repro plan dense-1b-gelu --on h100-8x8 --validate": "tests/training/test_dry_run.py",
    "repro theory": "tests/theory",
    "repro study table-1 scale=10m": "tests/studies",  # an hour of a GPU
    "repro prepare tasks": "tests/data/tasks",  # needs the hub
    "repro prepare fineweb-edu-sample tokens=100e6": "tests/data/preparing/test_remote.py",  # a server that is here
    "repro bench step": "tests/bench/test_step.py",
    "repro bench decode": "tests/bench/test_decode.py",
    "repro bench tasks": "tests/bench/test_tasks.py",  # its items come from the hub
    "repro bench activations": "tests/bench",  # without a GPU it takes seconds, with one nine minutes
}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def commands():
    lines = [line.partition("#")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    return [line for line in lines if line.startswith("repro ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the commands run, one after the other, as a reader would, with images in FOLDER and text in TEXTS."""
    reader = tmp_path_factory.mktemp("reader")
    for name in ("cat/1", "cat/2", "dog/1", "dog/2"):
        path = reader / "FOLDER" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (300, 400)).save(path)
    (reader / "TEXTS").mkdir()
    lines = [json.dumps({"text": f"the {number}th of a hundred small documents"}) + "\n" for number in range(100)]
    (reader / "TEXTS" / "documents.jsonl.gz").write_bytes(gzip.compress("".join(lines).encode()))
    return reader


@pytest.mark.parametrize("command", [command for command in commands() if command not in ELSEWHERE])
def test_the_command_works(command, folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "REPRO_DATA": str(folder / "data")}
    arguments = [sys.executable, "-m", "repro", *shlex.split(command)[1:]]
    ended = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()


def test_the_two_commands_are_what_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for command in re.findall(r"make \w+", blocks("bash")[0]):
        assert command in ci
        assert re.search(rf"^{command.split()[1]}:", makefile, flags=re.MULTILINE)


def test_the_python_runs():
    (code,) = blocks("python")
    names = {}
    exec(code, names)
    names["ffn"](torch.randn(2, 512)).sum().backward()
    names["optimizer"].step()
    decays = {id(p): group["weight_decay"] for group in names["optimizer"].param_groups for p in group["params"]}
    assert decays[id(names["ffn"][1].coeff)] == 0.0
    assert set(decays) == {id(p) for p in names["ffn"].parameters()}


def test_files_that_it_points_to_exist():
    for target in [*re.findall(r"\]\((?!https?:)([^)]+)\)", TEXT), "repro/activations/reference.py"]:
        assert (ROOT / target).is_file(), target


def test_the_scales_it_names_are_those_there_are():
    text = " ".join(TEXT.split())
    for family, before in {"dense": "Dense scales are", "moe": r"\(`moe`\) has", "resnet50": "`resnet50` has"}.items():
        listed = re.search(rf"{before} `([^`]+)`", text)[1].split()
        files = {path.stem for path in (ROOT / "recipes" / family).glob("*.yaml")} - {"base"}
        assert set(listed) == files


def test_it_opens_with_the_verdicts_of_what_was_measured(tmp_path, monkeypatch):
    """By what the kit comes with; run with REPRO_WRITE_GOLDEN=1 to write them anew."""
    monkeypatch.chdir(tmp_path)  # where nobody has run a study or the theory
    verdicts = headline(outcomes())
    before, rest = TEXT.split("tests/test_readme.py -->\n")
    table, after = rest.split("<!-- end of verdicts -->")
    if os.environ.get("REPRO_WRITE_GOLDEN"):
        README.write_text(f"{before}tests/test_readme.py -->\n{verdicts}\n<!-- end of verdicts -->{after}")
        return
    assert table.strip() == verdicts
    assert before.count("\n## ") == 1
