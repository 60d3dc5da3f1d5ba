"""Fronts: normalisation, hypervolume and the best few designs of many."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nasbench_imc.scoring import front

REFERENCE = 1 + front.REFERENCE_MARGIN
coordinates = st.integers(-4, 26).map(lambda k: k / 20)  # a grid, so that there are ties
points_2d = st.integers(0, 12).flatmap(lambda n: arrays(float, (n, 2), elements=coordinates))


def naive_greedy(points: np.ndarray, size: int) -> list[int]:
    chosen: list[int] = []
    while len(chosen) < size:
        volume = front.hypervolume(points[chosen])
        gains = [front.hypervolume(points[[*chosen, k]]) - volume for k in range(len(points))]
        if max(gains, default=0) <= 1e-12:
            break
        chosen.append(int(np.argmax(gains)))
    return chosen


def test_hypervolume_of_a_staircase_by_hand() -> None:
    # Steps to the reference (1.1, 1.1): widths 0.3, 0.4 and 0.3 of heights 0.3, 0.6 and 1.
    points = np.array([[0.1, 0.8], [0.4, 0.5], [0.8, 0.1]])
    assert front.hypervolume(points) == pytest.approx(0.3 * 0.3 + 0.4 * 0.6 + 0.3 * 1.0)
    worse = np.vstack([points, [[0.5, 0.6], [1.2, 0.0], [0.0, 1.1], [0.4, 0.5]]])
    assert front.hypervolume(worse) == pytest.approx(0.63)  # dominated, outside, on the edge, twice


def test_hypervolume_of_nothing() -> None:
    assert front.hypervolume(np.empty((0, 2))) == 0.0
    assert front.hypervolume(np.array([[1.1, 0.0]])) == 0.0
    assert front.hypervolume(np.array([[0.0, 0.0]])) == pytest.approx(1.21)


def test_hypervolume_in_three_dimensions_by_counting_cells() -> None:
    rng = np.random.default_rng(0)
    cells = 22
    grid = (np.indices((cells,) * 3).reshape(3, -1).T + 0.5) * REFERENCE / cells
    for _ in range(10):
        points = rng.integers(0, cells + 1, size=(6, 3)) * REFERENCE / cells  # corners of cells
        dominated = (points[None] <= grid[:, None]).all(axis=2).any(axis=1)
        assert front.hypervolume(points) == pytest.approx(dominated.mean() * REFERENCE**3)


@given(points_2d, st.integers(1, 6))
def test_best_subset_takes_a_largest_gain_each_time(points: np.ndarray, size: int) -> None:
    chosen = front.best_subset(points, size).tolist()
    assert len(set(chosen)) == len(chosen) <= size
    if len(chosen) < size:  # the whole front fits
        assert front.hypervolume(points[chosen]) == pytest.approx(front.hypervolume(points))
    for k in range(len(chosen)):
        rest = [*chosen[:k], *chosen[k + 1 :]]
        assert front.hypervolume(points[rest]) < front.hypervolume(points[chosen])
    if len(chosen) == size < len(points[(points < REFERENCE).all(axis=1)]):
        gains = [front.hypervolume(points[chosen[: k + 1]]) for k in range(size)]
        most = [
            max(front.hypervolume(points[[*chosen[:k], other]]) for other in range(len(points)))
            for k in range(size)
        ]
        front_fits = front.hypervolume(points[chosen]) == pytest.approx(front.hypervolume(points))
        assert front_fits or gains == pytest.approx(most)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_best_subset_is_the_naive_greedy(dimensions: int) -> None:
    rng = np.random.default_rng(dimensions)
    for _ in range(40):
        points = rng.random((40, dimensions)) * 1.2
        assert set(front.best_subset(points, 5).tolist()) == set(naive_greedy(points, 5))


@settings(max_examples=50)
@given(arrays(float, (8, 2), elements=coordinates), st.integers(1, 4))
def test_best_subset_reaches_its_bound(points: np.ndarray, size: int) -> None:
    best = max(front.hypervolume(points[list(some)]) for some in combinations(range(8), size))
    assert front.hypervolume(points[front.best_subset(points, size)]) >= (1 - 1 / np.e) * best - 1e-12


def test_whole_front_where_it_fits() -> None:
    points = np.array([[0.1, 0.8], [0.4, 0.5], [0.4, 0.5], [0.5, 0.5], [1.2, 0.0], [0.8, 0.1]])
    assert front.best_subset(points, 20).tolist() == [0, 1, 5]
    assert front.best_subset(points + 2, 20).tolist() == []
    assert front.best_subset(np.empty((0, 2)), 20).tolist() == []


def test_normalised_corners() -> None:
    ideal, nadir = {"accuracy": 90.0, "energy": 1.0}, {"accuracy": 80.0, "energy": 100.0}
    made = front.normalise(
        np.array([90.0, 80.0, 85.0]), np.array([[1.0], [100.0], [10.0]]), ["energy"], ideal, nadir
    )
    assert made == pytest.approx(np.array([[0, 0], [1, 1], [0.5, 0.5]]))


def test_normalised_columns_follow_their_names() -> None:
    ideal = {"accuracy": 90.0, "energy": 1.0, "area": 2.0}
    nadir = {"accuracy": 80.0, "energy": 100.0, "area": 32.0}
    made = front.normalise(np.array([90.0]), np.array([[8.0, 1.0]]), ["area", "energy"], ideal, nadir)
    assert made == pytest.approx(np.array([[0.0, 0.5, 0.0]]))


def test_front_by_definition() -> None:
    rng = np.random.default_rng(0)
    accuracy = rng.integers(70, 91, size=200).astype(float)  # coarse, so that there are ties
    costs = rng.integers(1, 30, size=(200, 1)).astype(float)
    on_front = front.front_mask(accuracy, costs, accuracy.max())
    inside = accuracy >= accuracy.max() - 10
    kept = {(a, c) for a, c in zip(accuracy[on_front], costs[on_front, 0], strict=True)}
    for a, c in zip(accuracy[inside], costs[inside, 0], strict=True):
        beaten = ((accuracy >= a) & (costs[:, 0] <= c) & ((accuracy > a) | (costs[:, 0] < c)) & inside).any()
        assert ((a, c) in kept) != beaten
    assert on_front.sum() == len(kept)  # of equal points one
    assert not on_front[~inside].any()


def test_front_of_nothing_inside_the_window() -> None:
    assert not front.front_mask(np.array([50.0, 60.0]), np.ones((2, 1)), 90.0).any()
