"""Optuna: a task as an objective, and a study that runs any sampler on it.

def search(session, rng):
    run_optuna(session, optuna.samplers.TPESampler(seed=int(rng.integers(2**31))))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nasbench_imc.bridges.designs import to_design
from nasbench_imc.bridges.extra import imported_for_bridge
from nasbench_imc.bridges.objectives import logged, violations

with imported_for_bridge("Optuna"):
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution

if TYPE_CHECKING:
    from nasbench_imc.suites import Observation, Session, Task


def distributions(task: Task) -> dict[str, BaseDistribution]:
    """A categorical distribution for each variable of the task's domain."""
    return {name: CategoricalDistribution(choices) for name, choices in task.domain.variables.items()}


def create_study(
    session: Session, sampler: optuna.samplers.BaseSampler, objectives: int | None = None
) -> optuna.Study:
    """A study in memory that minimises as many objectives as the task has, or as many as stated."""
    count = len(session.task.objectives) if objectives is None else objectives
    with _quiet():
        return optuna.create_study(directions=["minimize"] * count, sampler=sampler)


def objective(session: Session) -> Callable[[optuna.Trial], float | tuple[float, ...]]:
    """An objective for ``study.optimize``.

    A trial suggests every variable of the domain. Where its costs break a limit it is pruned and not
    queried, with its violations as constraints; else its value is what
    :func:`~nasbench_imc.bridges.logged` makes of the observation. The objective raises BudgetExhausted when
    the budget is spent.
    """
    task = session.task
    space = distributions(task)

    def evaluate(trial: optuna.Trial) -> float | tuple[float, ...]:
        design = to_design(
            task.domain,
            {name: trial.suggest_categorical(name, space[name].choices) for name in space},  # type: ignore[attr-defined]
        )
        if task.limits:
            broken = violations(task, session.cost(design))
            if max(broken.values()) > 0:
                _constrain(trial, broken)
                raise optuna.TrialPruned
        seen = session.query(design)
        _constrain(trial, violations(task, seen.values))
        values = logged(task, seen)
        return values[0] if len(values) == 1 else values

    return evaluate


def finished_trial(task: Task, seen: Observation) -> optuna.trial.FrozenTrial:
    """An observation as a trial, for ``study.add_trial``."""
    return optuna.trial.create_trial(
        params=task.domain.values(seen.design),
        distributions=distributions(task),
        values=list(logged(task, seen)),
        constraints=violations(task, seen.values),
    )


def run_optuna(session: Session, sampler: optuna.samplers.BaseSampler) -> None:
    """Run a sampler until the budget is spent, or the sampler stops the study.

    Optuna's messages below errors are held back meanwhile.

    Parameters
    ----------
    session : Session
    sampler : optuna.samplers.BaseSampler
        Seeded by the searcher's generator, so that a run can be repeated.

    Raises
    ------
    BudgetExhausted
        Where the budget is spent.
    """
    study = create_study(session, sampler)
    with _quiet():
        study.optimize(objective(session))


def _constrain(trial: optuna.Trial, broken: dict[str, float]) -> None:
    for metric, value in broken.items():
        trial.set_constraint(metric, value)


@contextmanager
def _quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.ERROR))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
