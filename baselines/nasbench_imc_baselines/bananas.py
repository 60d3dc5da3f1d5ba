"""Bayesian optimisation with an ensemble of neural networks, after BANANAS.

White, Neiswanger and Savani, "BANANAS: Bayesian optimization with neural architectures for neural
architecture search", AAAI 2021: an ensemble as the model, independent Thompson sampling as the acquisition,
mutants of the best as candidates. Codes of both spaces are of fixed length, so encodings are one-hot.

    query a few random designs
    repeat
        train the ensemble on the accuracies that were observed
        draw for each candidate from a normal distribution of the ensemble's mean and spread
        query the few candidates that would be best, had they the accuracies that were drawn

Costs are known without a query, so accuracy alone is modelled. With several objectives the best are the
front, and those candidates that would add most to its hypervolume (as in TSEMO, Bradford, Schweidtmann and
Lapkin, Journal of Global Optimization 2018). The model learns ranks, which no broken network's accuracy
distorts.
"""

from __future__ import annotations

import numpy as np

from nasbench_imc import Session
from nasbench_imc_baselines.candidates import near_the_best
from nasbench_imc_baselines.common import begin, draw, draws, scalarised
from nasbench_imc_baselines.fronts import dominators, promising
from nasbench_imc_baselines.surrogates import NetworkEnsemble, matched, ranks

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {"initial": (5, 10, 20), "parents": (5, 10, 20), "candidates": (30, 60, 120), "batch": (2, 5, 10)}


def search(
    session: Session,
    rng: np.random.Generator,
    *,
    initial: int = 10,
    parents: int = 10,
    candidates: int = 30,
    batch: int = 2,
) -> None:
    encode = session.task.domain.encode
    begin(session, draws(session, initial, rng))
    several = len(session.task.objectives) > 1
    looks = int(session.task.objectives != ("accuracy",))
    ensemble = NetworkEnsemble()
    while True:
        fitness = dominators(session) if several else scalarised(session, rng)
        observed = np.array([encode(seen.design) for seen in session.observations])
        labels = np.array([seen.values["accuracy"] for seen in session.observations])
        ensemble.fit(observed, ranks(labels), rng)
        near = near_the_best(session, fitness, parents, candidates, batch, rng, looks)
        designs = near or [draw(session, rng)]
        predicted = ensemble.predict(np.array([encode(design) for design in designs]))
        drawn = rng.normal(predicted.mean(axis=0), predicted.std(axis=0))
        accuracies = matched(drawn, ranks(labels), labels)
        for design in promising(session, designs, accuracies, fitness, batch):
            session.query(design)
