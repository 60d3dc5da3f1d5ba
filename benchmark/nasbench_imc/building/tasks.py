"""Freezing tasks: from a short description and a table to a task file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from nasbench_imc.errors import TaskError
from nasbench_imc.files import replacing
from nasbench_imc.scoring import front, random_search
from nasbench_imc.suites.definition import MAX_FRONT, Frozen, Task
from nasbench_imc.suites.domain import Domain
from nasbench_imc.tables import Benchmark

LABEL_SEEDS = 30
FLOOR_SEEDS = 300  # label seeds that estimate the noise of a front's hypervolume
SIMULATED_RUNS = 10_020  # the same number for each label seed
CHECKPOINTS = (10, 16, 27, 45, 74, 121, 200)  # evenly spaced in their logarithm


@dataclass(frozen=True, slots=True)
class Plan:
    """A task before freezing; ``limits`` gives for a metric the share of designs that keep it."""

    name: str
    suite: str
    hardware: tuple[str, ...]
    objectives: tuple[str, ...] = ("accuracy",)
    limits: Mapping[str, float] = field(default_factory=dict)
    at: str = "1d"

    @property
    def track(self) -> str:
        return "C" if self.limits else "S" if self.objectives == ("accuracy",) else "M"


_SRAM = ("sram-digital-r128",)
_PCM = ("pcm-r512-adc8-mux4",)

PLANS = {
    "nb201": (
        Plan("nb201/sram-digital/S-accuracy", "dev", _SRAM),
        Plan("nb201/pcm-1d/C-energy", "dev", _PCM, limits={"energy": 0.25}),
        Plan("nb201/sram-digital/M-energy", "dev", _SRAM, ("accuracy", "energy")),
        Plan("nb201/pcm-1d/S-accuracy", "test", _PCM),
        Plan("nb201/sram-digital/C-latency", "test", _SRAM, limits={"latency": 0.8}),
        Plan("nb201/pcm-1d/M-energy", "test", _PCM, ("accuracy", "energy")),
    )
}


def freeze_all(bench: Benchmark, folder: Path, *, log: Callable[[str], None] = print) -> list[Task]:
    """Freeze every task of a table and write its file into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for plan in PLANS[bench.name]:
        log(f"freezing {plan.name}")
        task = freeze(plan, bench)
        with replacing(folder / (plan.name.replace("/", "__") + ".json")) as temporary:
            temporary.write_text(task.to_json(), encoding="utf-8")
        made.append(task)
    return made


def freeze(plan: Plan, bench: Benchmark) -> Task:
    """Compute a task's limits, reference points and random search's regret from the whole table.

    Raises
    ------
    TaskError
        Where random search ends within the noise floor: such a task tells methods nothing apart.
    """
    domain = Domain(bench.space, plan.hardware)
    limits = {
        metric: _rounded(float(np.quantile(_column(bench, metric, plan), share)))
        for metric, share in plan.limits.items()
    }
    accuracy = _column(bench, "accuracy", plan).astype(float)
    feasible = np.ones(len(domain), dtype=bool)
    for metric, limit in limits.items():
        feasible &= _column(bench, metric, plan) <= limit
    search = np.stack(
        [_column(bench, "accuracy", plan, "search", seed)[feasible] for seed in range(LABEL_SEEDS)]
    ).astype(float)
    noise = max(bench.label_noise(id_, plan.at) for id_ in plan.hardware)
    if plan.track == "M":
        costs = np.stack([_column(bench, name, plan) for name in plan.objectives[1:]], axis=1).astype(float)
        redrawn = np.stack([_column(bench, "accuracy", plan, "search", seed) for seed in range(FLOOR_SEEDS)])
        frozen = _freeze_front(plan.objectives[1:], accuracy, search, costs, redrawn)
    else:
        frozen = _freeze_accuracy(accuracy[feasible], search, noise)
    if frozen.random_regret[-1] < frozen.noise_floor:
        raise TaskError(
            f"{plan.name} is too easy: random search ends {frozen.random_regret[-1]:.3g} from the best, "
            f"the labels' noise floor is {frozen.noise_floor:.3g}"
        )
    return Task(
        name=plan.name,
        track=plan.track,
        suite=plan.suite,
        table=bench.name,
        table_version=bench.version,
        table_sha256=bench.sha256,
        hardware=plan.hardware,
        at=plan.at,
        objectives=plan.objectives,
        limits=limits,
        budget=CHECKPOINTS[-1],
        checkpoints=CHECKPOINTS,
        label_seeds=LABEL_SEEDS,
        frozen=_reproducible(frozen),
    )


def _reproducible(frozen: Frozen) -> Frozen:
    """Sums rounded to 9 digits: beyond those, their order on one processor and another shows."""
    return replace(
        frozen,
        best_hypervolume=_rounded(frozen.best_hypervolume, 9),
        noise_floor=_rounded(frozen.noise_floor, 9),
        reachable_regret=_rounded(frozen.reachable_regret, 9),
        random_regret=tuple(_rounded(value, 9) for value in frozen.random_regret),
        random_regret_error=tuple(_rounded(value, 9) for value in frozen.random_regret_error),
    )


def _freeze_accuracy(score: np.ndarray, search: np.ndarray, noise: float) -> Frozen:
    best = float(score.max())
    expected = np.stack([random_search.expected_best(seen, score, CHECKPOINTS) for seen in search])
    return Frozen(
        best=best,
        worst=float(score.min()),
        ideal={},
        nadir={},
        best_hypervolume=0.0,
        noise_floor=noise,
        reachable_regret=best - float(np.mean([score[np.argmax(seen)] for seen in search])),
        random_regret=tuple((best - expected.mean(axis=0)).tolist()),
        random_regret_error=(0.0,) * len(CHECKPOINTS),
    )


def _freeze_front(
    names: tuple[str, ...], score: np.ndarray, search: np.ndarray, costs: np.ndarray, redrawn: np.ndarray
) -> Frozen:
    best = float(score.max())
    on_front = front.front_mask(score, costs, best)
    ideal = {"accuracy": best} | {n: float(costs[on_front, k].min()) for k, n in enumerate(names)}
    nadir = {"accuracy": float(score[on_front].min())} | {
        n: float(costs[on_front, k].max()) for k, n in enumerate(names)
    }
    scored = score >= best - front.ACCURACY_WINDOW

    def points(accuracy: np.ndarray) -> np.ndarray:
        return front.normalise(accuracy, costs, names, ideal, nadir)

    truth = points(score)
    best_volume = front.hypervolume(truth[on_front])
    runs, reached = [], []
    for seed, accuracy in enumerate(search):
        seen = points(accuracy)
        chosen = front.best_subset(seen, MAX_FRONT)
        reached.append(front.hypervolume(truth[chosen[scored[chosen]]]))
        rng = np.random.default_rng([seed, 20_260])
        runs.append(
            random_search.simulate_fronts(
                seen, truth, scored, CHECKPOINTS, MAX_FRONT, rng, SIMULATED_RUNS // LABEL_SEEDS
            )
        )
    volumes = np.concatenate(runs)
    return Frozen(
        best=best,
        worst=float(score.min()),
        ideal=ideal,
        nadir=nadir,
        best_hypervolume=best_volume,
        noise_floor=float(np.std([front.hypervolume(points(a)[on_front]) for a in redrawn], ddof=1)),
        reachable_regret=best_volume - float(np.mean(reached)),
        random_regret=tuple((best_volume - volumes.mean(axis=0)).tolist()),
        random_regret_error=tuple((volumes.std(axis=0, ddof=1) / np.sqrt(len(volumes))).tolist()),
    )


def _column(
    bench: Benchmark, metric: str, plan: Plan, labels: str = "score", seed: int | None = None
) -> np.ndarray:
    """Values of a metric over the plan's designs, in one axis."""
    if metric != "accuracy":
        return bench.array(metric, hardware=list(plan.hardware)).ravel()
    return bench.array(metric, hardware=list(plan.hardware), at=plan.at, labels=labels, seed=seed).ravel()  # type: ignore[arg-type]


def _rounded(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")
