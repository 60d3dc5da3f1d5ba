"""Models of a task's objectives over one-hot encodings, on NumPy alone."""

from __future__ import annotations

import numpy as np


def interactions(encodings: np.ndarray) -> np.ndarray:
    """One-hot encodings and the products of each two of their columns.

    Parameters
    ----------
    encodings : numpy.ndarray, shape (n, d)

    Returns
    -------
    numpy.ndarray, shape (n, d + d (d - 1) / 2)
    """
    first, second = np.triu_indices(encodings.shape[1], k=1)
    return np.hstack([encodings, encodings[:, first] * encodings[:, second]])


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks between 0 (the smallest) and 1, equal values sharing theirs; infinities are allowed."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - (counts + 1) / 2) / max(1, len(values) - 1))[group]


def matched(scores: np.ndarray, of_observed: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What values scores stand for: the observed ones in order, and a line between each two of them.

    Beyond the ends the line through the end and the median goes on.

    Parameters
    ----------
    scores : numpy.ndarray, shape (m,)
    of_observed, values : numpy.ndarray, shape (n,)
        The scores of what was observed and its values, in any order, the higher the higher.
    """
    x, y = np.sort(of_observed), np.sort(values)
    middle = len(x) // 2
    found = np.interp(scores, x, y)
    for end, beyond in ((-1, np.maximum(scores - x[-1], 0)), (0, np.minimum(scores - x[0], 0))):
        width = abs(x[end] - x[middle])
        found += beyond * (abs(y[end] - y[middle]) / width if width else 1.0)
    return found


class PairwiseRanker:
    """A linear score whose order follows pairs of observations (RankNet; Burges et al., ICML 2005).

    Parameters
    ----------
    penalty : float
        Of the squared weights.
    steps, rate : int, float
        Of gradient descent.
    """

    def __init__(self, penalty: float = 1e-3, steps: int = 100, rate: float = 1.0) -> None:
        self.penalty, self.steps, self.rate = penalty, steps, rate
        self._weights = np.zeros(0)

    def fit(self, features: np.ndarray, values: np.ndarray) -> None:
        """Learn that smaller values go first.

        Parameters
        ----------
        features : numpy.ndarray, shape (n, d)
        values : numpy.ndarray, shape (n,)
        """
        order = np.sign(values[:, None] - values[None, :])  # 1: the first of the pair is worse
        pairs = max(1.0, np.abs(order).sum())
        weights = np.zeros(features.shape[1])
        for _ in range(self.steps):
            scores = features @ weights
            margin = order * (scores[:, None] - scores[None, :])
            pull = (order / (1 + np.exp(np.clip(margin, -30, 30)))).sum(axis=1) * 2 / pairs
            weights += self.rate * (features.T @ pull - self.penalty * weights)
        self._weights = weights

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Scores, smaller is better, (n,)."""
        return features @ self._weights


class NetworkEnsemble:
    """Small neural networks, each trained from other weights on other resampled observations.

    One hidden layer of rectified units, Adam (Kingma and Ba, ICLR 2015) on the mean squared error, all
    members in one batched product.

    Parameters
    ----------
    members, hidden, steps : int
    rate, penalty : float
        Learning rate, and weight decay.
    """

    def __init__(
        self, members: int = 5, hidden: int = 32, steps: int = 120, rate: float = 0.02, penalty: float = 1e-3
    ) -> None:
        self.members, self.hidden, self.steps = members, hidden, steps
        self.rate, self.penalty = rate, penalty
        self._parameters: list[np.ndarray] = []
        self._centre, self._scale = 0.0, 1.0

    def fit(self, encodings: np.ndarray, values: np.ndarray, rng: np.random.Generator) -> None:
        """Train afresh.

        Parameters
        ----------
        encodings : numpy.ndarray, shape (n, d)
        values : numpy.ndarray, shape (n,)
        rng : numpy.random.Generator
        """
        count, inputs = encodings.shape
        self._centre, self._scale = float(values.mean()), float(values.std()) or 1.0
        drawn = rng.integers(count, size=(self.members, count))
        x, y = encodings[drawn], ((values - self._centre) / self._scale)[drawn]
        shapes = (inputs, self.hidden), (1, self.hidden), (self.hidden, 1), (1, 1)
        scales = np.sqrt(2 / inputs), 0.0, np.sqrt(1 / self.hidden), 0.0
        p = [rng.normal(size=(self.members, *s)) * scale for s, scale in zip(shapes, scales, strict=True)]
        first, second = [np.zeros_like(each) for each in p], [np.zeros_like(each) for each in p]
        for step in range(1, self.steps + 1):
            before = x @ p[0] + p[1]
            active = np.maximum(before, 0)
            error = (active @ p[2] + p[3] - y[:, :, None]) * 2 / count
            back = (error @ p[2].transpose(0, 2, 1)) * (before > 0)
            gradients = (
                x.transpose(0, 2, 1) @ back,
                back.sum(axis=1, keepdims=True),
                active.transpose(0, 2, 1) @ error,
                error.sum(axis=1, keepdims=True),
            )
            for k, gradient in enumerate(gradients):
                slope = gradient + self.penalty * p[k]
                first[k] += 0.1 * (slope - first[k])
                second[k] += 0.001 * (slope**2 - second[k])
                size = np.sqrt(second[k] / (1 - 0.999**step)) + 1e-8
                p[k] -= self.rate * first[k] / (1 - 0.9**step) / size
        self._parameters = p

    def predict(self, encodings: np.ndarray) -> np.ndarray:
        """Each member's prediction, (members, n)."""
        p = self._parameters
        active = np.maximum(encodings @ p[0] + p[1], 0)
        return (active @ p[2] + p[3])[:, :, 0] * self._scale + self._centre
