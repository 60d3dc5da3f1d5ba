"""Searchers of every kind, for the harness to survive. Loaded by path in other processes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import time

import numpy as np

from nasbench_imc import Design


def raises(session, rng):
    session.query(session.task.domain.random(rng))
    raise RuntimeError("on purpose")


def raises_an_error_that_cannot_be_pickled(session, rng):
    class Local(Exception):
        def __init__(self, a, b):
            super().__init__(threading.Lock())

        def __str__(self):
            raise RuntimeError

    raise Local(1, 2)


def exits(session, rng):
    session.query(session.task.domain.random(rng))
    sys.exit(0)


def interrupts(session, rng):
    raise KeyboardInterrupt


def runs_out_of_stack(session, rng):
    runs_out_of_stack(session, rng)


def loops(session, rng):
    session.query(session.task.domain.random(rng))
    while True:
        pass


def swallows(session, rng):
    while True:
        with contextlib.suppress(Exception):
            session.query(session.task.domain.random(rng))


def swallows_everything(session, rng):
    while True:
        try:
            while True:
                time.sleep(0.01)
        except:  # noqa: E722
            pass


def sleeps(session, rng):
    session.query(session.task.domain.random(rng))
    time.sleep(1e6)


def waits_for_a_lock(session, rng):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def leaves(session, rng):
    session.query(session.task.domain.random(rng))
    os._exit(3)


def leaves_quietly(session, rng):
    os._exit(0)


def kills_itself(session, rng):
    os.kill(os.getpid(), signal.SIGKILL)


def terminates_itself(session, rng):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def repeats(session, rng):
    design = session.task.domain.random(rng)
    while True:
        session.query(design)


def returns(session, rng):
    return None


returns_early = returns_late = returns


def asks_for_nan(session, rng):
    session.query(session.task.domain.random(rng))
    session.query(float("nan"))


def asks_for_a_nan_design(session, rng):
    session.query(Design(float("nan"), session.task.hardware[0]))


def recommends_too_many(session, rng):
    seen = [session.query(session.task.domain.random(rng)) for _ in range(20)]
    session.recommend([each.design for each in seen])


def changes_folder(session, rng):
    os.chdir("/")
    session.query(session.task.domain.random(rng))


def slow(session, rng):
    time.sleep(0.15)
    session.query(session.task.domain.random(rng))


def dawdles(session, rng):
    time.sleep(0.5)
    session.query(session.task.domain.random(rng))


SEEN = {}


def remembers(session, rng):
    """Labels are equal for all seeds of some tables: what a run keeps must not serve the next."""
    for design in SEEN:
        session.query(design)
    SEEN[session.task.domain.random(rng)] = session.query(session.task.domain.random(rng))


def breaks_sessions(session, rng):
    def broken(self, design, fidelity=None):
        raise RuntimeError("left behind by another run")

    type(session).query = broken


def uses_torch(session, rng):
    import torch

    domain = session.task.domain
    session.query(domain.random(np.random.default_rng(int(torch.randint(2**31, ())))))


def leaves_a_thread(session, rng):
    """Which ends the process later, if it can."""
    threading.Timer(0.5, os._exit, (1,)).start()


def relies_on_hidden_state(session, rng):
    """The order of a set of strings, and the global generators."""
    domain = session.task.domain
    codes = {domain.random(rng).arch for _ in range(30)}
    for code in codes:
        session.query(Design(code, session.task.hardware[0]))
    for _ in range(5):
        session.query(domain.random(np.random.default_rng(random.getrandbits(32))))
        session.query(domain.random(np.random.default_rng(np.random.randint(2**31))))  # noqa: NPY002
