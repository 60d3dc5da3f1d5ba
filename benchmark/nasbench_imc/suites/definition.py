"""Tasks: small data files that say what is searched, what is charged and what is scored."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import resources
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nasbench_imc import spaces
from nasbench_imc.design import Design
from nasbench_imc.errors import TaskError, UnavailableError, UnknownNameError, unknown
from nasbench_imc.readonly import read_only
from nasbench_imc.suites.domain import Domain
from nasbench_imc.suites.rules import SUITES, rules

if TYPE_CHECKING:
    from nasbench_imc.suites.session import Session
    from nasbench_imc.tables import Benchmark


Goal = Literal["accuracy", "front", "cost"]

#: Label seeds of the suite ``test`` begin here. Odd, so that seeds of the two suites also differ where a
#: table holds a few draws and takes the seed modulo their number.
TEST_LABELS = 1_000_003

#: Most designs that a recommendation for several objectives may name.
MAX_FRONT = 20


@dataclass(frozen=True, slots=True)
class Frozen:
    """What scoring needs of the whole table, computed once and frozen with the task.

    All of it is on score labels. Regret is in points of accuracy, in decades of the objective where that is a
    cost, and in normalised hypervolume where there are several objectives.

    Attributes
    ----------
    best : float
        Highest accuracy of a feasible design [%]; the lowest log10 of the objective where that is a cost.
    worst : float
        The other end of the same: what an infeasible recommendation scores.
    ideal, nadir : mapping of str to float
        Metric -> its best and worst value on the true Pareto front; empty with one objective.
    best_hypervolume : float
        Hypervolume of the true Pareto front; 0 with one objective.
    noise_floor : float
        What the labels cannot tell apart, as a regret: the standard deviation of the true best design's
        search label; with several objectives, of the true front's hypervolume by search labels; where a
        cost is minimised, what its best value rises by when each design must keep the least accuracy by
        one standard deviation of its label.
    margin : float
        Where a cost is minimised: by how much a search label must exceed the least accuracy for the design
        to be chosen where nothing is recommended [points]: what serves best with every design queried, of
        0 to 5 of those deviations. Else 0.
    reachable_regret : float
        Mean regret of choosing by search labels with every design queried.
    random_regret : tuple of float
        Expected regret of random search at each checkpoint, mean over the label seeds.
    random_regret_error : tuple of float
        Standard error of the above: 0 where it is in closed form.
    """

    best: float
    worst: float
    ideal: Mapping[str, float]
    nadir: Mapping[str, float]
    best_hypervolume: float
    noise_floor: float
    margin: float
    reachable_regret: float
    random_regret: tuple[float, ...]
    random_regret_error: tuple[float, ...]

    @property
    def optimum(self) -> float:
        """Regret up to which a run is at the optimum: within the noise floor of the reachable regret."""
        return self.reachable_regret + self.noise_floor

    @property
    def withheld(self) -> Frozen:
        """The margin alone, which a searcher may know; all else is NaN or empty.

        The optimum's cost, say, would tell which design is the optimum, since costs are free to look at.
        """
        nan = math.nan
        return Frozen(nan, nan, {}, {}, nan, nan, self.margin, nan, (), ())


@dataclass(frozen=True)
class Task:
    """One problem of the benchmark.

    Attributes
    ----------
    name : str
        For example ``"nb201/pcm-1d/M-energy"``.
    track : {"S", "C", "M", "J", "F", "T"}
    suite : {"dev", "test"}
        ``dev`` to tune a method on, ``test`` to publish.
    table, table_version, table_sha256 : str
        The table that answers.
    hardware, weight_bits, sparsity : tuple
        What a design may take.
    sources : tuple of str
        Track T: ids of the configurations whose labels are free.
    at : str
        Time since programming.
    objectives : tuple of str
        Metrics to optimise: accuracy, which is maximised, and costs, which are minimised.
    limits : mapping of str to float
        Cost -> its largest admissible value, in the metric's unit.
    least : mapping of str to float
        Where a cost is the objective: ``accuracy`` -> its smallest admissible value [%].
    fidelities : tuple of str
        Track F: labels that may be asked for, cheapest first, the last one being the search label of the
        other tracks; see :mod:`nasbench_imc.tables.fidelity`.
    budget : int
        What a session may charge: queries, on track F core-seconds of the simulated clock.
    max_proposals : int
        Queries, repeated and free ones included, and looks at costs that a session admits.
    checkpoints : tuple of int
        Budgets at which a run is scored.
    label_seeds : int
        Seeds 0 .. label_seeds - 1 are those over which references are averaged.
    frozen : Frozen
    """

    name: str
    track: str
    suite: str
    table: str
    table_version: str
    table_sha256: str
    hardware: tuple[str, ...]
    weight_bits: tuple[int, ...]
    sparsity: tuple[float, ...]
    sources: tuple[str, ...]
    at: str
    objectives: tuple[str, ...]
    limits: Mapping[str, float]
    least: Mapping[str, float]
    fidelities: tuple[str, ...]
    budget: int
    max_proposals: int
    checkpoints: tuple[int, ...]
    label_seeds: int
    frozen: Frozen = field(repr=False)

    def __hash__(self) -> int:  # a mapping among the fields has no hash
        return hash((self.name, self.table_sha256))

    @cached_property
    def domain(self) -> Domain:
        """The designs that the task admits."""
        return Domain(spaces.get(self.table), self.hardware, self.weight_bits, self.sparsity)

    @cached_property
    def as_searched(self) -> Task:
        """The task as a session shows it: what was frozen from the whole table is withheld.

        It has no file, and its SHA-256 is not that of the task.
        """
        made = replace(self, frozen=self.frozen.withheld)
        made.__dict__["domain"] = self.domain
        return made

    @cached_property
    def source_domain(self) -> Domain | None:
        """Track T: the designs whose labels are free; None on other tracks."""
        if not self.sources:
            return None
        return Domain(spaces.get(self.table), self.sources, self.weight_bits, self.sparsity)

    @cached_property
    def goal(self) -> Goal:
        """What is scored: one accuracy, one cost, or a front of accuracy against costs."""
        if "accuracy" not in self.objectives:
            return "cost"
        return "accuracy" if len(self.objectives) == 1 else "front"

    @property
    def unit(self) -> str:
        """What the budget counts."""
        return "core-s" if self.fidelities else "queries"

    @property
    def max_recommended(self) -> int:
        """Most designs that a recommendation may name."""
        return MAX_FRONT if self.goal == "front" else 1

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """What a run log records of a query: accuracy, the objectives and the limited metrics."""
        return tuple(dict.fromkeys(("accuracy", *self.objectives, *self.limits)))

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the task file that :meth:`to_json` gives: what a run log names."""
        return hashlib.sha256(self.to_json().encode("utf-8")).hexdigest()

    @property
    def margin(self) -> float:
        """By how much a search label must exceed the least accuracy to be recommended for it [points].

        0 where no least accuracy is asked for. It guards against the cheapest of many designs that only
        seem to keep the limit.
        """
        return self.frozen.margin

    def label_seed(self, seed: int) -> int:
        """The table's label seed for a session of this seed.

        Those of the two suites differ, so that nobody tunes on the labels that a test shows.
        """
        return seed + (TEST_LABELS if self.suite == "test" else 0)

    def is_feasible(self, values: Mapping[str, float]) -> bool:
        """Whether a design with these values keeps all limits."""
        for name, limit in self.limits.items():
            if values[name] > limit:
                return False
        for name, limit in self.least.items():  # noqa: SIM110 (asked of every query that is scored)
            if values[name] < limit:
                return False
        return True

    def session(self, seed: int, bench: Benchmark | None = None) -> Session:
        """A search session, to be used in a ``with`` block.

        Parameters
        ----------
        seed : int
            Label seed: which noise the search labels carry.
        bench : Benchmark, optional
            The task's table, where it is loaded already.

        Raises
        ------
        TaskError
            Where ``bench`` is another table, or another version, than the task was frozen with.
        """
        from nasbench_imc.suites.session import Session

        return Session(self, self.load_table() if bench is None else bench, seed)

    def load_table(self) -> Benchmark:
        """The task's table; see :func:`nasbench_imc.load`."""
        return _load(self.table)

    def check_table(self, bench: Benchmark) -> None:
        """Raise TaskError where ``bench`` is not the table of the task, or cannot answer it.

        A table that is not official (see ``NASBENCH_IMC_DATA``) passes; its logs say so.
        """
        if bench.name != self.table or (bench.official and bench.sha256 != self.table_sha256):
            raise TaskError(
                f"task {self.name!r} belongs to table {self.table!r} {self.table_version} "
                f"(SHA-256 {self.table_sha256[:12]}...), not to {bench.name!r} {bench.version} "
                f"({bench.sha256[:12]}...)"
            )
        try:
            for id_, bits, sparsity in product(
                (*self.hardware, *self.sources), self.weight_bits, self.sparsity
            ):
                bench.query(Design(bench.architectures[0], id_, bits, sparsity), self.at)["accuracy"]
            for metric in self.metrics:
                if metric not in bench.metrics:
                    raise unknown("metric", metric, bench.metrics)
                if metric != "accuracy" and bench.metrics[metric].direction != "minimise":
                    costs = [name for name, each in bench.metrics.items() if each.direction == "minimise"]
                    raise UnavailableError(
                        f"{metric} is not a cost that is minimised, as objectives beside accuracy and limits "
                        f"are; such are {', '.join(costs)}"
                    )
        except (UnknownNameError, UnavailableError) as error:
            raise TaskError(f"task {self.name!r} does not fit table {bench.name!r}: {error}") from error

    def to_json(self) -> str:
        """The task file."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        data |= {"limits": dict(self.limits), "least": dict(self.least)}
        data["frozen"] = {
            name: dict(value) if isinstance(value, Mapping) else value
            for name, value in ((n, getattr(self.frozen, n)) for n in Frozen.__dataclass_fields__)
        }
        return json.dumps(data, indent=2) + "\n"

    @staticmethod
    def from_json(text: str, origin: str) -> Task:
        """Read a task file.

        Raises
        ------
        TaskError
            Where it is malformed; the message names ``origin``.
        """
        try:
            data = json.loads(text, parse_constant=_no_constant)
            frozen = data.pop("frozen")
            made = Task(
                **{name: _immutable(value) for name, value in data.items()},
                frozen=Frozen(**{name: _immutable(value) for name, value in frozen.items()}),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise TaskError(f"{origin} is not a task file: {type(error).__name__} {error}") from error
        for kept, rule in rules(made):
            if not kept:
                raise TaskError(f"{origin}: {rule}")
        return made


@cache
def _load(table: str) -> Benchmark:
    """One copy of a table a process, since sessions are many and tables do not change."""
    from nasbench_imc.tables import load

    return load(table)


@cache
def _all_tasks() -> Mapping[str, Task]:
    folder = resources.files("nasbench_imc.suites").joinpath("data")
    found = [
        Task.from_json(entry.read_text(encoding="utf-8"), entry.name)
        for entry in folder.iterdir()
        if entry.name.endswith(".json")
    ]
    return read_only({made.name: made for made in sorted(found, key=lambda made: made.name)})


def tasks(suite: str | None = None) -> list[Task]:
    """The tasks of a suite, or all of them.

    Parameters
    ----------
    suite : {"dev", "test"}, optional

    Raises
    ------
    UnknownNameError
        Where no suite has this name.
    """
    if suite is not None and suite not in SUITES:
        raise unknown("suite", suite, SUITES)
    return [made for made in _all_tasks().values() if suite in (None, made.suite)]


def is_shipped(made: Task) -> bool:
    """Whether a task is one of the benchmark's own.

    Raises
    ------
    TaskError
        Where it bears the name of one and is another.
    """
    shipped = _all_tasks().get(made.name)
    if shipped not in (None, made):
        raise TaskError(
            f"{made.name!r} is the name of a task of the benchmark, and this is another; rename it"
        )
    return shipped is not None


def shipped_task(name: str) -> Task:
    """A task of the benchmark by its name. No file is opened, so the name may be a stranger's.

    Raises
    ------
    UnknownNameError
        Where no task of the benchmark has this name.
    """
    if not isinstance(name, str) or name not in _all_tasks():
        raise unknown("task", name, _all_tasks())
    return _all_tasks()[name]


def task(name: str) -> Task:
    """A task by its name, or from a task file (a path that ends in ``.json``).

    Raises
    ------
    UnknownNameError
        Where no task has this name.
    TaskError
        Where the file is malformed or missing, or is a plan.
    """
    if isinstance(name, str) and name.endswith(".toml"):
        raise TaskError(f"{name} is no task file: `nasbench-imc build task {name} --out FILE.json` makes one")
    if isinstance(name, str) and name.endswith(".json"):
        if not Path(name).is_file():
            raise TaskError(f"there is no task file {name}")
        return Task.from_json(Path(name).read_text(encoding="utf-8", errors="replace"), name)
    return shipped_task(name)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _immutable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return read_only(value) if isinstance(value, dict) else value
