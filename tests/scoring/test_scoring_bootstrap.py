"""Resampling of runs, and of tasks in clusters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap

from nasbench_imc.scoring.bootstrap import cluster_counts, interval, mean_interval, weights


def test_mean_interval_agrees_with_scipy() -> None:
    values = np.random.default_rng(3).gamma(2, size=30)
    theirs = scipy_bootstrap(
        (values,), np.mean, n_resamples=100_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert mean_interval(values) == pytest.approx((theirs.low, theirs.high), abs=0.04 * values.std())


def test_weights_are_shares_of_resamples() -> None:
    made = weights(7, np.random.default_rng(0), resamples=20_000)
    np.testing.assert_allclose(made.sum(axis=1), 1)
    np.testing.assert_allclose(made.mean(axis=0), 1 / 7, atol=0.004)
    np.testing.assert_allclose(made.var(axis=0), (1 / 7) * (6 / 7) / 7, rtol=0.05)  # multinomial
    assert np.array_equal(weights(7, np.random.default_rng(5)), weights(7, np.random.default_rng(5)))
    assert not np.array_equal(weights(7, np.random.default_rng(5)), weights(7, np.random.default_rng(6)))


def test_clusters_are_drawn_whole_then_their_tasks() -> None:
    """Against drawing one by one, the definition, in a plain loop."""
    clusters = ["a", "a", "a", "b", "c", "c"]
    counts = cluster_counts(clusters, np.random.default_rng(0), resamples=40_000)
    rng = np.random.default_rng(1)
    plain = np.zeros((40_000, 6), dtype=int)
    members = {name: [k for k, c in enumerate(clusters) if c == name] for name in "abc"}
    for row in plain:
        for name in rng.choice(list("abc"), size=3):
            for task in rng.choice(members[name], size=len(members[name])):
                row[task] += 1
    np.testing.assert_allclose(counts.mean(axis=0), plain.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(np.cov(counts.T), np.cov(plain.T), atol=0.06)
    sizes = {tuple(row[[0, 1, 2]]) for row in counts if row[3] == 3}
    assert sizes == {(0, 0, 0)}  # all three clusters drawn are b


def test_one_cluster_resamples_its_tasks() -> None:
    counts = cluster_counts(["a"] * 4, np.random.default_rng(0))
    assert set(counts.sum(axis=1)) == {4}
    assert counts.std() > 0


def test_clusters_widen_an_interval() -> None:
    """Tasks that agree within a cluster are worth less than as many independent ones."""
    values = np.repeat(np.random.default_rng(0).normal(size=6), 4)
    widths = []
    for clusters in (np.arange(24), np.repeat(np.arange(6), 4)):
        counts = cluster_counts(list(clusters), np.random.default_rng(0))
        low, high = interval(counts @ values / counts.sum(axis=1))
        widths.append(high - low)
    assert widths[1] > 1.7 * widths[0]  # twice, as a fourth of the values are independent
