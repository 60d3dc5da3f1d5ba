"""Freezing tasks: from a short description and a table to a task file."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from nasbench_imc.design import Design
from nasbench_imc.errors import TaskError
from nasbench_imc.files import replacing
from nasbench_imc.hardware import grid
from nasbench_imc.scoring import front, random_search
from nasbench_imc.suites import tasks
from nasbench_imc.suites.definition import MAX_FRONT, Frozen, Task
from nasbench_imc.suites.rules import rules_of_statement
from nasbench_imc.tables import Benchmark
from nasbench_imc.tables.fidelity import fidelities, fidelity_label
from nasbench_imc.tables.labels import Kind

LABEL_SEEDS = 30
FLOOR_SEEDS = 300  # label seeds that estimate the noise of what is no plain accuracy
MARGINS = range(6)  # above a least accuracy, in standard deviations of the label noise
SIMULATED_RUNS = 10_020  # the same number for each label seed
TRANSFER_CHECKPOINTS = (0, 5, 20, 50)
#: At least, and for each query of the budget: free labels and looks at costs have no other cap.
PROPOSALS, PROPOSALS_A_QUERY = 4_000, 100


@dataclass(frozen=True, slots=True)
class Plan:
    """A task before freezing; fields as in :class:`Task`.

    Attributes
    ----------
    limits, least : mapping of str to float
        Metric -> the share of designs that keep the limit, which is rounded to four digits, outwards.
    budget : int
        Queries; on track F the time that so many designs take on average, beyond the super-network's. Track T
        has fixed checkpoints.
    multi_fidelity : bool
        Whether it is of track F.
    """

    name: str
    suite: str
    hardware: tuple[str, ...]
    objectives: tuple[str, ...] = ("accuracy",)
    limits: Mapping[str, float] = field(default_factory=dict)
    least: Mapping[str, float] = field(default_factory=dict)
    at: str = "1d"
    weight_bits: tuple[int, ...] = (8,)
    sparsity: tuple[float, ...] = (0.0,)
    sources: tuple[str, ...] = ()
    budget: int = 200
    multi_fidelity: bool = False

    @property
    def track(self) -> str:
        if self.sources:
            return "T"
        if self.objectives[0] != "accuracy":
            return "J"
        if self.multi_fidelity:
            return "F"
        if len(self.hardware) * len(self.weight_bits) * len(self.sparsity) > 1:
            return "J"
        return "C" if self.limits else "S" if self.objectives == ("accuracy",) else "M"


_SRAM = ("sram-digital-r128",)
_PCM = ("pcm-r512-adc8-mux4",)
_SIZES = "sram-digital-r64", "sram-digital-r128", "sram-digital-r256"
_ALL = *_SIZES, *_PCM  # all that have an accuracy
_COSTS = ("energy", "latency", "area")
_JOINT = (  # the classes of the reference chips, each with both numbers of columns an ADC
    "sram-digital-r128",
    "sram-digital-r256",
    *(
        f"{kind}-mux{columns}"
        for kind in (
            "sram-analog-r64-adc6",
            "sram-analog-r256-adc8",
            "rram-sliced-r64-adc6",
            "rram-sliced-r128-adc8",
            "rram-analog-r256-adc8",
            "pcm-r128-adc6",
            "pcm-r256-adc8",
        )
        for columns in (4, 16)
    ),
)

# On `hybrid`, `dev` has other accuracy classes than `test`: an evaluated label is one number, whatever the
# seed, and what was tuned on it must not be tested on it.
_REFERENCES = {config.accuracy_class for config in grid() if config.reference}
_OTHERS = tuple(
    config.id
    for config in grid()
    if config.accuracy_class not in _REFERENCES and config.accuracy_class != "pcm-aihwkit-t512"
)


def _joint(
    name: str,
    objectives: tuple[str, ...] = ("accuracy",),
    limits: Mapping[str, float] = MappingProxyType({}),
    least: Mapping[str, float] = MappingProxyType({}),
    budget: int = 200,
) -> Plan:
    """Networks, bits, sparsity and hardware of ``hybrid`` together: 110,592 designs."""
    return Plan(
        f"hybrid/joint/{name}",
        "test",
        _JOINT,
        objectives,
        limits,
        least,
        weight_bits=(8, 4),
        sparsity=(0.0, 0.5),
        budget=budget,
    )


# On `hybrid` a search label is one number. Hardware and limits are those where all of them together lead near
# the best; elsewhere the best score label owes so much to noise that no search finds it. Budgets, on both
# tables: no reference searcher is at the optimum in half of its runs; but track T has fixed budgets.
PLANS = {
    "nb201": (
        Plan("nb201/pcm-t0/S-accuracy", "dev", _PCM, at="t0", budget=15),
        Plan("nb201/pcm-t0/C-energy", "dev", _PCM, limits={"energy": 0.75}, at="t0", budget=12),
        Plan("nb201/sram-digital/C-memory", "dev", _SRAM, limits={"weight_memory": 0.5}, budget=12),
        Plan("nb201/sram-digital/M-energy", "dev", _SRAM, ("accuracy", "energy")),
        Plan("nb201/joint/J-edap", "dev", _ALL, ("edap",), least={"accuracy": 0.05}, budget=40),
        Plan("nb201/pcm-to-sram/T-energy", "dev", _SRAM, ("accuracy", "energy"), sources=_PCM),
        Plan("nb201/sram-digital/S-accuracy", "test", _SRAM, budget=25),
        Plan("nb201/sram-digital/C-latency", "test", _SRAM, limits={"latency": 0.8}, budget=40),
        Plan("nb201/pcm-1d/M-energy", "test", _PCM, ("accuracy", "energy"), budget=60),
        Plan("nb201/sram-digital/M-energy-latency-area", "test", _SRAM, ("accuracy", *_COSTS)),
        Plan("nb201/joint/J-front", "test", _ALL, ("accuracy", "energy", "area")),
        Plan(
            "nb201/sram-sizes/J-energy-area", "test", _SIZES, limits={"energy": 0.5, "area": 0.5}, budget=16
        ),
        Plan("nb201/sram-to-pcm-t0/T-energy", "test", _PCM, ("accuracy", "energy"), at="t0", sources=_SRAM),
    ),
    "hybrid": (
        Plan("hybrid/pcm-1d/S-accuracy", "dev", ("pcm-r64-adc6-mux4",), budget=7),
        Plan(
            "hybrid/sram-analog/C-energy",
            "dev",
            ("sram-analog-r128-adc8-mux4",),
            limits={"energy": 0.3},
            budget=12,
        ),
        Plan(
            "hybrid/sram-analog-adc6/C-area",
            "dev",
            ("sram-analog-r256-adc6-mux4",),
            limits={"area": 0.5},
            budget=12,
        ),
        Plan(
            "hybrid/rram-analog/C-energy",
            "dev",
            ("rram-analog-r128-adc5-mux16",),
            limits={"energy": 0.3},
            budget=12,
        ),
        Plan("hybrid/pcm-1d/M-energy", "dev", ("pcm-r128-adc8-mux4",), ("accuracy", "energy"), budget=20),
        Plan(
            "hybrid/rram-analog/M-latency",
            "dev",
            ("rram-analog-r128-adc8-mux16",),
            ("accuracy", "latency"),
            budget=8,
        ),
        Plan("hybrid/others/J-edap", "dev", _OTHERS, ("edap",), least={"accuracy": 0.1}, budget=40),
        Plan("hybrid/pcm-1d/F-accuracy", "dev", ("pcm-r64-adc6-mux4",), budget=8, multi_fidelity=True),
        Plan(
            "hybrid/pcm-to-rram-sliced/T-energy",
            "dev",
            ("rram-sliced-r64-adc8-mux4",),
            ("accuracy", "energy"),
            sources=("pcm-r64-adc6-mux4",),
        ),
        Plan(
            "hybrid/sram-digital-4-bit/S-accuracy",
            "test",
            ("sram-digital-r128",),
            weight_bits=(4,),
            budget=10,
        ),
        Plan(
            "hybrid/sram-analog-pruned/S-accuracy",
            "test",
            ("sram-analog-r256-adc8-mux4",),
            weight_bits=(4,),
            sparsity=(0.5,),
            budget=20,
        ),
        Plan("hybrid/rram-sliced/S-accuracy", "test", ("rram-sliced-r128-adc8-mux16",), budget=8),
        Plan(
            "hybrid/sram-digital/C-energy", "test", ("sram-digital-r128",), limits={"energy": 0.5}, budget=13
        ),
        Plan(
            "hybrid/sram-analog/C-area",
            "test",
            ("sram-analog-r256-adc8-mux4",),
            limits={"area": 0.3},
            budget=10,
        ),
        Plan(
            "hybrid/rram-sliced/C-energy",
            "test",
            ("rram-sliced-r64-adc6-mux16",),
            limits={"energy": 0.5},
            budget=15,
        ),
        Plan(
            "hybrid/rram-analog/C-memory",
            "test",
            ("rram-analog-r256-adc8-mux16",),
            limits={"weight_memory": 0.3},
            budget=10,
        ),
        Plan(
            "hybrid/pcm-1h/C-latency",
            "test",
            ("pcm-r256-adc8-mux4",),
            limits={"latency": 0.3},
            at="1h",
            budget=12,
        ),
        Plan(
            "hybrid/pcm-1d/C-memory",
            "test",
            ("pcm-r128-adc6-mux4",),
            limits={"weight_memory": 0.5},
            budget=9,
        ),
        Plan(
            "hybrid/sram-digital/M-energy", "test", ("sram-digital-r128",), ("accuracy", "energy"), budget=60
        ),
        Plan(
            "hybrid/sram-analog/M-energy-area",
            "test",
            ("sram-analog-r64-adc6-mux4",),
            ("accuracy", "energy", "area"),
            budget=40,
        ),
        Plan(
            "hybrid/rram-sliced/M-energy-latency-area",
            "test",
            ("rram-sliced-r128-adc8-mux16",),
            ("accuracy", *_COSTS),
            budget=28,
        ),
        _joint("J-energy-area", limits={"energy": 0.3, "area": 0.3}, budget=40),
        _joint("J-front", ("accuracy", "energy", "area"), budget=120),
        _joint("J-edap", ("edap",), least={"accuracy": 0.15}, budget=30),
        Plan(
            "hybrid/rram-sliced-pruned/F-accuracy",
            "test",
            ("rram-sliced-r64-adc6-mux16",),
            sparsity=(0.5,),
            budget=15,
            multi_fidelity=True,
        ),
        Plan(
            "hybrid/pcm-1d/F-energy",
            "test",
            ("pcm-r256-adc8-mux4",),
            ("accuracy", "energy"),
            budget=18,
            multi_fidelity=True,
        ),
        Plan(
            "hybrid/pcm-to-sram-digital/T-energy",
            "test",
            ("sram-digital-r128",),
            ("accuracy", "energy"),
            sources=("pcm-r256-adc8-mux4",),
        ),
        Plan(
            "hybrid/sram-to-rram-sliced/T-energy-area",
            "test",
            ("rram-sliced-r64-adc6-mux16",),
            ("accuracy", "energy", "area"),
            sources=("sram-digital-r128", "sram-analog-r64-adc6-mux4"),
        ),
    ),
}


def read_plan(path: Path) -> tuple[str, Plan]:
    """A table's name and a plan on it, from a TOML file: ``table``, and the fields of :class:`Plan`.

    Raises
    ------
    TaskError
        Where it is malformed, or lacks or does not know a field.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TaskError(f"{path} is no TOML file: {error}") from error
    known = {each.name for each in fields(Plan)}
    if given.get("name") in {task.name for task in tasks()}:
        raise TaskError(f"{path}: {given['name']} is a task of the benchmark; give yours another name")
    strange, lacking = given.keys() - known - {"table"}, {"table", "name", "suite", "hardware"} - given.keys()
    if strange or lacking:
        raise TaskError(
            f"{path} {'does not know' if strange else 'lacks'} {', '.join(sorted(strange or lacking))}; a "
            f"plan has table, {', '.join(each.name for each in fields(Plan))}"
        )
    table = given.pop("table")
    try:
        values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in given.items()}
        plan = Plan(**values)
        _check(plan)
    except (TypeError, ValueError) as error:
        raise TaskError(f"{path} is no plan of a task: {error}") from error
    return table, plan


def _check(plan: Plan) -> None:
    """Raise ValueError where a field is not of its kind."""
    for name in ("hardware", "objectives", "weight_bits", "sparsity", "sources"):
        if not isinstance(value := getattr(plan, name), tuple) or not (value or name == "sources"):
            raise ValueError(
                f"{name} is a list{' that is not empty' if value == () else f', not {value!r:.80}'}"
            )
    if type(plan.budget) is not int or plan.budget < 1:
        raise ValueError(f"budget is a whole number of queries, 1 or more, not {plan.budget!r:.40}")
    if type(plan.multi_fidelity) is not bool:
        raise ValueError(f"multi_fidelity is true or false, not {plan.multi_fidelity!r:.40}")
    for name in ("limits", "least"):
        if not isinstance(shares := getattr(plan, name), Mapping):
            raise ValueError(f"{name} is a table of metrics and shares, not {shares!r:.80}")
        for metric, share in shares.items():
            if type(share) not in (int, float) or not 0 < share < 1:
                raise ValueError(
                    f"{name} give the share of designs that keep them, above 0 and below 1, not {metric} = "
                    f"{share!r:.40}"
                )


def checkpoints(budget: int, unit: float = 1.0) -> tuple[int, ...]:
    """Up to seven budgets, evenly spaced in their logarithm, from a twentieth of the last and at least 5."""
    spaced = np.geomspace(min(budget, max(5, budget / 20)), budget, 7) * unit
    return tuple(sorted({round(float(n)) for n in spaced}))


def freeze_all(bench: Benchmark, folder: Path, *, log: Callable[[str], None] = print) -> list[Task]:
    """Freeze every task of a table and write its file into ``folder``; one that is dropped is named.

    Dropped is what cannot be frozen, and where random search ends at the optimum: within the noise floor of
    what choosing by search labels among all designs leaves.

    Raises
    ------
    TaskError
        Where a suite is left without a track that it was to have.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for plan in PLANS[bench.name]:
        log(f"freezing {plan.name}")
        file = folder / (plan.name.replace("/", "__") + ".json")
        try:
            task = freeze(plan, bench)
            _check_difficulty(task)
        except TaskError as error:
            log(f"dropped: {error}")
            file.unlink(missing_ok=True)  # of an earlier table, which it would still name
            continue
        with replacing(file) as temporary:
            temporary.write_text(task.to_json(), encoding="utf-8")
        made.append(task)
    planned = {(plan.suite, plan.track) for plan in PLANS[bench.name]}
    if lost := sorted(planned - {(task.suite, task.track) for task in made}):
        tracks = ", ".join(f"track {track} of {suite}" for suite, track in lost)
        raise TaskError(f"no task is left for {tracks} on {bench.name!r}; change their plans")
    return made


def freeze(plan: Plan, bench: Benchmark) -> Task:
    """Compute a task's limits, reference points and random search's regret from the whole table.

    Raises
    ------
    TaskError
        Where random search ends within the noise floor, so that the task tells no methods apart; where too
        few designs keep the limits; where the plan's track and fields do not fit.
    """
    task = _blank(plan, bench)
    for holds, rule in rules_of_statement(replace(task, limits=plan.limits, least=plan.least)):
        if not holds:
            raise TaskError(f"{plan.name}: {rule}")
    replace(task, limits=plan.limits).check_table(bench)
    designs = _Designs(plan, bench)
    shares = {name: (share, 1) for name, share in plan.limits.items()}
    shares |= {name: (1 - share, -1) for name, share in plan.least.items()}
    bounds = {
        metric: _outwards(float(np.quantile(designs.column(metric), quantile)), up=sign > 0)
        for metric, (quantile, sign) in shares.items()
    }
    task = replace(
        task,
        limits={name: bounds[name] for name in plan.limits},
        least={name: bounds[name] for name in plan.least},
    )
    kept = int(designs.admitted(task.limits).sum())
    if kept < max(1, *task.checkpoints) and not task.fidelities:
        raise TaskError(
            f"{plan.name}: {kept:,} designs keep the limits, fewer than the budget of {task.budget}"
        )
    if kept * task.max_proposals < 2 * task.budget * len(designs.column("accuracy")) and task.limits:
        raise TaskError(
            f"{plan.name}: {kept:,} designs keep the limits, so that {task.max_proposals:,} looks at costs "
            f"find too few of them for a budget of {task.budget}"
        )
    freezers = {"accuracy": _freeze_accuracy, "front": _freeze_front, "cost": _freeze_cost}
    frozen = freezers[task.goal](task, designs)
    if frozen.random_regret[-1] < frozen.noise_floor:
        raise TaskError(
            f"{plan.name} is too easy: random search ends {frozen.random_regret[-1]:.3g} from the best, "
            f"the labels' noise floor is {frozen.noise_floor:.3g}"
        )
    return Task.from_json(replace(task, frozen=_reproducible(frozen, task.goal)).to_json(), plan.name)


def _check_difficulty(task: Task) -> None:
    """Raise TaskError where random search ends at the optimum, as far as labels can tell."""
    frozen = task.frozen
    if frozen.random_regret[-1] < frozen.optimum:
        raise TaskError(
            f"{task.name} is too easy: random search ends {frozen.random_regret[-1]:.3g} from the best, all "
            f"search labels together {frozen.reachable_regret:.3g}, and the noise floor is "
            f"{frozen.noise_floor:.3g}"
        )


def _blank(plan: Plan, bench: Benchmark) -> Task:
    """A task without limits and reference points."""
    at = _checkpoints(plan, bench)
    return Task(
        name=plan.name,
        track=plan.track,
        suite=plan.suite,
        table=bench.name,
        table_version=bench.version,
        table_sha256=bench.sha256,
        hardware=plan.hardware,
        weight_bits=plan.weight_bits,
        sparsity=plan.sparsity,
        sources=plan.sources,
        at=plan.at,
        objectives=plan.objectives,
        limits={},
        least={},
        fidelities=fidelities(bench) if plan.multi_fidelity else (),
        budget=at[-1],
        max_proposals=max(PROPOSALS, 0 if plan.multi_fidelity else PROPOSALS_A_QUERY * at[-1]),
        checkpoints=at,
        # Means over all draws are one number, whatever the seed.
        label_seeds=1 if bench.draws else LABEL_SEEDS,
        frozen=Frozen(0.0, 0.0, {}, {}, 0.0, 0.0, 0.0, 0.0, (), ()),
    )


def _checkpoints(plan: Plan, bench: Benchmark) -> tuple[int, ...]:
    if plan.sources:
        return TRANSFER_CHECKPOINTS
    if plan.multi_fidelity:
        spaced = checkpoints(plan.budget, float(np.mean(_seconds(plan, bench))))
        return tuple(n + round(_shared_seconds(bench)) for n in spaced)
    return checkpoints(plan.budget)


class _Designs:
    """The columns of a plan's designs, each in one axis: hardware first, then compressions."""

    def __init__(self, plan: Plan, bench: Benchmark) -> None:
        self.plan, self.bench = plan, bench

    def column(self, metric: str, labels: Kind = "score", seed: int | None = None) -> np.ndarray:
        """Values of a metric, (N,), float64."""
        plan, hardware = self.plan, list(self.plan.hardware)
        compressions = product(plan.weight_bits, plan.sparsity)
        if metric != "accuracy":
            parts = [
                self.bench.array(metric, hardware=hardware, weight_bits=bits, sparsity=sparsity)
                for bits, sparsity in compressions
            ]
        else:
            parts = [
                self.bench.array(
                    metric,
                    hardware=hardware,
                    at=plan.at,
                    labels=labels,
                    seed=seed,
                    weight_bits=bits,
                    sparsity=sparsity,
                )
                for bits, sparsity in compressions
            ]
        shape = len(self.bench.architectures), len(hardware)  # some costs do not depend on hardware
        parts = [np.broadcast_to(part.reshape(shape[0], -1), shape) for part in parts]
        return np.concatenate([part.ravel() for part in parts]).astype(float)

    def costs(self, names: tuple[str, ...]) -> np.ndarray:
        """(N, len(names))

        Raises
        ------
        TaskError
            Where one is not positive, since costs enter by their logarithm.
        """
        found = np.column_stack([self.column(name) for name in names])
        for name, values in zip(names, found.T, strict=True):
            if not (values > 0).all():
                raise TaskError(
                    f"{name} is {values.min():g} on some hardware of the plan, and costs enter by their "
                    "logarithm; choose costs that are positive there"
                )
        return found

    def admitted(self, limits: Mapping[str, float]) -> np.ndarray:
        """Which designs keep limits on costs, (N,), bool."""
        kept = np.ones(len(self.column("accuracy")), dtype=bool)
        for metric, limit in limits.items():
            kept &= self.column(metric) <= limit
        return kept

    def search(self, task: Task) -> np.ndarray:
        """Search labels by label seed, (seeds, N)."""
        seeds = map(task.label_seed, range(task.label_seeds))
        return np.stack([self.column("accuracy", "search", seed) for seed in seeds])

    def redrawn(self) -> Iterator[np.ndarray]:
        """Search labels drawn anew, each (N,).

        Synthetic ones of other label seeds. Measured ones differ from the score labels by other images and
        other noise draws: these differences are exchanged between the networks of a column.
        """
        if not self.bench.draws:
            yield from (self.column("accuracy", "search", seed) for seed in range(FLOOR_SEEDS))
            return
        score, residual = self.column("accuracy"), self._residual()
        for seed in range(FLOOR_SEEDS):
            order = _rng(seed).permutation(residual.shape[1])
            yield score + residual[:, order].ravel()

    def noise(self) -> np.ndarray:
        """Standard deviation of each design's search label about its score label [%], (N,).

        Where labels are measured: over networks, the mean difference of a column left out, since it ranks
        none above another.
        """
        plan, rows = self.plan, len(self.bench.architectures)
        if self.bench.draws:
            residual = self._residual()
            return np.broadcast_to(residual.std(axis=1, ddof=1, keepdims=True), residual.shape).ravel()
        parts = [
            np.tile([self.bench.label_noise(id_, plan.at, bits, sparsity) for id_ in plan.hardware], rows)
            for bits, sparsity in product(plan.weight_bits, plan.sparsity)
        ]
        return np.concatenate(parts)

    def _residual(self) -> np.ndarray:
        """Search minus score labels, less their mean by column: (compressions, architectures, hardware)."""
        shape = -1, len(self.bench.architectures), len(self.plan.hardware)
        residual = (self.column("accuracy", "search") - self.column("accuracy")).reshape(shape)
        return residual - residual.mean(axis=1, keepdims=True)


def _freeze_accuracy(task: Task, designs: _Designs) -> Frozen:
    feasible = designs.admitted(task.limits)
    score = designs.column("accuracy")[feasible]
    search = designs.search(task)[:, feasible]
    best = float(score.max())
    error = np.zeros(len(task.checkpoints))
    if task.fidelities:
        seconds, shared = _seconds(designs.plan, designs.bench), _shared_seconds(designs.bench)
        clocks = [at - shared for at in task.checkpoints]
        runs = np.concatenate(
            [
                random_search.simulate_clock(
                    seen, score, seconds, clocks, _rng(seed), SIMULATED_RUNS // len(search)
                )
                for seed, seen in enumerate(search)
            ]
        )
        runs = np.where(np.isnan(runs), score.min(), runs)  # nothing was done, so nothing is recommended
        expected, error = runs.mean(axis=0), runs.std(axis=0, ddof=1) / np.sqrt(len(runs))
    else:
        draws = [max(1, n) for n in task.checkpoints]  # as above
        expected = np.mean([random_search.expected_best(seen, score, draws) for seen in search], axis=0)
    return Frozen(
        best=best,
        worst=float(score.min()),
        ideal={},
        nadir={},
        best_hypervolume=0.0,
        noise_floor=float(designs.noise()[feasible][np.argmax(score)]),
        margin=0.0,
        reachable_regret=best - float(np.mean([score[np.argmax(seen)] for seen in search])),
        random_regret=tuple((best - expected).tolist()),
        random_regret_error=tuple(error.tolist()),
    )


def _freeze_cost(task: Task, designs: _Designs) -> Frozen:
    """The objective by its log10; a design is feasible by search labels when it is chosen, by score labels
    when it is scored."""
    (objective,) = task.objectives
    cost, accuracy = np.log10(designs.costs((objective,))[:, 0]), designs.column("accuracy")
    least, noise = task.least["accuracy"], designs.noise()
    admitted = designs.admitted(task.limits)
    feasible = admitted & (accuracy >= least)
    best, worst = float(cost[feasible].min()), float(cost[feasible].max())
    dearer = cost[admitted & (accuracy >= least + noise)]
    scored = np.where(feasible, cost, worst)

    def seen(labels: np.ndarray, margin: float) -> np.ndarray:
        return np.where(admitted & (labels >= least + margin), -cost, -np.inf)

    def reached(labels: np.ndarray, margin: float) -> float:
        chosen = seen(labels, margin)
        return float(scored[np.argmax(chosen)]) if np.isfinite(chosen).any() else worst

    search = designs.search(task)
    # In points, so that it is the same for all designs: that of the best design's label, in multiples.
    unit = float(noise[feasible][np.argmin(cost[feasible])])
    margins = [_rounded(multiple * unit) for multiple in MARGINS]
    means = [float(np.mean([reached(labels, margin) for labels in search])) for margin in margins]
    margin = margins[int(np.argmin(means))]
    # Where nothing drawn seems feasible nothing is recommended, which scores as the worst.
    values = [np.where(np.isinf(seen(labels, margin)), -worst, -scored) for labels in search]
    draws = [max(1, n) for n in task.checkpoints]  # at a budget of 0 one design is named blindly
    expected = [
        random_search.expected_best(seen(labels, margin)[admitted], value[admitted], draws)
        for labels, value in zip(search, values, strict=True)
    ]
    return Frozen(
        best=best,
        worst=worst,
        ideal={},
        nadir={},
        best_hypervolume=0.0,
        noise_floor=float(dearer.min() if len(dearer) else worst) - best,
        margin=margin,
        reachable_regret=min(means) - best,
        random_regret=tuple((-np.mean(expected, axis=0) - best).tolist()),
        random_regret_error=(0.0,) * len(task.checkpoints),
    )


def _freeze_front(task: Task, designs: _Designs) -> Frozen:
    names = task.objectives[1:]
    score, costs = designs.column("accuracy"), designs.costs(names)
    admitted = designs.admitted(task.limits)
    score, costs = score[admitted], costs[admitted]
    best = float(score.max())
    on_front = front.front_mask(score, costs, best)
    ideal = {"accuracy": best} | {n: float(costs[on_front, k].min()) for k, n in enumerate(names)}
    nadir = {"accuracy": float(score[on_front].min())} | {
        n: float(costs[on_front, k].max()) for k, n in enumerate(names)
    }
    scored = score >= best - front.ACCURACY_WINDOW

    def points(accuracy: np.ndarray) -> np.ndarray:
        return front.normalise(accuracy, costs, names, ideal, nadir)

    # At a budget of 0 one design is named blindly.
    at: list[float] = [max(1, n) for n in task.checkpoints]
    seconds = None
    if task.fidelities:
        seconds, shared = _seconds(designs.plan, designs.bench), _shared_seconds(designs.bench)
        at = [n - shared for n in task.checkpoints]
    truth = points(score)
    best_volume = front.hypervolume(truth[on_front])
    runs, reached = [], []
    for seed, accuracy in enumerate(designs.search(task)[:, admitted]):
        seen = points(accuracy)
        chosen = front.best_subset(seen, MAX_FRONT)
        reached.append(front.hypervolume(truth[chosen[scored[chosen]]]))
        runs.append(
            random_search.simulate_fronts(
                seen,
                truth,
                scored,
                at,
                MAX_FRONT,
                _rng(seed),
                SIMULATED_RUNS // task.label_seeds,
                seconds,
            )
        )
    volumes = np.concatenate(runs)
    return Frozen(
        best=best,
        worst=float(score.min()),
        ideal=ideal,
        nadir=nadir,
        best_hypervolume=best_volume,
        noise_floor=float(
            np.std(
                [front.hypervolume(points(drawn[admitted])[on_front]) for drawn in designs.redrawn()], ddof=1
            )
        ),
        margin=0.0,
        reachable_regret=best_volume - float(np.mean(reached)),
        random_regret=tuple((best_volume - volumes.mean(axis=0)).tolist()),
        random_regret_error=tuple((volumes.std(axis=0, ddof=1) / np.sqrt(len(volumes))).tolist()),
    )


def _seconds(plan: Plan, bench: Benchmark) -> np.ndarray:
    """What each architecture's dearest label takes [core-s]."""
    full = fidelities(bench)[-1]
    (hardware,), (bits,), (sparsity,) = plan.hardware, plan.weight_bits, plan.sparsity
    designs = (Design(code, hardware, bits, sparsity) for code in bench.architectures)
    return np.array([fidelity_label(bench, design, plan.at, full, 0).seconds for design in designs])


def _shared_seconds(bench: Benchmark) -> float:
    """What the super-network took, with which the clock begins [core-s]."""
    return bench.training(bench.architectures[0]).supernet_seconds


def _reproducible(frozen: Frozen, goal: str) -> Frozen:
    """Sums and logarithms rounded to 9 digits: beyond those, one processor differs from another."""
    if goal == "cost":
        frozen = replace(frozen, best=_rounded(frozen.best, 9), worst=_rounded(frozen.worst, 9))
    return replace(
        frozen,
        best_hypervolume=_rounded(frozen.best_hypervolume, 9),
        noise_floor=_rounded(frozen.noise_floor, 9),
        reachable_regret=_rounded(frozen.reachable_regret, 9),
        # The expectation of the best label itself may be off by its rounding.
        random_regret=tuple(max(0.0, _rounded(value, 9)) for value in frozen.random_regret),
        random_regret_error=tuple(_rounded(value, 9) for value in frozen.random_regret_error),
    )


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, 20_260])


def _rounded(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")


def _outwards(value: float, *, up: bool) -> float:
    """To four digits, never past the value: costs come in steps, and one on the limit must keep it."""
    context = Context(prec=4, rounding=ROUND_CEILING if up else ROUND_FLOOR)
    return float(context.create_decimal_from_float(value))
