"""Networks with explicit weights: neurons that see any earlier ones, evaluated in rationals or in float64.

A neuron is ``sum_i c_i max(z, 0)^i`` of an affine form ``z`` of inputs and earlier neurons; that is a PolyReLU unit
with weights of its own, and a ReLU unit where the coefficients are ``(0, 1)``. Connections may skip layers, as in
Yarotsky (2017), which the paper's proofs build on.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from repro.errors import ReproError

Number = Fraction | float
RELU = (0, 1)
_AT_A_TIME = 2**23  # float64 values, 64 MiB


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """An affine form of a network's nodes, ``sum_k weights[k] node_k + constant``; forms add, and numbers scale them.

    Attributes:
        weights: by node, none of them 0: first the inputs, then the neurons in the order they were made.
        constant: what is left where all nodes are 0.
    """

    weights: Mapping[int, Number]
    constant: Number = 0

    def __add__(self, other: "Affine | Number") -> "Affine":
        if isinstance(other, Affine):
            return total((self, other))
        return Affine(self.weights, self.constant + other)

    __radd__ = __add__

    def __mul__(self, factor: Number) -> "Affine":
        if factor == 0:
            return Affine({})
        return Affine({node: weight * factor for node, weight in self.weights.items()}, self.constant * factor)

    __rmul__ = __mul__

    def __neg__(self) -> "Affine":
        return self * -1

    def __sub__(self, other: "Affine | Number") -> "Affine":
        return self + -1 * other

    def __rsub__(self, other: Number) -> "Affine":
        return -self + other


def total(forms: Iterable[Affine]) -> Affine:
    """The sum of many forms, in time that is linear in their terms, which adding them one by one is not."""
    weights: dict[int, Number] = {}
    constant: Number = 0
    for form in forms:
        constant += form.constant
        for node, weight in form.weights.items():
            weights[node] = weights[node] + weight if node in weights else weight
    return Affine({node: weight for node, weight in weights.items() if weight != 0}, constant)


@dataclass(frozen=True)
class Size:
    """Of what some outputs need of a network.

    Attributes:
        neurons: units, U in the paper's proofs.
        parameters: numbers other than 0: weights, biases, coefficients, and the weights and biases of the outputs.
        depth: neurons on the longest way from an input to an output.
    """

    neurons: int
    parameters: int
    depth: int


@dataclass(frozen=True, slots=True, eq=False)
class Neuron:
    """``sum_i coefficients[i] max(form, 0)^i``.

    Attributes:
        node: by which later forms name it.
        form: of inputs and earlier neurons.
        coefficients: ascending, from the power 0.
        depth: neurons on the longest way from an input to it, itself included.
    """

    node: int
    form: Affine
    coefficients: tuple[Number, ...]
    depth: int

    @property
    def parameters(self) -> int:
        """Weights, bias and coefficients that are not 0."""
        return _parameters(self.form) + sum(c != 0 for c in self.coefficients)


@dataclass
class Network:
    """Neurons over ``inputs`` inputs, made one after the other.

    Raises:
        ReproError: there is no input, a form is of another network's nodes, or points have another dimension.
    """

    inputs: int
    _neurons: list[Neuron] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.inputs < 1:
            raise ReproError(f"a network has at least one input, not {self.inputs}")

    def input(self, k: int) -> Affine:
        """The k-th input, from 0."""
        if not 0 <= k < self.inputs:
            raise ReproError(f"there is no input {k} of a network that has {self.inputs}, counted from 0")
        return Affine({k: 1})

    def neuron(self, z: Affine, coefficients: Sequence[Number]) -> Affine:
        """``sum_i coefficients[i] max(z, 0)^i``; of a constant ``z`` it is a constant, and no neuron is made."""
        if not z.weights:
            return Affine({}, _horner(coefficients, max(z.constant, 0)))
        self._check([z])
        if not all(map(math.isfinite, (*z.weights.values(), z.constant, *coefficients))):
            raise ReproError("a neuron's weights, bias and coefficients have to be finite")
        depth = 1 + max(self._depth(node) for node in z.weights)
        node = self.inputs + len(self._neurons)
        self._neurons.append(Neuron(node, z, tuple(coefficients), depth))
        return Affine({node: 1})

    def relu(self, z: Affine) -> Affine:
        """``max(z, 0)``."""
        return self.neuron(z, RELU)

    def size(self, outputs: Sequence[Affine]) -> Size:
        """What the outputs need; neurons that lead to none of them do not count."""
        needed = self.needed(outputs)
        parameters = sum(neuron.parameters for neuron in needed) + sum(map(_parameters, outputs))
        return Size(len(needed), parameters, max((neuron.depth for neuron in needed), default=0))

    def exact(self, outputs: Sequence[Affine], point: Sequence[Number]) -> list[Fraction]:
        """Values at one point in rational arithmetic, of weights as they are: a float is the dyadic number it holds."""
        if len(point) != self.inputs:
            raise ReproError(f"a point of {len(point)} numbers for a network of {self.inputs} inputs")
        values = {k: Fraction(x) for k, x in enumerate(point)}
        for neuron in self.needed(outputs):
            z = max(_value(neuron.form, values), Fraction(0))
            values[neuron.node] = _horner([Fraction(c) for c in neuron.coefficients], z)
        return [_value(form, values) for form in outputs]

    def evaluate(self, outputs: Sequence[Affine], points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values in float64, ``(n, len(outputs))``, at points ``(n, inputs)``."""
        if points.ndim != 2 or points.shape[1] != self.inputs:
            raise ReproError(f"points of shape {points.shape} for a network of {self.inputs} inputs")
        staged = _Staged(self, outputs)
        chunk = max(1, _AT_A_TIME // staged.rows)
        parts = [staged(points[start : start + chunk]) for start in range(0, len(points), chunk)]
        return np.concatenate(parts) if parts else np.empty((0, len(outputs)))

    def needed(self, outputs: Sequence[Affine]) -> list[Neuron]:
        """The neurons that lead to an output, in the order they were made."""
        self._check(outputs)
        needed = bytearray(self.inputs + len(self._neurons))
        for form in outputs:
            for node in form.weights:
                needed[node] = True
        for neuron in reversed(self._neurons):
            if needed[neuron.node]:
                for node in neuron.form.weights:
                    needed[node] = True
        return [neuron for neuron in self._neurons if needed[neuron.node]]

    def _depth(self, node: int) -> int:
        return self._neurons[node - self.inputs].depth if node >= self.inputs else 0

    def _check(self, forms: Iterable[Affine]) -> None:
        nodes = self.inputs + len(self._neurons)
        if any(node >= nodes for form in forms for node in form.weights):
            raise ReproError(f"a form of nodes that this network of {nodes} does not have: it is another network's")


class _Staged:
    """A network's outputs as one sparse matrix for each depth; all nodes of a depth are computed at once."""

    def __init__(self, network: Network, outputs: Sequence[Affine]) -> None:
        needed = sorted(network.needed(outputs), key=attrgetter("depth"))
        nodes = [*range(network.inputs), *(neuron.node for neuron in needed)]
        row = {node: number for number, node in enumerate(nodes)}
        self.rows, self.inputs = len(row), network.inputs
        self.stages = []
        first = network.inputs
        for _, group in groupby(needed, key=attrgetter("depth")):
            neurons = list(group)
            self.stages.append((*_matrix([neuron.form for neuron in neurons], row, first), _padded(neurons)))
            first += len(neurons)
        self.last = _matrix(outputs, row, self.rows)

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        values = np.empty((self.rows, len(points)))
        values[: self.inputs] = points.T
        first = self.inputs
        for weights, constants, coefficients in self.stages:
            z = weights @ values[:first]
            z += constants
            np.maximum(z, 0, out=z)
            values[first : first + len(z)] = _horner(coefficients, z)
            first += len(z)
        weights, constants = self.last
        result: NDArray[np.float64] = (weights @ values + constants).T
        return result


def _matrix(forms: Sequence[Affine], row: Mapping[int, int], columns: int) -> tuple[Any, NDArray[np.float64]]:
    """Sparse weights ``(forms, columns)`` and constants ``(forms, 1)``."""
    ends = np.cumsum([0, *(len(form.weights) for form in forms)])
    nodes = [row[node] for form in forms for node in form.weights]
    weights = np.array([float(weight) for form in forms for weight in form.weights.values()])
    constants = np.array([[float(form.constant)] for form in forms])
    return sparse.csr_array((weights, nodes, ends), shape=(len(forms), columns)), constants


def _padded(neurons: Sequence[Neuron]) -> NDArray[np.float64]:
    """Coefficients ``(order + 1, neurons, 1)``, the powers that a neuron does not have with a 0."""
    order = max(len(neuron.coefficients) for neuron in neurons)
    rows = [[float(c) for c in neuron.coefficients] + [0.0] * (order - len(neuron.coefficients)) for neuron in neurons]
    return np.array(rows).T[:, :, None]


def _horner(coefficients: Any, z: Any) -> Any:
    """``sum_i coefficients[i] z^i``, from the highest power down."""
    value = coefficients[-1]
    for c in coefficients[-2::-1]:
        value = value * z + c
    return value


def _value(form: Affine, values: Mapping[int, Fraction]) -> Fraction:
    return sum((Fraction(w) * values[node] for node, w in form.weights.items()), Fraction(form.constant))


def _parameters(form: Affine) -> int:
    return len(form.weights) + (form.constant != 0)
