"""The picture, from figures that nobody measured; it stays in the test's own folder."""

import matplotlib.image

from repro.bench import roofline
from repro.bench.measurement import Case, Measurement
from tests.bench.conftest import made_up


def test_it_has_a_panel_for_each_function_and_direction(tmp_path):
    cases = [Case(function, width, 4096) for function in ("polynorm", "polyrelu") for width in (64, 1536, 8256)]
    measured = [
        made_up(case, name, way, 1 + number)
        for case in cases
        for number, name in enumerate(("ceiling", "ours", "torch.compile"))
        for way in ("forward", "backward", "both")
    ]
    measured.append(Measurement(cases[0], "official", "forward", note="out of memory"))
    roofline.draw(measured, tmp_path / "one.png", title="made up")
    roofline.draw(measured[:27], tmp_path / "half.png", title="made up")
    whole, half = (matplotlib.image.imread(tmp_path / name) for name in ("one.png", "half.png"))
    assert whole.shape[0] > half.shape[0] > 400
    assert whole[..., :3].min() < 0.2
    assert abs(whole[..., 0] - whole[..., 2]).max() < 0.01  # grey


def test_without_a_time_there_is_no_picture(tmp_path):
    for measured in ([], [Measurement(Case("polynorm", 64, 64), "official", "forward", note="out of memory")]):
        roofline.draw(measured, tmp_path / "none.png", title="made up")
    assert not list(tmp_path.iterdir())
