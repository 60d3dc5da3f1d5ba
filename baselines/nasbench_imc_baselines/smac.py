"""Bayesian optimisation with a random forest, by SMAC3.

Hutter, Hoos and Leyton-Brown, "Sequential model-based optimization for general algorithm configuration",
LION 2011; Lindauer et al., "SMAC3: A versatile Bayesian optimization package for hyperparameter
optimization", JMLR 2022. Its facade for hyperparameters: a forest of ten trees on logarithms of scaled
costs, expected improvement, and one design in five at random.

    query a few random designs
    repeat
        grow a forest on what was observed: mean and spread of its trees predict a design
        query the candidate of the highest expected improvement

Candidates are mutants of the best and random designs, as in bananas.py: SMAC's own local search goes through
a Python set, so that equal seeds would not give equal runs in every process. With several objectives it is
ParEGO: each step draws a new weighting of them (Knowles, IEEE Transactions on Evolutionary Computation,
2006). What is drawn at random and breaks a limit is replaced as in tpe.py.

A step takes less than a tenth of a second. Needs the extra ``[bo]``.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ConfigSpace import Configuration, ConfigurationSpace
from smac import HyperparameterOptimizationFacade as Facade
from smac import Scenario
from smac.acquisition.maximizer import AbstractAcquisitionMaximizer
from smac.main.config_selector import ConfigSelector
from smac.model.random_forest import RandomForest
from smac.multi_objective import ParEGO
from smac.runhistory import TrialInfo, TrialValue

from nasbench_imc import Observation, Session
from nasbench_imc.bridges import to_design
from nasbench_imc.bridges.configspace import configuration_space, to_configuration
from nasbench_imc_baselines.candidates import near_the_best
from nasbench_imc_baselines.common import begin, draw, draws, instead, logged, scalarised

#: A step takes longer than 0.05 s: fewer runs.
SLOW = True

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {"initial": (5, 10, 20), "parents": (5, 10, 20), "candidates": (50, 200, 800)}

WINDOW = 20.0  # labels further below the best one count as that far below it [points]


def search(
    session: Session,
    rng: np.random.Generator,
    *,
    initial: int = 5,
    parents: int = 20,
    candidates: int = 50,
) -> None:
    task, domain = session.task, session.task.domain
    begin(session, draws(session, initial, rng))
    space = configuration_space(task, rng)
    with TemporaryDirectory() as folder:  # SMAC keeps a record of its settings
        maximizer = Candidates(session, space, parents, candidates, rng)
        smac = _facade(session, space, maximizer, Path(folder), rng)

        def tell(seen: Observation) -> None:
            info = TrialInfo(to_configuration(space, task, seen.design), seed=0)
            smac.tell(info, TrialValue(_cost(session, seen)), save=False)

        for seen in session.observations:
            tell(seen)
        while len(session.observations) < len(domain):
            asked = to_design(domain, smac.ask().config)
            tell(session.query(instead(session, asked, rng)))


class Candidates(AbstractAcquisitionMaximizer):
    """Looks for the highest acquisition among mutants of the best and random designs that keep the limits."""

    def __init__(
        self, session: Session, space: ConfigurationSpace, parents: int, count: int, rng: np.random.Generator
    ) -> None:
        super().__init__(space, challengers=count, seed=int(rng.integers(2**31)))
        self.session, self.space, self.parents, self.rng = session, space, parents, rng

    def _maximize(
        self, previous_configs: list[Configuration], n_points: int
    ) -> list[tuple[float, Configuration]]:
        session, rng = self.session, self.rng
        fitness = scalarised(session, rng)
        found = near_the_best(session, fitness, self.parents, n_points, 1, rng) or [draw(session, rng)]
        return self._sort_by_acquisition_value(
            [to_configuration(self.space, session.task, design) for design in found]
        )


def _facade(
    session: Session,
    space: ConfigurationSpace,
    maximizer: Candidates,
    folder: Path,
    rng: np.random.Generator,
) -> Facade:
    scenario = Scenario(
        space,
        name="search",
        output_directory=folder,
        deterministic=True,  # a label is drawn once a session
        objectives=list(session.task.objectives),
        n_trials=session.task.max_proposals,
        seed=int(rng.integers(2**31)),
    )
    first = [to_configuration(space, session.task, seen.design) for seen in session.observations]
    return Facade(
        scenario,
        model=RandomForest(
            space,
            n_trees=10,
            ratio_features=1.0,
            min_samples_split=2,
            min_samples_leaf=1,
            max_leaf_nodes=session.task.max_proposals,  # memory for all is set aside for each tree
            log_y=True,
            n_jobs=1,
            seed=scenario.seed,
        ),
        acquisition_maximizer=maximizer,
        initial_design=Facade.get_initial_design(scenario, n_configs=0, additional_configs=first),
        multi_objective_algorithm=ParEGO(scenario) if scenario.count_objectives() > 1 else None,
        config_selector=ConfigSelector(scenario, retrain_after=1),
        logging_level=False,
    )


def _cost(session: Session, seen: Observation) -> list[float]:
    """What SMAC is to minimise: the objectives, at their worst where the design breaks a limit."""
    task = session.task
    observed = np.array([logged(task, each) for each in session.observations])
    is_accuracy = np.array([name.startswith("accuracy") for name in task.objectives])
    worst = np.where(is_accuracy, observed.min(axis=0) + WINDOW, observed.max(axis=0))
    return (np.minimum(logged(task, seen), worst) if seen.feasible else worst).tolist()
