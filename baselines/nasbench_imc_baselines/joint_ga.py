"""Joint genetic algorithm over network, compression and hardware, after CIMNAS.

Krestinskaya, Fouda, Eltawil and Salama, "CIMNAS: A joint framework for compute-in-memory-aware neural
architecture search", arXiv 2509.25862: one genome holds all that is free, and the objective is EDAP under an
accuracy that must be kept.

    query a random population
    repeat
        breed children by tournament, uniform crossover of the whole genome and mutation, and query them
        the best of parents and children are the next population

With several objectives each generation draws a new weighting of them. Nothing is recommended: by default the
best stands that keeps the least accuracy with the task's margin for the noise of its label.
"""

from __future__ import annotations

import numpy as np

from nasbench_imc import Design, Observation, Session
from nasbench_imc_baselines.common import Fitness, breed, draw, scalarised

POPULATION = 10
TOURNAMENT = 3
CROSSOVER = 0.7  # chance that a child has two parents
MUTATIONS = 1.5  # variables of a child that are redrawn, on average


def search(session: Session, rng: np.random.Generator) -> None:
    population = [session.query(draw(session, rng)) for _ in range(POPULATION)]
    while True:
        fitness = scalarised(session, rng)
        for _ in range(POPULATION):
            first = _parent(population, fitness, rng)
            second = _parent(population, fitness, rng) if rng.random() < CROSSOVER else first
            population.append(session.query(breed(session, first, second, MUTATIONS, rng)))
        different = {seen.design: seen for seen in population}
        population = sorted(different.values(), key=fitness)[:POPULATION]
        while len(population) < POPULATION:
            population.append(session.query(draw(session, rng)))


def _parent(population: list[Observation], fitness: Fitness, rng: np.random.Generator) -> Design:
    rivals = rng.choice(len(population), TOURNAMENT, replace=False)
    return min((population[k] for k in rivals), key=fitness).design
