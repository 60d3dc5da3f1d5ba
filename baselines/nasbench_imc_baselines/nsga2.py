"""NSGA-II, by pymoo.

Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II",
IEEE Transactions on Evolutionary Computation, 2002.

    query a random population
    repeat
        breed as many children by binary tournament, uniform crossover and mutation, and query them
        keep the best half of both by non-domination rank, then by crowding distance

Each categorical variable is an integer, costs enter by their logarithm, limits are pymoo's constraints.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.mutation import Mutation
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.sampling.rnd import IntegerRandomSampling

from nasbench_imc import Session
from nasbench_imc.bridges.pymoo import DesignProblem, run_pymoo

POPULATION = 20


class _Redraw(Mutation):
    """Redraws each variable with a chance of one over their number."""

    def _do(
        self, problem: DesignProblem, X: np.ndarray, *args: Any, random_state: Any = None, **kwargs: Any
    ) -> np.ndarray:
        redrawn = random_state.integers(0, problem.xu + 1, size=X.shape)
        return np.where(random_state.random(X.shape) < 1 / problem.n_var, redrawn, X)


def search(session: Session, rng: np.random.Generator) -> None:
    algorithm = NSGA2(
        pop_size=POPULATION,
        sampling=IntegerRandomSampling(),
        crossover=UniformCrossover(),
        mutation=_Redraw(),
        eliminate_duplicates=True,
    )
    run_pymoo(session, algorithm, rng)
