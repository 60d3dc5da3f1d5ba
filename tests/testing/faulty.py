"""Searchers, each with one fault, or with a property that a suite must be told of."""

from __future__ import annotations

import contextlib
import functools
import math
import random
from pathlib import Path

import numpy as np

import nasbench_imc as nbi
from nasbench_imc import Design


def sound(session, rng):
    while True:
        session.query(session.task.domain.random(rng))


def raises(session, rng):
    session.query(session.task.domain.random(rng))
    raise RuntimeError("on purpose")


def never_ends(session, rng):
    session.query(session.task.domain.random(rng))
    while True:
        pass


def queries_nothing(session, rng):
    pass


def stops_early(session, rng):
    while session.budget_left > session.task.budget // 2:
        session.query(session.task.domain.random(rng))


def swallows(session, rng):
    while True:
        with contextlib.suppress(Exception):
            session.query(session.task.domain.random(rng))


def asks_once_more(session, rng):
    with contextlib.suppress(nbi.BudgetExhausted):
        sound(session, rng)
    with contextlib.suppress(nbi.BudgetExhausted):
        session.query(session.task.domain.random(rng))


def recommends_unseen(session, rng):
    seen = session.query(session.task.domain.random(rng)).design
    with contextlib.suppress(nbi.SearchError):
        session.recommend(session.task.domain.neighbors(seen)[0])
    sound(session, rng)


def changes_an_observation(session, rng):
    object.__setattr__(session.query(session.task.domain.random(rng)), "objectives", (0.0,))
    sound(session, rng)


def changes_the_domain(session, rng):
    name, choices = next(iter(session.task.domain.variables.items()))
    session.task.domain.variables[name] = choices[:1]
    sound(session, rng)


def changes_the_session(session, rng):
    session.charged = 0
    sound(session, rng)


def reads_the_table_of_the_session(session, rng):
    session._bench.query(session.task.domain.random(rng), session.task.at)
    sound(session, rng)


def reads_the_table(session, rng):
    nbi.load(session.task.table).query(session.task.domain.random(rng), session.task.at)
    sound(session, rng)


def reads_the_best(session, rng):
    assert session.task.frozen.best
    sound(session, rng)


STATE = []


def keeps_state(session, rng):
    STATE.append(None)
    for _ in STATE:
        session.task.domain.random(rng)
    sound(session, rng)


def own_generator(session, rng):
    sound(session, np.random.default_rng())


def global_generators(session, rng):
    sound(session, np.random.default_rng(random.getrandbits(32)))


def global_numpy_generator(session, rng):
    sound(session, np.random.default_rng(np.random.randint(2**31)))  # noqa: NPY002


def ignores_the_seed(session, rng):
    sound(session, np.random.default_rng(0))


def sweeps(session, rng):
    """Not faulty: it draws nothing, and says so."""
    while True:
        for point in session.task.domain.points:
            session.query(point)


def order_of_a_set(session, rng):
    for code in {session.task.domain.random(rng).arch for _ in range(30)}:
        session.query(Design(code, session.task.hardware[0]))
    sound(session, rng)


def wants_two(session, rng):
    with contextlib.suppress(nbi.BudgetExhausted):
        sound(session, rng)
    session.recommend(session.observations[1].design)


def wants_five_distinct(session, rng):
    for _ in range(8):
        session.query(session.task.domain.random(rng))
    if session.budget_left:
        assert len(session.observations) >= 5
    sound(session, rng)


def never_satisfied(session, rng):
    queried = set()
    while True:
        while (design := session.task.domain.random(rng)) in queried:
            pass
        session.query(design)
        queried.add(design)


def wants_a_feasible_one(session, rng):
    domain, costs = session.task.domain, list(session.task.limits)
    drawn = [domain.random(rng) for _ in range(100)]
    kept = [d for d in drawn if all(session.cost(d)[m] <= session.task.limits[m] for m in costs)]
    session.query(kept[0])
    sound(session, rng)


def logarithm_of_the_error(session, rng):
    while True:
        seen = session.query(session.task.domain.random(rng))
        math.log(100.0 - seen.values["accuracy"])
        math.log(seen.values["accuracy"])


def divides_by_the_spread(session, rng):
    while True:
        session.query(session.task.domain.random(rng))
        seen = [each.objectives[0] for each in session.observations]
        assert len(seen) < 5 or 1 / (max(seen) - min(seen))


def prints(session, rng):
    print("so far so good")
    sound(session, rng)


def opens_a_file_of_the_folder(session, rng):
    Path("weights.txt").read_text()
    sound(session, rng)


def made_by_a_function():
    def inner(session, rng):
        sound(session, rng)

    return inner


def finds_itself_by_name(session, rng):
    sound(session, rng)


partial = functools.partial(finds_itself_by_name)
