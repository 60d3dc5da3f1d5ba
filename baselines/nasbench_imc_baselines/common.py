"""What several searchers share: draws and mutants that keep the limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from nasbench_imc import Design, Observation, Session
from nasbench_imc.bridges import ask, keeps_limits, logged, queried, scalarised, to_indices

__all__ = [
    "TRIES",
    "Fitness",
    "ask",
    "begin",
    "breed",
    "draw",
    "draws",
    "fresh",
    "imagined",
    "instead",
    "keeps_limits",
    "logged",
    "mutate",
    "queried",
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


def draws(session: Session, count: int, rng: np.random.Generator) -> Iterator[Design]:
    """Up to ``count`` draws, each of them new (:func:`fresh`) when it is made."""
    return (fresh(session, draw(session, rng), rng) for _ in range(count))


def begin(session: Session, designs: Iterable[Design]) -> list[Observation]:
    """Query designs in turn, two at least, until half of the budget is spent: the rest is to search with.

    On track F it is half of what the first label leaves, which pays for the super-network.
    """
    half = session.budget_left / 2
    seen: list[Observation] = []
    for design in designs:
        seen.append(session.query(design))
        if session.task.fidelities and len(seen) == 1:
            half = session.budget_left / 2
        if len(seen) > 1 and session.budget_left <= half:
            break
    return seen


def starting_population(session: Session, count: int, rng: np.random.Generator) -> np.ndarray:
    """Designs to :func:`begin` with, as pymoo takes them; (up to count, variables), indices of choices.

    They are queried here, so that pymoo's evaluation of them is free. Drawn from all designs and bred until
    they keep the limits, a population would end where these are broken least, among the smallest networks.
    """
    seen = begin(session, draws(session, count, rng))
    return np.array([to_indices(session.task.domain, each.design) for each in seen])


def mutate(session: Session, parent: Design, rng: np.random.Generator) -> Design:
    """A mutant of ``parent`` that is another network and keeps the limits, or the last of some tried.

    On ``nb201`` a network may have no other one change away (all edges into a node ``none``), so that walks
    return to what is known: up to 43 of 200 queries of TPE and 70 of regularised evolution bought a known
    label (M-energy on digital SRAM). Walking on from neutral mutants ends that and hardly moves scores.
    """
    domain = session.task.domain
    form = domain.canonical_form(parent)
    for _ in range(TRIES):
        child = domain.mutate(parent, rng)
        if domain.canonical_form(child) != form and keeps_limits(session, child):
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
    """``design``, or a mutant of it where the same network was queried before: that teaches nothing.

    A population that has converged would otherwise breed the same children until proposals are spent. Where
    all networks near it were queried, it is one of them.
    """
    known, form = queried(session), session.task.domain.canonical_form
    for _ in range(TRIES):
        if form(design) not in known:
            break
        design = mutate(session, design, rng)
    return design


def instead(session: Session, design: Design, rng: np.random.Generator) -> Design:
    """``design`` where it is a new network and keeps the limits, else a mutant of it that is and does.

    A network that was queried before teaches nothing on a table, and a design that breaks a limit need not be
    queried to know it. Where no mutant keeps the limits, mutants of queried designs are tried. Where none is
    found at all, the last one tried.
    """
    known, form = queried(session), session.task.domain.canonical_form
    starts = list(known.values())
    for _ in range(TRIES * TRIES):
        if form(design) not in known and keeps_limits(session, design):
            break
        design = mutate(session, design, rng)
        if starts and not keeps_limits(session, design):
            design = mutate(session, starts[int(rng.integers(len(starts)))], rng)
    return design


def imagined(session: Session, design: Design, costs: Mapping[str, float], accuracy: float) -> Observation:
    """What a query would show if the design had this accuracy [%]; its costs are known without one."""
    task = session.task
    values = {**costs, "accuracy": accuracy}
    objectives = tuple(-values[name] if name == "accuracy" else values[name] for name in task.objectives)
    return Observation(design, values, objectives, task.is_feasible(values), 0)
