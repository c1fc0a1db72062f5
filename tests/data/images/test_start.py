"""`repro prepare images` from end to end: what it says, what it leaves, and what each mistake gets."""

import os
import signal

import pytest

from repro import cli
from repro.data.images import resize
from repro.data.images.folder import folder
from repro.recipe import load
from tests.data.images.pictures import encoded, picture, write_classes


@pytest.fixture
def prepare(capsys, monkeypatch, tmp_path):
    """Runs `repro prepare images` with a cache of its own, and gives its code and what it said."""
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")

    def prepare(*settings):
        code = cli.status(["prepare", "images", *settings])
        said = capsys.readouterr()
        return code, said.out, said.err

    return prepare


@pytest.fixture
def photos(tmp_path):
    write_classes(tmp_path / "photos" / "train", ant=3, bee=3)
    write_classes(tmp_path / "photos" / "val", ant=1, bee=1)
    return tmp_path / "photos"


def test_it_says_what_it_did_and_what_to_type_next(prepare, photos, tmp_path):
    out = tmp_path / "cache" / "images" / "photos-16"
    code, said, _ = prepare(f"path={photos}", "short_side=16")
    first, _, command = said.splitlines()
    assert code == 0
    assert first == f"{out} holds 8 images of 2 classes, 8 of them written now"
    _, run, name, *overrides = command.split()
    assert (run, load(name, overrides).data.images, load(name, overrides).model.classes) == ("run", 6, 2)
    assert load(name, overrides).data.path == str(out)
    assert folder(out).train[0].shape == (3, 16, 21)
    assert prepare(f"path={photos}", "short_side=16")[1].startswith(f"{out} holds 8 images of 2 classes, 0 of them")


def test_copies_go_where_they_are_asked_to_and_a_home_is_found(prepare, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert prepare("path=~/photos", "out=~/small copies")[0] == 0
    assert len(folder(tmp_path / "small copies").train) == 6


def test_imagenet_itself_needs_nothing_but_its_path(prepare, photos, monkeypatch):
    whole = load("resnet50-imagenet-polynorm")
    same = whole.model_copy(
        update={
            "data": whole.data.model_copy(update={"images": 6}),
            "model": whole.model.model_copy(update={"classes": 2}),
            "budget": whole.budget.model_copy(update={"samples_per_step": 6}),
        }
    )
    monkeypatch.setattr("repro.data.images.start.load", lambda name: same)
    assert prepare(f"path={photos}")[1].splitlines()[-1].endswith("photos-256")


def test_unreadable_ones_are_named_counted_and_left_out(prepare, photos):
    (photos / "train" / "ant" / "000.jpg").write_bytes(encoded(picture(0))[:300])
    (photos / "train" / "bee" / "003.jpg").write_bytes(b"no image")
    code, said, _ = prepare(f"path={photos}")
    lines = said.splitlines()
    assert code == 0
    assert lines[0].endswith("holds 6 images of 2 classes, 6 of them written now")
    assert lines[1] == "2 of 8 images cannot be read and are left out:"
    assert lines[2].startswith("  train/ant/000.jpg: ")
    assert lines[3] == "  train/bee/003.jpg: not an image"


def test_of_many_unreadable_ones_the_first_are_named(prepare, tmp_path):
    root = write_classes(tmp_path / "many", ant=30, bee=3)
    for path in sorted((root / "ant").iterdir())[:25]:
        path.write_bytes(b"")
    lines = prepare(f"path={root}")[1].splitlines()
    assert lines[1] == "25 of 33 images cannot be read and are left out:"
    assert lines[21:23] == ["  ant/019.jpg: not an image", "  and 5 more"]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ([], "prepare images copies a folder of yours: give path=FOLDER with a folder for each class in it"),
        (["path={tmp}/no"], "data.path={tmp}/no does not exist: expected a folder of images"),
        (["path={photos}", "short_sid=256"], "prepare images has no setting 'short_sid'. Did you mean 'short_side'?"),
        (["path={photos}", "short_side=big"], "short_side=big: expected a whole number from 1 to 10000, such as"),
        (["path={photos}/train/ant"], "{photos}/train/ant has no class folders with images: expected one folder"),
        (["path={photos}", "out={photos}/small"], "{photos}/small is in {photos}: expected a folder elsewhere"),
        (["path={photos}", "out={tmp}"], "out={tmp} holds other files: expected a folder that is new"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(prepare, photos, tmp_path, settings, complaint):
    places = {"tmp": tmp_path, "photos": photos}
    before = sorted(tmp_path.rglob("*"))
    code, _, said = prepare(*(setting.format(**places) for setting in settings))
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith(f"repro: {complaint.format(**places)}")
    assert sorted(tmp_path.rglob("*")) == before


def test_copies_of_another_size_or_folder_are_not_mixed(prepare, photos, tmp_path):
    prepare(f"path={photos}", "short_side=16", f"out={tmp_path}/small")
    code, _, said = prepare(f"path={photos}", "short_side=20", f"out={tmp_path}/small")
    assert (code, said.count("\n")) == (2, 1)
    assert f"was made with path={photos} short_side=16 quality=90, not with path={photos} short_side=20" in said


@pytest.fixture
def at_the_fourth(monkeypatch):
    """Does something in the place of writing the fourth copy, until the test undoes it."""
    write, written = resize.write_whole, []

    def arrange(action):
        def acting(path, content):
            if len(written) == 3:
                action(path)
            written.append(path)
            write(path, content)

        monkeypatch.setattr(resize, "write_whole", acting)

    return arrange


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(prepare, photos, at_the_fourth, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("repro.data.images.start.cores", lambda: 1)
    at_the_fourth(full)
    code, _, said = prepare(f"path={photos}")
    assert (code, said.count("\n")) == (2, 1)
    assert said.endswith("photos-256: No space left on device; what is there is kept, start again\n")
    at_the_fourth(lambda path: None)
    assert "holds 8 images of 2 classes, 5 of them written now" in prepare(f"path={photos}")[1]


def test_after_ctrl_c_the_same_command_goes_on(prepare, tmp_path, at_the_fourth):
    photos, out = write_classes(tmp_path / "many", ant=150, bee=150), tmp_path / "small"
    at_the_fourth(lambda path: os.kill(os.getpid(), signal.SIGINT))
    assert prepare(f"path={photos}", f"out={out}") == (130, "", "repro: interrupted\n")
    kept = sum(1 for _ in out.rglob("*.jpg"))
    assert 0 < kept < 300
    at_the_fourth(lambda path: None)
    assert f"holds 300 images of 2 classes, {300 - kept} of them" in prepare(f"path={photos}", f"out={out}")[1]
