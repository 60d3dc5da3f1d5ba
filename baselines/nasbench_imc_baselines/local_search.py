"""Local search from random starts.

White, Nolen and Savani, "Exploring the loss landscape in neural architecture search", UAI 2021.

    repeat
        start from the best of a few random designs
        while a neighbour is better
            query the neighbours in random order and move to the first that is better

With several objectives each start draws a new weighting of them, so that the starts end at different
places of the front.
"""

from __future__ import annotations

import numpy as np

from nasbench_imc import Session
from nasbench_imc_baselines.common import ask, begin, draws, keeps_limits, scalarised

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {"initial": (1, 3, 5, 10, 20), "restart": (1, 2, 5, 10)}


def search(
    session: Session,
    rng: np.random.Generator,
    *,
    initial: int = 3,
    restart: int = 1,
) -> None:
    domain = session.task.domain
    starts = begin(session, draws(session, initial, rng))
    while True:
        fitness = scalarised(session, rng)
        current = min(starts, key=fitness)
        improved = True
        while improved:
            improved = False
            neighbours = domain.neighbors(current.design)
            for k in rng.permutation(len(neighbours)):
                if not keeps_limits(session, neighbours[k]):
                    continue
                seen = ask(session, neighbours[k])
                if fitness(seen) < fitness(current):
                    current, improved = seen, True
                    break
        starts = [session.query(design) for design in draws(session, restart, rng)]
