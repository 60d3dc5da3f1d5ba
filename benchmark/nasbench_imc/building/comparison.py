"""What runs of many methods teach: which wins on which track, hardware and budget, and by how much.

Scores are in units of random search's expected regret (0: the table's best, 1: random search), so that tasks
can be averaged. Two methods are paired by seed within a task, since both saw the same labels there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nasbench_imc.scoring import Scores, bootstrap
from nasbench_imc.scoring.score import cluster
from nasbench_imc.suites import Task

#: The search family of each reference searcher.
FAMILIES: Mapping[str, str] = {
    "random_search": "random search",
    "local_search": "local search",
    "regularized_evolution": "evolution",
    "gibbon": "evolution",
    "joint_ga": "evolution",
    "nsga2": "multi-objective evolution",
    "sms_emoa": "multi-objective evolution",
    "moead": "multi-objective evolution",
    "reinforce": "policy gradient",
    "analognas": "predictor",
    "bananas": "predictor",
    "transfer": "predictor",
    "tpe": "Bayesian optimisation",
    "gp": "Bayesian optimisation",
    "smac": "Bayesian optimisation",
    "qnehvi": "Bayesian optimisation",
    "successive_halving": "multi-fidelity",
    "hyperband": "multi-fidelity",
    "asha": "multi-fidelity",
    "zero_cost": "zero-cost proxies",
    "two_stage": "network first",
}

#: The searcher that chooses hardware after the network.
SEQUENTIAL = "two_stage"

#: Parts of a task's budget, by the position of the checkpoint among the task's.
STAGES: Mapping[str, float] = {"first": 0.0, "middle": 0.5, "last": 1.0}


@dataclass(frozen=True, slots=True)
class Standing:
    """A method among others on some tasks.

    Attributes
    ----------
    group : str
        What the tasks have in common.
    tasks : int
    method : str
    score, low, high : float
        Mean over the tasks, with a 95 % bootstrap interval over the runs of each.
    behind, behind_low, behind_high : float
        Mean over the tasks of the paired difference to the group's best method, with its interval; 0 for
        the best itself.
    """

    group: str
    tasks: int
    method: str
    score: float
    low: float
    high: float
    behind: float
    behind_low: float
    behind_high: float

    @property
    def leads(self) -> bool:
        """Whether it is the best of its group, or cannot be told from it."""
        return self.behind_low <= 0


def by_track(task: Task) -> str:
    return task.track


def by_hardware(task: Task) -> str:
    """The table and the families of the hardware, as the leaderboard's bootstrap clusters tasks."""
    return " ".join(cluster(task))


def standings(scores: Scores, group: Callable[[Task], str]) -> list[Standing]:
    """Methods within each group of tasks, the best first; only those that have all of its tasks.

    Parameters
    ----------
    scores : Scores
        Of one board: the same seeds for all methods of a task.
    group : callable
        Names the group of a task.
    """
    found = []
    for name in sorted({group(task) for task in scores.tasks}):
        tasks = [task for task in scores.tasks if group(task) == name]
        runs = {method: [_scores(scores, task, method) for task in tasks] for method in scores.methods}
        runs = {method: each for method, each in runs.items() if all(len(part) for part in each)}
        best = min(runs, key=lambda method: _mean(runs[method]))
        rows = []
        for method, parts in runs.items():
            paired = [a.sub(b).dropna() for a, b in zip(parts, runs[best], strict=True)]
            rows.append(Standing(name, len(tasks), method, *_estimate(parts), *_estimate(paired)))
        found += sorted(rows, key=lambda row: row.score)
    return found


def by_budget(scores: Scores) -> pd.DataFrame:
    """How near methods come at the first, the middle and the last checkpoint.

    Returns
    -------
    pandas.DataFrame
        One row a track, stage and method that has all tasks of the track: ``track``, ``stage`` (in
        :data:`STAGES`), ``method``, and ``share``: regret over random search's expected one at that
        checkpoint, mean over the track's tasks.
    """
    rows = []
    for track in sorted({task.track for task in scores.tasks}):
        tasks = [task for task in scores.tasks if task.track == track]
        for method in scores.methods:
            shares = [curve_shares(scores, task, method) for task in tasks]
            if any(not len(share) for share in shares):
                continue
            for stage, part in STAGES.items():
                at = [share[round(part * (len(share) - 1))] for share in shares]
                rows.append({"track": track, "stage": stage, "method": method, "share": float(np.mean(at))})
    return pd.DataFrame(rows)


def curve_shares(scores: Scores, task: Task, method: str) -> np.ndarray:
    """Mean regret over random search's expected one, (checkpoints,); empty where there is no run."""
    regrets = scores.regrets(task.name, method)
    return regrets.mean(axis=0) / np.asarray(task.frozen.random_regret) if len(regrets) else np.empty(0)


def sequential(scores: Scores) -> pd.DataFrame:
    """Choosing hardware after the network, against searching both together, on the joint tasks.

    Returns
    -------
    pandas.DataFrame
        One row a task of track J and other method, where :data:`SEQUENTIAL` ran: ``task``, ``method``,
        ``difference`` (score of the sequential method minus the other's: above 0 joint search is better),
        ``low``, ``high`` (95 % bootstrap), ``verdict`` of the sequential method.
    """
    turned = {"better": "worse", "worse": "better"}
    rows = []
    for task in scores.tasks:
        if task.track != "J" or SEQUENTIAL not in scores.methods:
            continue
        for pair in scores.comparisons(task.name):
            if SEQUENTIAL not in (pair.first, pair.second):
                continue
            first = pair.first == SEQUENTIAL
            low, high = (pair.low, pair.high) if first else (-pair.high, -pair.low)
            rows.append(
                {
                    "task": task.name,
                    "method": pair.second if first else pair.first,
                    "difference": pair.difference if first else -pair.difference,
                    "low": low,
                    "high": high,
                    "verdict": pair.verdict if first else turned.get(pair.verdict, pair.verdict),
                }
            )
    return pd.DataFrame(rows)


def _scores(scores: Scores, task: Task, method: str) -> pd.Series:
    """Score by seed."""
    runs = scores.runs[(scores.runs.task == task.name) & (scores.runs.method == method)]
    return runs.set_index("seed").score.sort_index()


def _mean(parts: Sequence[pd.Series]) -> float:
    return float(np.mean([part.mean() for part in parts]))


def _estimate(parts: Sequence[pd.Series]) -> tuple[float, float, float]:
    """Mean over tasks of the mean over runs, and its interval: runs of each task are resampled apart."""
    rng = np.random.default_rng(0)
    resampled = [bootstrap.weights(len(part), rng) @ part.to_numpy() for part in parts]
    low, high = bootstrap.interval(np.mean(resampled, axis=0))
    return _mean(parts), float(low), float(high)
