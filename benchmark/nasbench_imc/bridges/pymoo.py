"""pymoo: a session as a problem over integers, and a run of any algorithm on it.

Each variable is the index of its choice. Limits are pymoo's constraints; costs are free to look at, so a
design that breaks a limit is not queried, nor is one that is the same network as another. Costs enter by
their logarithm.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_imc.bridges.asking import ask
from nasbench_imc.bridges.designs import to_design
from nasbench_imc.bridges.extra import imported_for_bridge
from nasbench_imc.bridges.objectives import logged, violations

with imported_for_bridge("pymoo"):
    from pymoo.core.algorithm import Algorithm
    from pymoo.core.duplicate import DuplicateElimination
    from pymoo.core.individual import Individual
    from pymoo.core.mutation import Mutation
    from pymoo.core.population import Population
    from pymoo.core.problem import ElementwiseProblem
    from pymoo.optimize import minimize

if TYPE_CHECKING:
    from nasbench_imc.suites import Session


class DesignProblem(ElementwiseProblem):
    """The session as a pymoo problem of integer variables.

    Variables of algorithms over real numbers are rounded. An evaluation raises BudgetExhausted when the
    budget is spent.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        task = session.task
        super().__init__(
            n_var=len(task.domain.variables),
            n_obj=len(task.objectives),
            n_ieq_constr=len(task.limits) + len(task.least),
            xl=0,
            xu=np.array([len(choices) - 1 for choices in task.domain.variables.values()]),
            vtype=int,
        )

    def _evaluate(self, x: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        task = self.session.task
        design = to_design(task.domain, x)
        if task.limits:
            broken = list(violations(task, self.session.cost(design)).values())
            if max(broken) > 0:
                out["G"] = broken + [0.0] * (self.n_ieq_constr - len(broken))  # what only a query shows
                out["F"] = [0.0] * len(task.objectives)  # pymoo ranks it by its violation alone
                return
        seen = ask(self.session, design)
        out["F"] = list(logged(task, seen))
        if self.n_ieq_constr:
            out["G"] = list(violations(task, seen.values).values())


class SameNetwork(DuplicateElimination):
    """For ``eliminate_duplicates``: designs that are one network on one hardware are duplicates."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._domain = session.task.domain

    def _do(self, pop: Population, other: Population | None, is_duplicate: np.ndarray) -> np.ndarray:
        known = set() if other is None else {self._form(each) for each in other}
        for k, form in enumerate(map(self._form, pop)):
            if form in known:
                is_duplicate[k] = True
            elif other is None:
                known.add(form)
        return is_duplicate

    def _form(self, individual: Individual) -> Hashable:
        return self._domain.canonical_form(to_design(self._domain, individual.X))


class Redraw(Mutation):
    """Redraws each variable with a chance of one over their number; pymoo's own mutations are for numbers."""

    def _do(
        self, problem: DesignProblem, X: np.ndarray, *args: Any, random_state: Any = None, **kwargs: Any
    ) -> np.ndarray:
        redrawn = random_state.integers(0, problem.xu + 1, size=X.shape)
        return np.where(random_state.random(X.shape) < 1 / problem.n_var, redrawn, X)


def run_pymoo(session: Session, algorithm: Algorithm, rng: np.random.Generator) -> None:
    """Run an algorithm until the budget is spent, or the algorithm ends by itself.

    Parameters
    ----------
    session : Session
    algorithm : pymoo.core.algorithm.Algorithm
        For integer variables, or for real ones.
    rng : numpy.random.Generator
        Draws pymoo's seed.

    Raises
    ------
    BudgetExhausted
        Where the budget is spent.
    """
    # pymoo counts generations; the session ends the run at its budget.
    generations = ("n_gen", session.task.max_proposals)
    minimize(DesignProblem(session), algorithm, generations, seed=int(rng.integers(2**31)))
