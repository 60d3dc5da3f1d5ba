"""Which methods rank together: those that made the same runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import count
from statistics import median_high

import numpy as np
import pandas as pd

#: The board of the methods that made all runs of the benchmark, and the like of tasks that are not its own.
MAIN = "main"
OWN = "own tasks"

#: Seeds that a method is asked to run; more are needed only where all methods have them.
SEEDS = 30

_Run = tuple[str, int]


def split(runs: pd.DataFrame, own: Collection[str] = ()) -> dict[str, np.ndarray]:
    """The runs of each board.

    The main board is of tasks of the benchmark and of seeds 0 .. N - 1, the same on each task. A method has a
    task completely if it has there as many of the first seeds as it has on half of its tasks. The tasks of
    the board are the largest set that at least half of the methods have completely, and N is the largest
    number of first seeds that at least half of these methods have; above :data:`SEEDS` only where all have
    them. Methods with all these runs are on the board, with these runs alone: what a method runs beyond
    the others changes neither who is on the board nor its own score there. Where all methods made the
    same runs, the board is of these, whatever they are.

    Every other method ranks on its own tasks and seeds, beside all methods that made these runs too, on
    these runs alone: methods too slow for the whole set do so on one subset. So on the same runs a score
    depends on no other method; which runs the main board is of may change where methods that made fewer
    become the half. Tasks of one's own have boards of their own, by the same
    rule.

    Parameters
    ----------
    runs : pandas.DataFrame
        With ``task``, ``method`` and ``seed``.
    own : collection of str
        Names of the tasks that are not the benchmark's.

    Returns
    -------
    dict of str to numpy.ndarray, shape (runs,), bool
        ``main`` first, unless no set of tasks is the one that most methods have; then ``subset 1`` and so
        on, from the largest on; then ``own tasks`` and ``own tasks subset 1`` in the same way.
    """
    is_own = runs.task.isin(list(own)).to_numpy()
    return {
        **_split(runs, ~is_own, MAIN, "subset"),
        **_split(runs, is_own, OWN, f"{OWN} subset"),
    }


def _split(runs: pd.DataFrame, kept: np.ndarray, main: str, subset: str) -> dict[str, np.ndarray]:
    """The boards of some of the runs."""
    made: dict[str, frozenset[_Run]] = {
        str(method): frozenset(zip(group.task, group.seed, strict=True))
        for method, group in runs[kept].groupby("method")
    }
    needed = _needed(list(made.values()))
    complete = {method for method in made if needed and made[method] >= needed}
    wanted = {main: needed} if complete else {}
    rest = {made[method] for method in made if method not in complete}
    for number, of_method in enumerate(sorted(rest, key=lambda s: (-len(s), sorted(s))), start=1):
        wanted[f"{subset} {number}"] = of_method
    result = {}
    for name, board in wanted.items():
        members = {method for method in made if made[method] >= board}
        rows = zip(runs.method, runs.task, runs.seed, strict=True)
        result[name] = np.array([method in members and (task, seed) in board for method, task, seed in rows])
    return result


def _needed(made: list[frozenset[_Run]]) -> frozenset[_Run]:
    """The runs that a method must have made to be on the main board; none where there is no such board."""
    if len(set(made)) < 2:
        return made[0] if made else frozenset()
    tasks = _usual_tasks([_complete_tasks(runs) for runs in made])
    theirs = [
        frozenset((task, seed) for task, seed in runs if task in tasks)
        for runs in made
        if tasks and _complete_tasks(runs) >= tasks
    ]
    if not theirs:
        return frozenset()
    first = [min(_first_seeds(runs).values()) for runs in theirs]
    if seeds := max(min(first), min(median_high(first), SEEDS)):
        return frozenset((task, seed) for task in tasks for seed in range(seeds))
    found = Counter(theirs)  # most lack seed 0: of the seeds that they chose, the most frequent
    return max(found, key=lambda runs: (found[runs], len(runs), sorted(runs)))


def _usual_tasks(sets: list[frozenset[str]]) -> frozenset[str]:
    """The largest of the sets that half of the methods have, or else the one that most have; none if two are.

    Parameters
    ----------
    sets : list of frozenset of str
        Each method's tasks.
    """
    half = (len(sets) + 1) // 2
    having = {tasks: sum(other >= tasks for other in sets) for tasks in set(sets)}
    rank = {tasks: (min(number, half), len(tasks), number) for tasks, number in having.items()}
    best = [tasks for tasks in rank if rank[tasks] == max(rank.values())]
    return best[0] if len(best) == 1 else frozenset()


def _complete_tasks(runs: frozenset[_Run]) -> frozenset[str]:
    """The tasks on which a method has as many first seeds as on half of its tasks, or :data:`SEEDS`."""
    first = _first_seeds(runs)
    usual = min(median_high(first.values()), SEEDS)
    return frozenset(task for task, seeds in first.items() if seeds >= usual)


def _first_seeds(runs: frozenset[_Run]) -> dict[str, int]:
    """How many seeds 0, 1, 2, ... without a gap there are on each task."""
    return {
        task: next(seed for seed in count() if (task, seed) not in runs)
        for task in {task for task, _ in runs}
    }
