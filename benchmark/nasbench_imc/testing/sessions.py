"""Sessions that stand between a searcher and the true one: to watch what it does, or to change its labels."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import wraps
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

from nasbench_imc.design import Design
from nasbench_imc.errors import BudgetExhausted, SearchError
from nasbench_imc.suites import Observation, Session, Task
from nasbench_imc.tables import Benchmark

#: Calls of ``query`` after the end of the budget that a watched session answers.
PATIENCE = 1_000

#: What a task gives the harness and scoring, not a searcher.
FOR_THE_HARNESS = ("check_table", "from_json", "frozen", "load_table", "session")


class Enough(BaseException):
    """A searcher that swallows every Exception is ended by this."""


@dataclass
class Notes:
    """What a watched searcher did.

    Attributes
    ----------
    forbidden : list of str
        What it reached for and should not, in order.
    refused : list of str
        Recommendations that the session refused.
    changed : list of str
        What is not as the session gave it.
    after_end : int
        Queries after the first BudgetExhausted.
    """

    forbidden: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    after_end: int = 0


class _Stand:
    """Passes on what it is asked for; a subclass says what it does beside."""

    def __init__(self, inner: Any) -> None:
        object.__setattr__(self, "_inner", inner)

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # so that isinstance(session, Session) holds
        return type(self._inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _WatchedTask(_Stand):
    def __init__(self, inner: Task, notes: Notes) -> None:
        super().__init__(inner)
        object.__setattr__(self, "_notes", notes)

    def __getattr__(self, name: str) -> Any:
        if _private(name) or name in FOR_THE_HARNESS:
            self._notes.forbidden.append(f"session.task.{name}")
        return getattr(self._inner, name)

    def __eq__(self, other: object) -> bool:
        return bool(self._inner == getattr(other, "_inner", other))

    def __hash__(self) -> int:
        return hash(self._inner)


class _WatchedSession(_Stand):
    def __init__(self, inner: Session, notes: Notes) -> None:
        super().__init__(inner)
        object.__setattr__(self, "task", _WatchedTask(inner.task, notes))
        object.__setattr__(self, "_notes", notes)
        object.__setattr__(self, "_ended", False)
        object.__setattr__(self, "_given", [])

    def __getattr__(self, name: str) -> Any:
        if _private(name) or "bench" in name:
            self._notes.forbidden.append(f"session.{name}")
        return getattr(self._inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._notes.changed.append(f"session.{name}")
        setattr(self._inner, name, value)

    def query(self, *args: Any, **kwargs: Any) -> Observation:
        if self._ended:
            self._notes.after_end += 1
            if self._notes.after_end > PATIENCE:
                raise Enough
        try:
            seen = self._inner.query(*args, **kwargs)
        except BudgetExhausted:
            object.__setattr__(self, "_ended", True)
            raise
        self._given.append((seen, _copy(seen)))
        return seen

    def recommend(self, designs: Design | Iterable[Design]) -> None:
        try:
            self._inner.recommend(designs)
        except SearchError as error:
            self._notes.refused.append(str(error))
            raise


@contextmanager
def watched(session: Session, notes: Notes) -> Iterator[Session]:
    """A session that keeps in ``notes`` what is done with it, and does everything all the same."""
    task = session.task
    variables = {name: tuple(choices) for name, choices in task.domain.variables.items()}
    text = task.to_json()
    stand = _WatchedSession(session, notes)
    try:
        with _table_watched(notes):
            yield stand  # type: ignore[misc]
    finally:
        if task.to_json() != text:
            notes.changed.append("session.task")
        if list(task.domain.variables.items()) != list(variables.items()):
            notes.changed.append("session.task.domain.variables")
        if any(_copy(seen) != copy for seen, copy in stand._given):
            notes.changed.append("an observation")


@contextmanager
def _table_watched(notes: Notes) -> Iterator[None]:
    """Note who reads a table in the block and is not the benchmark itself."""

    def noted(name: str) -> Callable[..., Any]:
        method = getattr(Benchmark, name)

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not sys._getframe(1).f_globals.get("__name__", "").startswith("nasbench_imc."):
                notes.forbidden.append(f"Benchmark.{name}")
            return method(*args, **kwargs)

        return call

    with (
        patch.object(Benchmark, "query", noted("query")),
        patch.object(Benchmark, "array", noted("array")),
        patch.object(Benchmark, "table", noted("table")),
    ):
        yield


class _RelabelledSession(_Stand):
    """Shows other accuracies, or no feasible design."""

    def __init__(self, inner: Session, accuracy: Callable[[Design], float] | None, feasible: bool) -> None:
        super().__init__(inner)
        self._accuracy = accuracy
        self._feasible = feasible

    def query(self, *args: Any, **kwargs: Any) -> Observation:
        return self._changed(self._inner.query(*args, **kwargs))

    @property
    def observations(self) -> tuple[Observation, ...]:
        return tuple(self._changed(seen) for seen in self._inner.observations)

    def _changed(self, seen: Observation) -> Observation:
        if self._accuracy is not None:
            accuracy = self._accuracy(seen.design)
            seen = replace(
                seen,
                values=MappingProxyType({**seen.values, "accuracy": accuracy}),
                objectives=tuple(
                    -accuracy if name == "accuracy" else value
                    for name, value in zip(self._inner.task.objectives, seen.objectives, strict=True)
                ),
            )
        feasible = self._feasible and self._inner.task.is_feasible(seen.values)
        return replace(seen, feasible=feasible)


def relabelled(
    session: Session, accuracy: Callable[[Design], float] | None = None, *, feasible: bool = True
) -> Session:
    """A session that shows ``accuracy(design)`` [%] as label; where not ``feasible``, nothing is."""
    return _RelabelledSession(session, accuracy, feasible)  # type: ignore[return-value]


def _private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def _copy(seen: Observation) -> tuple[Any, ...]:
    return tuple(
        dict(value) if isinstance(value, Mapping) else value
        for value in (getattr(seen, field.name) for field in fields(seen))
    )
