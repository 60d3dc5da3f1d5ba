"""Runs on the workers of a Dask cluster, which need not share a file system with this machine.

Each worker gets the searchers and the tasks once, makes runs in processes of its own (a worker's tasks are
threads, which no time limit can stop), and sends the packed logs back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import TypeVar

from distributed import Client, Reschedule, get_worker
from distributed.diagnostics.plugin import WorkerPlugin
from distributed.scheduler import KilledWorker
from distributed.worker import Worker

from nasbench_imc._version import __version__
from nasbench_imc.cluster import ended, lost
from nasbench_imc.errors import BenchmarkError
from nasbench_imc.runs.runner import Closed, Made, Order, Posed, Runners, Sent
from nasbench_imc.tables import files

Run = TypeVar("Run", bound=Hashable)


def make_on_cluster(client: Client, orders: Mapping[Run, Order], name: str) -> Generator[tuple[Run, Made]]:
    """Make runs; each is given back as it ends.

    Parameters
    ----------
    client : distributed.Client
    orders : mapping to Order
    name : str
        Distinguishes this call from those of others on the same cluster; one of the same name takes the
        place of one that was killed.

    Raises
    ------
    BenchmarkError
        Where a worker lacks what the runs need or has another version of it, or the scheduler is lost.
    """
    # Searchers and tasks go to each worker once, not with each run.
    searchers = list(dict.fromkeys(order.searcher for order in orders.values()))
    tasks = list(dict.fromkeys(order.task for order in orders.values()))
    runs = [
        (searchers.index(order.searcher), tasks.index(order.task), order.seed, order.timeout)
        for order in orders.values()
    ]
    with _set_up(client, _Maker(searchers, tasks), name):
        for run, future in ended(client.map(_make, runs, maker=name, pure=False), orders):
            try:
                error = future.exception()
                made = None if error else future.result()
            except (CancelledError, OSError):
                raise lost() from None
            if made is not None:
                yield run, made
            elif isinstance(error, KilledWorker):
                yield run, Made("", "its worker died each time (killed, or out of memory?)")
            else:
                raise error if isinstance(error, BenchmarkError) else _unfit("a worker", error) from error


class _Maker(WorkerPlugin):
    """What a worker needs in order to make runs."""

    def __init__(self, searchers: Sequence[Sent], tasks: Sequence[Posed]) -> None:
        self.searchers, self.tasks = searchers, tasks
        self.version, self.problem = __version__, ""

    async def setup(self, worker: Worker) -> None:
        self.runners = Runners(worker.state.nthreads)
        self.problem = await asyncio.to_thread(self._differences)

    async def teardown(self, worker: Worker) -> None:
        await asyncio.to_thread(self.runners.close)

    def make(self, searcher: int, task: int, seed: int, timeout: float) -> Made:
        """Make a run of a searcher on a task, each named by its place."""
        return self.runners.make(Order(self.searchers[searcher], self.tasks[task], seed, timeout))

    def _differences(self) -> str:
        """How this worker differs from the machine that wants the runs; empty where it does not."""
        try:
            if self.version != __version__:
                raise BenchmarkError(f"it has nasbench-imc {__version__}, not {self.version}")
            for task in {task.table: task for task in self.tasks}.values():
                task.check(files.find(task.table).sha256)
            for searcher in self.searchers:
                searcher.check()
        except Exception as problem:
            return str(problem)
        return ""


def _make(run: tuple[int, int, int, float], *, maker: str) -> Made:
    """Make a run, on a worker."""
    worker = get_worker()
    found = _maker(worker, maker)
    if isinstance(found, str):  # it joined later than the workers that were asked at the beginning
        raise _unfit(f"the worker {worker.address}", found)
    try:
        return found.make(*run)
    except Closed:  # the worker is going
        raise Reschedule from None


def _maker(worker: Worker, name: str) -> _Maker | str:
    """A worker's maker, or what is wrong with it."""
    found = worker.plugins.get(name)
    if not isinstance(found, _Maker):
        return "it could not be set up; its own log says why"
    return found.problem or found


def _problem(maker: str, dask_worker: Worker) -> str:
    found = _maker(dask_worker, maker)
    return found if isinstance(found, str) else ""


@contextmanager
def _set_up(client: Client, maker: _Maker, name: str) -> Iterator[None]:
    """Have a maker on every worker, those that join later too."""
    for address, problem in client.run(_version, on_error="return").items():
        if isinstance(problem, BaseException):
            raise _unfit(f"the worker {address}", problem) from problem
    client.register_plugin(maker, name=name)
    try:
        for address, problem in client.run(_problem, name, on_error="return").items():
            if problem:
                raise _unfit(f"the worker {address}", problem)
        yield
    finally:
        if client.status == "running":
            with suppress(ValueError, OSError):  # another command of the same name was faster; it was lost
                client.unregister_worker_plugin(name)


def _version() -> str:
    """A worker that can call this has the package."""
    return __version__


def _unfit(who: str, problem: object) -> BenchmarkError:
    text = f"{type(problem).__name__}: {problem}" if isinstance(problem, BaseException) else problem
    return BenchmarkError(f"{who} cannot make runs: {text}")
