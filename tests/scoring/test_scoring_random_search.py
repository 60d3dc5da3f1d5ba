"""The closed form of what random search is expected to reach, and its simulation for fronts."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nasbench_imc as nbi
from nasbench_imc.scoring import front
from nasbench_imc.scoring.random_search import expected_best, simulate_fronts

small = st.integers(1, 8).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 4), min_size=n, max_size=n),
        st.lists(st.integers(-100, 100), min_size=n, max_size=n),
    )
)


def enumerated(search: np.ndarray, score: np.ndarray, draws: int) -> float:
    """Mean over all draws; designs that share the best search label share their chance."""
    reached = []
    for drawn in combinations(range(len(search)), draws):
        picked = np.array(drawn)
        best = picked[search[picked] == search[picked].max()]
        reached.append(score[best].mean())
    return float(np.mean(reached))


@given(small)
def test_closed_form_is_the_enumeration_ties_included(labels: tuple[list[int], list[int]]) -> None:
    search, score = (np.array(part, dtype=float) for part in labels)
    draws = range(1, len(search) + 1)
    expected = [enumerated(search, score, n) for n in draws]
    assert expected_best(search, score, list(draws)) == pytest.approx(expected, abs=1e-9)


@given(small, st.randoms(use_true_random=False), st.integers(-5, 5), st.integers(1, 7))
def test_invariances(labels: tuple[list[int], list[int]], random: object, shift: int, scale: int) -> None:
    search, score = (np.array(part, dtype=float) for part in labels)
    draws = list(range(1, len(search) + 1))
    expected = expected_best(search, score, draws)
    order = list(range(len(search)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert expected_best(search[order], score[order], draws) == pytest.approx(expected, abs=1e-9)
    assert expected_best(np.exp(search), score, draws) == pytest.approx(expected, abs=1e-9)
    scaled = expected_best(search, scale * score + shift, draws)
    assert scaled == pytest.approx(scale * expected + shift, abs=1e-6)
    assert expected[0] == pytest.approx(score.mean(), abs=1e-9)


@given(small)
def test_more_draws_are_no_worse_where_labels_are_exact(labels: tuple[list[int], list[int]]) -> None:
    score = np.array(labels[1], dtype=float)
    expected = expected_best(score, score, range(1, len(score) + 1))
    assert (np.diff(expected) >= -1e-9).all()
    assert expected[-1] == pytest.approx(score.max())


def test_all_drawn_is_the_label_of_the_argmax(bench: nbi.Benchmark) -> None:
    search = bench.array("accuracy", hardware="sram-digital-r128", labels="search", seed=3).astype(float)
    score = bench.array("accuracy", hardware="sram-digital-r128").astype(float)
    top = score[search == search.max()]
    assert expected_best(search, score, [len(score)])[0] == pytest.approx(top.mean(), abs=1e-9)
    assert expected_best(search, score, [1])[0] == pytest.approx(score.mean(), abs=1e-6)


@pytest.mark.parametrize("hardware", ["sram-digital-r128", "pcm-r512-adc8-mux4"])
def test_closed_form_is_the_simulation_on_the_table(bench: nbi.Benchmark, hardware: str) -> None:
    search = bench.array("accuracy", hardware=hardware, labels="search", seed=0).astype(float)
    score = bench.array("accuracy", hardware=hardware).astype(float)
    draws, runs = [1, 10, 27, 200], 4_000
    rng = np.random.default_rng(1)
    reached = np.empty((runs, len(draws)))
    for run in range(runs):
        drawn = rng.choice(len(search), draws[-1], replace=False, shuffle=True)
        for k, n in enumerate(draws):
            reached[run, k] = score[drawn[np.argmax(search[drawn[:n]])]]
    error = reached.std(axis=0, ddof=1) / np.sqrt(runs)
    assert (np.abs(expected_best(search, score, draws) - reached.mean(axis=0)) < 4 * error).all()


@pytest.mark.parametrize("draws", [[0], [4], [1, 9], [-1]])
def test_draws_out_of_range(draws: list[int]) -> None:
    with pytest.raises(ValueError, match="between 1 and 3"):
        expected_best(np.zeros(3), np.zeros(3), draws)


def test_simulated_fronts_against_enumeration() -> None:
    """Five designs, two drawn: the mean over all ten pairs, noise between the labels included."""
    score = np.array([[0.1, 0.9], [0.4, 0.4], [0.8, 0.2], [0.5, 0.5], [0.0, 0.1]])
    search = score + np.array([[0.0, 0.0], [0.3, 0.0], [0.0, 0.0], [-0.3, 0.0], [0.0, 0.0]])
    scored = np.array([True, True, True, True, False])
    volumes = []
    for pair in combinations(range(5), 2):
        picked = np.array(pair)
        named = picked[front.best_subset(search[picked], 1)]
        volumes.append(front.hypervolume(score[named[scored[named]]]))
    runs = simulate_fronts(search, score, scored, [1, 2], 1, np.random.default_rng(0), 4_000)
    timed = simulate_fronts(
        search, score, scored, [1.9, 2, 4], 1, np.random.default_rng(0), 50, seconds=np.full(5, 2.0)
    )
    assert (timed[:, 0] == 0).all()  # nothing was done
    alike = simulate_fronts(search, score, scored, [1, 2], 1, np.random.default_rng(0), 50)
    assert np.array_equal(timed[:, 1:], alike)
    singles = [front.hypervolume(score[[k]]) * scored[k] for k in range(5)]
    error = runs.std(axis=0, ddof=1) / np.sqrt(len(runs))
    assert np.abs(runs.mean(axis=0) - [np.mean(singles), np.mean(volumes)]) == pytest.approx(
        [0, 0], abs=4 * max(error)
    )
