"""A search session: the only way by which a method sees labels, and where it is charged for them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_imc.design import Design
from nasbench_imc.errors import BudgetExhausted, ProposalsExhausted, SearchError, unknown
from nasbench_imc.readonly import read_only
from nasbench_imc.tables.fidelity import fidelity_label

if TYPE_CHECKING:
    from nasbench_imc.suites.definition import Task
    from nasbench_imc.suites.domain import Domain
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
    cost_charged : float
        What the query took from the budget, in the task's unit: 0 where it had been made before, or the
        label is free.
    fidelity : str
        Track F: which label ``accuracy`` is; empty on other tracks.
    """

    design: Design
    values: Mapping[str, float] = field(hash=False)
    objectives: tuple[float, ...]
    feasible: bool
    cost_charged: float
    fidelity: str = ""


class Session:
    """One run of a method on a task. Made by :meth:`Task.session`.

    Attributes
    ----------
    task : Task
        What was frozen with it is withheld (:attr:`Task.as_searched`).
    seed : int
        Fixes the search labels, together with the task's suite (:meth:`Task.label_seed`).
    charged : float
        What has been charged so far, in the task's unit: a number of queries, on track F core-seconds.
    proposals : int
        Proposals so far: queries, repeated and free ones included, and looks at costs.
    observations : tuple of Observation
        What was charged, in order.
    """

    def __init__(self, task: Task, bench: Benchmark, seed: int) -> None:
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise SearchError(f"a session's label seed is an integer of at least 0, not {seed!r}")
        task.check_table(bench)
        self.task = task.as_searched
        self.seed = int(seed)
        self.charged: float = 0
        self.proposals = 0
        self._bench = bench
        self._costs = tuple(
            name for name in dict.fromkeys((*COMMON_COSTS, *task.metrics)) if name != "accuracy"
        )
        self._seen: dict[tuple[Design, str], Observation] = {}
        self._free: dict[Design, Observation] = {}
        self._seconds: dict[Design, float] = {}  # track F: of the clock, spent on a design
        self._with_proxies: set[str] = set()  # track F: architectures whose proxies have been paid
        self._events: list[dict[str, Any]] = []
        self._open = True

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False

    @property
    def budget_left(self) -> float:
        """What may still be charged, in the task's unit."""
        return self.task.budget - self.charged

    @property
    def observations(self) -> tuple[Observation, ...]:
        return tuple(self._seen.values())

    def query(self, design: Design, fidelity: str | None = None) -> Observation:
        """Ask for a design's search labels.

        The price is 1, on track F the core-seconds that the label takes beyond those already spent on the
        design; the first label of a run is charged with the training of the super-network too, where networks
        inherit from one. What has been asked for before is free, and so are, on track T, designs on a source
        hardware.

        Parameters
        ----------
        design : Design
        fidelity : str, optional
            Track F: one of ``task.fidelities``; default the last one, which is the search label.

        Raises
        ------
        BudgetExhausted
            Where the price exceeds what is left of the budget, or the number of proposals is spent; nothing
            is charged. On track F a look at a price is counted as a proposal.
        UnknownNameError
            Where the task does not admit the design or the fidelity; nothing is charged or counted.
        SearchError
            Where the session has ended.
        """
        task = self.task
        if self._on_source(design):
            return self._query_source(design)
        design = self._admitted(design)
        level = self._fidelity(fidelity)
        if (design, level) in self._seen:
            self.proposals += 1
            return replace(self._seen[design, level], cost_charged=0)
        price, made = self._label(design, level)
        if self.charged + price > task.budget:
            if level:
                self.proposals += 1  # the message tells a price
            raise BudgetExhausted(
                f"the budget of {task.budget} queries of {task.name} is spent"
                if not level
                else f"{task.name} has {self.budget_left:.6g} core-s left of {task.budget}; {level} of this "
                f"design takes {price:.6g}"
            )
        self.proposals += 1
        self.charged = self.charged + price
        self._seen[design, level] = made
        event: dict[str, Any] = {"query": task.domain.free(design)}
        if level:
            shared = 0.0 if self._seconds else self._bench.training(design.arch).supernet_seconds
            self._seconds[design] = self._seconds.get(design, 0.0) + price - shared
            event |= {"fidelity": level, "charged": price}
        values = {name: made.values[name] for name in task.metrics}
        self._events.append({**event, "values": values, "proposals": self.proposals})
        return made

    def _query_source(self, design: Design) -> Observation:
        """A free label: a proposal, and nothing else. The log has no trace of it."""
        design = self._admitted(design, self.task.source_domain)
        self.proposals += 1
        if design not in self._free:
            self._free[design] = replace(self._label(design, "")[1], cost_charged=0)
        return self._free[design]

    def _fidelity(self, asked: str | None) -> str:
        known = self.task.fidelities
        if not known:
            if asked is not None:
                raise SearchError(f"task {self.task.name} has labels of one fidelity, not {asked!r:.120}")
            return ""
        if asked is None:
            return known[-1]
        if asked not in known:
            raise unknown("fidelity for this task", asked, known)
        return asked

    def _label(self, design: Design, level: str) -> tuple[float, Observation]:
        """What a label costs, and what is seen for it."""
        task = self.task
        price: float = 1
        seed = task.label_seed(self.seed)
        measured = self._bench.query(design, task.at, labels="search", seed=seed)
        if level:
            label = fidelity_label(self._bench, design, task.at, level, seed)
            accuracy = label.accuracy
            # What was spent on a design is not spent again: its training goes on from where it stopped.
            price = max(0.0, label.seconds - self._seconds.get(design, 0.0))
            if not self._seconds:  # nothing can be inherited before there is a super-network
                price += self._bench.training(design.arch).supernet_seconds
            price = round(price, 6)
        else:
            accuracy = measured["accuracy"]
        values = {"accuracy": accuracy, **self._cost_values(measured)}
        return price, Observation(
            design,
            read_only(values),
            tuple(-values[name] if name == "accuracy" else values[name] for name in task.objectives),
            task.is_feasible(values),
            price,
            level,
        )

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
        design = self._admitted(design, self.task.source_domain if self._on_source(design) else None)
        self.proposals += 1
        return read_only(self._cost_values(self._bench.query(design, self.task.at)))

    def proxies(self, design: Design) -> Mapping[str, float]:
        """Zero-cost proxies of a design's untrained network; a proposal.

        They are free, but on track F charged once an architecture with the core-seconds that they take.

        Returns
        -------
        mapping of str to float
            Name, as in ``bench.proxy_names`` -> value [1]; empty where the table has none.

        Raises
        ------
        BudgetExhausted
            On track F where they take more than is left of the budget, else where the number of proposals is
            spent; nothing is charged.
        UnknownNameError, SearchError
            As in :meth:`query`.
        """
        design = self._admitted(design, self.task.source_domain if self._on_source(design) else None)
        self.proposals += 1
        if not self._bench.proxy_names:
            return read_only({})
        found = self._bench.proxies(design.arch)
        if self.task.fidelities and design.arch not in self._with_proxies:
            price = round(found.seconds, 6)
            if self.charged + price > self.task.budget:
                raise BudgetExhausted(
                    f"{self.task.name} has {self.budget_left:.6g} core-s left of {self.task.budget}; the "
                    f"proxies of this design take {price:.6g}"
                )
            self.charged = self.charged + price
            self._with_proxies.add(design.arch)
            event = {"proxies": self.task.domain.free(design), "charged": price, "proposals": self.proposals}
            self._events.append(event)
        return found.values

    def recommend(self, designs: Design | Iterable[Design]) -> None:
        """Name what is to be scored from now on, until the next recommendation.

        Without one, the best feasible design by search labels is scored (on track F, of those with the
        highest fidelity asked for); where there are several objectives those, up to 20, that add most
        hypervolume.

        Parameters
        ----------
        designs : Design or iterable of Design
            One design; where there are several objectives up to 20. Each must have been queried in this
            session, except that on track T, before the first charged query, one design may be named that
            was not.

        Raises
        ------
        UnknownNameError
            Where the task does not admit a design.
        SearchError
            Where there are none, too many, or one that has not been queried; what was recommended before
            still stands.
        """
        self._check_open()
        try:
            chosen = list(dict.fromkeys([designs] if isinstance(designs, Design) else designs))
        except TypeError:
            raise SearchError(
                f"a recommendation is a Design or several, not {type(designs).__name__}: {designs!r:.120}"
            ) from None
        guess = bool(self.task.sources) and not self.charged
        most = 1 if guess else self.task.max_recommended
        if not 1 <= len(chosen) <= most:
            raise SearchError(
                f"a recommendation on track {self.task.track} names 1 to {most} designs"
                f"{' before the first charged query' if guess else ''}, not {len(chosen)}"
            )
        queried = {design for design, _ in self._seen}
        admitted = []
        for design in chosen:
            if not guess and design not in queried:
                raise SearchError(f"only a queried design can be recommended, not {design!r:.200}")
            admitted.append(self.task.domain.admit(design))
        self._events.append({"recommend": [self.task.domain.free(design) for design in admitted]})

    def events(self) -> list[dict[str, Any]]:
        """What happened, for the run log: charged queries and recommendations, in order."""
        return copy.deepcopy(self._events)

    def _on_source(self, design: object) -> bool:
        return bool(self.task.sources) and isinstance(design, Design) and design.hardware in self.task.sources

    def _admitted(self, design: Design, domain: Domain | None = None) -> Design:
        self._check_open()
        design = (self.task.domain if domain is None else domain).admit(design)
        if self.proposals >= self.task.max_proposals:
            raise ProposalsExhausted(
                f"the {self.task.max_proposals} proposals of {self.task.name} are spent "
                f"({self.charged} of {self.task.budget} {self.task.unit} charged)"
            )
        return design

    def _cost_values(self, measured: Measurement) -> dict[str, float]:
        return {name: measured[name] for name in self._costs}

    def _check_open(self) -> None:
        if not self._open:
            raise SearchError("this session has ended; open another with task.session(seed)")
