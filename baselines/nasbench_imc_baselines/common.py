"""What several searchers share: feasible draws, and one number to compare observations by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nasbench_imc import Design, Observation, Session

#: Mutations tried before a child that breaks a limit is taken all the same.
TRIES = 20

Fitness = Callable[[Observation], float]


def keeps_limits(session: Session, design: Design) -> bool:
    """Whether a design keeps the task's limits. Costs are analytic, so the look is not charged."""
    limits = session.task.limits
    if not limits:
        return True
    costs = session.cost(design)
    return all(costs[metric] <= limit for metric, limit in limits.items())


def draw(session: Session, rng: np.random.Generator) -> Design:
    """A uniform draw from the designs that keep the limits."""
    while True:
        design = session.task.domain.random(rng)
        if keeps_limits(session, design):
            return design


def mutate(session: Session, parent: Design, rng: np.random.Generator) -> Design:
    """A mutant of ``parent`` that keeps the limits, or the last one tried where none was found."""
    for _ in range(TRIES):
        child = session.task.domain.mutate(parent, rng)
        if keeps_limits(session, child):
            break
    return child


def scalarised(session: Session, rng: np.random.Generator) -> Fitness:
    """A fitness to minimise; observations that break a limit get infinity.

    With one objective it is that objective. With several it is their augmented Chebyshev norm under
    weights drawn anew (Knowles, ParEGO, 2006), each objective scaled between its best and its median
    observed value and costs taken by their logarithm, so that a sequence of such fitnesses covers the
    front. The worst value would be an outlier: a broken network's accuracy.
    """
    task = session.task
    if len(task.objectives) == 1:
        return lambda seen: seen.objectives[0] if seen.feasible else np.inf
    weights = rng.dirichlet(np.ones(len(task.objectives)))

    def transform(seen: Observation) -> np.ndarray:
        return np.array(
            [
                v if name == "accuracy" else np.log(v)
                for name, v in zip(task.objectives, seen.objectives, strict=True)
            ]
        )

    observed = np.array([transform(seen) for seen in session.observations])
    low = observed.min(axis=0)
    span = np.maximum(np.median(observed, axis=0) - low, 1e-12)

    def fitness(seen: Observation) -> float:
        if not seen.feasible:
            return np.inf
        scaled = weights * (transform(seen) - low) / span
        return float(scaled.max() + 0.05 * scaled.sum())

    return fitness
