"""One run: a searcher, a task, a seed."""

from __future__ import annotations

import math
import random
import signal
import sys
import threading
import time
import traceback
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np

from nasbench_imc.errors import BenchmarkError, BudgetExhausted, ProposalsExhausted
from nasbench_imc.runs.log import RunLog
from nasbench_imc.runs.methods import Searcher
from nasbench_imc.suites import Task

MAX_ERROR_TEXT = 4_000


class _RunTimeout(BaseException):
    """Not an Exception, so that a searcher's ``except Exception`` does not keep it."""


def searcher_rng(task: Task, seed: int) -> np.random.Generator:
    """The generator that a searcher gets: it depends on the task's name and the seed alone."""
    return np.random.default_rng([seed, zlib.crc32(task.name.encode("utf-8"))])


def seed_globals(seed: int) -> None:
    """Seed the global generators of ``random``, NumPy and, where it is loaded, PyTorch, which some use."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)


def execute(
    searcher: Searcher, name: str, task: Task, seed: int, timeout: float, *, fingerprint: str = ""
) -> RunLog:
    """Run a searcher and keep what it did, however it ends.

    Global generators are seeded too (:func:`seed_globals`).

    Parameters
    ----------
    searcher : callable
        ``searcher(session, rng)``.
    name : str
        The method's name in the log.
    task : Task
    seed : int
        Label seed, and seed of the searcher's generator.
    timeout : float
        Longest time that it may take [s]; checked between Python instructions, in the main thread only.
        What that does not stop, :mod:`nasbench_imc.runs.runner` ends from outside.
    fingerprint : str
        :meth:`Method.fingerprint`, for the log.

    Returns
    -------
    RunLog
    """
    bench = task.load_table()
    error = ""
    seed_globals(seed)
    with task.session(seed) as session:
        start = time.perf_counter()
        try:
            with _stopped_after(timeout):
                searcher(session, searcher_rng(task, seed))
            end = "finished"
        except ProposalsExhausted:
            end = "proposals"
        except BudgetExhausted:
            end = "budget"
        except _RunTimeout:
            end, error = "timeout", f"stopped after {timeout:g} s"
        except BaseException:  # SystemExit too: it must not end the worker
            end, error = "failed", traceback.format_exc(limit=-8)[-MAX_ERROR_TEXT:]
        seconds = time.perf_counter() - start
    return RunLog(
        method=name,
        task=task.name,
        task_sha256=task.sha256,
        seed=seed,
        table=bench.version,
        table_sha256=bench.sha256,
        official=bench.official,
        events=tuple(session.events()),
        end=end,
        error=error,
        charged=session.charged,
        proposals=session.proposals,
        seconds=round(seconds, 6),
        searcher=fingerprint,
    )


def check_time_limit(timeout: float) -> None:
    """Raise BenchmarkError where the longest time of a run is not a positive number [s]."""
    if not 0 < timeout < math.inf:
        raise BenchmarkError(f"the time limit of a run is a positive number of seconds, not {timeout!r}")


@contextmanager
def _stopped_after(seconds: float) -> Iterator[None]:
    """Raise :class:`_RunTimeout` in the block after a time, and again each second that it is ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread alone
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        raise _RunTimeout

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
