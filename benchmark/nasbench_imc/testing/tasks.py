"""The benchmark's tasks made small: what is frozen stays consistent with the rules of a task file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cache
from typing import Any

from nasbench_imc.errors import TaskError, unknown
from nasbench_imc.networks import Network
from nasbench_imc.spaces import Space
from nasbench_imc.suites import Task, tasks
from nasbench_imc.suites.rules import rules

#: Proposals for a budget of 1 in sessions that a searcher may well end by them.
PROPOSALS_PER_BUDGET = 20


@cache
def one_a_kind() -> tuple[Task, ...]:
    """The first task of each track and goal; those to tune on come first."""
    found: dict[tuple[str, str], Task] = {}
    for task in sorted(tasks(), key=lambda task: task.suite):
        found.setdefault((task.track, task.goal), task)
    return tuple(found[kind] for kind in sorted(found))


def shrunk(task: Task, budget: int) -> Task:
    """The task up to its first checkpoint of at least ``budget``."""
    last = next((k for k, point in enumerate(task.checkpoints) if point >= budget), len(task.checkpoints) - 1)
    return _checked(_cut(task, last + 1, task.checkpoints[last]))


def of_budget_one(task: Task) -> Task:
    """The task with the smallest budget that there can be."""
    return _checked(replace(_cut(task, 1, 1), checkpoints=(1,)))


def limited(task: Task) -> bool:
    """Whether designs of the task can be infeasible."""
    return bool(task.limits or task.least)


def beyond_limits(task: Task) -> Task:
    """The task with limits on costs that no design keeps."""
    return _checked(_of_few_proposals(replace(task, limits=dict.fromkeys(task.limits, 1e-12))))


def on_few_designs(task: Task) -> Task:
    """The task on four designs, all of which keep the limits. It lives in this process alone."""
    few = replace(
        task,
        hardware=task.hardware[:1],
        weight_bits=task.weight_bits[:1],
        sparsity=task.sparsity[:1],
        limits=dict.fromkeys(task.limits, 1e12),
        least=dict.fromkeys(task.least, 1e-12),
    )
    few = _of_few_proposals(few)
    domain = few.domain  # made by the task itself, then held to few architectures
    domain.space = _FewArchitectures(domain.space)
    domain.__dict__.pop("variables", None)
    return few


def _cut(task: Task, checkpoints: int, budget: int) -> Task:
    """Keep the first checkpoints, and of everything frozen that has an entry for each."""
    frozen: dict[str, Any] = {}
    for field in fields(task.frozen):
        value = getattr(task.frozen, field.name)
        if isinstance(value, tuple) and len(value) == len(task.checkpoints):
            frozen[field.name] = value[:checkpoints]
    return replace(
        task,
        budget=budget,
        checkpoints=task.checkpoints[:checkpoints],
        frozen=replace(task.frozen, **frozen),
    )


def _of_few_proposals(task: Task) -> Task:
    return replace(task, max_proposals=min(task.max_proposals, PROPOSALS_PER_BUDGET * task.budget))


def _checked(task: Task) -> Task:
    for kept, rule in rules(task):
        if not kept:
            raise TaskError(f"{task.name} cannot be made small for the tests: {rule}")
    return task


class _FewArchitectures(Space):
    """Four codes of a space: the last two choices of its first two variables, the last of all others."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self.name = space.name

    @property
    def variables(self) -> Mapping[str, tuple[Any, ...]]:
        return {
            name: choices[-2 if k < 2 else -1 :]
            for k, (name, choices) in enumerate(self._space.variables.items())
        }

    def from_values(self, values: Mapping[str, Any]) -> str:
        code = self._space.from_values(values)
        self.values(code)
        return code

    def values(self, point: str) -> dict[str, Any]:
        values = self._space.values(point)
        for name, choices in self.variables.items():
            if values[name] not in choices:
                raise unknown(f"choice of {name}", values[name], choices)
        return values

    def canonical_form(self, code: str) -> Any:
        return self._space.canonical_form(code)

    def network(self, code: str) -> Network:
        return self._space.network(code)
