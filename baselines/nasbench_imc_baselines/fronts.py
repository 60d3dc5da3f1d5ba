"""Fitness of designs by the front of several objectives, for models that choose among candidates."""

from __future__ import annotations

import moocore
import numpy as np

from nasbench_imc import Observation, Session
from nasbench_imc_baselines.common import Fitness, logged

#: Accuracies further below the best one do not count [points]; nor do they when a front is scored.
WINDOW = 10.0

MARGIN = 0.1  # from the front's worst values to the reference point, in its extent


def dominators(session: Session) -> Fitness:
    """How many observations dominate one: 0 on the front. Those that break limits come last."""
    points = np.array([seen.objectives for seen in session.observations])

    def fitness(seen: Observation) -> float:
        better = (points <= seen.objectives).all(axis=1) & (points < seen.objectives).any(axis=1)
        return float(better.sum()) + (0 if seen.feasible else len(points))

    return fitness


def gain(session: Session) -> Fitness:
    """What an observation would add to the hypervolume of the front that was observed, its sign turned.

    Costs are taken by their logarithm and each objective is scaled to the front's extent; the reference point
    lies a tenth of that beyond it. What breaks a limit comes last.
    """
    task = session.task
    seen = [each for each in session.observations if each.feasible] or session.observations
    points = np.array([logged(task, each) for each in seen])
    points = points[points[:, 0] <= points[:, 0].min() + WINDOW]
    front = points[moocore.is_nondominated(points)]
    low, span = front.min(axis=0), np.ptp(front, axis=0)
    span = np.where(span > 0, span, 1.0)
    reference = np.full(points.shape[1], 1 + MARGIN)
    front = (front - low) / span
    before = moocore.hypervolume(front, ref=reference)

    def fitness(guess: Observation) -> float:
        if not guess.feasible:
            return 1.0
        point = (np.array(logged(task, guess)) - low) / span
        return before - float(moocore.hypervolume(np.vstack([front, point]), ref=reference))

    return fitness
