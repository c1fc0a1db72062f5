"""All names of a list of tensors, in few words."""

import pytest

from repro.interop.importing.folding import folded


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], []),
        (["a.weight", "b.weight"], ["a.weight", "b.weight"]),
        (["layers.3.norm.weight"], ["layers.3.norm.weight"]),
        ([f"layers.{i}.norm.weight" for i in (3, 2, 5, 4)], ["layers.{2..5}.norm.weight"]),
        ([f"layers.{i}.norm" for i in (0, 2, 3, 9, 10)], ["layers.{0,2..3,9..10}.norm"]),
        ([f"l.{i}.experts.{j}.w1" for i in range(2) for j in range(8)], ["l.{0..1}.experts.{0..7}.w1"]),
        (["l.0.experts.0.w1", "l.0.experts.1.w1", "l.1.experts.0.w1"], ["l.0.experts.{0..1}.w1", "l.1.experts.0.w1"]),
        (["x.0.a", "x.b", "x.1.a"], ["x.{0..1}.a", "x.b"]),
        (["0.weight", "1.weight", "norms.0", "norms.1"], ["{0..1}.weight", "norms.{0..1}"]),
        (["conv1.weight", "conv2.weight"], ["conv1.weight", "conv2.weight"]),
    ],
)
def test_numbers_between_dots_are_folded_where_nothing_else_differs(names, expected):
    assert folded(names) == expected
