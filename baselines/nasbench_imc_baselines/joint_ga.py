"""Joint genetic algorithm over network, compression and hardware, after CIMNAS.

Krestinskaya, Fouda, Eltawil and Salama, "CIMNAS: A joint framework for compute-in-memory-aware neural
architecture search", arXiv 2509.25862: one genome holds all that is free, and the objective is EDAP under an
accuracy that must be kept.

    query a random population
    repeat
        breed children by tournament, uniform crossover of the whole genome and mutation, and query them
        the best of parents and children are the next population
        recommend the best that keeps the least accuracy with a margin for the noise of its label

With several objectives each generation draws a new weighting of them, and nothing is recommended explicitly.
"""

from __future__ import annotations

import numpy as np

from nasbench_imc import Design, Observation, Session
from nasbench_imc_baselines.common import TRIES, Fitness, draw, keeps_limits, scalarised

POPULATION = 10
TOURNAMENT = 3
CROSSOVER = 0.7  # chance that a child has two parents
MUTATIONS = 1.5  # variables of a child that are redrawn, on average
MARGIN = 0.5  # above the least accuracy, of what is recommended [points]


def search(session: Session, rng: np.random.Generator) -> None:
    population = [session.query(draw(session, rng)) for _ in range(POPULATION)]
    while True:
        fitness = scalarised(session, rng)
        for _ in range(POPULATION):
            child = _child(session, _parent(population, fitness, rng), _parent(population, fitness, rng), rng)
            population.append(session.query(child))
            if session.task.least:
                _recommend(session)
        different = {seen.design: seen for seen in population}
        population = sorted(different.values(), key=fitness)[:POPULATION]
        while len(population) < POPULATION:
            population.append(session.query(draw(session, rng)))


def _parent(population: list[Observation], fitness: Fitness, rng: np.random.Generator) -> Design:
    rivals = rng.choice(len(population), TOURNAMENT, replace=False)
    return min((population[k] for k in rivals), key=fitness).design


def _child(session: Session, a: Design, b: Design, rng: np.random.Generator) -> Design:
    domain = session.task.domain
    chance = MUTATIONS / len(domain.variables)
    for _ in range(TRIES):
        values = domain.values(domain.crossover(a, b, rng) if rng.random() < CROSSOVER else a)
        for name, choices in domain.variables.items():
            if rng.random() < chance:
                values[name] = choices[rng.integers(len(choices))]
        design = domain.from_values(values)
        if keeps_limits(session, design):
            break
    return design


def _recommend(session: Session) -> None:
    safe = [
        seen
        for seen in session.observations
        if seen.feasible
        and all(seen.values[name] >= least + MARGIN for name, least in session.task.least.items())
    ]
    if safe:
        session.recommend(min(safe, key=lambda seen: seen.objectives).design)
