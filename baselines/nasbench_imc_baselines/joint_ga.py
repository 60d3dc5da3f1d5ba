"""Joint genetic algorithm over network, compression and hardware, after CIMNAS.

Krestinskaya, Fouda, Eltawil and Salama, "CIMNAS: A joint framework for compute-in-memory-aware neural
architecture search", arXiv 2509.25862: one genome holds all that is free, and the objective is EDAP under an
accuracy that must be kept.

    query a random population
    repeat
        breed children of two different parents by tournament, uniform crossover of the whole genome and
            mutation, and query them
        the best of parents and children are the next population

With several objectives each generation draws a new weighting of them. Nothing is recommended: by default the
best stands that keeps the least accuracy with the task's margin for the noise of its label.
"""

from __future__ import annotations

import numpy as np

from nasbench_imc import Observation, Session
from nasbench_imc_baselines.common import Fitness, begin, breed, draws, scalarised

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {
    "population": (5, 10, 20),
    "tournament": (2, 3),
    "crossover": (0.0, 0.4, 0.7, 0.9),
    "mutations": (0.5, 1.0, 1.5, 2.0),
}


def search(
    session: Session,
    rng: np.random.Generator,
    *,
    population: int = 20,
    tournament: int = 3,
    crossover: float = 0.7,
    mutations: float = 2.0,
) -> None:
    members = begin(session, draws(session, population, rng))
    population = len(members)
    while True:
        fitness = scalarised(session, rng)
        children = []
        for _ in range(population):
            first = _parent(members, fitness, tournament, rng)
            others = [seen for seen in members if seen.design != first.design]
            crossed = others and rng.random() < crossover
            second = _parent(others, fitness, tournament, rng) if crossed else first
            child = breed(session, first.design, second.design, mutations, rng)
            children.append(session.query(child))
        different = {seen.design: seen for seen in [*members, *children]}
        members = sorted(different.values(), key=fitness)[:population]


def _parent(
    members: list[Observation], fitness: Fitness, tournament: int, rng: np.random.Generator
) -> Observation:
    rivals = rng.choice(len(members), min(tournament, len(members)), replace=False)
    return min((members[k] for k in rivals), key=fitness)
