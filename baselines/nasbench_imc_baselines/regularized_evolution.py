"""Regularised (ageing) evolution.

Real, Aggarwal, Huang and Le, "Regularized evolution for image classifier architecture search",
AAAI 2019.

    query a random population
    repeat
        take the best of a random sample of the population as parent
        query its mutant, mutated again where it was queried before, and add it to the population
        remove the oldest member

With several objectives each tournament draws a new weighting of them.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from nasbench_imc import Session
from nasbench_imc_baselines.common import begin, draws, fresh, mutate, scalarised

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {"population": (5, 10, 20), "tournament": (2, 3, 5, 10)}


def search(
    session: Session,
    rng: np.random.Generator,
    *,
    population: int = 10,
    tournament: int = 10,
) -> None:
    members = deque(begin(session, draws(session, population, rng)))
    while True:
        rivals = [members[k] for k in rng.choice(len(members), min(tournament, len(members)), replace=False)]
        parent = min(rivals, key=scalarised(session, rng))
        child = fresh(session, mutate(session, parent.design, rng), rng)
        members.append(session.query(child))
        members.popleft()
