"""Synthetic label noise: what a search sees differs from what it is scored on."""

from __future__ import annotations

import numpy as np


def standard_normal(seed: int, size: int) -> np.ndarray:
    """Standard normal numbers that depend on ``seed`` alone.

    The bits come from Philox, whose stream NumPy keeps fixed between versions (NEP 19), and go through
    the inverse normal distribution; ``Generator.normal`` has no such promise.

    Parameters
    ----------
    seed : int
        Label seed, at least 0.
    size : int
        How many numbers.

    Returns
    -------
    numpy.ndarray, shape (size,), float64
    """
    from scipy.special import ndtri  # here, because importing it costs more than loading a table

    bits = np.random.Philox(key=seed).random_raw(size)
    uniform = ((bits >> np.uint64(11)) + 0.5) * 2.0**-53
    return ndtri(np.minimum(uniform, 1 - 2.0**-53))  # the largest word would round to 1
