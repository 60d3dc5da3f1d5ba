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
from nasbench_imc_baselines.common import draw, mutate, scalarised

POPULATION = 20
TOURNAMENT = 5


def search(session: Session, rng: np.random.Generator) -> None:
    population = deque(session.query(draw(session, rng)) for _ in range(POPULATION))
    while True:
        rivals = [population[k] for k in rng.choice(len(population), TOURNAMENT, replace=False)]
        parent = min(rivals, key=scalarised(session, rng))
        population.append(session.query(mutate(session, parent.design, rng)))
        population.popleft()
