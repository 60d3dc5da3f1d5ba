"""Asynchronous successive halving (ASHA), and with several objectives MO-ASHA.

Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht and Talwalkar, "A system for massively parallel
hyperparameter tuning", MLSys 2020; Schmucker, Donini, Zafar, Salinas and Archambeau, "Multi-objective
asynchronous successive halving", arXiv 2106.12639, 2021.

    repeat
        from the highest rung of fidelities to the lowest
            if a design of its best third (1 / eta) has not been queried at the next rung
                query it there, and begin again
        if none is found, query a new random design at the lowest rung

The clock of a task is that of one worker, so nothing runs at the same time: what is left of the method is
that it promotes as soon as it can, and has a full label long before successive halving has. With several
objectives the best third is that of MO-ASHA: front by front of the non-dominated sorting, and where a front
does not fit as a whole, those of its epsilon-net, which begins at the most accurate. Distances are taken with
costs by their logarithm and each objective between its extremes of the rung.

Rungs (:class:`~nasbench_imc_baselines.halving.Ladder`) are fidelities whose prices rise by about three. A
table, unlike the papers' spaces, may run out of new designs: then the best that is not yet at the next rung
climbs. On tasks without fidelities there is one rung: what is left is random search without repeats.
"""

from __future__ import annotations

import numpy as np

from nasbench_imc import Design, Observation, Session, Task
from nasbench_imc_baselines.halving import Ladder, best_first, new_designs

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {"eta": (2, 3, 4)}

Rungs = list[dict[Design, Observation]]


def suits(task: Task) -> bool:
    """Track F: elsewhere there is one rung, and this is random search."""
    return bool(task.fidelities)


def search(session: Session, rng: np.random.Generator, *, eta: int = 2) -> None:
    ladder = Ladder(session, eta, rng)
    rungs: Rungs = [{} for _ in ladder.levels]
    new = new_designs(session, rng)
    while True:
        step = (
            _promotion(session.task, rungs, eta)
            or next(((design, 0) for design in new), None)
            or _promotion(session.task, rungs, 1)
        )
        if step is None:  # every design has its full label
            return
        design, rung = step
        rungs[rung][design] = ladder.query(design, rung)


def _promotion(task: Task, rungs: Rungs, eta: int) -> tuple[Design, int] | None:
    """A design among the best ``1 / eta`` of a rung that is not yet at the next, and that next rung."""
    for rung in reversed(range(len(rungs) - 1)):
        for seen in best_first(task, rungs[rung].values(), len(rungs[rung]) // eta):
            if seen.design not in rungs[rung + 1]:
                return seen.design, rung + 1
    return None
