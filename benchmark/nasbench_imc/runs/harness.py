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
from nasbench_imc.runs.log import RunLog, log_path, read_log, write_log
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
    """What became of a job: ``end`` of its log, or empty where no log could be written."""

    job: Job
    end: str
    error: str


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
        Runs that failed, were stopped, or could not be written.
    """

    done: int
    skipped: int
    troubled: tuple[Outcome, ...]


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
        Where a log in ``out`` is damaged, or was made with another table.
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
    waiting = [job for job in wanted if not _is_done(job, out, retry_failed)]
    troubled: list[Outcome] = []
    context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks
    with (
        _fixed_hashes(),
        _bar(progress) as bar,
        ProcessPool(max_workers=max(1, min(jobs, len(waiting))), context=context) as pool,
    ):
        row = bar.add_task("runs", total=len(wanted), completed=len(wanted) - len(waiting))
        futures = [
            pool.schedule(
                _run, args=(job.method, job.task.to_json(), job.seed, out, timeout), timeout=timeout + GRACE
            )
            for job in waiting
        ]
        try:
            for job, future in zip(waiting, futures, strict=True):
                outcome = _outcome(job, future, out, timeout)
                if outcome.end not in ("finished", "budget"):
                    troubled.append(outcome)
                bar.advance(row)
        except BaseException:
            pool.stop()
            raise
    return Report(len(waiting) - len(troubled), len(wanted) - len(waiting), tuple(troubled))


@cache
def _searcher(method: Method) -> Searcher:
    """One import a process."""
    return method.load()


def _run(method: Method, task_file: str, seed: int, out: Path, timeout: float) -> tuple[str, str]:
    task = Task.from_json(task_file, "the task of a run")
    log = execute(_searcher(method), method.name, task, seed, timeout)
    write_log(log, log_path(out, task.name, method.name, seed))
    return log.end, log.error


def _outcome(job: Job, future: object, out: Path, timeout: float) -> Outcome:
    try:
        end, error = future.result()  # type: ignore[attr-defined]
        return Outcome(job, end, error)
    except FutureTimeout:
        end, error = "timeout", f"ended from outside after {timeout + GRACE:g} s"
    except ProcessExpired as expired:
        end, error = "failed", f"the run's process died ({expired})"
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


def _is_done(job: Job, out: Path, retry_failed: bool) -> bool:
    path = log_path(out, job.task.name, job.method.name, job.seed)
    if not path.exists():
        return False
    log = read_log(path)
    if log.table_sha256 != job.task.load_table().sha256:
        raise LogError(
            f"{path} was made with table {log.table} ({log.table_sha256[:12]}...), not with the present one; "
            "give another --out, or delete it"
        )
    return not (retry_failed and log.end in ("failed", "timeout"))


def _bar(shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        disable=not shown,
    )
