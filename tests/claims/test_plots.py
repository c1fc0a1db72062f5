"""Figures come out of what runs wrote."""

import matplotlib.image
import pytest

from repro.claims import plots

HEADER = "step,tokens,loss,validation_loss\n"


@pytest.fixture
def run(tmp_path):
    (tmp_path / "metrics.csv").write_text(HEADER + "1,100,5.0,\n10,1000,4.0,\n10,,,4.1\n")
    return tmp_path


def test_a_curve_pairs_each_figure_with_its_tokens(run):
    assert plots._curve(run, "loss") == ([0.1, 1.0], [5.0, 4.0])
    assert plots._curve(run, "validation_loss") == ([1.0], [4.1])


def test_the_picture_is_not_blank(run, tmp_path):
    plots.curves({"polynorm": run, "relu": run}, tmp_path / "c.png", levels={"unigram entropy": 4.5}, title="a test")
    picture = matplotlib.image.imread(tmp_path / "c.png")
    assert picture.shape[1] > 1000
    assert picture[..., :3].min() < 0.2


def test_the_legend_of_every_activation_leaves_room_for_the_curves(run, tmp_path):
    plots.curves(
        {f"activation {n}": run for n in range(43)}, tmp_path / "c.png", levels={}, title="many"
    )  # or it warns
    assert matplotlib.image.imread(tmp_path / "c.png").shape[0] > 800
