"""What a method compares: limits, objectives on a scale that suits them, and one number for several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nasbench_imc.design import Design
from nasbench_imc.errors import SearchError

if TYPE_CHECKING:
    from nasbench_imc.suites import Observation, Session, Task

Fitness = Callable[["Observation"], float]

_INFEASIBLE = 1e12  # above any objective
_TINY = 1e-300  # keeps the logarithm of a cost of 0 finite


def keeps_limits(session: Session, design: Design) -> bool:
    """Whether a design keeps the task's limits on costs. Those are analytic, so the look is not charged."""
    limits = session.task.limits
    if not limits:
        return True
    costs = session.cost(design)
    return all(costs[metric] <= limit for metric, limit in limits.items())


def violations(task: Task, values: Mapping[str, float]) -> dict[str, float]:
    """How far a design is beyond each limit, in units of the limit; 0 or less where that is kept.

    Parameters
    ----------
    task : Task
    values : mapping of str to float
        Of an observation, or the costs alone: then what concerns accuracy is left out.

    Returns
    -------
    dict of str to float
        Metric of ``task.limits`` and ``task.least`` -> relative violation [1].
    """
    found = {metric: values[metric] / limit - 1 for metric, limit in task.limits.items()}
    return found | {
        metric: 1 - values[metric] / least for metric, least in task.least.items() if metric in values
    }


def logged(task: Task, seen: Observation) -> tuple[float, ...]:
    """The objectives, to be minimised: accuracy as it is [%], costs by their natural logarithm."""
    return tuple(
        value if name == "accuracy" else float(np.log(max(value, _TINY)))
        for name, value in zip(task.objectives, seen.objectives, strict=True)
    )


def scalarised(
    session: Session, rng: np.random.Generator, scaled_by: Sequence[Observation] | None = None
) -> Fitness:
    """A fitness to minimise; observations that break limits come after all others, by how far they do.

    With one objective it is that objective. With several it is their augmented Chebyshev norm under
    weights drawn anew (Knowles, ParEGO, 2006), each objective scaled as by :func:`scale` and costs taken by
    their logarithm, so that a sequence of such fitnesses covers the front.

    Parameters
    ----------
    session : Session
        With at least one observation, where there are several objectives and no ``scaled_by``.
    rng : numpy.random.Generator
        Draws the weights; not used with one objective.
    scaled_by : sequence of Observation, optional
        What objectives are scaled by; all observations of the session by default.

    Raises
    ------
    SearchError
        Where there are several objectives and nothing to scale them by.
    """
    task = session.task
    if len(task.objectives) == 1:
        return lambda seen: seen.objectives[0] if seen.feasible else _penalty(task, seen)
    scaled_by = session.observations if scaled_by is None else scaled_by
    if not scaled_by:
        raise SearchError("several objectives are scaled by what was observed: query some designs first")
    weights = rng.dirichlet(np.ones(len(task.objectives)))
    low, span = scale(np.array([logged(task, seen) for seen in scaled_by]))

    def fitness(seen: Observation) -> float:
        if not seen.feasible:
            return _penalty(task, seen)
        scaled = weights * (np.array(logged(task, seen)) - low) / span
        return float(scaled.max() + 0.05 * scaled.sum())

    return fitness


def scale(observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best value of each objective, and the distance from there to its median over different points.

    The worst value would be an outlier: a broken network's accuracy. Where the median is the best value, the
    worst serves all the same, and where all are equal 1.

    Parameters
    ----------
    observed : numpy.ndarray, shape (n, m)
        Objectives to be minimised.

    Returns
    -------
    tuple of numpy.ndarray, shape (m,)
    """
    different = np.unique(observed, axis=0)
    low = different.min(axis=0)
    span = np.median(different, axis=0) - low
    span = np.where(span > 0, span, different.max(axis=0) - low)
    return low, np.where(span > 0, span, 1.0)


def _penalty(task: Task, seen: Observation) -> float:
    return _INFEASIBLE * (1 + sum(max(0.0, broken) for broken in violations(task, seen.values).values()))
