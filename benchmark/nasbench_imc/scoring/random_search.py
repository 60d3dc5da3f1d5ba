"""What random search is expected to reach: the yardstick of every score."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nasbench_imc.scoring import front


def expected_best(search: np.ndarray, score: np.ndarray, draws: Sequence[int]) -> np.ndarray:
    """Expected score label of the best of ``n`` designs drawn without replacement, in closed form.

    With designs sorted by search label, the best of the draw is worse than the first k exactly where
    none of these is drawn, which has the probability C(N - k, n) / C(N, n). Designs with one search
    label share their chance evenly.

    Parameters
    ----------
    search, score : numpy.ndarray, shape (N,)
        Labels of the designs that may be drawn, the larger the better.
    draws : sequence of int
        Numbers of draws n, from 1 to N.

    Returns
    -------
    numpy.ndarray, shape (len(draws),), float64

    Raises
    ------
    ValueError
        Where a number of draws is out of range.
    """
    total = len(search)
    if not all(1 <= n <= total for n in draws):
        raise ValueError(f"draws must lie between 1 and {total}, not {list(draws)}")
    _, group = np.unique(-np.asarray(search, dtype=float), return_inverse=True)  # 0: the best label
    size = np.bincount(group)
    mean = np.bincount(group, weights=score) / size
    end = np.cumsum(size)  # designs in this group and all better ones
    return np.array([float(-np.diff(_none_drawn(total, n)[np.r_[0, end]]) @ mean) for n in draws])


def _none_drawn(total: int, n: int) -> np.ndarray:
    """Chance that none of the first k of ``total`` is among ``n`` drawn, for k = 0 .. total."""
    k = np.arange(total)
    with np.errstate(divide="ignore"):
        steps = np.log(np.maximum(total - n - k, 0)) - np.log(total - k)
    return np.exp(np.concatenate([[0.0], np.cumsum(steps)]))


def simulate_fronts(
    search: np.ndarray,
    score: np.ndarray,
    scored: np.ndarray,
    draws: Sequence[float],
    size: int,
    rng: np.random.Generator,
    runs: int,
    seconds: np.ndarray | None = None,
) -> np.ndarray:
    """Hypervolume that random search recommends, simulated.

    Parameters
    ----------
    search, score : numpy.ndarray, shape (N, m)
        Normalised objectives of the designs by search and by score labels.
    scored : numpy.ndarray, shape (N,), bool
        Which designs count when scored.
    draws : sequence of float
        When it is scored, rising: numbers of draws, or of seconds.
    size : int
        Most designs that a recommendation names.
    rng : numpy.random.Generator
    runs : int
    seconds : numpy.ndarray, shape (N,), optional
        What each design takes, where that is not one draw.

    Returns
    -------
    numpy.ndarray, shape (runs, len(draws)), float64
        0 where not even one design was done.
    """
    seconds = np.ones(len(search)) if seconds is None else seconds
    most = min(len(search), math.ceil(draws[-1] / seconds.min()))
    volumes = np.empty((runs, len(draws)))
    for run in range(runs):
        drawn = rng.choice(len(search), size=most, replace=False)
        done = np.searchsorted(np.cumsum(seconds[drawn]), draws, side="right")
        for k, n in enumerate(done):
            chosen = drawn[:n][front.best_subset(search[drawn[:n]], size)]
            volumes[run, k] = front.hypervolume(score[chosen[scored[chosen]]])
    return volumes


def simulate_clock(
    search: np.ndarray,
    score: np.ndarray,
    seconds: np.ndarray,
    clocks: Sequence[float],
    rng: np.random.Generator,
    runs: int,
) -> np.ndarray:
    """Score label of what random search recommends when each design takes its own time, simulated.

    Parameters
    ----------
    search, score : numpy.ndarray, shape (N,)
        Labels of the designs that may be drawn, the larger the better.
    seconds : numpy.ndarray, shape (N,)
        What each design takes.
    clocks : sequence of float
        When it is scored, rising, in the unit of ``seconds``.
    rng : numpy.random.Generator
    runs : int

    Returns
    -------
    numpy.ndarray, shape (runs, len(clocks)), float64
        NaN where not even one design was done.
    """
    reached = np.full((runs, len(clocks)), np.nan)
    for run in range(runs):
        drawn = rng.permutation(len(search))
        done = np.searchsorted(np.cumsum(seconds[drawn]), clocks, side="right")
        for k, n in enumerate(done):
            if n:
                reached[run, k] = score[drawn[np.argmax(search[drawn[:n]])]]
    return reached
