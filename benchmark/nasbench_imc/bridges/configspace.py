"""ConfigSpace: a task's designs as configurations and back, for SMAC and its kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from nasbench_imc.bridges.extra import imported_for_bridge
from nasbench_imc.bridges.functions import Function
from nasbench_imc.design import Design

with imported_for_bridge("ConfigSpace"):
    from ConfigSpace import Configuration, ConfigurationSpace

if TYPE_CHECKING:
    from nasbench_imc.suites import Task


def configuration_space(task: Task, rng: np.random.Generator) -> ConfigurationSpace:
    """The task's free variables as categorical hyperparameters: the network's, and hardware where free.

    A configuration is a mapping of choices: :func:`~nasbench_imc.bridges.to_design` and what
    :func:`~nasbench_imc.bridges.function` makes take it as it is.

    Parameters
    ----------
    task : Task
    rng : numpy.random.Generator
        Draws the seed of the space, from which ``sample_configuration`` draws.
    """
    space = task.domain.configspace()
    space.seed(int(rng.integers(2**31)))
    return space


def to_configuration(space: ConfigurationSpace, task: Task, design: Design) -> Configuration:
    """A design as a configuration of the space; :func:`~nasbench_imc.bridges.to_design` is the inverse."""
    return Configuration(space, values=task.domain.values(design))


def target(objective: Function) -> Callable[[Configuration, int], float | tuple[float, ...]]:
    """The objective with the signature of a SMAC target function, ``f(configuration, seed)``.

    The seed is ignored: a label is drawn once a session. SMAC takes exceptions for crashed trials, so
    run it within :func:`~nasbench_imc.bridges.run_function`.
    """

    def evaluate(configuration: Configuration, seed: int = 0) -> float | tuple[float, ...]:
        return objective(configuration)

    return evaluate
