"""Methods compared across tasks: mean rank, Elo and the critical difference.

All of these are relative: they change with the set of methods, which :func:`method_set` stamps. They are
computed of scores as they are, so that only equal scores tie; see :mod:`nasbench_imc.scoring.compare` for
which differences within a task mean something.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from nasbench_imc.scoring import bootstrap

#: Significance level of all tests.
ALPHA = 0.05

#: Rating of the method that Elo is anchored at, and otherwise the mean rating.
ANCHOR = "random_search"
ANCHOR_RATING = 1_000.0

#: Elo points of a natural unit of strength: 400 points are odds of 10 to 1.
ELO_SCALE = 400 / math.log(10)

#: Tied games that every method is taken to have played against one of average strength. They keep the
#: rating of a method that won, or lost, all games finite.
PRIOR_GAMES = 1.0

#: Tasks, and clusters of them, below which a spread over tasks is not estimated: tasks of one cluster tend to
#: agree, so that many of them may still show no spread.
MIN_TASKS = 5
MIN_CLUSTERS = 4

_STEPS = 200
_LONGEST_STEP = 2.0
_CHUNK = 2_000_000  # pairs of methods in all resamples that are solved at once


def method_set(methods: Iterable[str]) -> str:
    """The stamp of a set of methods: eight hexadecimal digits, whatever their order."""
    return hashlib.sha256("\n".join(sorted(set(methods))).encode("utf-8", "surrogatepass")).hexdigest()[:8]


def ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks of methods on each task: 1 is the lowest score; equal scores share the mean of their ranks.

    Parameters
    ----------
    scores : numpy.ndarray, shape (tasks, methods)

    Returns
    -------
    numpy.ndarray, shape (tasks, methods), float64
    """
    return rankdata(scores, axis=1)


def wins(scores: np.ndarray) -> np.ndarray:
    """Which method has the lower score on each task.

    Parameters
    ----------
    scores : numpy.ndarray, shape (tasks, methods)

    Returns
    -------
    numpy.ndarray, shape (tasks, methods, methods), float64
        Entry (t, i, j) is 1 where i beats j on t, 1/2 where they tie, else 0; the diagonal is 0.
    """
    mine, other = scores[:, :, None], scores[:, None, :]
    return ((mine < other) + 0.5 * (mine == other)) * (1 - np.eye(scores.shape[1]))


def bradley_terry(wins: np.ndarray, prior: float = PRIOR_GAMES) -> np.ndarray:
    """Strengths by which wins are most likely (Bradley and Terry, 1952).

    Method i beats j with probability 1 / (1 + exp(s_j - s_i)). The log-likelihood is concave, and gains
    by ``prior`` tied games of each method against one of strength 0 a unique, finite maximum also where
    the methods separate; Newton's steps, shortened to 2 at most, lead there.

    Parameters
    ----------
    wins : numpy.ndarray, shape (..., methods, methods)
        How often the row's method beat the column's, a tie counted as half a win of each.
    prior : float
        Above 0.

    Returns
    -------
    numpy.ndarray, shape (..., methods), float64
        Natural logarithms of odds, up to a common constant.

    Raises
    ------
    ValueError
        Where ``prior`` is not above 0, or the steps do not settle.
    """
    if not prior > 0:
        raise ValueError(f"the prior must be above 0 games, not {prior}")
    wins = np.asarray(wins, dtype=float)
    size = wins.shape[-1]
    flat = wins.reshape(-1, size, size)
    chunk = max(1, _CHUNK // size**2)
    solved = [_solve(flat[k : k + chunk], prior) for k in range(0, len(flat), chunk)]
    return np.concatenate(solved).reshape(wins.shape[:-1])


def _solve(wins: np.ndarray, prior: float) -> np.ndarray:
    games = wins + wins.swapaxes(1, 2)
    won = wins.sum(axis=2) + prior / 2
    strength = np.zeros(won.shape)
    diagonal = np.arange(won.shape[1])
    for _ in range(_STEPS):
        chance = _logistic(strength[:, :, None] - strength[:, None, :])
        own = _logistic(strength)
        gradient = won - (games * chance).sum(axis=2) - prior * own
        curvature = -games * chance * (1 - chance)
        curvature[:, diagonal, diagonal] = -curvature.sum(axis=2) + prior * own * (1 - own)
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        step *= np.minimum(1, _LONGEST_STEP / np.maximum(np.abs(step).max(axis=1), 1e-300))[:, None]
        strength = strength + step
        if np.abs(step).max(initial=0) < 1e-9:
            return strength
    raise ValueError(f"Bradley-Terry strengths did not settle in {_STEPS} steps")


def _logistic(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))


def elo(wins: np.ndarray, anchor: int | None = None, prior: float = PRIOR_GAMES) -> np.ndarray:
    """Bradley-Terry strengths on the scale of Elo: 400 points are odds of 10 to 1.

    Parameters
    ----------
    wins : numpy.ndarray, shape (..., methods, methods)
        See :func:`bradley_terry`.
    anchor : int, optional
        The method whose rating is 1000; without one, 1000 is the mean rating.
    prior : float
        See :func:`bradley_terry`.

    Returns
    -------
    numpy.ndarray, shape (..., methods), float64
        The higher the better.
    """
    strength = bradley_terry(wins, prior)
    zero = strength.mean(axis=-1, keepdims=True) if anchor is None else strength[..., anchor, None]
    return ANCHOR_RATING + ELO_SCALE * (strength - zero)


def anchor_of(methods: Sequence[str]) -> int | None:
    """Place of random search among the methods, at which Elo is anchored; None where it is not there."""
    return methods.index(ANCHOR) if ANCHOR in methods else None


@dataclass(frozen=True, slots=True)
class Ratings:
    """Methods rated over tasks.

    Attributes
    ----------
    mean_rank, elo : numpy.ndarray, shape (methods,)
        Elo is NaN below :data:`MIN_TASKS` tasks: of few it says which tasks there are.
    mean_rank_interval, elo_interval : numpy.ndarray, shape (2, methods)
        95 % percentile bootstrap over clusters of tasks, then tasks; NaN below :data:`MIN_TASKS` tasks or
        :data:`MIN_CLUSTERS` clusters.
    """

    mean_rank: np.ndarray
    elo: np.ndarray
    mean_rank_interval: np.ndarray
    elo_interval: np.ndarray


def rate(
    scores: np.ndarray,
    clusters: Sequence[Hashable],
    anchor: int | None,
    rng: np.random.Generator,
    resamples: int = bootstrap.RESAMPLES,
) -> Ratings:
    """Mean rank and Elo of each method, each task counting the same.

    Parameters
    ----------
    scores : numpy.ndarray, shape (tasks, methods)
        The lower the better.
    clusters : sequence of hashable
        The cluster of each task; see :func:`nasbench_imc.scoring.bootstrap.cluster_counts`.
    anchor : int, optional
        See :func:`elo`.
    rng : numpy.random.Generator
    resamples : int
    """
    tasks, methods = scores.shape
    placed, won = ranks(scores), wins(scores)
    mean_rank, rating = placed.mean(axis=0), elo(won.sum(axis=0), anchor)
    unknown = np.full((2, methods), np.nan)
    if tasks < MIN_TASKS:
        return Ratings(mean_rank, unknown[0], unknown, unknown)
    if len(set(clusters)) < MIN_CLUSTERS:
        return Ratings(mean_rank, rating, unknown, unknown)
    counts = bootstrap.cluster_counts(clusters, rng, resamples).astype(float)
    resampled_ranks = counts @ placed / counts.sum(axis=1, keepdims=True)
    resampled_wins = (counts @ won.reshape(tasks, -1)).reshape(-1, methods, methods)
    return Ratings(
        mean_rank,
        rating,
        bootstrap.interval(resampled_ranks),
        bootstrap.interval(elo(resampled_wins, anchor)),
    )


@dataclass(frozen=True, slots=True)
class CriticalDifference:
    """What ranks over tasks can tell apart.

    Both tests count tasks as independent. Those of one table and hardware family are not, so with many of
    them the difference is smaller, and p lower, than what the tasks bear out.

    Attributes
    ----------
    mean_ranks : numpy.ndarray, shape (methods,)
    difference : float
        Nemenyi's critical difference of mean ranks at level :data:`ALPHA`.
    statistic, p : float
        Friedman's chi-square, corrected for ties, and its p-value, which is rough below about ten tasks.
    cliques : tuple of tuple of int
        Methods, best first, of which no two differ by more than the critical difference. No clique lies
        within another, and none is of one method.
    """

    mean_ranks: np.ndarray
    difference: float
    statistic: float
    p: float
    cliques: tuple[tuple[int, ...], ...]


def least_tasks(methods: int) -> int:
    """Tasks from which a critical-difference diagram of so many methods is drawn.

    At least :data:`MIN_TASKS`, and enough for the best and the worst possible mean rank to differ by more
    than the critical difference.
    """
    tasks = MIN_TASKS
    while nemenyi_difference(methods, tasks) >= methods - 1:
        tasks += 1
    return tasks


def nemenyi_difference(methods: int, tasks: int) -> float:
    """Nemenyi's critical difference of mean ranks at level :data:`ALPHA`.

    q sqrt(k (k + 1) / (6 N)), where q is the Studentized range's quantile for k groups and infinite degrees
    of freedom, divided by the square root of 2 (Demsar, 2006, section 3.2.2). The N tasks count as
    independent.
    """
    q = float(studentized_range.ppf(1 - ALPHA, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * tasks))


def critical_difference(scores: np.ndarray) -> CriticalDifference | None:
    """Friedman's test and Nemenyi's critical difference over tasks.

    Parameters
    ----------
    scores : numpy.ndarray, shape (tasks, methods)

    Returns
    -------
    CriticalDifference or None
        None where it would mean nothing: below three methods, or :func:`least_tasks`.
    """
    tasks, methods = scores.shape
    if methods < 3 or tasks < least_tasks(methods):
        return None
    placed = ranks(scores)
    if (placed == placed[:, :1]).all():  # Friedman's statistic would be 0 / 0
        statistic, p = 0.0, 1.0
    else:
        statistic, p = (float(value) for value in friedmanchisquare(*placed.T))
    means = placed.mean(axis=0)
    difference = nemenyi_difference(methods, tasks)
    return CriticalDifference(means, difference, statistic, p, cliques(means, difference))


def cliques(mean_ranks: np.ndarray, difference: float) -> tuple[tuple[int, ...], ...]:
    """The longest runs of methods, in the order of their mean ranks, that span no more than a difference."""
    order = np.argsort(mean_ranks, kind="stable")
    sorted_ranks = mean_ranks[order]
    found = []
    reached = 0
    for first in range(len(order)):
        end = int(np.searchsorted(sorted_ranks, sorted_ranks[first] + difference, side="right"))
        if end > reached and end - first > 1:
            found.append(tuple(int(k) for k in order[first:end]))
        reached = max(reached, end)
    return tuple(found)
