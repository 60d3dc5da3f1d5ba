"""Decomposition into weighted problems, after MOEA/D.

Zhang and Li, "MOEA/D: A multiobjective evolutionary algorithm based on decomposition", IEEE Transactions on
Evolutionary Computation, 2007.

    spread weightings evenly over the objectives; query a random design for each
    repeat, for each weighting in random order
        breed a child of two designs of neighbouring weightings by crossover and mutation, and query it
        it takes the place of those neighbours to whose weighting it is better

A weighting compares by the Chebyshev distance to the best of each objective seen so far, costs by their
logarithm. pymoo's MOEA/D admits no constraints and compares objectives unscaled, so this one is written here.
With one objective all weightings are one, and this is a genetic algorithm.
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np

from nasbench_imc import Observation, Session
from nasbench_imc.bridges import scale, violations
from nasbench_imc_baselines.common import begin, breed, draws, logged

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {"weightings": (8, 12, 20), "neighbours": (3, 5, 8), "mutations": (0.5, 1.0, 1.5, 2.0)}


def search(
    session: Session,
    rng: np.random.Generator,
    *,
    weightings: int = 12,
    neighbours: int = 3,
    mutations: float = 1.5,
) -> None:
    weights = _weightings(len(session.task.objectives), weightings)
    holders = begin(session, draws(session, len(weights), rng))
    if len(holders) < len(weights):
        weights = weights[np.linspace(0, len(weights) - 1, len(holders)).round().astype(int)]
    distance = np.abs(weights[:, None] - weights[None, :]).sum(axis=2)
    near = np.argsort(distance, axis=1, kind="stable")[:, :neighbours]
    while True:
        for k in rng.permutation(len(weights)):
            first, second = rng.choice(near[k], 2, replace=False)
            parents = holders[first].design, holders[second].design
            child = session.query(breed(session, *parents, mutations, rng))
            low, span = scale(np.array([logged(session.task, seen) for seen in session.observations]))
            for other in near[k]:
                if _distance(session, child, weights[other], low, span) < _distance(
                    session, holders[other], weights[other], low, span
                ):
                    holders[other] = child


def _weightings(objectives: int, count: int) -> np.ndarray:
    """The smallest lattice of at least ``count`` points that spreads evenly over the simplex.

    Das and Dennis, 1998. With fewer points it might be the corners alone, where objectives do not meet.
    """
    if objectives == 1:
        return np.ones((count, 1))
    steps = 1
    while len(list(combinations_with_replacement(range(objectives), steps))) < count:
        steps += 1
    shares = combinations_with_replacement(range(objectives), steps)
    return np.array([np.bincount(share, minlength=objectives) / steps for share in shares])


def _distance(
    session: Session, seen: Observation, weighting: np.ndarray, low: np.ndarray, span: np.ndarray
) -> tuple[float, float]:
    """Violation of the limits, then the weighted Chebyshev distance."""
    broken = sum(max(0.0, v) for v in violations(session.task, seen.values).values())
    scaled = (np.array(logged(session.task, seen)) - low) / span
    return broken, float((np.maximum(weighting, 1e-3) * scaled).max())
