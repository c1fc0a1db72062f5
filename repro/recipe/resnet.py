"""Parameters and FLOPs of a ResNet, exactly, from its recipe: tests hold them to the model built."""

from collections.abc import Iterator
from dataclasses import dataclass

from repro.recipe.images import ResNet
from repro.recipe.parameters import Parameters
from repro.recipe.table import rows


@dataclass(frozen=True)
class Convolution:
    """A convolution of ``kernel`` x ``kernel``, after which the image has been halved ``halvings`` times."""

    inputs: int
    outputs: int
    kernel: int
    halvings: int

    @property
    def weights(self) -> int:
        """``inputs outputs kernel^2``; there is no bias."""
        return self.inputs * self.outputs * self.kernel * self.kernel

    def pixels(self, size: int) -> int:
        """Of the output, from a square image of ``size``."""
        return _pixels(size, self.halvings)


def _pixels(size: int, halvings: int) -> int:
    """Of a square image of ``size``, halved so often; a half of an odd side is rounded up."""
    side = -(-size // (1 << halvings))
    return side * side


def convolutions(model: ResNet) -> Iterator[Convolution]:
    """Each of them, in the order of the forward pass, the stem's first. A norm of ``outputs`` channels follows each."""
    imagenet = model.stem == "imagenet"
    yield Convolution(3, model.width, 7, 1) if imagenet else Convolution(3, model.width, 3, 0)
    channels, halvings = model.width, 2 if imagenet else 0
    for stage, depth in enumerate(model.blocks):
        width, before = model.width << stage, halvings
        halvings += stage > 0
        for block in range(depth):
            yield Convolution(channels, width, 1, halvings if block else before)
            yield Convolution(width, width, 3, halvings)
            yield Convolution(width, 4 * width, 1, halvings)
            if not block:
                yield Convolution(channels, 4 * width, 1, halvings)
            channels = 4 * width


def features(model: ResNet) -> int:
    """Inputs of the classifier."""
    return 4 * model.width << (len(model.blocks) - 1)


def sites(model: ResNet) -> int:
    """Where the recipe's activation stands: 49 in a ResNet-50, 33 without those after the additions."""
    return 1 + (3 if model.sites == "all" else 2) * sum(model.blocks)


def count(model: ResNet) -> Parameters:
    """Parameters: of the convolutions, two a channel of their norms, the classifier's with its bias, and what the
    activations learn. ``non_embedding`` is all but the classifier, and there are no ``ffn_matrices``.
    """
    coefficients = sites(model) * rows()[model.activation].parameters
    inner = sum(each.weights + 2 * each.outputs for each in convolutions(model)) + coefficients
    total = inner + (features(model) + 1) * model.classes
    return Parameters(total=total, active=total, non_embedding=inner, ffn_matrices=0, coefficients=coefficients)


def flops(model: ResNet, size: int) -> int:
    """Floating-point operations of a training image of ``size`` x ``size``, forward and backward.

    Those of convolutions and the classifier, a multiplication and its addition counted as two: ``6 weights pixels``
    each, but ``4 weights pixels`` for the stem, since no gradient is taken for the image.
    """
    stem, *others = (each.weights * each.pixels(size) for each in convolutions(model))
    return 4 * stem + 6 * (sum(others) + features(model) * model.classes)


def activations(model: ResNet, size: int, width: int) -> int:
    """Bytes that autograd keeps for one image of ``size`` x ``size``, but for itself, with ``width`` bytes a number."""
    own, relu = rows()[model.activation].kept, rows()["relu"].kept
    after = own if model.sites == "all" else relu
    stem, *others = (each.outputs * each.pixels(size) for each in convolutions(model))
    total = width * ((1 + own) * stem + features(model))
    if model.stem == "imagenet":  # the pooling keeps places of 8 bytes, the convolution after it what was found there
        total += (8 + width) * model.width * _pixels(size, halvings=2)
    for depth in model.blocks:
        for block in range(depth):
            first, middle, last, *shortcut = (others.pop(0) for _ in range(3 if block else 4))
            total += width * ((1 + own) * (first + middle) + (1 + after) * last + sum(shortcut))
    return total - width * last * (after > 1)  # the average at the end does not need what it is taken of
