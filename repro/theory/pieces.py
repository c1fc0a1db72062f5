"""How many linear pieces a ReLU network of one input has, counted exactly."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

from repro.errors import ReproError
from repro.theory.networks import Affine, Network

Values = list[Fraction]  # of a node, at each point of a grid between which it is linear


def pieces(network: Network, output: Affine, low: Fraction, high: Fraction) -> int:
    """Of ``output`` over ``[low, high]``: one more than the points where its slope changes.

    Raises:
        ReproError: the network has several inputs, or a neuron with a power above 1, which has no pieces.
    """
    if network.inputs != 1:
        raise ReproError(f"linear pieces are counted along one input, and this network has {network.inputs}")
    grid, values = [low, high], {0: [low, high]}
    for neuron in network.needed([output]):
        if any(neuron.coefficients[2:]):
            raise ReproError("linear pieces are counted of ReLU networks, and a neuron has a power above 1")
        grid, values = _refined(grid, values, _along(neuron.form, values, grid))
        first, slope = (Fraction(c) for c in (*neuron.coefficients, 0)[:2])
        values[neuron.node] = [first + slope * max(z, Fraction(0)) for z in _along(neuron.form, values, grid)]
    return 1 + _kinks(grid, _along(output, values, grid))


def _along(form: Affine, values: Mapping[int, Values], grid: Sequence[Fraction]) -> Values:
    sums = [Fraction(form.constant)] * len(grid)
    for node, weight in form.weights.items():
        sums = [s + Fraction(weight) * value for s, value in zip(sums, values[node], strict=True)]
    return sums


def _refined(grid: Values, values: Mapping[int, Values], z: Values) -> tuple[Values, dict[int, Values]]:
    """The grid with the points where ``z`` changes its sign, and all values on it."""
    shares = [a / (a - b) if a * b < 0 else None for a, b in pairwise(z)]  # of the way from a point to the next
    return _with(grid, shares), {node: _with(along, shares) for node, along in values.items()}


def _with(along: Values, shares: Sequence[Fraction | None]) -> Values:
    refined = along[:1]
    for (a, b), share in zip(pairwise(along), shares, strict=True):
        refined += [b] if share is None else [a + share * (b - a), b]
    return refined


def _kinks(grid: Values, along: Values) -> int:
    slopes = [(b - a) / (t - s) for (s, t), (a, b) in zip(pairwise(grid), pairwise(along), strict=True)]
    return sum(a != b for a, b in pairwise(slopes))
