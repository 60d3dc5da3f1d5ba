"""Many runs in parallel processes, here or on a cluster, each independent of the others."""

from __future__ import annotations

import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from nasbench_imc.cluster import connected, slots
from nasbench_imc.errors import BenchmarkError, LogError, SearchError
from nasbench_imc.progress import JobsBar
from nasbench_imc.runs.execute import check_time_limit
from nasbench_imc.runs.log import TROUBLE, RunLog, log_path, pack_log, read_log, write_packed
from nasbench_imc.runs.methods import Method
from nasbench_imc.runs.own_tasks import keep_own_tasks
from nasbench_imc.runs.runner import Made, Order, Posed, Runners, Sent
from nasbench_imc.suites import Task
from nasbench_imc.suites.definition import is_shipped, shipped_task


@dataclass(frozen=True, slots=True)
class Job:
    """One run to be made."""

    method: Method
    task: Task
    seed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job.

    Attributes
    ----------
    job : Job
    end : str
        As in its log; empty where no log could be written.
    error : str
    charged : float
        What was charged.
    """

    job: Job
    end: str
    error: str
    charged: float = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What :func:`run_all` did.

    Attributes
    ----------
    done : int
        Runs made now that ended well.
    skipped : int
        Runs whose log was there.
    troubled : tuple of Outcome
        Runs that failed, were stopped, or could not be written; also those whose log was there and says
        so.
    short : tuple of Outcome
        Runs that ended by themselves or at the cap on proposals, before their budget was spent.
    left_out : mapping of str to int
        Methods -> how many of the runs were not made, since the method is not for them.
    """

    done: int
    skipped: int
    troubled: tuple[Outcome, ...]
    short: tuple[Outcome, ...]
    left_out: Mapping[str, int]


def run_all(
    methods: Sequence[Method],
    tasks: Sequence[Task],
    seeds: Iterable[int],
    out: Path,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    timeout: float = 600.0,
    retry_failed: bool = False,
    progress: bool = True,
) -> Report:
    """Run every method on every task with every seed, and write a log for each.

    A run whose log is there is skipped, so an interrupted call is resumed by the same call. A run that
    fails, hangs, or loses its process costs no other run.

    Parameters
    ----------
    methods, tasks, seeds
        What to run: their product, but for runs that a method is not for (:class:`methods.Reach`).
    out : pathlib.Path
        Output folder.
    jobs : int
        Processes at a time, on this machine.
    scheduler : str, optional
        Address of a Dask scheduler whose workers make the runs in place of this machine, one a thread.
        They need this package, the same tables and the searchers that are modules; a searcher that is a
        file is sent to them, and the logs come back.
    timeout : float
        Longest time a run may take [s].
    retry_failed : bool
        Whether runs whose log says ``failed`` or ``timeout`` are made again, also by a searcher that was
        mended meanwhile.
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    LogError
        Where a log in ``out`` is damaged, or was made with another table, or another version of the task or
        of the searcher.
    UnknownNameError
        Where a method cannot be loaded.
    SearchError
        Where no method is for any of the runs, or a module says wrongly what its method is for.
    TaskError
        Where a task that is not the benchmark's bears the name of another one.
    BenchmarkError
        Where two methods or two tasks have one name, so that their logs would be the same files, or the
        time limit is not a positive number; where the scheduler does not answer or is lost, or its workers
        are none, or lack what the runs need. The logs made so far stay.
    OSError
        Where ``out`` cannot be made or written.
    """
    check_time_limit(timeout)
    methods, tasks, seeds = list(methods), list(tasks), sorted(set(seeds))
    _check_names("method", [(method.name, method.source) for method in methods])
    _check_names("task", [(task.name, task.suite) for task in tasks])
    # An equal copy of the benchmark's task may write its numbers otherwise; logs name the one file.
    tasks = [shipped_task(task.name) if is_shipped(task) else task for task in tasks]
    reach = {method: method.reach() for method in methods}  # a misspelt method is one error, not one a run
    product = [Job(method, task, seed) for task in tasks for seed in seeds for method in methods]
    wanted = [job for job in product if reach[job.method].covers(job.task, job.seed)]
    if product and not wanted:
        raise SearchError(
            f"{', '.join(method.name for method in methods)}: none of these runs is for them; which are, say "
            "suits(task) and SLOW in their modules"
        )
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    keep_own_tasks(tasks, out)
    searchers = {method.name: Sent.of(method) for method in methods}
    before = {job: _found(job, out, searchers[job.method.name].fingerprint, retry_failed) for job in wanted}
    waiting = {job: None for job, found in before.items() if found is None}
    outcomes = {job: found for job, found in before.items() if found is not None}
    if waiting:
        with tempfile.TemporaryFile(dir=out):
            pass  # a folder that may not be written is noticed before any run is made
        posed = {task: Posed.of(task) for task in tasks}
        orders = {
            job: Order(searchers[job.method.name], posed[job.task], job.seed, timeout) for job in waiting
        }
        place = _here(max(1, jobs)) if scheduler is None else _cluster(scheduler, out)
        with (
            place as (make, workers),
            JobsBar("runs", len(wanted), len(waiting), workers, shown=progress) as bar,
            closing(make(orders)) as made,
        ):
            for job, result in made:
                outcomes[job] = _kept(job, result, out, orders[job])
                bar.advance()
    ended = [outcomes[job] for job in wanted]
    troubled = tuple(o for o in ended if o.end in TROUBLE or not o.end)
    return Report(
        done=sum(o.job in waiting and o not in troubled for o in ended),
        skipped=len(wanted) - len(waiting),
        troubled=troubled,
        # By the clock a budget is hardly ever met exactly: what is left is less than the next step.
        short=tuple(
            o for o in ended if o not in troubled and o.end != "budget" and o.charged < o.job.task.budget
        ),
        left_out=Counter(job.method.name for job in set(product) - set(wanted)),
    )


#: Makes runs, each given back as it ends; and how many it makes at a time.
_Place = tuple[Callable[[Mapping[Job, Order]], Generator[tuple[Job, Made]]], Callable[[], int]]


@contextmanager
def _here(jobs: int) -> Iterator[_Place]:
    runners, threads = Runners(jobs), ThreadPoolExecutor(jobs)

    def make(orders: Mapping[Job, Order]) -> Generator[tuple[Job, Made]]:
        futures = {threads.submit(runners.make, order): job for job, order in orders.items()}
        for future in as_completed(list(futures)):
            yield futures.pop(future), future.result()

    try:
        yield make, lambda: jobs
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        runners.close()
        threads.shutdown()


@contextmanager
def _cluster(scheduler: str, out: Path) -> Iterator[_Place]:
    with connected(scheduler) as client:
        from nasbench_imc.runs.cluster import make_on_cluster

        def make(orders: Mapping[Job, Order]) -> Generator[tuple[Job, Made]]:
            return make_on_cluster(client, orders, f"nasbench-imc run --out {socket.gethostname()}:{out}")

        yield make, lambda: slots(client)


def _kept(job: Job, made: Made, out: Path, order: Order) -> Outcome:
    """Write the log of a run; one whose process was lost gets a log that says so."""
    packed = made.log
    if made.end and not packed:  # what the run did is lost with its process; that it took place is not
        bench = job.task.load_table()
        packed = pack_log(
            RunLog(
                method=job.method.name,
                task=job.task.name,
                task_sha256=job.task.sha256,
                seed=job.seed,
                table=bench.version,
                table_sha256=bench.sha256,
                official=bench.official,
                events=(),
                end=made.end,
                error=made.error,
                charged=0,
                proposals=0,
                seconds=round(made.seconds, 6),
                searcher=order.searcher.fingerprint,
            )
        )
    if packed:
        try:
            write_packed(packed, log_path(out, job.task.name, job.method.name, job.seed))
        except OSError as problem:  # a full disk, a folder that may not be written
            error = f"{made.error}; " if made.error else ""
            return Outcome(job, "", f"{error}its log could not be written: {problem}")
    return Outcome(job, made.end, made.error, made.charged)


def _check_names(kind: str, named: Sequence[tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    for name, source in named:
        if name in seen:
            raise BenchmarkError(f"two {kind}s are called {name!r} ({seen[name]} and {source}); rename one")
        seen[name] = source


def _found(job: Job, out: Path, fingerprint: str, retry_failed: bool) -> Outcome | None:
    """What the log of a job says, None where there is none or its run is to be made again."""
    path = log_path(out, job.task.name, job.method.name, job.seed)
    if not path.exists():
        return None
    log = read_log(path)
    if log.table_sha256 != job.task.load_table().sha256:
        raise LogError(
            f"{path} was made with table {log.table} ({log.table_sha256[:12]}...), not with the present one; "
            "give another --out, or delete it"
        )
    if log.task_sha256 != job.task.sha256:
        raise LogError(
            f"{path} was made with another version of task {job.task.name!r} (SHA-256 "
            f"{log.task_sha256[:12]}..., not {job.task.sha256[:12]}...); give another --out, or delete "
            f"{out / job.task.name}"
        )
    if retry_failed and log.end in TROUBLE:
        return None  # of an older version of the searcher, too
    if log.searcher != fingerprint:
        raise LogError(
            f"{path} was made with another version of {job.method.name} ({job.method.source}); "
            f"give another --out, or delete {path.parent}"
        )
    return Outcome(job, log.end, log.error, log.charged)
