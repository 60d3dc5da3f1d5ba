"""SMS-EMOA, by pymoo.

Beume, Naujoks and Emmerich, "SMS-EMOA: Multiobjective selection based on dominated hypervolume", European
Journal of Operational Research, 2007.

    query a random population of designs that keep the limits
    repeat
        breed children by binary tournament, uniform crossover and mutation, and query them
        drop, from the worst front of all, those that add least hypervolume

With one objective there is no hypervolume: pymoo's genetic algorithm, which drops the worst, takes its place.
"""

from __future__ import annotations

import numpy as np
from pymoo.algorithms.moo.sms import SMSEMOA
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.operators.crossover.ux import UniformCrossover

from nasbench_imc import Session
from nasbench_imc.bridges.pymoo import Redraw, SameNetwork, run_pymoo
from nasbench_imc_baselines.common import starting_population

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {"population": (6, 10, 20), "children": (1, 2, 4), "crossover": (0.5, 0.9)}


def search(
    session: Session,
    rng: np.random.Generator,
    *,
    population: int = 6,
    children: int = 1,
    crossover: float = 0.5,
) -> None:
    first = starting_population(session, population, rng)
    algorithm = (SMSEMOA if len(session.task.objectives) > 1 else GA)(
        pop_size=len(first),
        n_offsprings=children,
        sampling=first,
        crossover=UniformCrossover(prob=crossover),
        mutation=Redraw(),
        eliminate_duplicates=SameNetwork(session),
    )
    run_pymoo(session, algorithm, rng)
