"""Which trade-offs of accuracy and cost a share of a method's runs attains."""

from __future__ import annotations

import math
from collections.abc import Sequence

import moocore
import numpy as np

#: Shares of the runs [%].
LEVELS = (25, 50, 75)


def surfaces(runs: Sequence[np.ndarray], levels: Sequence[int] = LEVELS) -> dict[int, np.ndarray]:
    """Empirical attainment surfaces (Grunert da Fonseca et al., 2001), by moocore.

    A run attains a point where one of its own is as good in every objective. A level's surface is the
    border of what at least that share of the runs attains. A run without points attains nothing, and
    counts as a run.

    Parameters
    ----------
    runs : sequence of numpy.ndarray, shape (points, objectives)
        One array a run, to be minimised; finite.
    levels : sequence of int
        Shares of the runs [%].

    Returns
    -------
    dict of int to numpy.ndarray, shape (corners, objectives)
        The corners of each level's surface, which dominate all that the level attains, sorted by the first
        objective; none where too few runs have points.

    Raises
    ------
    ValueError
        Where a coordinate is not finite.
    """
    sizes = [len(points) for points in runs]
    if not sum(sizes):
        width = runs[0].shape[1] if len(runs) else 2
        return {level: np.empty((0, width)) for level in levels}
    width = next(points.shape[1] for points in runs if len(points))
    # To moocore a set without points is no set. One point at infinity attains nothing that is finite.
    nothing = np.full((1, width), math.inf)
    points = np.vstack([run if len(run) else nothing for run in runs])
    if np.isnan(points).any() or np.isinf(points).sum() > width * sizes.count(0):
        raise ValueError("points of an attainment surface must be finite")
    sets = np.repeat(np.arange(len(runs)), [max(size, 1) for size in sizes])
    made = moocore.eaf(points, sets, percentiles=list(levels))
    found = {level: made[np.isclose(made[:, -1], level), :-1] for level in levels}
    return {level: _sorted(corners[np.isfinite(corners).all(axis=1)]) for level, corners in found.items()}


def _sorted(points: np.ndarray) -> np.ndarray:
    return points[np.argsort(points[:, 0], kind="stable")]
