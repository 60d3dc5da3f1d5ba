"""Ranks, Elo and the critical difference, against scipy, scikit-posthocs, bencheval and Demsar's paper."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import friedmanchisquare

from nasbench_imc.scoring.ratings import (
    ELO_SCALE,
    MIN_CLUSTERS,
    MIN_TASKS,
    anchor_of,
    bradley_terry,
    cliques,
    critical_difference,
    elo,
    least_tasks,
    method_set,
    nemenyi_difference,
    ranks,
    rate,
    wins,
)

#: Demsar (2006), table 6: AUC of four variants of C4.5 on 14 data sets, as ranks.
DEMSAR = np.array(
    [
        [4, 3, 2, 1],
        [1, 2, 3, 4],
        [4, 1, 2, 3],
        [4, 1, 3, 2],
        [4, 2, 3, 1],
        [1, 2.5, 4, 2.5],
        [3, 2, 4, 1],
        [2.5, 2.5, 4, 1],
        [4, 3, 2, 1],
        [2.5, 2.5, 2.5, 2.5],
        [4, 2.5, 1, 2.5],
        [3, 2, 4, 1],
        [4, 1, 2, 3],
        [3, 1, 4, 2],
    ]
)
GRIDS = arrays(
    float,
    st.tuples(st.integers(1, 8), st.integers(2, 6)),
    elements=st.integers(0, 9).map(lambda n: n / 10),
)


def random_scores(tasks: int, methods: int, seed: int = 0, gap: float = 0.3) -> np.ndarray:
    return np.random.default_rng(seed).normal(gap * np.arange(methods), 1, (tasks, methods))


def test_mean_ranks_and_critical_difference_of_demsar() -> None:
    found = critical_difference(DEMSAR)
    assert found is not None
    assert found.mean_ranks.round(3).tolist() == [3.143, 2.000, 2.893, 1.964]
    assert round(found.difference, 2) == 1.25
    uncorrected = 12 * 14 / (4 * 5) * ((found.mean_ranks**2).sum() - 4 * 25 / 4)
    assert uncorrected == pytest.approx(9.28, abs=0.01)  # his value, without a correction for ties
    tied = 3 * (2**3 - 2) + (4**3 - 4)  # three pairs, and once all four
    assert found.statistic == pytest.approx(uncorrected / (1 - tied / (14 * (4**3 - 4))))


@pytest.mark.parametrize(
    ("methods", "q"),
    # Demsar (2006), table 5a.
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (10, 3.164)],
)
def test_critical_values_of_demsar(methods: int, q: float) -> None:
    unit = math.sqrt(methods * (methods + 1) / (6 * 10))
    assert nemenyi_difference(methods, 10) / unit == pytest.approx(q, abs=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_friedman_and_nemenyi_agree_with_scipy_and_scikit_posthocs(seed: int) -> None:
    posthocs = pytest.importorskip("scikit_posthocs")
    scores = random_scores(24, 6, seed).round(1)  # with ties
    found = critical_difference(scores)
    assert found is not None
    assert (found.statistic, found.p) == tuple(friedmanchisquare(*scores.T))
    p = posthocs.posthoc_nemenyi_friedman(scores).to_numpy()
    apart = np.abs(found.mean_ranks[:, None] - found.mean_ranks) > found.difference
    np.testing.assert_array_equal(apart, p < 0.05)
    matrix = pd.DataFrame(p >= 0.05).astype(float)
    theirs = posthocs._plotting._find_maximal_cliques(matrix.astype(bool))
    assert {frozenset(c) for c in found.cliques} == {frozenset(c) for c in theirs if len(c) > 1}


def test_cliques_by_hand() -> None:
    means = np.array([3.0, 1.0, 1.8, 5.0, 2.4])
    assert cliques(means, 1.5) == ((1, 2, 4), (2, 4, 0))
    assert cliques(means, 0.5) == ()
    assert cliques(means, 10.0) == ((1, 2, 4, 0, 3),)


@given(arrays(float, st.integers(1, 9), elements=st.floats(1, 9)), st.floats(0.01, 4))
def test_cliques_hold_exactly_what_is_not_apart(means: np.ndarray, difference: float) -> None:
    found = [set(clique) for clique in cliques(means, difference)]
    for i in range(len(means)):
        for j in range(i):
            low, high = sorted((means[i], means[j]))
            assert any({i, j} <= clique for clique in found) == (high <= low + difference)
    assert not any(a < b for a in found for b in found)


def test_too_few_tasks_or_methods_have_no_critical_difference() -> None:
    assert critical_difference(random_scores(20, 2)) is None
    assert critical_difference(random_scores(MIN_TASKS - 1, 4)) is None
    assert critical_difference(random_scores(MIN_TASKS, 4)) is not None
    for methods in range(2, 21):
        assert nemenyi_difference(methods, least_tasks(methods)) < methods - 1


def test_equal_methods_have_no_friedman_difference() -> None:
    found = critical_difference(np.ones((9, 4)))
    assert found is not None
    assert (found.statistic, found.p, found.cliques) == (0, 1, ((0, 1, 2, 3),))


def test_ranks_by_hand() -> None:
    assert ranks(np.array([[0.2, 0.1, 0.2], [3, 1, 2]])).tolist() == [[2.5, 1, 2.5], [3, 1, 2]]


@given(GRIDS)
def test_ranks_are_what_wins_leave(scores: np.ndarray) -> None:
    """A rank is the number of methods less the wins: mean rank and Elo rest on the same order."""
    np.testing.assert_allclose(ranks(scores), scores.shape[1] - wins(scores).sum(axis=2))


def test_elo_of_two_methods_by_hand() -> None:
    """Odds of 10 to 1 are 400 points."""
    won = np.array([[0, 10.0], [1, 0]])
    first, second = elo(won, prior=1e-9)
    assert first - second == pytest.approx(400, abs=1e-3)
    assert first + second == pytest.approx(2_000)
    assert elo(won, anchor=1, prior=1e-9).tolist() == pytest.approx([1_400, 1_000], abs=1e-3)


def test_the_prior_is_a_tied_game_against_an_average_method() -> None:
    """One method more, held at strength 0, that has tied once with each gives the same strengths."""
    won = wins(random_scores(6, 4)).sum(axis=0)
    strength = bradley_terry(won)
    chance = 1 / (1 + np.exp(strength[None, :] - strength[:, None]))
    games = won + won.T
    against_average = 1 / (1 + np.exp(-strength))
    expected = (games * chance).sum(axis=1) + against_average
    np.testing.assert_allclose(won.sum(axis=1) + 0.5, expected, atol=1e-8)


@pytest.mark.parametrize("shape", [(40, 5), (24, 12)])
def test_bradley_terry_is_that_of_bencheval(shape: tuple[int, int]) -> None:
    utils = pytest.importorskip("bencheval.elo_utils")
    scores = random_scores(*shape, gap=0.2).round(1)
    results = pd.DataFrame(
        [
            {"method": f"m{method:02}", "task": task, "metric_error": scores[task, method]}
            for task in range(shape[0])
            for method in range(shape[1])
        ]
    )
    helper = utils.EloHelper()
    battles = helper.convert_results_to_battles(results)
    theirs = helper.compute_mle_elo(battles, calibration_framework="m00").sort_index()
    fast = helper.compute_mle_elo_from_ranks(results, calibration_framework="m00").sort_index()
    ours = elo(wins(scores).sum(axis=0), anchor=0, prior=1e-6)
    np.testing.assert_allclose(ours, theirs, atol=0.01)
    np.testing.assert_allclose(ours, fast, atol=0.01)


def test_a_method_that_always_wins_has_a_finite_rating() -> None:
    scores = np.tile([0.1, 0.5, 0.5, 0.9], (6, 1))
    rating = elo(wins(scores).sum(axis=0))
    assert np.isfinite(rating).all()
    assert rating[0] > rating[1] == pytest.approx(rating[2])
    assert rating[1] > rating[3]
    longer = elo(wins(np.tile(scores, (10, 1))).sum(axis=0))
    assert longer[0] - longer[3] > rating[0] - rating[3]  # more evidence
    tight = elo(wins(scores).sum(axis=0), prior=1e-6)
    assert np.isfinite(tight).all()


@pytest.mark.parametrize("prior", [0, -1, math.nan])
def test_without_a_prior_there_may_be_no_maximum(prior: float) -> None:
    with pytest.raises(ValueError, match="prior must be above 0"):
        bradley_terry(np.array([[0, 1.0], [0, 0]]), prior)


@given(GRIDS)
def test_elo_turns_round_with_the_scores(scores: np.ndarray) -> None:
    """Where losing is winning, ratings are mirrored at their mean."""
    there, back = elo(wins(scores).sum(axis=0)), elo(wins(-scores).sum(axis=0))
    np.testing.assert_allclose(there + back, 2_000, atol=1e-4)


@given(GRIDS, st.randoms(use_true_random=False))
def test_ratings_follow_their_methods(scores: np.ndarray, random: object) -> None:
    order = np.random.default_rng(0).permutation(scores.shape[1])
    won = wins(scores).sum(axis=0)
    np.testing.assert_allclose(elo(won)[order], elo(won[np.ix_(order, order)]), atol=1e-5)


@given(GRIDS, st.data())
def test_a_win_more_never_lowers_a_rating(scores: np.ndarray, data: st.DataObject) -> None:
    i, j = data.draw(st.permutations(range(scores.shape[1])))[:2]
    won = wins(scores).sum(axis=0)
    more = won.copy()
    more[i, j] += 1
    before, after = bradley_terry(won), bradley_terry(more)
    assert after[i] - after[j] > before[i] - before[j]


def test_a_stack_of_wins_is_solved_like_one_by_one() -> None:
    stack = np.stack([wins(random_scores(9, 5, seed)).sum(axis=0) for seed in range(7)])
    np.testing.assert_allclose(bradley_terry(stack), [bradley_terry(won) for won in stack], rtol=0, atol=1e-9)


def test_rate() -> None:
    scores = random_scores(12, 4, seed=3)
    clusters = ["a"] * 5 + ["b"] * 3 + ["c"] * 2 + ["d"] * 2
    made = rate(scores, clusters, anchor=1, rng=np.random.default_rng(0))
    again = rate(scores, clusters, anchor=1, rng=np.random.default_rng(0))
    other = rate(scores, clusters, anchor=1, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(made.elo_interval, again.elo_interval)
    assert not np.array_equal(made.elo_interval, other.elo_interval)
    np.testing.assert_allclose(made.mean_rank, ranks(scores).mean(axis=0))
    assert (made.mean_rank_interval[0] <= made.mean_rank).all()
    assert (made.mean_rank_interval[1] >= made.mean_rank).all()
    assert made.elo[1] == 1_000
    assert made.elo_interval[:, 1].tolist() == [1_000, 1_000]
    assert (made.elo_interval[0, [0, 2, 3]] < made.elo_interval[1, [0, 2, 3]]).all()


def test_few_tasks_have_no_interval() -> None:
    made = rate(random_scores(MIN_TASKS - 1, 3), list("abcd"), None, np.random.default_rng(0))
    assert np.isnan(made.mean_rank_interval).all()
    assert np.isnan(made.elo_interval).all()
    assert np.isnan(made.elo).all()


@pytest.mark.parametrize(("clusters", "known"), [("aaaaaa", False), ("aaaabc", False), ("aabbcd", True)])
def test_few_clusters_have_no_interval(clusters: str, known: bool) -> None:
    assert (len(set(clusters)) >= MIN_CLUSTERS) == known
    made = rate(random_scores(6, 3), list(clusters), None, np.random.default_rng(0))
    for ends in (made.mean_rank_interval, made.elo_interval):
        assert np.isfinite(ends).all() == known
        assert np.isnan(ends).all() != known


def test_ratings_with_a_prior_stay_near_those_without() -> None:
    won = wins(random_scores(24, 12, gap=0.1)).sum(axis=0)
    assert np.abs(elo(won) - elo(won, prior=1e-6)).max() < 10  # points


def test_elo_scale() -> None:
    assert pytest.approx(400) == ELO_SCALE * math.log(10)


def test_anchor() -> None:
    assert anchor_of(["nsga2", "random_search"]) == 1
    assert anchor_of(["nsga2"]) is None


def test_method_set_is_of_a_set() -> None:
    stamp = method_set(["b", "a"])
    assert stamp == method_set(["a", "b", "a"])
    assert len({stamp, method_set(["a"]), method_set(["ab"]), method_set([])}) == 4
    assert len(stamp) == 8
    assert int(stamp, 16) >= 0
    assert method_set(["\ud800"])  # a name that others wrote
