"""The page as a browser shows it. The screenshots stay in pytest's folder of the test, whose path is printed."""

import itertools
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from repro.claims.report import pages
from repro.claims.report.written import write
from tests.claims import made
from tests.claims.report.conftest import outcome
from tests.claims.report.reading import read

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FORMS = (("smoke", ("smoke",)), ("4m", ("4m",)), ("10m", ("10m",)))


@pytest.fixture
def page(here, tmp_path):
    claims = [outcome(status, id=f"E{n}") for n, status in enumerate(("supported", "not resolved", "not run"))]
    found = here(made.study(name="table-1", forms=FORMS), forms=("smoke", "4m", "10m"), outcomes=claims)
    return write(pages.whole(found), tmp_path / "report")


def test_the_page_asks_for_nothing_but_itself(page):
    reader = read(page.read_text())
    assert not reader.open, "every tag is closed"
    assert not [tag for tag, _ in reader.attributes if tag in ("script", "link", "iframe", "img", "object")]
    links = [values[name] for _, values in reader.attributes for name in ("href", "src") if name in values]
    assert links
    assert all(link.startswith("#") for link in links)
    assert "url(" not in page.read_text()
    assert "@import" not in page.read_text()


def test_headings_go_down_a_level_at_a_time_and_tables_say_what_their_heads_are_of(page):
    reader = read(page.read_text())
    levels = [int(tag[1]) for tag, _ in reader.attributes if tag in ("h1", "h2", "h3", "h4", "h5")]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(values.get("scope") in ("col", "row") for tag, values in reader.attributes if tag == "th")
    drawings = [values for tag, values in reader.attributes if tag == "svg"]
    assert drawings
    assert all(values["role"] == "img" and values["aria-label"] for values in drawings)


@pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome is on the PATH")
@pytest.mark.parametrize("width", [1200, 500])
def test_a_browser_shows_it_whole(page, tmp_path, width):
    picture = tmp_path / f"screenshot-{width}.png"
    ways = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    size = [f"--window-size={width},1000", f"--screenshot={picture}"]
    ended = subprocess.run([BROWSER, *ways, *size, page.as_uri()], capture_output=True, text=True, timeout=120)
    assert picture.is_file(), ended.stderr[-500:]
    print(f"screenshot: {picture}")
    grey = np.asarray(Image.open(picture).convert("L"))
    assert grey.shape == (1000, width)
    assert grey.min() < 60, "there are letters"
    written = (grey < 128).any(1)
    assert written[:500].sum() > 100, "and lines of them, from the top"
    assert written[500:].sum() > 100
