"""Which of some candidates are best, had they the accuracies that a model foresees."""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np

from nasbench_imc import Design, Observation, Session
from nasbench_imc_baselines.common import Fitness, imagined, logged

#: Accuracies further below the best one do not count [points]; nor do they when a front is scored.
WINDOW = 10.0

MARGIN = 0.1  # from the front's worst values to the reference point, in its extent


def dominators(session: Session) -> Fitness:
    """How many observations dominate one: 0 on the front.

    Those of accuracies that do not count come after all others, and those that break limits last.
    """
    points = np.array([seen.objectives for seen in session.observations])
    worst = points[:, 0].min() + WINDOW

    def fitness(seen: Observation) -> float:
        better = (points <= seen.objectives).all(axis=1) & (points < seen.objectives).any(axis=1)
        behind = (seen.objectives[0] > worst) + 2 * (not seen.feasible)
        return float(better.sum() + behind * len(points))

    return fitness


def promising(
    session: Session, designs: Sequence[Design], accuracies: np.ndarray, fitness: Fitness, count: int
) -> list[Design]:
    """The designs that would be best if they had these accuracies. Costs are looked at where the task asks.

    Parameters
    ----------
    session : Session
        With at least one observation.
    designs : sequence of Design
        They keep the limits.
    accuracies : numpy.ndarray, shape (designs,)
        [%]
    fitness : callable
        What is best where one cost is the objective. With several objectives, one after another is chosen
        that adds most to the hypervolume of the front and of those chosen before it.
    count : int
        How many.

    Returns
    -------
    list of Design
        Best first.
    """
    objectives = session.task.objectives
    if objectives == ("accuracy",):
        return [designs[k] for k in np.argsort(-np.array(accuracies), kind="stable")[:count]]
    guesses = [
        imagined(session, design, session.cost(design), float(accuracy))
        for design, accuracy in zip(designs, accuracies, strict=True)
    ]
    if len(objectives) == 1:
        return [guess.design for guess in sorted(guesses, key=fitness)[:count]]
    front, chosen = list(session.observations), []
    for _ in range(min(count, len(guesses))):
        best = min(guesses, key=gain(session, front))
        guesses.remove(best)
        front.append(best)
        chosen.append(best.design)
    return chosen


def gain(session: Session, observed: Sequence[Observation]) -> Fitness:
    """What an observation would add to the hypervolume of the front of others, its sign turned.

    Costs are taken by their logarithm and each objective is scaled to the front's extent; the reference point
    lies a tenth of that beyond it. All that add nothing are alike: of those, what lies nearest to the front
    is mostly a copy of it, and any serves better. What breaks a limit comes last.
    """
    task = session.task
    seen = [each for each in observed if each.feasible] or observed
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
            return np.inf
        point = (np.array(logged(task, guess)) - low) / span
        added = float(moocore.hypervolume(np.vstack([front, point]), ref=reference)) - before
        return -added if added > 1e-9 else 0.0  # not the rounding of equal sums

    return fitness
