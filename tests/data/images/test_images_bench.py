"""The benchmark of images: that it runs and what it names, never how fast."""

from repro.bench import images


def test_it_measures_the_loader_against_decoder_and_transforms(monkeypatch):
    for name, value in {"FILES": 80, "ROUNDS": 1, "WIDTH": 60, "HEIGHT": 50, "SIZE": 24}.items():
        monkeypatch.setattr(images, name, value)
    figures = list(images.measure())
    assert [figure.unit for figure in figures] == ["kB"] + 6 * ["images/s per core"] + ["%"]
    assert figures[3].case == "loader: decode, crop, flip"
    assert all(figure.value > 0 for figure in figures)
