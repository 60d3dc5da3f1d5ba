"""Designs that a model may choose from: new ones that keep the limits, near the best and anywhere."""

from __future__ import annotations

import numpy as np

from nasbench_imc import Design, Session
from nasbench_imc_baselines.common import Fitness, draw, mutate

#: Looks at costs that a candidate which keeps the limits takes, at most on average.
LOOKS = 10


def near_the_best(
    session: Session,
    fitness: Fitness,
    parents: int,
    count: int,
    batch: int,
    rng: np.random.Generator,
    looks: float | None = None,
) -> list[Design]:
    """New designs: three in four mutants, once or twice, of the ``parents`` best, the others uniform draws.

    Parameters
    ----------
    session : Session
        With at least one observation.
    fitness : callable
        Smaller is better.
    parents : int
        How many of the best observations have children.
    count : int
        How many designs; fewer where new ones are hard to find, or where the session's proposals would not
        last: where there are limits each candidate takes looks at costs, and looks are proposals.
    batch : int
        How many of them will be queried.
    rng : numpy.random.Generator
    looks : float, optional
        Looks at costs that a candidate takes on average; by default :data:`LOOKS` where the task has limits
        or asks for costs, else none.
    """
    if looks is None:
        looks = LOOKS if session.task.limits or session.task.objectives != ("accuracy",) else 0
    if looks:
        left = (session.task.max_proposals - session.proposals) / max(1.0, session.budget_left)
        count = int(np.clip(batch * left / looks, batch, count))
    best = sorted(session.observations, key=fitness)[:parents]
    seen = {observation.design for observation in session.observations}
    found: dict[Design, None] = {}
    for _ in range(4 * count):
        if len(found) == count:
            break
        if rng.random() < 0.75:
            design = mutate(session, best[rng.integers(len(best))].design, rng)
            if rng.random() < 0.5:
                design = mutate(session, design, rng)
        else:
            design = draw(session, rng)
        if design not in seen:
            found[design] = None
    return list(found)
