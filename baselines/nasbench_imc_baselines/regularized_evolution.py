"""Regularised (ageing) evolution.

Real, Aggarwal, Huang and Le, "Regularized evolution for image classifier architecture search",
AAAI 2019.

    query a random population
    repeat
        take the best of a random sample of the population as parent
        query its mutant and add it to the population
        remove the oldest member

With several objectives each tournament draws a new weighting of them.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from nasbench_imc import Session
from nasbench_imc_baselines.common import affordable, draw, mutate, scalarised

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {"population": (5, 10, 20, 40), "tournament": (2, 3, 5, 10)}


def search(
    session: Session,
    rng: np.random.Generator,
    *,
    population: int = 40,
    tournament: int = 5,
) -> None:
    members = deque(session.query(draw(session, rng)) for _ in range(affordable(session, population)))
    while True:
        rivals = [members[k] for k in rng.choice(len(members), min(tournament, len(members)), replace=False)]
        parent = min(rivals, key=scalarised(session, rng))
        members.append(session.query(mutate(session, parent.design, rng)))
        members.popleft()
