"""Attainment surfaces against the definition, counted point by point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_imc.scoring.attainment import LEVELS, surfaces

POINT = st.tuples(st.integers(0, 6), st.integers(0, 6))
RUNS = st.lists(st.lists(POINT, max_size=5), min_size=1, max_size=9)


def attained(runs: list[np.ndarray], at: np.ndarray) -> float:
    """Share of the runs that have a point as good as ``at`` in every objective [%]."""
    return 100 * np.mean([bool((run <= at).all(axis=1).any()) for run in runs])


@given(RUNS)
def test_a_surface_bounds_what_its_share_of_runs_attains(drawn: list[list[tuple[int, int]]]) -> None:
    runs = [np.array(points, dtype=float).reshape(-1, 2) for points in drawn]
    found = surfaces(runs)
    assert list(found) == list(LEVELS)
    for level, corners in found.items():
        assert (np.diff(corners[:, 0]) > 0).all()
        for x in range(7):
            for y in range(7):
                at = np.array([x, y], dtype=float)
                assert bool((corners <= at).all(axis=1).any()) == (attained(runs, at) >= level)


def test_by_hand() -> None:
    runs = [np.array([[1.0, 3.0]]), np.array([[2.0, 2.0]]), np.array([[3.0, 1.0]]), np.array([[4.0, 4.0]])]
    found = surfaces(runs)
    assert found[25].tolist() == [[1, 3], [2, 2], [3, 1]]
    assert found[50].tolist() == [[2, 3], [3, 2]]
    assert found[75].tolist() == [[3, 3]]


def test_a_run_without_points_attains_nothing_and_counts() -> None:
    one, none = np.array([[1.0, 1.0]]), np.empty((0, 2))
    found = surfaces([one, none, none, none])
    assert (found[25].tolist(), found[50].tolist(), found[75].tolist()) == ([[1, 1]], [], [])
    assert all(len(corners) == 0 for corners in surfaces([none, none]).values())


def test_three_objectives() -> None:
    rng = np.random.default_rng(0)
    runs = [rng.integers(0, 5, (4, 3)).astype(float) for _ in range(6)]
    found = surfaces(runs, levels=(50,))[50]
    for at in rng.integers(0, 6, (200, 3)):
        assert bool((found <= at).all(axis=1).any()) == (attained(runs, at) >= 50)


def test_points_must_be_finite() -> None:
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="must be finite"):
            surfaces([np.array([[1.0, bad]])])
