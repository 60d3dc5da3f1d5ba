"""Which methods rank together: those that made the same runs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

#: The board of the methods that made all runs.
MAIN = "main"

_Run = tuple[str, int]


def split(runs: pd.DataFrame) -> dict[str, np.ndarray]:
    """The runs of each board.

    On the main board are the methods that have every task that any method has, and on each at least the
    seeds that most methods have. Every other method ranks on its own tasks and seeds, beside all methods
    that made these runs too, on these runs alone: methods too slow for the whole set do so on one
    subset. So no score on a board depends on which other methods are on it.

    Parameters
    ----------
    runs : pandas.DataFrame
        With ``task``, ``method`` and ``seed``.

    Returns
    -------
    dict of str to numpy.ndarray, shape (runs,), bool
        ``main`` first, unless no method is complete; then ``subset 1`` and so on, from the largest on.
    """
    made: dict[str, frozenset[_Run]] = {
        str(method): frozenset(zip(group.task, group.seed, strict=True))
        for method, group in runs.groupby("method")
    }
    needed = frozenset(
        (task, seed) for task in set(runs.task) for seed in _usual_seeds(list(made.values()), task)
    )
    complete = {method for method in made if made[method] >= needed}
    result = {MAIN: runs.method.isin(complete).to_numpy()} if complete else {}
    subsets = {made[method] for method in made if method not in complete}
    for number, subset in enumerate(sorted(subsets, key=lambda s: (-len(s), sorted(s))), start=1):
        result[f"subset {number}"] = np.array(
            [
                made[method] >= subset and (task, seed) in subset
                for method, task, seed in zip(runs.method, runs.task, runs.seed, strict=True)
            ]
        )
    return result


def _usual_seeds(made: list[frozenset[_Run]], task: str) -> frozenset[int]:
    """The seeds on a task that most methods with the task have; of several equally frequent, the most."""
    found = Counter(frozenset(seed for name, seed in runs if name == task) for runs in made)
    found.pop(frozenset(), None)
    return max(found, key=lambda seeds: (found[seeds], len(seeds), sorted(seeds)))
