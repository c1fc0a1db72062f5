"""Random numbers that depend on what they are for and on nothing that was drawn before."""

import zlib

import numpy as np


def draws(purpose: str, seed: int, *place: int) -> np.random.Generator:
    """A generator that is a function of its arguments alone, such as ``draws("augment", seed, epoch, index)``."""
    return np.random.default_rng((zlib.crc32(purpose.encode()), seed % 2**64, *place))
