"""Bayesian optimisation with a Gaussian process, by Optuna.

Snoek, Larochelle and Adams, "Practical Bayesian optimization of machine learning algorithms", NeurIPS 2012;
the logarithm of the acquisition after Ament et al., "Unexpected improvements to expected improvement for
Bayesian optimization", NeurIPS 2023.

    query a few random designs
    repeat
        fit a Gaussian process to what was observed: designs are near that differ in few variables, and how
            much each variable counts is fitted with it
        query the design of the highest expected improvement, found by local search from several starts

With several objectives each step draws a new weighting of them: the sampler's own improvement of hypervolume
takes many times as long. The process learns normal scores, the quantiles of a normal distribution at the
ranks (Salinas, Shen and Perrone, ICML 2020), which neither a broken network's accuracy nor a design beyond
a limit distorts. What was queried before or breaks a limit on costs is replaced as in tpe.py.

A step takes about a tenth of a second. Needs the extra ``[bo]``.
"""

from __future__ import annotations

import numpy as np
import optuna
from scipy.stats import norm

from nasbench_imc import Session
from nasbench_imc.bridges.optuna import create_study, distributions
from nasbench_imc_baselines.common import begin, draws, instead, scalarised
from nasbench_imc_baselines.one_thread import one_thread
from nasbench_imc_baselines.surrogates import ranks

#: A step takes longer than 0.05 s: fewer runs.
SLOW = True

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {"initial": (5, 10, 20)}


def search(session: Session, rng: np.random.Generator, *, initial: int = 10) -> None:
    domain = session.task.domain
    begin(session, draws(session, initial, rng))
    space = distributions(session.task)
    sampler = optuna.samplers.GPSampler(seed=int(rng.integers(2**31)), n_startup_trials=0)
    while len(session.observations) < len(domain):
        study = create_study(session, sampler, objectives=1)
        seen = session.observations
        fitness = scalarised(session, rng)
        for observation, value in zip(seen, normal_scores([fitness(each) for each in seen]), strict=True):
            study.add_trial(
                optuna.trial.create_trial(
                    params=domain.values(observation.design), distributions=space, value=value
                )
            )
        with one_thread():
            suggested = domain.from_values(study.ask(space).params)
        session.query(instead(session, suggested, rng))


def normal_scores(values: list[float]) -> list[float]:
    """Quantiles of the standard normal distribution at the ranks of ``values``, the smallest lowest."""
    count = len(values)
    return norm.ppf((ranks(np.array(values)) * (count - 1) + 0.5) / count).tolist()
