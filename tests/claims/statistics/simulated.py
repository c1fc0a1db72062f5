"""Shares of simulated studies, and how far chance may take them."""

import math

import numpy as np

DRAWS = 4000


def studies(seed, pairs, *, draws=DRAWS, mean=0.0, sd=1.0):
    """Differences of ``draws`` studies of so many pairs."""
    return (mean + sd * np.random.default_rng(seed).normal(size=(draws, pairs))).tolist()


def share(outcomes):
    found = list(outcomes)
    return sum(found) / len(found)


def budget(expected, draws=DRAWS):
    """Four standard errors of a share of ``draws``: 1.4 % around 5 % of 4,000."""
    return 4 * math.sqrt(expected * (1 - expected) / draws)
