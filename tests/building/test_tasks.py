"""Freezing tasks from the table."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nasbench_imc as nbi
from nasbench_imc.building import tasks as building
from nasbench_imc.building.tasks import PLANS, Plan, freeze
from nasbench_imc.hardware import grid
from nasbench_imc.scoring.random_search import expected_best
from nasbench_imc.tables.files import releases

PLAN = {plan.name: plan for plan in PLANS["nb201"]}
SHIPPED = resources.files("nasbench_imc.suites").joinpath("data")
LIMITED = [plan.name for plan in PLANS["nb201"] if plan.limits]


def shipped(name: str) -> str:
    return SHIPPED.joinpath(name.replace("/", "__") + ".json").read_text(encoding="utf-8")


def test_every_plan_is_shipped_and_no_other() -> None:
    plans = sorted(plan.name for table in releases() for plan in PLANS[table])
    assert plans == [task.name for task in nbi.tasks()]
    files = [entry.name for entry in SHIPPED.iterdir() if entry.name.endswith(".json")]
    assert sorted(files) == sorted(name.replace("/", "__") + ".json" for name in plans)


@pytest.mark.parametrize("name", sorted(PLAN))
def test_freezing_again_gives_the_shipped_file(bench: nbi.Benchmark, name: str) -> None:
    assert freeze(PLAN[name], bench).to_json() == shipped(name)


def test_plans_of_the_hybrid_table() -> None:
    """Every track in each suite, on configurations that exist; the joint space has over 100,000 designs."""
    plans = PLANS["hybrid"]
    assert len({plan.name for plan in plans}) == len(plans) >= 24 - len(PLAN)
    assert {plan.track for plan in plans if plan.suite == "dev"} == set("SCMJFT")
    assert {plan.track for plan in plans if plan.suite == "test"} == set("SCMJFT")
    known = {config.id: config for config in grid()}
    reference = {config.accuracy_class for config in known.values() if config.reference}
    for plan in plans:
        assert set(plan.hardware) | set(plan.sources) <= set(known)
        if plan.track == "J" and plan.suite == "test":
            assert {known[id_].accuracy_class for id_ in plan.hardware} == reference
            assert 1_728 * len(plan.hardware) * len(plan.weight_bits) * len(plan.sparsity) == 110_592


def test_on_hybrid_dev_shows_no_label_of_test() -> None:
    known = {config.id: config for config in grid()}
    classes = {
        suite: {
            known[id_].accuracy_class
            for plan in PLANS["hybrid"]
            if plan.suite == suite
            for id_ in (*plan.hardware, *plan.sources)
        }
        for suite in ("dev", "test")
    }
    assert not classes["dev"] & classes["test"]


def test_every_family_has_tasks_of_accuracy_limits_and_fronts() -> None:
    """But for S on analog RRAM, where any searcher's first labels lead as far as all labels do."""
    known = {config.id: config for config in grid()}
    everything = {config.family for config in known.values()}
    for track, lacking in (("S", {"rram-analog"}), ("C", set()), ("M", set())):
        families = {known[p.hardware[0]].family for p in PLANS["hybrid"] if p.track == track}
        assert families == everything - lacking


def test_simulated_runs_are_as_many_for_each_label_seed() -> None:
    assert building.SIMULATED_RUNS % building.LABEL_SEEDS == 0
    assert building.SIMULATED_RUNS >= 10_000


@pytest.mark.parametrize("name", sorted(PLAN))
def test_random_regret_falls_with_budget(name: str) -> None:
    frozen = nbi.task(name).frozen
    assert (np.diff(frozen.random_regret) < 0).all()
    assert frozen.random_regret[-1] > frozen.reachable_regret >= 0
    assert frozen.random_regret[-1] >= frozen.noise_floor > 0


def test_random_regret_without_noise(bench: nbi.Benchmark) -> None:
    """Where labels are exact random search does better, and reaches the best in the end."""
    task = nbi.task("nb201/sram-digital/S-accuracy")
    score = bench.array("accuracy", hardware=task.hardware[0]).astype(float)
    regret = score.max() - expected_best(score, score, [*task.checkpoints, 2_000, len(score)])
    assert (np.diff(regret) < 0).all()
    assert regret[-1] == pytest.approx(0, abs=1e-9)
    assert (regret[:7] < task.frozen.random_regret).all()


@pytest.mark.parametrize("name", LIMITED)
def test_limits_keep_the_share_that_was_planned(bench: nbi.Benchmark, name: str) -> None:
    task = nbi.task(name)
    assert set(task.limits) == set(PLAN[name].limits)
    for metric, share in PLAN[name].limits.items():
        ratio = bench.array(metric, hardware=list(task.hardware)) / task.limits[metric]
        # Many cells share a cost, and the limit is rounded to four digits, outwards.
        assert (ratio < 1 - 1e-3).mean() <= share <= (ratio <= 1).mean()
        assert float(f"{task.limits[metric]:.4g}") == task.limits[metric]


def test_task_under_its_noise_floor_is_refused(bench: nbi.Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = PLAN["nb201/sram-digital/S-accuracy"]
    monkeypatch.setattr(type(bench), "label_noise", lambda *_: 0.9)
    assert freeze(plan, bench).frozen.noise_floor == 0.9
    monkeypatch.setattr(type(bench), "label_noise", lambda *_: 1.1)
    with pytest.raises(nbi.TaskError, match=r"S-accuracy is too easy: random search ends 0\.992"):
        freeze(plan, bench)


def test_freezing_all_writes_files_that_read_back(
    bench: nbi.Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PLANS, "nb201", (PLAN["nb201/pcm-t0/C-energy"],))
    made = building.freeze_all(bench, tmp_path / "new", log=lambda line: None)
    (path,) = (tmp_path / "new").iterdir()
    assert path.name == "nb201__pcm-t0__C-energy.json"
    assert nbi.task(str(path)) == made[0] == nbi.task("nb201/pcm-t0/C-energy")


@pytest.mark.parametrize("name", sorted(PLAN))
def test_frozen_ends_are_the_tables(bench: nbi.Benchmark, name: str) -> None:
    task = nbi.task(name)
    hardware = list(task.hardware)
    accuracy = bench.array("accuracy", hardware=hardware, at=task.at)
    kept = np.ones(accuracy.shape, dtype=bool)
    for metric, limit in task.limits.items():
        kept &= bench.array(metric, hardware=hardware).reshape(kept.shape) <= limit
    for limit in task.least.values():
        kept &= accuracy >= limit
    value = accuracy
    if task.goal == "cost":
        value = -np.log10(bench.array(task.objectives[0], hardware=hardware).astype(float)).reshape(
            kept.shape
        )
    ends = (value[kept].max(), value[kept].min())
    frozen = (task.frozen.best, task.frozen.worst)
    assert np.abs(frozen) == pytest.approx(np.abs(ends), rel=1e-8)
    assert json.loads(shipped(name))["table_sha256"] == bench.sha256


def test_checkpoints_are_log_spaced() -> None:
    assert building.checkpoints(200) == (10, 16, 27, 45, 74, 121, 200)
    for budget in (15, 25, 40, 50, 100):
        made = building.checkpoints(budget)
        assert made[-1] == budget
        assert made[0] == max(5, budget // 20)
        assert len(set(made)) == 7


def test_expected_cost_of_the_best_of_a_draw(bench: nbi.Benchmark) -> None:
    """Closed form against a simulation of what random search recommends on EDAP."""
    task = nbi.task("nb201/joint/J-edap")
    hardware = list(task.hardware)
    accuracy = bench.array("accuracy", hardware=hardware).ravel()
    cost = np.log10(bench.array("edap", hardware=hardware).astype(float)).ravel()
    least = task.least["accuracy"]
    rng, reached = np.random.default_rng(0), []
    for seed in range(task.label_seeds):
        label_seed = task.label_seed(seed)
        labels = bench.array("accuracy", hardware=hardware, labels="search", seed=label_seed).ravel()
        for _ in range(40):
            drawn = rng.choice(len(cost), task.budget, replace=False)
            seen = drawn[labels[drawn] >= least + task.frozen.margin]
            chosen = seen[np.argmin(cost[seen])] if len(seen) else None
            good = chosen is not None and accuracy[chosen] >= least
            reached.append(cost[chosen] if good else task.frozen.worst)
    error = np.std(reached) / np.sqrt(len(reached))
    assert np.mean(reached) - task.frozen.best == pytest.approx(task.frozen.random_regret[-1], abs=4 * error)


def test_a_plans_track() -> None:
    assert Plan("a", "dev", ("x",)).track == "S"
    assert Plan("a", "dev", ("x",), limits={"energy": 0.5}).track == "C"
    assert Plan("a", "dev", ("x",), ("accuracy", "energy")).track == "M"
    assert Plan("a", "dev", ("x", "y")).track == "J"
    assert Plan("a", "dev", ("x",), weight_bits=(8, 4)).track == "J"
    assert Plan("a", "dev", ("x",), sources=("y",), limits={"energy": 0.5}).track == "T"
    assert Plan("a", "dev", ("x",), multi_fidelity=True).track == "F"
    assert Plan("a", "dev", ("x",), ("edap",)).track == "J"


def test_what_cannot_be_frozen_is_named_and_no_track_may_be_left_without_a_task(
    bench: nbi.Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sram = ("sram-digital-r128",)
    plans = {
        "few": Plan("nb201/a/C", "dev", sram, limits={"energy": 0.02}, budget=500),
        "too few of them": Plan("nb201/b/C", "dev", sram, limits={"energy": 0.02}),
        "words": Plan("nb201/c/X Y", "dev", sram),
        "noisy": Plan("nb201/d/S", "dev", ("pcm-r512-adc8-mux4",)),
    }
    good = PLAN["nb201/pcm-t0/C-energy"]
    monkeypatch.setitem(PLANS, "nb201", (*plans.values(), good))
    monkeypatch.setattr(building, "PROPOSALS_A_QUERY", 20)
    said: list[str] = []
    (tmp_path / "nb201__a__C.json").write_text("of an earlier table")
    with pytest.raises(nbi.TaskError, match=r"^no task is left for track S of dev on 'nb201'; change"):
        building.freeze_all(bench, tmp_path, log=said.append)
    assert [path.name for path in tmp_path.iterdir()] == ["nb201__pcm-t0__C-energy.json"]
    dropped = [line for line in said if line.startswith("dropped")]
    assert len(dropped) == 4
    assert "fewer than the budget" in dropped[0]
    assert "looks at costs find too few" in dropped[1]
    assert "must be words joined by /" in dropped[2]
    assert "all search labels together" in dropped[3]


MINE = """
table = "nb201"
name = "mine/C"
suite = "dev"
hardware = ["sram-digital-r64"]
limits = {energy = 0.5}
budget = 20
"""


def test_a_task_of_ones_own_from_a_plan(bench: nbi.Benchmark, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(MINE)
    table, plan = building.read_plan(tmp_path / "plan.toml")
    assert table == "nb201"
    task = freeze(plan, bench)
    assert (task.name, task.track, task.budget, task.hardware) == ("mine/C", "C", 20, ("sram-digital-r64",))
    assert task.checkpoints == (5, 6, 8, 10, 13, 16, 20)
    energy = bench.array("energy", hardware="sram-digital-r64")
    assert (energy <= task.limits["energy"]).mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks hardware, name, suite, table"),
        (MINE + "colour = 1", "does not know colour; a plan has table, name, suite"),
        (MINE.replace("20", "'x'"), "no plan of a task"),
        (MINE.replace("{energy = 0.5}", "3"), "no plan of a task"),
        (MINE.replace("0.5", "20"), "the share of designs .* above 0 and below 1, not energy = 20"),
        (MINE.replace("0.5", "'a'"), "no plan of a task"),
        (
            MINE.replace('["sram-digital-r64"]', '"sram-digital-r64"'),
            "hardware is a list, not 'sram-digital-r64'",
        ),
        ("=", "no TOML file"),
        (MINE.replace('["sram-digital-r64"]', "[]"), "hardware is a list that is not empty"),
        (MINE.replace("20", "0"), "budget is a whole number of queries, 1 or more, not 0"),
        (MINE.replace("20", "8.5"), r"budget is a whole number .* not 8\.5"),
        (MINE.replace("20", "true"), "budget is a whole number .* not True"),
        (MINE.replace("0.5", "true"), "share of designs .* not energy = True"),
        (MINE + "multi_fidelity = 1", "multi_fidelity is true or false, not 1"),
        (MINE.replace("mine/C", "nb201/pcm-t0/C-energy"), "is a task of the benchmark; give yours another"),
    ],
)
def test_a_malformed_plan(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(nbi.TaskError, match=message):
        building.read_plan(tmp_path / "plan.toml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objectives": ("energy",)}, "least must hold accuracy where a cost is the objective"),
        ({"objectives": ("edap",), "least": {"accuracy": 0.1}}, "track J has several choices of hardware"),
        ({"objectives": ("accuracy_digital",)}, "least must hold accuracy"),
        ({"objectives": ("accuracy", "tops_per_w")}, "tops_per_w is not a cost that is minimised"),
        ({"objectives": ("accuracy", "macs")}, "macs is not a cost that is minimised"),
        ({"limits": {"throughput": 0.5}}, "throughput is not a cost that is minimised, .* energy, "),
        ({"limits": {"enrgy": 0.5}}, "unknown metric 'enrgy'; did you mean 'energy'"),
        ({"at": "1y"}, "unknown time '1y'"),
        (
            {"objectives": ("accuracy", "energy_adc")},
            "energy_adc is 0 on some hardware .* are positive there",
        ),
        (
            {
                "hardware": ("sram-digital-r64", "sram-digital-r128"),
                "objectives": ("energy_adc",),
                "least": {"accuracy": 0.1},
            },
            "energy_adc is 0 on some hardware of the plan",
        ),
    ],
)
def test_a_plan_that_is_no_task(bench: nbi.Benchmark, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(nbi.TaskError, match=message):
        freeze(replace(Plan("mine/x", "dev", ("sram-digital-r64",), budget=20), **changes), bench)


def test_small_budgets_have_fewer_checkpoints() -> None:
    for budget in range(1, 30):
        made = building.checkpoints(budget)
        assert made[-1] == budget
        assert list(made) == sorted(set(made))
