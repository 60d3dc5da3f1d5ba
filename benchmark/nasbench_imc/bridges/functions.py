"""The session as a function ``f(x)``, for methods that want nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from nasbench_imc.bridges.designs import Point, to_design
from nasbench_imc.bridges.objectives import Fitness, keeps_limits, logged, scalarised, violations
from nasbench_imc.errors import BudgetExhausted

if TYPE_CHECKING:
    from nasbench_imc.suites import Session

#: A design that breaks a limit is worth this times (1 + its violation): more than any that keeps them.
PENALTY = 1e6

#: Observations from which several objectives are scaled into one.
SCALED_FROM = 10

#: Draws made for them at most: few designs may keep the limits.
DRAWS = 200

#: Calls after the end of the budget that are answered by BudgetExhausted, before SearchEnded ends it.
PATIENCE = 1_000


class SearchEnded(BaseException):
    """The budget was spent long ago and the method asks on. No Exception, which it seems to swallow."""


class Function:
    """What :func:`function` makes.

    Attributes
    ----------
    session : Session
    bounds : list of (int, int)
        Least and greatest index of each variable's choices, as SciPy wants them.
    ended : BudgetExhausted or None
        What ended the budget, once it has been raised.
    """

    def __init__(self, session: Session, fitness: Fitness | None = None) -> None:
        self.session = session
        self.bounds = [(0, len(choices) - 1) for choices in session.task.domain.variables.values()]
        self.ended: BudgetExhausted | None = None
        self._fitness = fitness
        self._calls_after_end = 0

    def __call__(self, x: Point) -> float | tuple[float, ...]:
        if self.ended is not None:
            self._calls_after_end += 1
            if self._calls_after_end > PATIENCE:
                raise SearchEnded(
                    f"{PATIENCE} calls after the end of the budget: let BudgetExhausted pass, "
                    "or hand the method to nasbench_imc.bridges.run_function"
                )
            raise self.ended
        try:
            return self._value(x)
        except BudgetExhausted as error:
            self.ended = error
            raise

    def _value(self, x: Point) -> float | tuple[float, ...]:
        task = self.session.task
        design = to_design(task.domain, x)
        broken = violations(task, self.session.cost(design)) if task.limits else {}
        if max(broken.values(), default=0.0) <= 0:
            seen = self.session.query(design)
            if seen.feasible:
                values = logged(task, seen)
                if self._fitness is not None:
                    return self._fitness(seen)
                return values[0] if len(values) == 1 else values
            broken = violations(task, seen.values)
        penalty = PENALTY * (1 + sum(max(value, 0.0) for value in broken.values()))
        return penalty if self._fitness or len(task.objectives) == 1 else (penalty,) * len(task.objectives)


def function(session: Session, rng: np.random.Generator | None = None) -> Function:
    """The session as an objective function, to be minimised.

    It takes a design in any form that :func:`~nasbench_imc.bridges.to_design` reads: a Design, a mapping
    of choices, or a vector of indices. It returns the objectives as
    :func:`~nasbench_imc.bridges.logged` gives them: a float where the task has one, else a tuple. A
    design that breaks a limit on costs is not queried; it gets :data:`PENALTY` and more, the further it
    is from the limit. A repeated design is answered as before and free, but it is a proposal.

    Parameters
    ----------
    session : Session
    rng : numpy.random.Generator, optional
        With it, several objectives become one float under weights drawn now (:func:`scalarised`): make a
        function anew for another place of the front. They are scaled by what was seen so far; where
        that is less than :data:`SCALED_FROM` designs, random ones that keep the limits are queried first.

    Returns
    -------
    Function
        It raises BudgetExhausted when the budget is spent, and keeps raising it. A method that goes on
        all the same meets :class:`SearchEnded`, a BaseException, after :data:`PATIENCE` calls.
    """
    if rng is None or len(session.task.objectives) == 1:
        return Function(session)
    domain = session.task.domain
    for _ in range(DRAWS):
        if len(session.observations) >= min(SCALED_FROM, len(domain)):
            break
        design = domain.random(rng)
        if keeps_limits(session, design):
            session.query(design)
    if not session.observations:  # limits that hardly any design keeps
        session.query(domain.random(rng))
    return Function(session, scalarised(session, rng))


def run_function(
    session: Session, method: Callable[[Function], object], rng: np.random.Generator | None = None
) -> None:
    """Run ``method(f)`` for a method that may swallow or replace exceptions.

    However the method takes the end of the budget, this raises BudgetExhausted then. Where the method
    returns or raises before, so does this.

    Parameters
    ----------
    session : Session
    method : callable
        Gets what :func:`function` makes.
    rng : numpy.random.Generator, optional
        As in :func:`function`.

    Raises
    ------
    BudgetExhausted
        Where the budget is spent.
    """
    objective = function(session, rng)
    try:
        method(objective)
    except (Exception, SearchEnded) as error:
        if objective.ended is None or error is objective.ended:
            raise
        raise objective.ended from error
    if objective.ended is not None:
        raise objective.ended
