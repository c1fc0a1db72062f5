"""A copy of the recipes that a test may spoil."""

import shutil

import pytest

from repro import paths


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The folder of recipes, copied; what is loaded from here on comes from the copy."""
    folder = tmp_path / "recipes"
    shutil.copytree(paths.recipes(), folder)
    monkeypatch.setattr(paths, "recipes", lambda: folder)
    return folder
