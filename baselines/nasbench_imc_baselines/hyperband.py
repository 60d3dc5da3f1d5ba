"""Hyperband.

Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, "Hyperband: A novel bandit-based approach to hyperparameter
optimization", JMLR 2018.

    repeat
        for each rung of fidelities, from the lowest to the full label
            query random designs there
            for each further rung
                query the best third (1 / eta) of them there

Each of these brackets takes about the same time, that of as many full labels as there are rungs: many designs
that are stopped early, or few that are not. How far a cheap label can be trusted is thus left open. Rungs
(:class:`~nasbench_imc_baselines.halving.Ladder`) are fidelities whose prices rise by about three, which the
paper recommends. A design that climbs goes on from where it stopped and pays no second twice, so a bracket
has more designs than the paper's table. With several objectives the best are those of the first fronts,
spread along them. On tasks without fidelities there is one rung: what is left is random search.
"""

from __future__ import annotations

import math
from itertools import islice

import numpy as np

from nasbench_imc import Session, Task
from nasbench_imc_baselines.halving import Ladder, best_first, new_designs

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {"eta": (2, 3, 4)}


def suits(task: Task) -> bool:
    """Track F: elsewhere there is one rung, and this is random search."""
    return bool(task.fidelities)


def search(session: Session, rng: np.random.Generator, *, eta: int = 2) -> None:
    ladder = Ladder(session, eta, rng)
    bracket = (ladder.top + 1) * ladder.prices[-1]
    while True:
        for lowest in range(ladder.top + 1):
            number = max(math.ceil(bracket / ladder.plan(lowest).sum()), eta ** (ladder.top - lowest))
            entered = [ladder.query(design, lowest) for design in islice(new_designs(session, rng), number)]
            for rung in range(lowest + 1, ladder.top + 1):
                best = best_first(session.task, entered, max(1, len(entered) // eta))
                entered = [ladder.query(seen.design, rung) for seen in best]
