"""Successive halving.

Karnin, Koren and Somekh, "Almost optimal exploration in multi-armed bandits", ICML 2013; for training that is
stopped early, Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter
optimization", AISTATS 2016.

    give each rung of fidelities its share of the budget
    query random designs at the lowest rung until its share is spent
    for each further rung
        query the best third (1 / eta) there, best first, until its share is spent

The shares are such that each rung pays for a third of the designs of the one below, had all networks the same
price: dearer survivors do not use up what the next rung needs. (Karnin et al. keep a half; a third is what
Hyperband keeps.) The lowest rung is the lowest where the budget pays for enough designs that one of them can
reach the full label, and for no more than there are. What is left at the end is spent in the same way again.

Rungs (:class:`~nasbench_imc_baselines.halving.Ladder`) are fidelities whose prices rise by about three. With
several objectives the best are those of the first fronts, spread along them. On tasks without fidelities
there is one rung: what is left is random search without repeats.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nasbench_imc import Design, Observation, Session, Task
from nasbench_imc_baselines.halving import Ladder, best_first, new_designs

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {"eta": (2, 3, 4)}


def suits(task: Task) -> bool:
    """Track F: elsewhere there is one rung, and this is random search."""
    return bool(task.fidelities)


def search(session: Session, rng: np.random.Generator, *, eta: int = 4) -> None:
    ladder = Ladder(session, eta, rng)
    while True:
        lowest = _lowest(session, ladder, eta)
        plan = ladder.plan(lowest)
        left = session.budget_left * (1 - np.cumsum(plan) / plan.sum())  # after each rung
        designs: Iterable[Design] = new_designs(session, rng)
        for rung in range(lowest, ladder.top + 1):
            entered: list[Observation] = []
            for design in designs:
                entered.append(ladder.query(design, rung))
                if session.budget_left <= left[rung - lowest]:
                    break
            designs = [seen.design for seen in best_first(session.task, entered, max(1, len(entered) // eta))]


def _lowest(session: Session, ladder: Ladder, eta: int) -> int:
    """The rung to begin at, by the prices that one design showed."""
    for rung in range(ladder.top):
        entering = session.budget_left / ladder.plan(rung).sum()
        if eta ** (ladder.top - rung) <= entering <= len(session.task.domain):
            return rung
    return ladder.top
