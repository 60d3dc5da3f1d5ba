"""Network first, hardware afterwards: what joint search is to be compared with.

Most hardware-aware searches hold the hardware fixed (Krestinskaya et al., "Neural architecture search for
in-memory computing-based deep learning accelerators", Nat. Rev. Electr. Eng. 2024); where hardware is chosen
at all, it is chosen for the network that was found.

    take the hardware and the compression of a random design
    regularised evolution over networks on them, for a share of the budget
    for each network, the best first
        query it on the other hardware and compressions that keep the limits, the most promising first
    where that ends before the budget is spent, begin again

Most promising is what would be best if the network had the accuracy that it showed in the first stage. With
several objectives each tournament draws a new weighting of them, and so does each network's second stage.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import product

import numpy as np

from nasbench_imc import Design, Observation, Session, Task
from nasbench_imc_baselines.common import TRIES, ask, draw, imagined, keeps_limits, queried, scalarised

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {"share": (0.3, 0.5, 0.7, 0.9), "population": (5, 10, 20), "tournament": (2, 3, 5)}

_FIELDS = ("hardware", "weight_bits", "sparsity")


def suits(task: Task) -> bool:
    """Track J: elsewhere there is no second stage."""
    return task.track == "J"


def search(
    session: Session,
    rng: np.random.Generator,
    *,
    share: float = 0.3,
    population: int = 10,
    tournament: int = 3,
) -> None:
    while True:
        _stages(session, rng, share, population, tournament)


def _stages(
    session: Session, rng: np.random.Generator, share: float, population: int, tournament: int
) -> None:
    domain, first = session.task.domain, draw(session, rng)
    left = session.budget_left * (1 - share)
    members = deque([ask(session, first)])
    seen = {first.arch: members[0]}
    while session.budget_left > left:
        parent = None
        if len(members) == population:
            rivals = rng.choice(population, min(tournament, population), replace=False)
            parent = min((members[k] for k in rivals), key=scalarised(session, rng)).design
        child = _on(first, session, parent, rng)
        if domain.canonical_form(child) in queried(session):
            break  # hardly another network keeps the limits on this hardware
        members.append(session.query(child))
        seen[child.arch] = members[-1]
        if len(members) > population:
            members.popleft()
    while seen:
        fitness = scalarised(session, rng)
        best = seen.pop(min(seen, key=lambda arch: fitness(seen[arch])))
        others = _elsewhere(session, best)
        # Of equals, such as all that miss an accuracy, any comes first: the catalogue's order is informative.
        for guess in sorted((others[k] for k in rng.permutation(len(others))), key=fitness):
            ask(session, guess.design)


def _on(first: Design, session: Session, parent: Design | None, rng: np.random.Generator) -> Design:
    """A mutant of ``parent``, or a random network, on the hardware and with the compression of ``first``.

    It keeps the limits and is new, or is the last one tried where none was found that is. What keeps them and
    is known is mutated again.
    """
    domain, known = session.task.domain, queried(session)
    for _ in range(TRIES):
        network = domain.random(rng) if parent is None else domain.mutate(parent, rng)
        design = replace(first, arch=network.arch)
        if not keeps_limits(session, design):
            continue
        if domain.canonical_form(design) not in known:
            break
        parent = None if parent is None else design
    return design


def _elsewhere(session: Session, seen: Observation) -> list[Observation]:
    """What the network that was observed would show on all other hardware and compressions."""
    variables = session.task.domain.variables
    choices = [variables.get(name, (getattr(seen.design, name),)) for name in _FIELDS]
    designs = [
        replace(seen.design, **dict(zip(_FIELDS, chosen, strict=True))) for chosen in product(*choices)
    ]
    others = [design for design in designs if design != seen.design]
    guesses = [imagined(session, each, session.cost(each), seen.values["accuracy"]) for each in others]
    limits = session.task.limits.items()
    return [guess for guess in guesses if all(guess.values[name] <= limit for name, limit in limits)]
