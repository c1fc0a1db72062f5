"""A run of a small language model and one of images, copies of them for a test, and `repro analyze` of them."""

import io
import shutil

import pytest
from rich.console import Console

from repro.inspection import start as verb
from repro.recipe import load, machine
from tests.conftest import SMALL
from tests.inspection.stand_ins import StandIn


def _trained(root, name, settings, data):
    from repro.training.run import run  # not above: it imports Triton, before pytest is told of its interpreter

    values = {key: str(value).replace(" ", "") for key, value in settings.items()}
    recipe = load(name, [f"{key}={value}" for key, value in values.items()])
    run(recipe, machine("cpu"), data, seed=0, folder=root / "run")
    return root / "run"


@pytest.fixture(scope="session")
def dense_once(prepared, tmp_path_factory):
    return _trained(tmp_path_factory.mktemp("dense"), "dense-smoke-polynorm", SMALL, prepared)


@pytest.fixture(scope="session")
def resnet_once(tmp_path_factory):
    from tests.training.test_image_classifier import TINY
    from tests.training.test_replicated import IMAGES

    return _trained(tmp_path_factory.mktemp("resnet"), "resnet50-smoke-polynorm", TINY, IMAGES)


@pytest.fixture
def here(tmp_path, monkeypatch, prepared):
    """An empty folder where a command is given, with the small corpus prepared."""
    shutil.copytree(prepared.folder.parents[1], tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def a_run(dense_once, here):
    """The folder of a run with checkpoints of steps 20 and 24, for a test that writes beside it."""
    return shutil.copytree(dense_once, here / "run")


@pytest.fixture
def a_classifier(resnet_once, here, monkeypatch):
    """The folder of a run of images, of which there are 37 to be validated on."""
    from tests.training.test_replicated import IMAGES

    monkeypatch.setattr("repro.evaluation.images.locate", lambda *_: IMAGES)
    return shutil.copytree(resnet_once, here / "run")


@pytest.fixture
def planted(monkeypatch):
    """Stand-ins for the measures, by word; a test may put others in their place."""
    found = {name: StandIn(name) for name in verb.NAMES}
    monkeypatch.setattr(verb, "measure", found.__getitem__)
    monkeypatch.setattr(verb, "comparing", found.__getitem__)
    return found


@pytest.fixture
def analyze(here):
    """Runs the verb on the run in ``run`` and gives what it said; ``said`` has it also where it fails."""

    def analyze(*settings, of="run", on="cpu", said=None):
        file = said or io.StringIO()
        verb.start(of, settings, on=on, console=Console(file=file, width=200))
        return file.getvalue()

    return analyze
