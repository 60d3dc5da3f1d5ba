"""Scores of runs, tasks and methods, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nasbench_imc.errors import LogError, UnavailableError, UnknownNameError
from nasbench_imc.runs.log import TROUBLE, RunLog
from nasbench_imc.scoring.regret import regret_curve
from nasbench_imc.suites import Task
from nasbench_imc.suites import task as find_task

RESAMPLES = 2_000
LEVEL = 0.95


@dataclass(frozen=True)
class Scores:
    """Every run scored.

    Attributes
    ----------
    tasks : tuple of Task
    methods : tuple of str
    runs : pandas.DataFrame
        One row a run: ``task``, ``method``, ``seed``, ``end``, ``error``, ``charged``, ``proposals``,
        ``seconds``, ``official``, ``score`` (0: the table's best, 1: random search) and ``regret``, an
        array over the task's checkpoints.
    """

    tasks: tuple[Task, ...]
    methods: tuple[str, ...]
    runs: pd.DataFrame

    def regrets(self, task: str, method: str) -> np.ndarray:
        """Regret of a method's runs on a task, (runs, checkpoints), ordered by seed."""
        rows = self.runs[(self.runs.task == task) & (self.runs.method == method)].sort_values("seed")
        return np.stack(rows.regret.to_list()) if len(rows) else np.empty((0, 0))

    def by_task(self) -> pd.DataFrame:
        """Score of each method on each task: the mean over its runs with a bootstrap interval.

        Returns
        -------
        pandas.DataFrame
            One row a task and method: ``task``, ``method``, ``runs``, ``failed``, ``score``, ``low``,
            ``high`` (95 % percentile bootstrap over runs), ``regret`` (mean at full budget),
            ``seconds`` (median of a run).
        """
        rows = []
        for (task, method), group in self.runs.groupby(["task", "method"], sort=False):
            low, high = bootstrap_interval(group.score.to_numpy())
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

    def leaderboard(self) -> pd.DataFrame:
        """Methods from best to worst by mean rank over tasks.

        Returns
        -------
        pandas.DataFrame
            Indexed by method: ``rank`` (1 is best), ``mean_rank`` over tasks, ``score`` (mean over tasks),
            ``low``, ``high`` (95 % bootstrap over the runs of each task), ``failed``, ``runs``,
            ``seconds`` (median of a run), and one column a task with its mean score.

        Raises
        ------
        LogError
            Where a method lacks a task that another has; ranks would not compare.
        """
        cells = self.by_task()
        grid = cells.pivot(index="method", columns="task", values="score")
        gaps = [(m, t) for m in grid.index for t in grid.columns if np.isnan(grid.loc[m, t])]
        if gaps:
            listed = ", ".join(f"{method} on {task}" for method, task in gaps[:5])
            raise LogError(
                f"{len(gaps)} method x task pairs have no run ({listed}); run them, or score fewer"
            )
        order = [task.name for task in self.tasks]
        ranks = grid[order].rank(axis=0, method="average")
        intervals = {m: self._mean_interval(m) for m in grid.index}
        board = pd.DataFrame(
            {
                "mean_rank": ranks.mean(axis=1),
                "score": grid[order].mean(axis=1),
                "low": {m: interval[0] for m, interval in intervals.items()},
                "high": {m: interval[1] for m, interval in intervals.items()},
                "runs": cells.groupby("method").runs.sum(),
                "failed": cells.groupby("method").failed.sum(),
                "seconds": self.runs.groupby("method").seconds.median(),
            }
        ).join(grid[order])
        board = board.sort_values(["mean_rank", "score"])
        board.insert(0, "rank", board.mean_rank.rank(method="min").astype(int))
        return board

    def _mean_interval(self, method: str) -> tuple[float, float]:
        rng = np.random.default_rng(0)
        rows = self.runs[self.runs.method == method]
        means = [_resampled_means(group.score.to_numpy(), rng) for _, group in rows.groupby("task")]
        return _interval(np.mean(means, axis=0))


def score(logs: Iterable[RunLog]) -> Scores:
    """Score run logs.

    A run's score is the sum of its regrets over the checkpoints, divided by the sum of random search's
    expected regrets: 0 where it names the table's best from the first checkpoint on, 1 where it does no
    better than random search. It is not clipped.

    Raises
    ------
    LogError
        Where there is no log, two logs of one run, a log of another table than its task's, or one that
        names a design or a metric that is not its task's.
    """
    rows: list[dict[str, object]] = []
    tasks: dict[str, Task] = {}
    seen: set[tuple[str, str, int]] = set()
    for log in logs:
        task = tasks.setdefault(log.task, find_task(log.task))
        if (log.task, log.method, log.seed) in seen:
            raise LogError(f"two logs of {log.method} on {log.task} with seed {log.seed}")
        seen.add((log.task, log.method, log.seed))
        bench = task.load_table()
        if log.table_sha256 != bench.sha256:
            raise LogError(
                f"the log of {log.method} on {log.task}, seed {log.seed}, was made with table "
                f"{log.table_sha256[:12]}..., this is {bench.sha256[:12]}... ({bench.version}); run it again"
            )
        try:
            regret = regret_curve(task, bench, log.events)
        except (UnknownNameError, UnavailableError, KeyError, TypeError) as error:
            raise LogError(
                f"the log of {log.method} on {log.task}, seed {log.seed}, does not fit the task: "
                f"{type(error).__name__} {error}"
            ) from error
        rows.append(
            {
                "task": log.task,
                "method": log.method,
                "seed": log.seed,
                "end": log.end,
                "error": log.error,
                "charged": log.charged,
                "proposals": log.proposals,
                "seconds": log.seconds,
                "official": log.official,
                "score": float(regret.sum() / np.sum(task.frozen.random_regret)),
                "regret": regret,
            }
        )
    if not rows:
        raise LogError("no run logs to score")
    runs = pd.DataFrame(rows).sort_values(["task", "method", "seed"], ignore_index=True)
    return Scores(tuple(tasks[name] for name in sorted(tasks)), tuple(sorted(set(runs.method))), runs)


def bootstrap_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % percentile-bootstrap interval of the mean; both ends equal the mean for one value.

    The generator is seeded, so that a leaderboard is the same each time it is made.
    """
    return _interval(_resampled_means(np.asarray(values, dtype=float), np.random.default_rng(0)))


def _resampled_means(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)


def _interval(means: np.ndarray) -> tuple[float, float]:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
