"""Regularised evolution with a warm start and moves by zero-cost proxies.

Abdelfattah, Mehrotra, Dudziak and Lane, "Zero-cost proxies for lightweight NAS", ICLR 2021: warm-up, proposal
of moves, and the vote.

    look at the proxies of a pool of random designs
    query those of the highest vote as the first population
    repeat
        take the best of a random sample of the population as parent
        query that of several mutants which has the highest vote
        remove the oldest member

Here the vote is the mean, over the proxies, of the share of the pool that a design outdoes, so that no scale
counts. More of any proxy is meant to tell of a better network. Some rank a space well and others not at all,
and no label is asked which: where they mislead, queries are lost. On track F a look costs time.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from nasbench_imc import Design, Session, Task, load
from nasbench_imc_baselines.common import begin, draw, fresh, mutate, scalarised

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {
    "pool": (30, 100, 300),
    "population": (5, 10, 20),
    "tournament": (2, 3, 5),
    "mutants": (1, 3, 10),
}


def suits(task: Task) -> bool:
    """Tables with proxies, and accuracy as the only objective: of costs proxies tell nothing."""
    return task.objectives == ("accuracy",) and bool(load(task.table).proxy_names)


def search(
    session: Session,
    rng: np.random.Generator,
    *,
    pool: int = 30,
    population: int = 5,
    tournament: int = 2,
    mutants: int = 10,
) -> None:
    vote = _Vote(session, [draw(session, rng) for _ in range(max(pool, population))])
    members = deque(begin(session, vote.best(population)))
    population = len(members)
    fitness = scalarised(session, rng)
    while True:
        rivals = [members[k] for k in rng.choice(len(members), min(tournament, len(members)), replace=False)]
        parent = min(rivals, key=fitness).design
        children = [fresh(session, mutate(session, parent, rng), rng) for _ in range(mutants)]
        members.append(session.query(max(children, key=vote)))
        if len(members) > population:
            members.popleft()


class _Vote:
    """The mean share of a pool of designs that a design outdoes in each proxy; 0.5 where there are none."""

    def __init__(self, session: Session, pool: list[Design]) -> None:
        self._session = session
        self._pool = list(dict.fromkeys(pool))
        values = np.array([self._values(design) for design in self._pool])
        self._columns = [np.sort(column) for column in values.T]

    def __call__(self, design: Design) -> float:
        shares = [
            np.mean([np.searchsorted(column, value, side) for side in ("left", "right")]) / len(column)
            for column, value in zip(self._columns, self._values(design), strict=True)
        ]
        return float(np.mean(shares)) if shares else 0.5

    def best(self, count: int) -> list[Design]:
        """The first ``count`` of the pool."""
        return sorted(self._pool, key=self, reverse=True)[:count]

    def _values(self, design: Design) -> list[float]:
        return list(self._session.proxies(design).values())
