"""From a recipe's section to its images, and the errors on the way."""

import pytest

from repro.data.images.locate import locate
from repro.errors import DataError
from tests.data.images.pictures import settings, write_classes


def error(classes=2, **changes):
    with pytest.raises(DataError) as caught:
        locate(settings(**changes), classes)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_glyphs_need_no_path():
    assert len(locate(settings(source="glyphs", images=6200), 62).train) == 6200


def test_a_folder_is_opened_from_its_path(tmp_path, monkeypatch):
    write_classes(tmp_path / "images", a=3, b=3)
    assert locate(settings(path=str(tmp_path / "images")), 2).classes == ("a", "b")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate(settings(path="~/images"), 2).classes == ("a", "b")


@pytest.mark.parametrize("source", ["folder", "imagenet"])
def test_a_source_without_its_path_names_the_way_out(source):
    assert error(source=source).startswith(f"data.source={source} needs a copy of yours: give data.path=FOLDER with ")


@pytest.mark.parametrize("source", ["folder", "imagenet", "cifar10"])
def test_a_path_that_is_not_there_is_named(source, tmp_path):
    assert error(source=source, path=str(tmp_path / "no")).startswith(f"data.path={tmp_path}/no does not exist")


def test_a_class_count_that_differs_names_both_sides(tmp_path):
    write_classes(tmp_path, a=3, b=3)
    text = f"{tmp_path} has 2 classes and the recipe model.classes=10: set model.classes=2"
    assert error(10, path=str(tmp_path)) == f"{text}, or data.path to images of 10 classes"
    assert error(10, path=str(tmp_path), images=9) == f"{text} data.images=4, or data.path to images of 10 classes"


def test_a_number_of_images_that_differs_names_both_sides(tmp_path):
    write_classes(tmp_path, a=3, b=3)
    assert error(path=str(tmp_path), images=50_000) == (
        f"{tmp_path} has 4 training images and the recipe data.images=50000, from which epochs become steps: "
        "set data.images=4"
    )


def test_a_path_for_glyphs_is_refused():
    assert error(source="glyphs", path="x") == (
        "data.path=x: data.source=glyphs reads no files; add data.source=folder to read these"
    )
