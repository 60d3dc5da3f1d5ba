"""How far a run's recommendation is from the table's best, at each checkpoint of its budget."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nasbench_imc.design import Design
from nasbench_imc.scoring import front
from nasbench_imc.suites import Task
from nasbench_imc.tables import Benchmark, Measurement

Event = Mapping[str, Any]


def standing(task: Task, events: Iterable[Event]) -> list[list[Design]]:
    """The recommendation that stands when each checkpoint's budget is spent.

    It is the last one made by then. Before a first one, the best feasible design by search labels stands, on
    track F of those with the highest fidelity asked for, with several objectives those that add most
    hypervolume, and where a cost is minimised only one that keeps the least accuracy with the task's margin;
    none where nothing feasible was queried. A query whose charge leads beyond a checkpoint comes after it.

    Parameters
    ----------
    task : Task
    events : iterable of mapping
        A session's events: charged queries and recommendations, in order.

    Returns
    -------
    list of list of Design
        One list a checkpoint.

    Raises
    ------
    UnknownNameError
        Where a design that stands is none of the task's.
    ValueError
        Where more is charged or recommended than the task admits.
    KeyError, TypeError
        Where an event lacks what the task needs of it.
    """
    feasible: list[Event] = []  # queries
    named: list[Mapping[str, Any]] | None = None
    charged: float = 0
    result: list[list[Design]] = []

    def stands() -> list[Design]:
        chosen = _default(task, feasible) if named is None else named
        return [task.domain.admit(task.domain.design(fields)) for fields in chosen]

    for event in events:
        if "recommend" in event:
            named = event["recommend"]
            if len(named) > task.max_recommended:
                raise ValueError(f"{len(named)} designs are recommended, {task.max_recommended} may be")
            continue
        charged += event["charged"] if task.fidelities else 1  # on other tracks proxies are no event
        if charged > task.budget:
            raise ValueError(f"more is charged than the budget of {task.budget} {task.unit}")
        # The checkpoint's recommendation may come after its last query, so it is closed by the next one.
        while len(result) < len(task.checkpoints) and charged > task.checkpoints[len(result)]:
            result.append(stands())
        if "query" in event and task.is_feasible(event["values"]):
            feasible.append(event)
    last = stands()
    return result + [last] * (len(task.checkpoints) - len(result))


def _default(task: Task, feasible: Sequence[Event]) -> list[Mapping[str, Any]]:
    """What stands where nothing was recommended: free fields of designs."""
    if task.fidelities and feasible:
        level = task.fidelities.index
        highest = max(level(event["fidelity"]) for event in feasible)
        feasible = [event for event in feasible if level(event["fidelity"]) == highest]
    if not feasible:
        return []
    values = [event["values"] for event in feasible]
    if task.goal == "front":
        accuracy = np.array([v["accuracy"] for v in values])
        costs = np.array([[v[name] for name in cost_names(task)] for v in values])
        points = normalised(task, accuracy, costs)
        return [feasible[k]["query"] for k in front.best_subset(points, task.max_recommended)]
    (objective,) = task.objectives
    if task.goal == "accuracy":
        return [max(feasible, key=lambda event: event["values"][objective])["query"]]
    # The cheapest of many that just seem to keep the least accuracy is one that does not: a margin guards.
    least = task.least["accuracy"] + task.frozen.margin
    safe = [event for event in feasible if event["values"]["accuracy"] >= least]
    return [min(safe, key=lambda event: event["values"][objective])["query"]] if safe else []


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
        Points of accuracy; decades where a cost is the objective; normalised hypervolume with several
        objectives. An infeasible or missing recommendation counts as the worst feasible design, but at
        a budget of 0, where nothing has been seen, a missing one counts as a random design.
    """
    return regrets(task, bench, standing(task, events))


def regrets(task: Task, bench: Benchmark, stood: Sequence[Sequence[Design]]) -> np.ndarray:
    """As :func:`regret_curve`, from what :func:`standing` gave."""
    cache: dict[tuple[Design, ...], float] = {}
    found = []
    for k, designs in enumerate(stood):
        key = tuple(designs)
        if not key and task.checkpoints[k] == 0:
            found.append(task.frozen.random_regret[k])
            continue
        if key not in cache:
            cache[key] = _regret(task, bench, designs)
        found.append(cache[key])
    return np.array(found)


def _regret(task: Task, bench: Benchmark, designs: Sequence[Design]) -> float:
    measured = [bench.query(design, task.at) for design in designs]
    admitted = [m for m in measured if task.is_feasible(m)]
    if task.goal == "front":
        return _front_regret(task, admitted)
    if not admitted:
        return abs(task.frozen.best - task.frozen.worst)
    value = admitted[0][task.objectives[0]]
    return float(np.log10(value)) - task.frozen.best if task.goal == "cost" else task.frozen.best - value


def _front_regret(task: Task, admitted: Sequence[Measurement]) -> float:
    accuracy = np.array([m["accuracy"] for m in admitted])
    costs = np.array([[m[name] for name in cost_names(task)] for m in admitted])
    inside = accuracy >= task.frozen.best - front.ACCURACY_WINDOW
    if not inside.any():
        return task.frozen.best_hypervolume
    points = normalised(task, accuracy[inside], costs[inside])
    return task.frozen.best_hypervolume - front.hypervolume(points)
