"""Connecting to a Dask scheduler that a user already has; Dask is imported only then (extra ``cluster``)."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from nasbench_imc.errors import BenchmarkError

Work = TypeVar("Work")

#: How long a scheduler may take to answer, and to have a first worker [s].
PATIENCE = 15


@contextmanager
def connected(scheduler: str) -> Iterator[Any]:
    """A client of a scheduler that answers and has workers.

    Parameters
    ----------
    scheduler : str
        Its address.

    Raises
    ------
    BenchmarkError
        Where Dask is not installed, the scheduler does not answer, or its workers are none.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise BenchmarkError(
            f'--scheduler needs {error.name!r}, which is not installed: pip install "nasbench-imc[cluster]"'
        ) from error
    try:
        with _uncollected():
            client = Client(scheduler, timeout=PATIENCE)
    except Exception as error:  # what answers may be no Dask scheduler at all
        raise BenchmarkError(f"no Dask scheduler answers at {scheduler!r} ({error})") from error
    with _quiet(), client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise BenchmarkError(f"the Dask scheduler at {scheduler} has no workers") from error
        yield client


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection: a failed client that is finalised while another starts waits for ever."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask would print the traceback of its own attempts to reconnect beside the error that is raised."""
    logger = logging.getLogger("distributed.client")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def ended(futures: Sequence[Any], work: Iterable[Work]) -> Iterator[tuple[Work, Any]]:
    """Work that a scheduler was given, each as it ends.

    Parameters
    ----------
    futures : sequence of distributed.Future
    work : iterable
        What each of them works on.

    Yields
    ------
    (work, distributed.Future)
        The future has a result or an error; it is held here no longer.

    Raises
    ------
    BenchmarkError
        Where the scheduler is lost.
    """
    from distributed import as_completed

    held = dict(zip(futures, work, strict=True))
    del futures  # the scheduler keeps a result as long as somebody holds its future
    waiting = as_completed(list(held))
    for future in waiting:
        status = future.status  # another thread changes it
        if status == "lost":  # its worker died before the result was asked for: Dask works again
            waiting.add(future)
        elif status in ("finished", "error"):
            yield held.pop(future), future
        else:
            raise lost()


def lost() -> BenchmarkError:
    """What to raise where a scheduler no longer knows the work it was given."""
    return BenchmarkError("the Dask scheduler was lost; run the command again to go on")


def slots(client: Any) -> int:
    """How many jobs the workers run at a time; 1 where the scheduler was lost, which the jobs will say."""
    try:
        return sum(client.nthreads().values())
    except OSError:
        return 1
