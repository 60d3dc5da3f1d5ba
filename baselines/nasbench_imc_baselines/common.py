"""What several searchers share: draws and mutants that keep the limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nasbench_imc import Design, Observation, Session
from nasbench_imc.bridges import keeps_limits, logged, scalarised, to_indices

__all__ = [
    "TRIES",
    "Fitness",
    "affordable",
    "breed",
    "draw",
    "fresh",
    "imagined",
    "instead",
    "keeps_limits",
    "logged",
    "mutate",
    "scalarised",
    "starting_population",
]

Fitness = Callable[[Observation], float]

#: Mutations tried before a child that breaks a limit is taken all the same.
TRIES = 20


def draw(session: Session, rng: np.random.Generator) -> Design:
    """A uniform draw from the designs that keep the limits."""
    while True:
        design = session.task.domain.random(rng)
        if keeps_limits(session, design):
            return design


def affordable(session: Session, count: int) -> int:
    """``count`` designs to begin with, or as many as half of the queries buy: some must be left to breed.

    Where labels are charged by time it is ``count``.
    """
    return count if session.task.fidelities else max(2, min(count, int(session.budget_left) // 2))


def starting_population(session: Session, count: int, rng: np.random.Generator) -> np.ndarray:
    """Designs that keep the limits, as pymoo begins with them; (count, variables), indices of choices.

    Drawn from all designs and bred until they keep the limits, a population would end where these are
    broken least, among the smallest networks.
    """
    return np.array([to_indices(session.task.domain, draw(session, rng)) for _ in range(count)])


def mutate(session: Session, parent: Design, rng: np.random.Generator) -> Design:
    """A mutant of ``parent`` that keeps the limits, or the last one tried where none was found."""
    for _ in range(TRIES):
        child = session.task.domain.mutate(parent, rng)
        if keeps_limits(session, child):
            break
    return child


def breed(session: Session, a: Design, b: Design, mutations: float, rng: np.random.Generator) -> Design:
    """A uniform crossover of two designs, of which ``mutations`` variables are redrawn on average.

    It keeps the limits, or is the last one tried where none was found that does; and it is :func:`fresh`.
    """
    domain = session.task.domain
    chance = mutations / len(domain.variables)
    for _ in range(TRIES):
        values = domain.values(domain.crossover(a, b, rng))
        for name, choices in domain.variables.items():
            if rng.random() < chance:
                values[name] = choices[rng.integers(len(choices))]
        child = domain.from_values(values)
        if keeps_limits(session, child):
            break
    return fresh(session, child, rng)


def fresh(session: Session, design: Design, rng: np.random.Generator) -> Design:
    """``design``, or a mutant of it where it was queried before: on a table that teaches nothing.

    A population that has converged would otherwise breed the same children until proposals are spent. Where
    all designs near it were queried, it is one of them.
    """
    queried = {seen.design for seen in session.observations}
    for _ in range(TRIES):
        if design not in queried:
            break
        design = mutate(session, design, rng)
    return design


def instead(session: Session, design: Design, queried: Sequence[Design], rng: np.random.Generator) -> Design:
    """``design`` where it is new and keeps the limits; in its place, a mutant of it that is and does.

    A design that was queried before teaches nothing on a table, and one that breaks a limit need not be
    queried to know it. Where no mutant keeps the limits, mutants of ``queried`` designs are tried. Where all
    designs were queried it is ``design`` itself.
    """
    if len(queried) >= len(session.task.domain):
        return design
    while design in queried or not keeps_limits(session, design):
        design = mutate(session, design, rng)
        if queried and not keeps_limits(session, design):
            design = mutate(session, queried[int(rng.integers(len(queried)))], rng)
    return design


def imagined(session: Session, design: Design, costs: Mapping[str, float], accuracy: float) -> Observation:
    """What a query would show if the design had this accuracy [%]; its costs are known without one."""
    task = session.task
    values = {**costs, "accuracy": accuracy}
    objectives = tuple(-values[name] if name == "accuracy" else values[name] for name in task.objectives)
    return Observation(design, values, objectives, task.is_feasible(values), 0)
