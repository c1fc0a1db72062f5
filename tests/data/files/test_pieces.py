"""How the files of a corpus are parted: what lies together, in which order, and what a share of it takes."""

import random
from collections import Counter

import pytest

from repro.data.files.inputs import InputFile
from repro.data.files.pieces import PIECE_BYTES, enough, listing_digest, pieces


def file(name, size, subset="", split=None, **more):
    return InputFile(name, subset, f"/{name}", size, split=split, **more)


def corpus(**subsets):
    """Files of the given sizes, by subset."""
    return [
        file(f"{subset}/{number}", size, subset)
        for subset, sizes in subsets.items()
        for number, size in enumerate(sizes)
    ]


def names(made):
    return [[file.name for file in piece.files] for piece in made]


def by_subset(taken):
    """Bytes of each subset."""
    sizes = Counter()
    for piece in taken:
        sizes[piece.subset] += piece.n_bytes
    return sizes


def test_small_files_lie_together_up_to_the_size_of_a_piece():
    made = pieces(corpus(a=[3, 3, 4, 1, 9, 10, 11, 2]), piece_bytes=10)
    assert names(made) == [["a/0", "a/1", "a/2"], ["a/3", "a/4"], ["a/5"], ["a/6"], ["a/7"]]
    assert [piece.n_bytes for piece in made] == [10, 10, 10, 11, 2]
    assert [piece.name for piece in made] == ["00000", "00001", "00002", "00003", "00004"]


def test_a_file_of_unknown_size_is_a_piece_of_its_own():
    (first, second, third) = pieces(corpus(a=[5, 0, 5]))
    assert names([first, second, third]) == [["a/0"], ["a/1"], ["a/2"]]
    assert second.n_bytes == PIECE_BYTES


def test_no_files_are_no_pieces():
    assert pieces([]) == enough((), 1.0) == ()


@pytest.mark.parametrize("seed", range(20))
def test_every_file_is_in_one_piece_of_its_own_subset_and_split(seed):
    rng = random.Random(seed)
    files = []
    for number in range(60):
        subset, split = rng.choice("abc"), rng.choice([None, "train", "validation"])
        files += [file(f"{number}-{n}", rng.randrange(20), subset, split) for n in range(rng.randrange(4))]
    made = pieces(files, piece_bytes=10)
    assert sorted(one.name for piece in made for one in piece.files) == sorted(one.name for one in files)
    for piece in made:
        assert {(one.subset, one.split) for one in piece.files} == {(piece.subset, piece.split)}
    numbered = sorted(made, key=lambda piece: piece.name)
    assert [one for piece in numbered for one in piece.files] == files, "their numbers are in the order of the listing"
    assert len({piece.name for piece in made}) == len(made)


@pytest.mark.parametrize("seed", range(20))
def test_the_first_pieces_have_each_subset_in_the_share_that_it_has_of_all(seed):
    """To a piece: its middle is where its subset's bytes are as far along as all bytes together."""
    rng = random.Random(seed)
    sizes = {subset: [rng.randrange(1, 40) for _ in range(rng.randrange(1, 60))] for subset in "abcd"}
    made = pieces(corpus(**sizes), piece_bytes=40)
    total, largest = by_subset(made), max(piece.n_bytes for piece in made)
    for n in range(len(made) + 1):
        taken = by_subset(made[:n])
        reached = [taken[subset] / total[subset] for subset in total]
        steps = [largest / total[subset] for subset in total]
        assert max(reached) - min(reached) <= max(steps), n


def test_a_small_subset_comes_in_the_middle_and_not_at_an_end():
    made = pieces(corpus(large=[10] * 9, small=[1]), piece_bytes=10)
    assert [piece.subset for piece in made].index("small") == 5


def test_pieces_of_one_subset_stay_in_order():
    made = pieces(corpus(a=[10] * 7, b=[10] * 3), piece_bytes=10)
    for subset in "ab":
        own = [piece.name for piece in made if piece.subset == subset]
        assert own == sorted(own)


def test_the_order_is_that_of_the_files_alone():
    files = corpus(a=[9, 5, 7], b=[20, 1], c=[4])
    assert pieces(iter(files), 10) == pieces(files, 10)


@pytest.mark.parametrize(("share", "n"), [(0.0, 0), (1e-9, 1), (0.1, 1), (0.11, 2), (0.5, 5), (0.999, 10), (1.0, 10)])
def test_a_share_takes_as_few_pieces_as_hold_it(share, n):
    made = pieces(corpus(a=[10] * 10), piece_bytes=10)
    assert enough(made, share) == made[:n]


def test_a_share_has_natural_proportions():
    made = pieces(corpus(a=[10] * 60, b=[10] * 30, c=[10] * 10), piece_bytes=10)
    taken = by_subset(enough(made, 0.2))
    assert taken.total() == 200
    assert all(abs(taken[subset] - expected) <= 10 for subset, expected in {"a": 120, "b": 60, "c": 20}.items())


def test_the_publishers_validation_files_are_taken_whole_and_count_for_no_share():
    trained = [file(f"train-{number}", 10, "a", "train") for number in range(10)]
    held_out = [file(f"validation-{number}", 10, "a", "validation") for number in range(3)]
    taken = enough(pieces([*trained, *held_out], piece_bytes=10), 0.3)
    assert sum(piece.split == "train" for piece in taken) == 3
    assert sum(piece.split == "validation" for piece in taken) == 3


def test_all_of_a_corpus_is_taken_to_the_last_piece():
    """A share of 1 must not lose one to rounding."""
    for seed in range(20):
        rng = random.Random(seed)
        made = pieces(corpus(a=[rng.randrange(1, 2**40) for _ in range(200)]), piece_bytes=1)
        assert enough(made, 1.0) == made


def test_a_listing_is_known_by_names_sizes_and_digests():
    files = [file("a", 1), file("b", 2)]
    others = [[file("a", 1)], [file("a", 2), file("b", 2)], [file("c", 1), file("b", 2)], files[::-1]]
    others.append([file("a", 1, sha256="5e"), file("b", 2)])
    assert listing_digest(files) == listing_digest(iter(files))
    assert len({listing_digest(each) for each in [files, *others]}) == 6
