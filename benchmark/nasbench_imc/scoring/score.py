"""Scores of runs, tasks and methods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from nasbench_imc.design import Design
from nasbench_imc.errors import LogError, UnavailableError, UnknownNameError
from nasbench_imc.runs.log import SUFFIX, TROUBLE, RunLog, read_log
from nasbench_imc.runs.own_tasks import own_tasks
from nasbench_imc.scoring import boards, bootstrap, compare, ratings
from nasbench_imc.scoring.regret import regrets, standing
from nasbench_imc.suites import Task
from nasbench_imc.suites.definition import is_shipped, shipped_task

#: Logs that one process reads at a time, and those below which further processes are not worth starting.
_CHUNK = 64
_FEW = 2_000


@dataclass(frozen=True, slots=True)
class Board:
    """Methods that rank among each other, each of them on all tasks of the board.

    Attributes
    ----------
    name : str
        ``main``, ``subset 1`` and so on, and the same of tasks that are not the benchmark's.
    scores : Scores
        Of the board's runs alone.
    left_out : mapping of str to int
        Method of the board -> how many of its runs are not on it, of the benchmark's tasks or, where the
        board is of other tasks, of these; methods without any are not named.
    """

    name: str
    scores: Scores
    left_out: Mapping[str, int]

    @property
    def is_main(self) -> bool:
        return self.name == boards.MAIN


@dataclass(frozen=True)
class Scores:
    """Every run scored.

    Attributes
    ----------
    tasks : tuple of Task
    methods : tuple of str
    runs : pandas.DataFrame
        One row a run: ``task``, ``method``, ``seed``, ``end``, ``error``, ``charged``, ``proposals``,
        ``seconds``, ``official``, ``searcher`` (SHA-256 of its file), ``score`` (0: the table's best, 1:
        random search), ``regret``, an array over the task's checkpoints, and ``recommended``, the designs
        that stood at its end, a tuple.
    """

    tasks: tuple[Task, ...]
    methods: tuple[str, ...]
    runs: pd.DataFrame

    def restricted(self, kept: np.ndarray) -> Scores:
        """The scores of some runs, and the tasks and methods that they are of.

        Parameters
        ----------
        kept : numpy.ndarray, shape (runs,), bool
        """
        runs = self.runs[kept]
        present = set(runs.task)
        return Scores(
            tuple(task for task in self.tasks if task.name in present), tuple(sorted(set(runs.method))), runs
        )

    def boards(self) -> list[Board]:
        """The methods that rank together; see :func:`nasbench_imc.scoring.boards.split`.

        Returns
        -------
        list of Board
            The main one first.

        Raises
        ------
        TaskError
            Where a task bears the name of one of the benchmark's and is another.
        """
        return list(self._boards)

    @cached_property
    def _boards(self) -> tuple[Board, ...]:
        own = {task.name for task in self.tasks if not is_shipped(task)}
        is_own = self.runs.task.isin(list(own)).to_numpy()
        result = []
        for name, kept in boards.split(self.runs, own).items():
            on_it = self.restricted(kept)
            alike = is_own == is_own[kept].any()
            left = self.runs[alike & ~kept & self.runs.method.isin(on_it.methods)]
            left_out = {str(method): int(number) for method, number in left.groupby("method").size().items()}
            result.append(Board(name, on_it, MappingProxyType(left_out)))
        return tuple(result)

    def regrets(self, task: str, method: str) -> np.ndarray:
        """Regret of a method's runs on a task, (runs, checkpoints), ordered by seed."""
        rows = self._of(task, method)
        return np.stack(rows.regret.to_list()) if len(rows) else np.empty((0, 0))

    def recommended(self, task: str, method: str) -> list[tuple[Design, ...]]:
        """The designs that stood at the end of each of a method's runs on a task, ordered by seed."""
        return self._of(task, method).recommended.to_list()

    def median_run(self, task: str, method: str) -> tuple[Design, ...]:
        """The designs that stood at the end of a method's median run on a task; of none, nothing.

        By score; of an even number of runs the better of the two in the middle, of equal ones that with
        the smallest seed.
        """
        rows = self._of(task, method).sort_values("score", kind="stable")
        return tuple(rows.recommended.iloc[(len(rows) - 1) // 2]) if len(rows) else ()

    def _of(self, task: str, method: str) -> pd.DataFrame:
        return self._groups.get((task, method), self.runs[:0])

    @cached_property
    def _groups(self) -> dict[tuple[str, str], pd.DataFrame]:
        groups = self.runs.sort_values("seed").groupby(["task", "method"], sort=False)
        return {(str(task), str(method)): group for (task, method), group in groups}

    def by_task(self) -> pd.DataFrame:
        """Score of each method on each task: the mean over its runs with a bootstrap interval.

        Returns
        -------
        pandas.DataFrame
            One row a task and method: ``task``, ``method``, ``runs``, ``failed``, ``score``, ``low``,
            ``high`` (95 % percentile bootstrap over runs), ``regret`` (mean at full budget),
            ``seconds`` (median of a run).
        """
        return self._by_task.copy()

    @cached_property
    def _by_task(self) -> pd.DataFrame:
        rows = []
        for (task, method), group in self.runs.groupby(["task", "method"], sort=False):
            low, high = bootstrap.mean_interval(group.score.to_numpy())
            rows.append(
                {
                    "task": task,
                    "method": method,
                    "runs": len(group),
                    "failed": int(group.end.isin(TROUBLE).sum()),
                    "score": group.score.mean(),
                    "low": low,
                    "high": high,
                    "regret": float(np.mean([curve[-1] for curve in group.regret])),
                    "seconds": group.seconds.median(),
                }
            )
        return pd.DataFrame(rows)

    def comparisons(self, task: str) -> list[compare.Comparison]:
        """All pairs of methods on a task, seed by seed; see :func:`nasbench_imc.scoring.compare.compare`.

        Raises
        ------
        KeyError
            Where no run is of this task.
        """
        return self._comparisons[task]

    @cached_property
    def _comparisons(self) -> dict[str, list[compare.Comparison]]:
        result = {}
        for task in self.tasks:
            floor = compare.noise_floor(task.frozen.noise_floor, task.frozen.random_regret)
            scores = {
                method: dict(zip(group.seed, group.score, strict=True))
                for method in self.methods
                if len(group := self._of(task.name, method))
            }
            result[task.name] = compare.compare(scores, floor)
        return result

    def grid(self) -> np.ndarray:
        """Mean scores, (tasks, methods).

        Raises
        ------
        LogError
            Where a method lacks a task that another has.
        """
        table = self._by_task.pivot(index="task", columns="method", values="score")
        table = table.reindex(index=[task.name for task in self.tasks], columns=list(self.methods))
        gaps = [(m, t) for m in table.columns for t in table.index if np.isnan(table.loc[t, m])]
        if gaps:
            listed = ", ".join(f"{method} on {task}" for method, task in gaps[:5])
            raise LogError(
                f"{len(gaps)} method x task pairs have no run ({listed}); run them, or score fewer"
            )
        return table.to_numpy(dtype=float)

    def leaderboard(self) -> pd.DataFrame:
        """Methods from best to worst by mean rank over tasks.

        Mean rank and Elo are relative to the methods; ``nasbench_imc.scoring.ratings.method_set`` of them
        stamps a set. Their intervals resample clusters (table x hardware family), then tasks.

        Returns
        -------
        pandas.DataFrame
            Indexed by method: ``rank`` (1 is best), ``mean_rank`` over tasks and ``elo`` (the higher the
            better), each with ``_low`` and ``_high``, NaN for too few tasks; ``score`` (mean over tasks),
            ``low``, ``high`` (95 % bootstrap over the runs of each task), ``failed``, ``runs``,
            ``seconds`` (median of a run), and one column a task with its mean score.

        Raises
        ------
        LogError
            Where a method lacks a task that another has; ranks would not compare. See :meth:`boards`.
        """
        return self._leaderboard.copy()

    @cached_property
    def _leaderboard(self) -> pd.DataFrame:
        grid = self.grid()
        rated = ratings.rate(
            grid,
            [cluster(task) for task in self.tasks],
            ratings.anchor_of(self.methods),
            np.random.default_rng(0),
        )
        intervals = np.array([self._mean_interval(method) for method in self.methods])
        cells = self._by_task.groupby("method")
        board = pd.DataFrame(
            {
                "mean_rank": rated.mean_rank,
                "mean_rank_low": rated.mean_rank_interval[0],
                "mean_rank_high": rated.mean_rank_interval[1],
                "elo": rated.elo,
                "elo_low": rated.elo_interval[0],
                "elo_high": rated.elo_interval[1],
                "score": grid.mean(axis=0),
                "low": intervals[:, 0],
                "high": intervals[:, 1],
                "runs": cells.runs.sum().reindex(self.methods).to_numpy(),
                "failed": cells.failed.sum().reindex(self.methods).to_numpy(),
                "seconds": self.runs.groupby("method").seconds.median().reindex(self.methods).to_numpy(),
            },
            index=pd.Index(self.methods, name="method"),
        )
        scores = pd.DataFrame(grid.T, index=board.index, columns=[task.name for task in self.tasks])
        board = board.join(scores).sort_values(["mean_rank", "score"], kind="stable")
        board.insert(0, "rank", board.mean_rank.rank(method="min").astype(int))
        return board

    def _mean_interval(self, method: str) -> tuple[float, float]:
        rng = np.random.default_rng(0)
        values = [self._of(task.name, method).score.to_numpy() for task in self.tasks]
        means = [bootstrap.weights(len(runs), rng) @ runs for runs in values]
        low, high = bootstrap.interval(np.mean(means, axis=0))
        return float(low), float(high)


def cluster(task: Task) -> tuple[str, ...]:
    """What tasks share that tend to agree: their table and the families of their hardware."""
    families = task.load_table().hardware.family
    return (task.table, *sorted({str(families[id_]) for id_ in task.hardware}))


def score(logs: Iterable[RunLog], own: Mapping[str, Task] = MappingProxyType({})) -> Scores:
    """Score run logs, each as it comes; none is kept.

    A run's score is the sum of its regrets over the checkpoints, divided by the sum of random search's
    expected regrets: 0 where it names the table's best from the first checkpoint on, 1 where it does no
    better than random search. It is not clipped.

    Parameters
    ----------
    logs : iterable of RunLog
    own : mapping of str to Task, optional
        Tasks by name that are not the benchmark's.

    Raises
    ------
    LogError
        Where there is no log, two logs of one method, task and seed that differ, a log of another table than
        its task's, of another version of its task, or one that names a design or a metric that is not its
        task's.
    UnknownNameError
        Where a log's task is not known.
    """
    return _collected(_scored(logs, own), own)


def score_folder(folder: Path, jobs: int = 1) -> Scores:
    """Score all run logs below a folder; tasks of one's own are found there too.

    Parameters
    ----------
    folder : pathlib.Path
    jobs : int
        Processes that read and score; further ones are started for many logs only.

    Raises
    ------
    LogError, UnknownNameError
        As :func:`score` does, and where a log cannot be read.
    TaskError
        Where a task file below the folder is malformed, or two of one name differ.
    """
    paths = sorted(folder.rglob(f"*{SUFFIX}"))
    if not paths:
        raise LogError(f"there are no run logs (*{SUFFIX}) below {folder}; make some with `nasbench-imc run`")
    own = own_tasks(folder)
    if jobs == 1 or len(paths) < _FEW:
        return score(map(read_log, paths), own)
    chunks = [paths[k : k + _CHUNK] for k in range(0, len(paths), _CHUNK)]
    texts = {name: task.to_json() for name, task in own.items()}
    # Started afresh, since a fork would copy threads' locks.
    with ProcessPoolExecutor(min(jobs, len(chunks)), mp_context=get_context("spawn")) as pool:
        scored = pool.map(partial(_score_files, texts), chunks)
        return _collected((row for rows in scored for row in rows), own)


def _score_files(texts: Mapping[str, str], paths: Sequence[Path]) -> list[dict[str, Any]]:
    own = {name: Task.from_json(text, name) for name, text in texts.items()}
    return list(_scored(map(read_log, paths), own))


def _scored(logs: Iterable[RunLog], own: Mapping[str, Task]) -> Iterator[dict[str, Any]]:
    """What is kept of each log."""
    for log in logs:
        task = own.get(log.task) or shipped_task(log.task)
        bench = task.load_table()
        if log.table_sha256 != bench.sha256:
            raise LogError(
                f"the log of {log.method} on {log.task}, seed {log.seed}, was made with table "
                f"{log.table_sha256[:12]}..., this is {bench.sha256[:12]}... ({bench.version}); run it again"
            )
        if log.task_sha256 != task.sha256:
            raise LogError(
                f"the log of {log.method} on {log.task}, seed {log.seed}, was made with another version of "
                f"task {log.task!r} (SHA-256 {log.task_sha256[:12]}..., not {task.sha256[:12]}...); run it "
                "again"
            )
        try:
            stood = standing(task, log.events)
            regret = regrets(task, bench, stood)
        except (UnknownNameError, UnavailableError, KeyError, TypeError, ValueError) as error:
            raise LogError(
                f"the log of {log.method} on {log.task}, seed {log.seed}, does not fit the task: "
                f"{type(error).__name__} {error}"
            ) from error
        yield {
            "task": log.task,
            "method": log.method,
            "seed": log.seed,
            "end": log.end,
            "error": log.error,
            "charged": log.charged,
            "proposals": log.proposals,
            "seconds": log.seconds,
            "official": log.official,
            "searcher": log.searcher,
            "score": float(regret.sum() / np.sum(task.frozen.random_regret)),
            "regret": regret,
            "recommended": tuple(stood[-1]),
        }


def _same_run(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two logs are of one run, made twice or copied: they may differ in time alone."""
    return np.array_equal(one["regret"], other["regret"]) and all(
        one[name] == other[name] for name in ("searcher", "end", "charged", "proposals", "recommended")
    )


def _collected(rows: Iterable[dict[str, Any]], own: Mapping[str, Task]) -> Scores:
    kept: dict[tuple[str, str, int], dict[str, Any]] = {}
    for row in rows:
        task, method, seed = key = (row["task"], row["method"], row["seed"])
        if key in kept:
            if _same_run(row, kept[key]):
                continue
            versions = "" if row["searcher"] == kept[key]["searcher"] else ", of two versions of the searcher"
            raise LogError(
                f"two logs of {method} on {task} with seed {seed}{versions}, and they differ; leave out a "
                "place that holds one of them, or give the method another name and make its runs again"
            )
        kept[key] = row
    if not kept:
        raise LogError("no run logs to score")
    runs = pd.DataFrame(list(kept.values())).sort_values(["task", "method", "seed"], ignore_index=True)
    tasks = tuple(own.get(name) or shipped_task(name) for name in sorted(set(runs.task)))
    return Scores(tasks, tuple(sorted(set(runs.method))), runs)
