"""How far a run's recommendation is from the table's best, at each checkpoint of its budget."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nasbench_imc.design import Design
from nasbench_imc.scoring import front
from nasbench_imc.suites import Task
from nasbench_imc.tables import Benchmark

Event = Mapping[str, Any]


def standing(task: Task, events: Iterable[Event]) -> list[list[Design]]:
    """The recommendation that stands when each checkpoint's budget is spent.

    It is the last one made by then. Before a first one, the best feasible design by search labels
    stands, on track M those that add most hypervolume; none where nothing feasible was queried.

    Parameters
    ----------
    task : Task
    events : iterable of mapping
        A session's events: charged queries and recommendations, in order.

    Returns
    -------
    list of list of Design
        One list a checkpoint.
    """
    domain = task.domain
    queried: list[Design] = []
    values: list[Mapping[str, float]] = []
    named: list[Design] | None = None
    result: list[list[Design]] = []

    def stands() -> list[Design]:
        return _default(task, queried, values) if named is None else named

    for event in events:
        if "recommend" in event:
            named = [domain.design(fields) for fields in event["recommend"]]
            continue
        # The checkpoint's recommendation may come after its last query, so it is closed by the next one.
        if len(queried) in task.checkpoints[len(result) :]:
            result.append(stands())
        queried.append(domain.design(event["query"]))
        values.append(event["values"])
    last = stands()
    return result + [last] * (len(task.checkpoints) - len(result))


def _default(task: Task, queried: Sequence[Design], values: Sequence[Mapping[str, float]]) -> list[Design]:
    feasible = [
        k for k, v in enumerate(values) if all(v[name] <= limit for name, limit in task.limits.items())
    ]
    if not feasible:
        return []
    accuracy = np.array([values[k]["accuracy"] for k in feasible])
    if task.track != "M":
        return [queried[feasible[int(np.argmax(accuracy))]]]
    costs = np.array([[values[k][name] for name in cost_names(task)] for k in feasible])
    chosen = front.best_subset(normalised(task, accuracy, costs), task.max_recommended)
    return [queried[feasible[k]] for k in chosen]


def cost_names(task: Task) -> tuple[str, ...]:
    """The objectives other than accuracy."""
    return tuple(name for name in task.objectives if name != "accuracy")


def normalised(task: Task, accuracy: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Objectives between the task's frozen ideal (0) and nadir (1); see :func:`front.normalise`."""
    return front.normalise(accuracy, costs, cost_names(task), task.frozen.ideal, task.frozen.nadir)


def regret_curve(task: Task, bench: Benchmark, events: Iterable[Event]) -> np.ndarray:
    """Regret on score labels at each checkpoint.

    Parameters
    ----------
    task : Task
    bench : Benchmark
        The task's table.
    events : iterable of mapping
        A session's events.

    Returns
    -------
    numpy.ndarray, shape (checkpoints,), float64
        Points of accuracy on tracks S and C, where an infeasible or missing recommendation counts as
        the worst feasible design; normalised hypervolume on track M.
    """
    cache: dict[tuple[Design, ...], float] = {}
    regrets = []
    for designs in standing(task, events):
        key = tuple(designs)
        if key not in cache:
            cache[key] = _regret(task, bench, designs)
        regrets.append(cache[key])
    return np.array(regrets)


def _regret(task: Task, bench: Benchmark, designs: Sequence[Design]) -> float:
    measured = [bench.query(design, task.at) for design in designs]
    admitted = [m for m in measured if all(m[name] <= limit for name, limit in task.limits.items())]
    accuracy = np.array([m["accuracy"] for m in admitted])
    if task.track != "M":
        return task.frozen.best - float(accuracy[0] if len(accuracy) else task.frozen.worst)
    costs = np.array([[m[name] for name in cost_names(task)] for m in admitted]).reshape(len(admitted), -1)
    inside = accuracy >= task.frozen.best - front.ACCURACY_WINDOW
    points = normalised(task, accuracy[inside], costs[inside]) if inside.any() else np.empty((0, 2))
    return task.frozen.best_hypervolume - front.hypervolume(points)
