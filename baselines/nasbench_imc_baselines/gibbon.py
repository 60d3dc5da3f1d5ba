"""Evolution with adaptive parameter priority, after Gibbon.

Sun et al., "Gibbon: Efficient co-exploration of NN model and processing-in-memory architecture", DATE 2022
(IEEE TCAD 2023). Its recurrent predictor of accuracy is left out: here accuracies are looked up.

    query a random population; each variable has priority 1
    repeat
        take the best of a random sample of the population as parent
        change one variable of it, chosen by priority, sometimes a second one, and query the child
        the variable's priority moves towards how much its change mattered: the share of the population
            between parent and child
        replace the worst member, if the child is better

With several objectives each step draws a new weighting of them.
"""

from __future__ import annotations

import numpy as np

from nasbench_imc import Design, Session
from nasbench_imc_baselines.common import TRIES, begin, draws, fresh, keeps_limits, scalarised

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {
    "population": (5, 10, 20),
    "tournament": (2, 3, 5),
    "memory": (0.5, 0.8, 0.9),
    "least": (0.05, 0.1, 0.3),
    "second": (0.0, 0.3, 0.6),
}


def search(
    session: Session,
    rng: np.random.Generator,
    *,
    population: int = 5,
    tournament: int = 2,
    memory: float = 0.9,
    least: float = 0.1,
    second: float = 0.3,
) -> None:
    names = [name for name, choices in session.task.domain.variables.items() if len(choices) > 1]
    priority = np.ones(len(names))
    members = begin(session, draws(session, population, rng))
    while True:
        fitness = scalarised(session, rng)
        rivals = [members[k] for k in rng.choice(len(members), min(tournament, len(members)), replace=False)]
        parent = min(rivals, key=fitness)
        child = session.query(
            fresh(session, _child(session, parent.design, names, priority, second, rng), rng)
        )
        low, high = sorted((fitness(parent), fitness(child)))
        mattered = float(np.mean([low < fitness(member) <= high for member in members]))
        changed = _changed(session, parent.design, child.design, names)
        priority[changed] = memory * priority[changed] + (1 - memory) * max(least, mattered)
        worst = max(range(len(members)), key=lambda k: fitness(members[k]))
        if fitness(child) < fitness(members[worst]):
            members[worst] = child


def _child(
    session: Session,
    parent: Design,
    names: list[str],
    priority: np.ndarray,
    second: float,
    rng: np.random.Generator,
) -> Design:
    """A mutant in one or two variables, those of high priority more often."""
    domain = session.task.domain
    for _ in range(TRIES):
        count = min(len(names), 2 if rng.random() < second else 1)
        changed = rng.choice(len(names), count, replace=False, p=priority / priority.sum()).tolist()
        values = domain.values(parent)
        for k in changed:
            others = [choice for choice in domain.variables[names[k]] if choice != values[names[k]]]
            values[names[k]] = others[rng.integers(len(others))]
        design = domain.from_values(values)
        if keeps_limits(session, design):
            break
    return design


def _changed(session: Session, parent: Design, child: Design, names: list[str]) -> list[int]:
    """The positions of the variables in which two designs differ."""
    before, after = session.task.domain.values(parent), session.task.domain.values(child)
    return [k for k, name in enumerate(names) if before[name] != after[name]]
