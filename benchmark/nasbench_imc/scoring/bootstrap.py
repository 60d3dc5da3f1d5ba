"""The percentile bootstrap, as weights: a resample's mean is a weighted mean of what was measured."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache

import numpy as np

RESAMPLES = 2_000
LEVEL = 0.95


def weights(size: int, rng: np.random.Generator, resamples: int = RESAMPLES) -> np.ndarray:
    """How often each of ``size`` values is in a resample of as many, drawn with replacement.

    Returns
    -------
    numpy.ndarray, shape (resamples, size), float64
        Shares: each row sums to 1.
    """
    return rng.multinomial(size, np.full(size, 1 / size), size=resamples) / size


@lru_cache(maxsize=64)
def fixed_weights(size: int) -> np.ndarray:
    """:func:`weights` from a generator seeded with 0, so that equal values have equal intervals."""
    made = weights(size, np.random.default_rng(0))
    made.setflags(write=False)
    return made


def cluster_counts(
    clusters: Sequence[Hashable], rng: np.random.Generator, resamples: int = RESAMPLES
) -> np.ndarray:
    """How often each task is in a resample of clusters, and of the tasks within each cluster drawn.

    As many clusters are drawn, with replacement, as there are; each time that one is drawn, as many of
    its tasks as it has, with replacement. So tasks that share a table and a hardware family, which tend
    to agree, count as less than as many independent ones (Davison and Hinkley, 1997, section 3.8).

    Parameters
    ----------
    clusters : sequence of hashable
        The cluster of each task.
    rng : numpy.random.Generator
    resamples : int

    Returns
    -------
    numpy.ndarray, shape (resamples, len(clusters)), int64
    """
    names = list(dict.fromkeys(clusters))
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    counts = np.zeros((resamples, len(clusters)), dtype=np.int64)
    for k, name in enumerate(names):
        members = [task for task, cluster in enumerate(clusters) if cluster == name]
        share = np.full(len(members), 1 / len(members))
        counts[:, members] = rng.multinomial(drawn[:, k] * len(members), share)
    return counts


def interval(resampled: np.ndarray) -> np.ndarray:
    """The central 95 % of resampled values.

    Parameters
    ----------
    resampled : numpy.ndarray, shape (resamples, ...)

    Returns
    -------
    numpy.ndarray, shape (2, ...)
        Lower and upper end.
    """
    tail = (1 - LEVEL) / 2
    return np.quantile(resampled, [tail, 1 - tail], axis=0)


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % percentile-bootstrap interval of the mean; both ends equal the mean for one value.

    It depends on the values alone (:func:`fixed_weights`), so a leaderboard is the same each time.

    Parameters
    ----------
    values : array-like, shape (n,)
    """
    values = np.asarray(values, dtype=float)
    low, high = interval(fixed_weights(len(values)) @ values)
    return float(low), float(high)
