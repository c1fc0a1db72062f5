"""What every test of images has."""

from pathlib import Path

import pytest

# torchvision 0.29 says at each call that its decoder will move to torchcodec.
DEPRECATED = pytest.mark.filterwarnings("ignore:The image decoding and encoding capabilities:DeprecationWarning")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(DEPRECATED)
