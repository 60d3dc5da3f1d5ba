"""Tree-structured Parzen estimator, by Optuna.

Bergstra, Bardenet, Bengio and Kegl, "Algorithms for hyper-parameter optimization", NeurIPS 2011; with
several objectives Ozaki et al., "Multiobjective tree-structured Parzen estimator", JAIR 2022.

    query a few random designs that keep the limits
    repeat
        split what was seen into good and bad, and model the density of each
        query the candidate with the highest ratio of good to bad density

A candidate that was queried before teaches nothing on a table, and one that breaks a limit need not be
queried to know it: in its place comes a mutant of it or, failing that, of a queried design, which keeps the
limits, until one is new and keeps them too.
"""

from __future__ import annotations

import numpy as np
import optuna

from nasbench_imc import Session
from nasbench_imc.bridges.optuna import create_study, distributions, finished_trial
from nasbench_imc_baselines.common import begin, draws, instead

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {"startup": (5, 10, 20), "multivariate": (False, True), "candidates": (12, 24, 48)}


def search(
    session: Session,
    rng: np.random.Generator,
    *,
    startup: int = 5,
    multivariate: bool = False,
    candidates: int = 24,
) -> None:
    task, domain = session.task, session.task.domain
    sampler = optuna.samplers.TPESampler(
        seed=int(rng.integers(2**31)),
        n_startup_trials=startup,
        n_ei_candidates=candidates,
        multivariate=multivariate,
    )
    study = create_study(session, sampler)
    space = distributions(task)
    for seen in begin(session, draws(session, startup, rng)):
        study.add_trial(finished_trial(task, seen))
    while len(session.observations) < len(domain):
        trial = study.ask(space)
        seen = session.query(instead(session, domain.from_values(trial.params), rng))
        study.tell(trial, state=optuna.trial.TrialState.FAIL)  # what was queried stands for it
        study.add_trial(finished_trial(task, seen))
