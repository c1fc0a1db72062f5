"""Letters and digits drawn with Pillow's own font."""

import pickle

import numpy as np
import pytest
import torch

from repro.data.images import glyphs
from repro.data.images.glyphs import CLASSES, Glyphs
from repro.errors import DataError


def test_a_glyph_is_a_function_of_seed_split_and_index():
    forwards, backwards = Glyphs("train", 124), Glyphs("train", 62)
    later = [backwards[index] for index in reversed(range(62))][::-1]
    assert all(torch.equal(forwards[index], later[index]) for index in range(62))
    assert not torch.equal(forwards[5], Glyphs("train", 124, seed=1)[5])
    assert not torch.equal(forwards[5], Glyphs("validation", 124)[5])
    assert not torch.equal(forwards[5], forwards[5 + 62]), "another drawing of the same letter"


def test_images_are_32_pixels_of_colour():
    image = Glyphs("train", 62)[10]
    assert image.shape == (3, 32, 32)
    assert image.dtype == torch.uint8
    assert not torch.equal(image[0], image[1])


def test_classes_are_balanced_in_both_splits():
    drawn = glyphs.glyphs()
    assert len(drawn.classes) == len(set(drawn.classes)) == 62
    for split, n in ((drawn.train, 6200), (drawn.validation, 1240)):
        assert len(split) == n
        assert set(np.bincount(split.labels)) == {n // 62}


def test_no_two_letters_are_drawn_alike():
    upright = {glyphs._upright(letter).tobytes() for letter in CLASSES}
    assert len(upright) == 62
    assert all(glyphs._upright(letter).getbbox() for letter in CLASSES), "none is blank"


def test_no_letter_is_cut_off_before_it_is_turned():
    for letter in CLASSES:
        left, top, right, bottom = glyphs._upright(letter).getbbox()
        assert min(left, top) > 0
        assert max(right, bottom) < 64


def test_a_letter_is_nearest_to_its_own_kind():
    """With the contrast taken away, the mean image of a class finds far more of its own than the 1.6 % of chance."""

    def forms(split):
        images = torch.stack([split[index] for index in range(len(split))]).float().mean(1).flatten(1)
        images = images - images.median(1, keepdim=True).values
        return (images.abs() / images.norm(dim=1, keepdim=True)), torch.from_numpy(split.labels)

    images, labels = forms(Glyphs("train", 1240))
    means = torch.stack([images[labels == k].mean(0) for k in range(62)])
    unseen, truth = forms(Glyphs("validation", 620))
    assert ((unseen @ means.T).argmax(1) == truth).float().mean() > 0.2


def test_the_set_names_pillow_whose_version_decides_the_pixels(monkeypatch):
    drawn = glyphs.glyphs()
    assert drawn.name == f"glyphs drawn by Pillow {glyphs.PIL.__version__}"
    monkeypatch.setattr(glyphs.PIL, "__version__", "99.0")
    assert glyphs.glyphs().fingerprint != drawn.fingerprint
    assert drawn.train.name(72) == "glyph 'A', number 72 of train"


def test_drawing_needs_no_state_that_a_worker_would_lack():
    split = Glyphs("train", 62)
    assert torch.equal(pickle.loads(pickle.dumps(split))[7], split[7])


def test_a_pillow_without_freetype_says_so(monkeypatch):
    monkeypatch.setattr(glyphs.features, "check", lambda feature: False)
    with pytest.raises(DataError, match=r"^data\.source=glyphs: Pillow .* was built without FreeType"):
        glyphs.glyphs()
