"""Fronts of accuracy against costs: normalisation, hypervolume, and the best few designs of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import moocore
import numpy as np

#: Designs further than this below the best score label [points of accuracy] count for nothing.
ACCURACY_WINDOW = 10.0

#: The reference point lies beyond the nadir by this share of the range between ideal and nadir.
REFERENCE_MARGIN = 0.1


def front_mask(accuracy: np.ndarray, costs: np.ndarray, best: float) -> np.ndarray:
    """Which designs are on the Pareto front of accuracy (maximised) against costs (minimised).

    Parameters
    ----------
    accuracy : numpy.ndarray, shape (n,)
        [%]
    costs : numpy.ndarray, shape (n, m)
    best : float
        Best score label [%]; designs more than :data:`ACCURACY_WINDOW` below it are left out.

    Returns
    -------
    numpy.ndarray, shape (n,), bool
        Of several equal points the first is kept.
    """
    inside = np.flatnonzero(accuracy >= best - ACCURACY_WINDOW)
    mask = np.zeros(len(accuracy), dtype=bool)
    if len(inside):
        points = np.column_stack([-accuracy[inside], costs[inside]])
        mask[inside[moocore.is_nondominated(points)]] = True
    return mask


def normalise(
    accuracy: np.ndarray,
    costs: np.ndarray,
    cost_names: Sequence[str],
    ideal: Mapping[str, float],
    nadir: Mapping[str, float],
) -> np.ndarray:
    """Objectives with 0 at the ideal and 1 at the nadir: accuracy linearly, costs by their logarithm.

    Parameters
    ----------
    accuracy : numpy.ndarray, shape (n,)
        [%]
    costs : numpy.ndarray, shape (n, m)
        In the units of ``ideal`` and ``nadir``; positive.
    cost_names : sequence of str
        Their names in ``ideal`` and ``nadir``.

    Returns
    -------
    numpy.ndarray, shape (n, 1 + m), float64
        To be minimised.
    """
    low = np.array([-ideal["accuracy"], *(np.log(ideal[name]) for name in cost_names)])
    high = np.array([-nadir["accuracy"], *(np.log(nadir[name]) for name in cost_names)])
    return (np.column_stack([-accuracy, np.log(costs)]) - low) / (high - low)


def hypervolume(points: np.ndarray) -> float:
    """Hypervolume that normalised points dominate, up to the reference point (moocore).

    Parameters
    ----------
    points : numpy.ndarray, shape (n, m)
        From :func:`normalise`; ``n`` may be 0.
    """
    if not len(points):
        return 0.0
    return float(moocore.hypervolume(points, ref=np.full(points.shape[1], 1 + REFERENCE_MARGIN)))


def best_subset(points: np.ndarray, size: int) -> np.ndarray:
    """Indices of at most ``size`` points that add most hypervolume, each chosen after the ones before.

    The greedy choice reaches at least 1 - 1/e of the best subset's hypervolume, since hypervolume is
    submodular (Nemhauser et al., 1978). Points that add nothing are left out.

    Parameters
    ----------
    points : numpy.ndarray, shape (n, m)
        From :func:`normalise`.
    size : int

    Returns
    -------
    numpy.ndarray, shape (at most size,), int64
    """
    reference = 1 + REFERENCE_MARGIN
    candidates = np.flatnonzero((points < reference).all(axis=1))
    if not len(candidates):
        return candidates
    candidates = candidates[moocore.is_nondominated(points[candidates])]
    if len(candidates) <= size:
        return candidates
    chosen: list[Any] = []
    volume = 0.0
    # A point's gain only falls as others are chosen, so an old gain is an upper bound: a point whose
    # fresh gain still leads all old ones is the best without looking at the rest.
    gain = np.array([hypervolume(points[[c]]) for c in candidates])
    while len(chosen) < size:
        fresh = np.zeros(len(candidates), dtype=bool)
        while True:
            k = int(np.argmax(gain))
            if fresh[k] or gain[k] <= 0:
                break
            gain[k] = hypervolume(points[[*chosen, candidates[k]]]) - volume
            fresh[k] = True
        if gain[k] <= 0:
            break
        volume += gain[k]
        chosen.append(candidates[k])
        gain[k] = -np.inf
    return np.array(chosen, dtype=np.int64)
