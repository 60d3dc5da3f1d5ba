"""NSGA-II, by pymoo.

Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II",
IEEE Transactions on Evolutionary Computation, 2002.

    query a random population
    repeat
        breed as many children by binary tournament, uniform crossover and mutation, and query them
        keep the best half of both by non-domination rank, then by crowding distance

Each categorical variable is an integer and costs enter by their logarithm. Limits are pymoo's constraints;
costs are free to look at, so a design that breaks a limit is not queried.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.mutation import Mutation
from pymoo.core.problem import ElementwiseProblem
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

from nasbench_imc import Session

POPULATION = 20


class _Designs(ElementwiseProblem):
    """The session as a pymoo problem."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.choices = list(session.task.domain.variables.items())
        super().__init__(
            n_var=len(self.choices),
            n_obj=len(session.task.objectives),
            n_ieq_constr=len(session.task.limits),
            xl=0,
            xu=np.array([len(choices) - 1 for _, choices in self.choices]),
            vtype=int,
        )

    def _evaluate(self, x: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        task = self.session.task
        values = {name: choices[k] for (name, choices), k in zip(self.choices, x, strict=True)}
        design = task.domain.from_values(values)
        if task.limits:
            costs = self.session.cost(design)
            out["G"] = [costs[metric] / limit - 1 for metric, limit in task.limits.items()]
            if max(out["G"]) > 0:
                out["F"] = [0.0] * len(task.objectives)  # pymoo ranks it by its violation alone
                return
        seen = self.session.query(design)
        out["F"] = [
            v if name == "accuracy" else np.log(v)
            for name, v in zip(task.objectives, seen.objectives, strict=True)
        ]


class _Redraw(Mutation):
    """Redraws each variable with a chance of one over their number."""

    def _do(
        self, problem: _Designs, X: np.ndarray, *args: Any, random_state: Any = None, **kwargs: Any
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
    # pymoo counts generations; the session ends the run at its budget.
    generations = ("n_gen", session.task.max_proposals)
    minimize(_Designs(session), algorithm, generations, seed=int(rng.integers(2**31)))
