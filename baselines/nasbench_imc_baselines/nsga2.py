"""NSGA-II, by pymoo.

Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II",
IEEE Transactions on Evolutionary Computation, 2002.

    query a random population of designs that keep the limits
    repeat
        breed as many children by binary tournament, uniform crossover and mutation, and query them
        keep the best half of both by non-domination rank, then by crowding distance

Each categorical variable is an integer, costs enter by their logarithm, limits are pymoo's constraints.
"""

from __future__ import annotations

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.operators.crossover.ux import UniformCrossover

from nasbench_imc import Session
from nasbench_imc.bridges.pymoo import Redraw, SameNetwork, run_pymoo
from nasbench_imc_baselines.common import starting_population

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {"population": (6, 10, 20), "crossover": (0.5, 0.9)}


def search(
    session: Session,
    rng: np.random.Generator,
    *,
    population: int = 10,
    crossover: float = 0.9,
) -> None:
    first = starting_population(session, population, rng)
    algorithm = NSGA2(
        pop_size=len(first),
        sampling=first,
        crossover=UniformCrossover(prob=crossover),
        mutation=Redraw(),
        eliminate_duplicates=SameNetwork(session),
    )
    run_pymoo(session, algorithm, rng)
