"""What stands at each checkpoint, and its regret."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import nasbench_imc as nbi
from nasbench_imc.building.tasks import Plan, freeze
from nasbench_imc.scoring import front, regret_curve, standing
from nasbench_imc.scoring.regret import normalised

S = freeze(Plan("nb201/sram-digital/S", "dev", ("sram-digital-r128",)), nbi.load("nb201"))
C = freeze(Plan("nb201/pcm/C", "dev", ("pcm-r512-adc8-mux4",), limits={"energy": 0.25}), nbi.load("nb201"))
M = nbi.task("nb201/sram-digital/M-energy")
Event = dict[str, Any]


@pytest.fixture(scope="module")
def archs(bench: nbi.Benchmark) -> tuple[str, ...]:
    return bench.architectures


def queries(archs: tuple[str, ...], labels: list[float], first: int = 0, **costs: float) -> list[Event]:
    return [
        {
            "query": {"arch": archs[first + k]},
            "values": {"accuracy": label, **costs},
            "proposals": first + k + 1,
        }
        for k, label in enumerate(labels)
    ]


def recommend(*archs: str) -> Event:
    return {"recommend": [{"arch": arch} for arch in archs]}


def standing_archs(task: nbi.Task, events: list[Event]) -> list[list[str]]:
    return [[design.arch for design in designs] for designs in standing(task, events)]


def test_default_is_the_best_by_search_label_at_each_checkpoint(archs: tuple[str, ...]) -> None:
    rising = queries(archs, [float(k) for k in range(200)])
    assert standing_archs(S, rising) == [[archs[n - 1]] for n in (10, 16, 27, 45, 74, 121, 200)]
    falling = queries(archs, [float(-k) for k in range(200)])
    assert standing_archs(S, falling) == [[archs[0]]] * 7


def test_recommendation_right_after_the_checkpoints_last_query_counts(archs: tuple[str, ...]) -> None:
    events = [*queries(archs, [50.0] * 10), recommend(archs[3]), *queries(archs, [60.0] * 190, first=10)]
    assert standing_archs(S, events) == [[archs[3]]] * 7


def test_recommendation_after_the_next_query_is_too_late(archs: tuple[str, ...]) -> None:
    events = [*queries(archs, [50.0] * 11), recommend(archs[3]), *queries(archs, [60.0] * 189, first=11)]
    assert standing_archs(S, events) == [[archs[0]]] + [[archs[3]]] * 6


def test_last_of_several_recommendations_stands(archs: tuple[str, ...]) -> None:
    events = [*queries(archs, [50.0] * 10), recommend(archs[3]), recommend(archs[4])]
    events += [*queries(archs, [60.0] * 10, first=10), recommend(archs[12])]
    events += queries(archs, [60.0] * 180, first=20)
    assert standing_archs(S, events) == [[archs[4]]] * 2 + [[archs[12]]] * 5


def test_recommendation_after_the_last_query_of_all(archs: tuple[str, ...]) -> None:
    events = [*queries(archs, [float(k) for k in range(200)]), recommend(archs[5])]
    assert standing_archs(S, events)[-2:] == [[archs[120]], [archs[5]]]


def test_run_that_ends_early_keeps_what_stood(archs: tuple[str, ...]) -> None:
    events = queries(archs, [float(k) for k in range(13)])
    assert standing_archs(S, events) == [[archs[9]]] + [[archs[12]]] * 6
    assert standing_archs(S, [*events, recommend(archs[1])]) == [[archs[9]]] + [[archs[1]]] * 6
    assert standing_archs(S, []) == [[]] * 7


def test_default_is_feasible(archs: tuple[str, ...]) -> None:
    limit = C.limits["energy"]
    over, under = queries(archs, [99.0], energy=limit * 1.001), queries(archs, [20.0], first=1, energy=limit)
    assert standing_archs(C, over) == [[]] * 7
    assert standing_archs(C, over + under) == [[archs[1]]] * 7


def test_default_on_several_objectives_is_the_front_by_search_labels(
    bench: nbi.Benchmark, archs: tuple[str, ...]
) -> None:
    task = M
    with task.session(0, bench) as s:
        for arch in archs[::300]:
            s.query(nbi.Design(arch, task.hardware[0]))
        events, seen = s.events(), s.observations
    accuracy = np.array([o.values["accuracy"] for o in seen])
    costs = np.array([[o.values["energy"]] for o in seen])
    points = normalised(task, accuracy, costs)
    number = {o.design: k for k, o in enumerate(seen)}
    named = {tuple(points[number[design]]) for design in standing(task, events)[-1]}
    on_front = {
        tuple(p)
        for p in points
        if (p < 1.1).all() and not ((points <= p).all(axis=1) & (points < p).any(axis=1)).any()
    }
    assert 1 < len(on_front) <= 20
    assert named == on_front


#: A clock's budget is not spent by counting, and compressions to choose have axes of their own.
COUNTED = [t for t in nbi.tasks() if not t.fidelities and len(t.weight_bits) * len(t.sparsity) == 1]


def all_designs(task: nbi.Task, bench: nbi.Benchmark) -> list[nbi.Design]:
    (bits,), (sparsity,) = task.weight_bits, task.sparsity
    return [nbi.Design(arch, id_, bits, sparsity) for arch in bench.architectures for id_ in task.hardware]


def column(task: nbi.Task, bench: nbi.Benchmark, metric: str) -> np.ndarray:
    """Over :func:`all_designs`."""
    (bits,), (sparsity,) = task.weight_bits, task.sparsity
    found = bench.array(metric, hardware=list(task.hardware), at=task.at, weight_bits=bits, sparsity=sparsity)
    shape = len(bench.architectures), len(task.hardware)  # some costs do not depend on hardware
    return np.broadcast_to(found.reshape(shape[0], -1), shape).astype(float).ravel()


def feasible(task: nbi.Task, bench: nbi.Benchmark) -> np.ndarray:
    keeps = [column(task, bench, metric) <= limit for metric, limit in task.limits.items()]
    keeps += [column(task, bench, metric) >= limit for metric, limit in task.least.items()]
    return np.all([np.ones(len(bench.architectures) * len(task.hardware), dtype=bool), *keeps], axis=0)


@pytest.mark.parametrize("name", [t.name for t in COUNTED if t.goal != "front"])
def test_oracle_has_no_regret(name: str) -> None:
    task = nbi.task(name)
    bench = task.load_table()
    (objective,) = task.objectives
    sign = 1 if objective == "accuracy" else -1
    value = np.where(feasible(task, bench), sign * column(task, bench, objective), -np.inf)
    best = all_designs(task, bench)[int(np.argmax(value))]
    with task.session(0, bench) as s:
        if task.track == "T":
            s.recommend(best)  # before anything is queried
        s.query(best)
        s.recommend(best)
        for design in all_designs(task, bench)[: task.budget - 1]:
            s.query(design)
    assert regret_curve(task, bench, s.events()) == pytest.approx([0.0] * len(task.checkpoints), abs=1e-7)


@pytest.mark.parametrize("name", [t.name for t in COUNTED if t.goal == "front"])
def test_oracle_of_the_front(name: str) -> None:
    task = nbi.task(name)
    bench = task.load_table()
    accuracy = column(task, bench, "accuracy")
    costs = np.column_stack([column(task, bench, cost) for cost in task.objectives[1:]])
    on_front = np.flatnonzero(front.front_mask(accuracy, costs, accuracy.max()))
    designs = all_designs(task, bench)
    points = normalised(task, accuracy[on_front], costs[on_front])
    assert points.min(axis=0) == pytest.approx(0, abs=1e-12)
    assert points.max(axis=0) == pytest.approx(1)
    assert front.hypervolume(points) == pytest.approx(task.frozen.best_hypervolume)
    few = min(20, task.budget)
    best = [designs[on_front[k]] for k in front.best_subset(points, few)]
    with task.session(0, bench) as s:
        for design in best:
            s.query(design)
        s.recommend(best)
    # Twenty designs, or a budget of fewer, stand for a front of more.
    regret = regret_curve(task, bench, s.events())[-1]
    assert -1e-8 < regret < 0.3 * task.frozen.random_regret[-1]  # the frozen volume has nine digits
    truth = normalised(task, accuracy[on_front], costs[on_front])[front.best_subset(points, few)]
    assert regret == pytest.approx(task.frozen.best_hypervolume - front.hypervolume(truth), abs=1e-9)


def test_infeasible_or_missing_is_the_worst_feasible(bench: nbi.Benchmark, archs: tuple[str, ...]) -> None:
    task = C
    worst = task.frozen.best - task.frozen.worst
    energy = bench.array("energy", hardware=task.hardware[0])
    accuracy = bench.array("accuracy", hardware=task.hardware[0]).astype(float)
    assert accuracy[energy <= task.limits["energy"]].min() == task.frozen.worst
    assert accuracy[energy <= task.limits["energy"]].max() == task.frozen.best
    over = int(np.argmax(energy))
    events = queries(archs, [90.0], first=over, energy=float(energy[over]))
    assert regret_curve(task, bench, events).tolist() == [worst] * 7
    assert regret_curve(task, bench, [*events, recommend(archs[over])]).tolist() == [worst] * 7
    assert regret_curve(task, bench, []).tolist() == [worst] * 7


def test_regret_is_on_score_labels_not_on_what_was_seen(bench: nbi.Benchmark, archs: tuple[str, ...]) -> None:
    task = S
    events = queries(archs, [99.9], first=400)
    truth = bench.query(nbi.Design(archs[400], task.hardware[0]))["accuracy"]
    assert regret_curve(task, bench, events) == pytest.approx([task.frozen.best - truth] * 7)


def test_designs_outside_the_window_count_nothing(bench: nbi.Benchmark, archs: tuple[str, ...]) -> None:
    task = M
    accuracy = bench.array("accuracy", hardware=task.hardware[0])
    energy = bench.array("energy", hardware=task.hardware[0])
    poor = np.flatnonzero(accuracy < task.frozen.best - front.ACCURACY_WINDOW)
    good = int(np.argmax(accuracy))
    outside = archs[poor[np.argmin(energy[poor])]]
    nothing = regret_curve(task, bench, [*queries(archs, [50.0], energy=9.0), recommend(outside)])
    assert nothing.tolist() == [task.frozen.best_hypervolume] * 7
    alone = regret_curve(task, bench, [*queries(archs, [50.0], energy=9.0), recommend(archs[good])])
    both = regret_curve(task, bench, [*queries(archs, [50.0], energy=9.0), recommend(archs[good], outside)])
    assert both.tolist() == alone.tolist()
    assert alone[0] < task.frozen.best_hypervolume


def test_window_holds_also_where_the_reference_lies_beyond_it(
    bench: nbi.Benchmark, archs: tuple[str, ...]
) -> None:
    shipped = M
    nadir = {**shipped.frozen.nadir, "accuracy": shipped.frozen.best - 9.9}  # the reference: 10.89 below
    task = replace(shipped, frozen=replace(shipped.frozen, nadir=nadir))
    below = shipped.frozen.best - bench.array("accuracy", hardware=task.hardware[0])
    energy = bench.array("energy", hardware=task.hardware[0])
    counted = []
    for low, high in ((9.2, 9.99), (10.01, 10.8)):
        inside = np.flatnonzero((below > low) & (below < high) & (energy < nadir["energy"]))
        events = [*queries(archs, [50.0], energy=9.0), recommend(archs[inside[0]])]
        counted.append(regret_curve(task, bench, events)[-1] < task.frozen.best_hypervolume)
    assert counted == [True, False]


def test_a_margin_guards_the_least_accuracy(bench: nbi.Benchmark, archs: tuple[str, ...]) -> None:
    """The cheapest that just seems to keep the limit does not stand; with no other, nothing does."""
    task = nbi.task("nb201/joint/J-edap")
    least, margin = task.least["accuracy"], task.frozen.margin
    assert margin > 0

    def event(row: int, accuracy: float, edap: float) -> Event:
        query = {"arch": archs[row], "hardware": task.hardware[0]}
        return {"query": query, "values": {"accuracy": accuracy, "edap": edap}, "proposals": row + 1}

    just, safe = event(0, least + 0.5 * margin, 1.0), event(1, least + margin, 2.0)
    assert standing(task, [just])[-1] == []
    assert [d.arch for d in standing(task, [just, safe])[-1]] == [archs[1]]
    assert regret_curve(task, bench, [just])[-1] == task.frozen.worst - task.frozen.best


@pytest.mark.parametrize("name", [S.name, M.name])
def test_logs_that_take_more_than_the_task_admits(archs: tuple[str, ...], name: str) -> None:
    task = {S.name: S, M.name: M}[name]
    events = queries(archs, [50.0] * (task.budget + 1), energy=9.0)
    with pytest.raises(ValueError, match="more is charged than the budget"):
        standing(task, events)
    free = [{**event, "charged": 0} for event in events]
    with pytest.raises(ValueError, match="more is charged than the budget"):
        standing(task, free)
    with pytest.raises(ValueError, match=f"{task.max_recommended} may be"):
        standing(task, [*events[:30], recommend(*archs[: task.max_recommended + 1])])
    with pytest.raises(nbi.UnknownNameError):
        standing(task, [{"recommend": [{"arch": archs[0], "hardware": "pcm-r64-adc5-mux4"}]}])
