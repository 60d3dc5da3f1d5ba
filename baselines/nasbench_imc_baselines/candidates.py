"""Designs that a model may choose from: new ones that keep the limits, near the best and anywhere."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from nasbench_imc import Design, Session
from nasbench_imc_baselines.common import Fitness, draw, keeps_limits, mutate, queried

#: Looks at costs that a candidate which keeps the limits takes, at most on average.
LOOKS = 20


def near_the_best(
    session: Session,
    fitness: Fitness,
    parents: int,
    count: int,
    batch: int,
    rng: np.random.Generator,
    looks: int = 0,
) -> list[Design]:
    """New networks: three in four mutants, once or twice, of the ``parents`` best, the others uniform draws.

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
        last: looks at costs are proposals, and where there are limits a candidate takes :data:`LOOKS`.
    batch : int
        How many of them will be queried.
    rng : numpy.random.Generator
    looks : int
        Further looks at costs that the caller takes at each candidate.
    """
    looks += LOOKS if session.task.limits else 0
    if looks:
        left = (session.task.max_proposals - session.proposals) / max(1.0, _labels_left(session))
        count = int(np.clip(batch * left / looks, batch, count))
    # Of equal ones any: the first would be parents for ever, where all of a front are equal.
    best = sorted(session.observations, key=lambda seen: (fitness(seen), rng.random()))[:parents]
    known, form = queried(session), session.task.domain.canonical_form
    found: dict[Hashable, Design] = {}
    for _ in range(4 * count):
        if len(found) == count:
            break
        if rng.random() < 0.75:
            design = mutate(session, best[rng.integers(len(best))].design, rng)
            if rng.random() < 0.5:
                design = mutate(session, design, rng)
        else:
            design = draw(session, rng)
        if form(design) not in known and keeps_limits(session, design):
            found.setdefault(form(design), design)
    return list(found.values())


def _labels_left(session: Session) -> float:
    """How many labels the budget still buys; on track F at the mean price but the first label's.

    The first pays for the super-network.
    """
    paid = [seen.cost_charged for seen in session.observations[1:]]
    return session.budget_left / (float(np.mean(paid)) if paid else 1.0)
