"""Many runs in parallel processes, each independent of the others."""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pebble import ProcessExpired, ProcessPool
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nasbench_imc.errors import BenchmarkError, LogError
from nasbench_imc.runs.execute import execute
from nasbench_imc.runs.log import TROUBLE, RunLog, log_path, read_log, write_log
from nasbench_imc.runs.methods import Method, Searcher
from nasbench_imc.suites import Task

#: A run that outlives its time limit by this much is ended from outside [s].
GRACE = 15.0


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
    charged : int
        Queries charged.
    """

    job: Job
    end: str
    error: str
    charged: int = 0


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
    """

    done: int
    skipped: int
    troubled: tuple[Outcome, ...]
    short: tuple[Outcome, ...]


def run_all(
    methods: Sequence[Method],
    tasks: Sequence[Task],
    seeds: Iterable[int],
    out: Path,
    *,
    jobs: int = 1,
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
        What to run: their product.
    out : pathlib.Path
        Output folder.
    jobs : int
        Processes at a time.
    timeout : float
        Longest time a run may take [s].
    retry_failed : bool
        Whether runs whose log says ``failed`` or ``timeout`` are made again.
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    LogError
        Where a log in ``out`` is damaged, or was made with another table or another version of the
        searcher.
    UnknownNameError
        Where a method cannot be loaded.
    BenchmarkError
        Where two methods or two tasks have one name, so that their logs would be the same files, or the
        time limit is not a positive number.
    OSError
        Where ``out`` cannot be made.
    """
    if not 0 < timeout < math.inf:
        raise BenchmarkError(f"the time limit of a run is a positive number of seconds, not {timeout!r}")
    methods, tasks, seeds = list(methods), list(tasks), sorted(set(seeds))
    _check_names("method", [(method.name, method.source) for method in methods])
    _check_names("task", [(task.name, task.suite) for task in tasks])
    wanted = [Job(method, task, seed) for task in tasks for seed in seeds for method in methods]
    for method in methods:
        method.load()  # so that a misspelt method is one error, not one a run
    out = out.resolve()  # a searcher may change its process's folder
    out.mkdir(parents=True, exist_ok=True)
    fingerprints = {method: method.fingerprint() for method in methods}
    before = {job: _found(job, out, fingerprints[job.method]) for job in wanted}
    waiting = [
        job for job, found in before.items() if found is None or (retry_failed and found.end in TROUBLE)
    ]
    outcomes = [found for job, found in before.items() if found is not None and job not in set(waiting)]
    context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks
    with (
        _fixed_hashes(),
        _bar(progress) as bar,
        ProcessPool(max_workers=max(1, min(jobs, len(waiting))), context=context) as pool,
    ):
        row = bar.add_task("runs", total=len(wanted), completed=len(wanted) - len(waiting))
        futures = [
            pool.schedule(
                _run,
                args=(job.method, fingerprints[job.method], job.task.to_json(), job.seed, out, timeout),
                timeout=timeout + GRACE,
            )
            for job in waiting
        ]
        try:
            for job, future in zip(waiting, futures, strict=True):
                outcomes.append(_outcome(job, future, out, timeout, fingerprints[job.method]))
                bar.advance(row)
        except BaseException:
            pool.stop()
            raise
    troubled = tuple(o for o in outcomes if o.end in TROUBLE or not o.end)
    return Report(
        done=sum(o.job in set(waiting) and o not in troubled for o in outcomes),
        skipped=len(wanted) - len(waiting),
        troubled=troubled,
        short=tuple(o for o in outcomes if o not in troubled and o.charged < o.job.task.budget),
    )


@cache
def _searcher(method: Method) -> Searcher:
    """One import a process."""
    return method.load()


def _run(
    method: Method, fingerprint: str, task_file: str, seed: int, out: Path, timeout: float
) -> tuple[str, str, int]:
    task = Task.from_json(task_file, "the task of a run")
    log = execute(_searcher(method), method.name, task, seed, timeout, fingerprint=fingerprint)
    write_log(log, log_path(out, task.name, method.name, seed))
    return log.end, log.error, log.charged


def _outcome(job: Job, future: object, out: Path, timeout: float, fingerprint: str) -> Outcome:
    try:
        end, error, charged = future.result()  # type: ignore[attr-defined]
        return Outcome(job, end, error, charged)
    except FutureTimeout:
        end, error = "timeout", f"ended from outside after {timeout + GRACE:g} s"
    except ProcessExpired as expired:
        end, error = "failed", f"the run's process died ({expired}, exit code {expired.exitcode})"
    except OSError as problem:  # a full disk, a folder that may not be written
        return Outcome(job, "", f"its log could not be written: {problem}")
    except Exception as problem:  # the table or the searcher has changed since; the pool broke
        return Outcome(job, "", f"it could not be made: {type(problem).__name__}: {problem}")
    # What the run did is lost with its process; that it took place is not.
    bench = job.task.load_table()
    lost = RunLog(
        method=job.method.name,
        task=job.task.name,
        seed=job.seed,
        table=bench.version,
        table_sha256=bench.sha256,
        official=bench.official,
        events=(),
        end=end,
        error=error,
        charged=0,
        proposals=0,
        seconds=timeout,
        searcher=fingerprint,
    )
    try:
        write_log(lost, log_path(out, job.task.name, job.method.name, job.seed))
    except OSError as problem:
        return Outcome(job, "", f"{error}; its log could not be written: {problem}")
    return Outcome(job, end, error)


def _check_names(kind: str, named: Sequence[tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    for name, source in named:
        if name in seen:
            raise BenchmarkError(f"two {kind}s are called {name!r} ({seen[name]} and {source}); rename one")
        seen[name] = source


@contextmanager
def _fixed_hashes() -> Iterator[None]:
    """Processes started in the block hash strings alike, so that sets of codes have one order in all."""
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = before


def _found(job: Job, out: Path, fingerprint: str) -> Outcome | None:
    """What the log of a job says, None where there is none."""
    path = log_path(out, job.task.name, job.method.name, job.seed)
    if not path.exists():
        return None
    log = read_log(path)
    if log.table_sha256 != job.task.load_table().sha256:
        raise LogError(
            f"{path} was made with table {log.table} ({log.table_sha256[:12]}...), not with the present one; "
            "give another --out, or delete it"
        )
    if log.searcher != fingerprint:
        raise LogError(
            f"{path} was made with another version of {job.method.name} ({job.method.source}); "
            f"give another --out, or delete {path.parent}"
        )
    return Outcome(job, log.end, log.error, log.charged)


def _bar(shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        disable=not shown,
    )
