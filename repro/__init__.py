"""A reproduction kit for Polynomial Composition Activations (PolyCom, arXiv 2411.03884)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from repro.activations import PolyCom, PolyNorm, PolyReLU

__version__ = "0.1.0"
__all__ = ["PolyCom", "PolyNorm", "PolyReLU", "__version__"]


def __getattr__(name: str) -> object:
    """Import the activations on first use, so that ``repro list`` starts without torch."""
    if name in {"PolyCom", "PolyNorm", "PolyReLU"}:
        from repro import activations

        return getattr(activations, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
