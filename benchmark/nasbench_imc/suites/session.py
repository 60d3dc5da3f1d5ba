"""A search session: the only way by which a method sees labels, and where it is charged for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_imc.design import Design
from nasbench_imc.errors import BudgetExhausted, ProposalsExhausted, SearchError

if TYPE_CHECKING:
    from nasbench_imc.suites.definition import Task
    from nasbench_imc.tables import Benchmark, Measurement

#: Costs that every observation shows, beside the task's own metrics.
COMMON_COSTS = ("energy", "latency", "area")


@dataclass(frozen=True, slots=True)
class Observation:
    """What a query shows of a design.

    Attributes
    ----------
    design : Design
    values : mapping of str to float
        Metric -> value in the unit that its table states; ``accuracy`` is a search label.
    objectives : tuple of float
        The task's objectives, each to be minimised: an accuracy with its sign turned, a cost as it is.
    feasible : bool
        Whether the design keeps the task's limits.
    cost_charged : int
        What the query took from the budget: 0 where the design had been queried before.
    """

    design: Design
    values: Mapping[str, float]
    objectives: tuple[float, ...]
    feasible: bool
    cost_charged: int


class Session:
    """One run of a method on a task. Made by :meth:`Task.session`.

    Attributes
    ----------
    task : Task
    seed : int
        Label seed.
    charged : int
        Queries charged so far.
    proposals : int
        Proposals so far: queries, repeated ones included, and looks at costs.
    observations : tuple of Observation
        What was charged, in order.
    """

    def __init__(self, task: Task, bench: Benchmark, seed: int) -> None:
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise SearchError(f"a session's label seed is an integer of at least 0, not {seed!r}")
        task.check_table(bench)
        self.task = task
        self.seed = int(seed)
        self.charged = 0
        self.proposals = 0
        self._bench = bench
        self._maximised = frozenset(
            name for name in task.objectives if bench.metrics[name].direction == "maximise"
        )
        self._costs = tuple(
            name for name in dict.fromkeys((*COMMON_COSTS, *task.metrics)) if name != "accuracy"
        )
        self._seen: dict[Design, Observation] = {}
        self._events: list[dict[str, Any]] = []
        self._open = True

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False

    @property
    def budget_left(self) -> int:
        """Queries that may still be charged."""
        return self.task.budget - self.charged

    @property
    def observations(self) -> tuple[Observation, ...]:
        return tuple(self._seen.values())

    def query(self, design: Design) -> Observation:
        """Ask for a design's search labels, at the price of 1 unless it has been asked for before.

        Raises
        ------
        BudgetExhausted
            Where the budget or the number of proposals is spent; nothing is charged or counted.
        UnknownNameError
            Where the task does not admit the design; nothing is charged or counted.
        SearchError
            Where the session has ended.
        """
        self._check(design)
        if design in self._seen:
            self.proposals += 1
            seen = self._seen[design]
            return Observation(design, seen.values, seen.objectives, seen.feasible, cost_charged=0)
        if self.charged >= self.task.budget:
            raise BudgetExhausted(f"the budget of {self.task.budget} queries of {self.task.name} is spent")
        measured = self._bench.query(design, self.task.at, labels="search", seed=self.seed)
        values = {"accuracy": measured["accuracy"], **self._cost_values(measured)}
        made = Observation(
            design,
            MappingProxyType(values),
            tuple(
                -values[name] if name in self._maximised else values[name] for name in self.task.objectives
            ),
            all(values[name] <= limit for name, limit in self.task.limits.items()),
            cost_charged=1,
        )
        self.proposals += 1
        self.charged += 1
        self._seen[design] = made
        self._events.append(
            {
                "query": self.task.domain.free(design),
                "values": {name: values[name] for name in self.task.metrics},
                "proposals": self.proposals,
            }
        )
        return made

    def cost(self, design: Design) -> Mapping[str, float]:
        """A design's hardware metrics, which are analytic: free, but a proposal.

        Returns
        -------
        mapping of str to float
            Energy, latency, area and the task's own costs, in the units that the table states.

        Raises
        ------
        ProposalsExhausted
            Where the number of proposals is spent.
        UnknownNameError, SearchError
            As in :meth:`query`.
        """
        self._check(design)
        self.proposals += 1
        return MappingProxyType(self._cost_values(self._bench.query(design, self.task.at)))

    def recommend(self, designs: Design | Iterable[Design]) -> None:
        """Name what is to be scored from now on, until the next recommendation.

        Without one, the best feasible design by search labels is scored; on track M those, up to 20,
        that add most hypervolume.

        Parameters
        ----------
        designs : Design or iterable of Design
            One design; on track M up to 20. Each must have been queried in this session.

        Raises
        ------
        SearchError
            Where there are none, too many, or one that has not been queried; what was recommended before
            still stands.
        """
        self._check_open()
        try:
            chosen = [designs] if isinstance(designs, Design) else list(dict.fromkeys(designs))
        except TypeError:
            raise SearchError(
                f"a recommendation is a Design or several, not {type(designs).__name__}: {designs!r:.120}"
            ) from None
        if not 1 <= len(chosen) <= self.task.max_recommended:
            raise SearchError(
                f"a recommendation on track {self.task.track} names 1 to {self.task.max_recommended} "
                f"designs, not {len(chosen)}"
            )
        for design in chosen:
            if design not in self._seen:
                raise SearchError(f"only a queried design can be recommended, not {design!r}")
        self._events.append({"recommend": [self.task.domain.free(design) for design in chosen]})

    def events(self) -> list[dict[str, Any]]:
        """What happened, for the run log: charged queries and recommendations, in order."""
        return list(self._events)

    def _check(self, design: Design) -> None:
        self._check_open()
        self.task.domain.check(design)
        if self.proposals >= self.task.max_proposals:
            raise ProposalsExhausted(
                f"the {self.task.max_proposals} proposals of {self.task.name} are spent "
                f"({self.charged} of {self.task.budget} queries charged)"
            )

    def _cost_values(self, measured: Measurement) -> dict[str, float]:
        return {name: measured[name] for name in self._costs}

    def _check_open(self) -> None:
        if not self._open:
            raise SearchError("this session has ended; open another with task.session(seed)")
