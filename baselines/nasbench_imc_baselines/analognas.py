"""Evolution guided by a ranker, after AnalogNAS.

Benmeziane et al., "AnalogNAS: A neural network design framework for accurate inference with analog in-memory
computing", IEEE EDGE 2023: an evolutionary search whose children are sifted by a learned ranking model (there
gradient-boosted trees, here a linear pairwise ranker over choices and pairs of choices).

    query a few random designs
    repeat
        learn to rank the accuracies that were observed
        breed many mutants of the best, which costs nothing, and draw some designs anywhere
        query the few that would be best, had they the accuracies that their ranks stand for

Costs are known without a query, so accuracy alone is learned. With several objectives the best are the front,
and those candidates that would add most to its hypervolume.
"""

from __future__ import annotations

import numpy as np

from nasbench_imc import Session
from nasbench_imc_baselines.candidates import near_the_best
from nasbench_imc_baselines.common import begin, draw, draws, scalarised
from nasbench_imc_baselines.fronts import dominators, promising
from nasbench_imc_baselines.surrogates import PairwiseRanker, interactions, matched

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {"initial": (5, 10, 20), "parents": (4, 8, 16), "candidates": (30, 60, 120), "batch": (2, 4, 8)}


def search(
    session: Session,
    rng: np.random.Generator,
    *,
    initial: int = 5,
    parents: int = 4,
    candidates: int = 30,
    batch: int = 2,
) -> None:
    encode = session.task.domain.encode
    begin(session, draws(session, initial, rng))
    several = len(session.task.objectives) > 1
    looks = int(session.task.objectives != ("accuracy",))
    ranker = PairwiseRanker()
    while True:
        fitness = dominators(session) if several else scalarised(session, rng)
        observed = interactions(np.array([encode(seen.design) for seen in session.observations]))
        labels = np.array([seen.values["accuracy"] for seen in session.observations])
        ranker.fit(observed, -labels)
        near = near_the_best(session, fitness, parents, candidates, batch, rng, looks)
        designs = near or [draw(session, rng)]
        scores = ranker.predict(interactions(np.array([encode(design) for design in designs])))
        accuracies = matched(-scores, -ranker.predict(observed), labels)
        for design in promising(session, designs, accuracies, fitness, batch):
            session.query(design)
