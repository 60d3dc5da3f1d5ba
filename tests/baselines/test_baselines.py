"""The reference searchers: budgets, determinism, limits, and that they use the public API alone."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import nasbench_imc as nbi
import nasbench_imc_baselines
from nasbench_imc.runs import RunLog, methods
from nasbench_imc.runs.execute import execute
from nasbench_imc.scoring import regret_curve
from nasbench_imc_baselines import exhaustive

FOLDER = Path(nasbench_imc_baselines.__file__).parent
SLOW = {"gp", "qnehvi", "smac"}  # of the extra [bo], tested with small budgets in test_bo.py
NAMES = sorted(
    name
    for name, method in methods().items()
    if method.source.startswith("nasbench_imc_baselines") and name not in SLOW
)
SHARED = {"candidates", "common", "fronts", "halving", "one_thread", "surrogates"}  # by several searchers
TASKS = ["nb201/sram-digital/S-accuracy", "nb201/pcm-t0/C-energy", "nb201/sram-digital/M-energy"]
JOINT = ["nb201/joint/J-edap", "nb201/sram-sizes/J-energy-area", "nb201/joint/J-front"]
TRANSFER = ["nb201/pcm-to-sram/T-energy", "nb201/sram-to-pcm-t0/T-energy"]
FEW = {"two_stage": JOINT, "transfer": TRANSFER}  # tasks of searchers that are not for all
PAIRS = [(name, task) for name in NAMES for task in FEW.get(name, TASKS)]


@cache
def run(name: str, task: str, seed: int = 0) -> RunLog:
    return execute(methods()[name].load(), name, nbi.task(task), seed, 60.0)


def test_each_file_is_a_baseline() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"} - SHARED
    assert files == {*NAMES, *SLOW, "exhaustive"}  # which looks into the table, and is no method
    assert len(NAMES) == 18


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_spends_its_whole_budget_and_ends_there(name: str, task: str) -> None:
    log = run(name, task)
    assert (log.end, log.error) == ("budget", "")
    queries = [event for event in log.events if "query" in event]
    assert log.charged == len(queries) == nbi.task(task).budget
    assert (len(log.events) > len(queries)) == (name == "transfer")  # which recommends as it goes
    assert log.proposals < nbi.task(task).max_proposals  # it was not the cap that ended it


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_is_fixed_by_its_seed(name: str, task: str) -> None:
    again = execute(methods()[name].load(), name, nbi.task(task), 0, 60.0)
    assert again.events == run(name, task).events
    other = execute(methods()[name].load(), name, nbi.task(task), 1, 60.0)
    assert other.events != again.events


@pytest.mark.parametrize("name", sorted({*NAMES} - {*FEW}))
def test_limits(name: str) -> None:
    """Random search draws what keeps the limits and nothing else; all others mostly do."""
    task = nbi.task("nb201/pcm-t0/C-energy")
    limit = task.limits["energy"]
    kept = np.array([event["values"]["energy"] <= limit for event in run(name, task.name).events])
    if name in ("random_search", "local_search", "tpe", "nsga2", "sms_emoa"):
        assert kept.all()
    assert kept.mean() > 0.8  # three quarters of the space do


def imports(path: Path) -> set[tuple[str, str]]:
    """What a file imports: (module, name), with an empty name for a whole module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "", alias.name) for alias in node.names}
    return found


@pytest.mark.parametrize(
    "path", sorted(set(FOLDER.glob("*.py")) - {FOLDER / "exhaustive.py"}), ids=lambda path: path.name
)
def test_only_the_public_api_is_used(path: Path) -> None:
    own = {pair for pair in imports(path) if pair[0].startswith("nasbench_imc")}
    for module, name in own:
        bridge = module.partition(".bridges")[0] == "nasbench_imc" != module
        own_module = (
            module.partition(".")[0] == "nasbench_imc_baselines" and module.partition(".")[2] in SHARED
        )
        assert module == "nasbench_imc" or own_module or bridge
        assert name
        if module == "nasbench_imc":
            assert name in nbi.__all__
    private = [
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    ]
    assert private == []


def test_random_search_draws_uniformly() -> None:
    """On a task without limits every operation comes equally often on every edge."""
    task = nbi.task("nb201/sram-digital/S-accuracy")
    codes = [
        event["query"]["arch"] for seed in range(20) for event in run("random_search", task.name, seed).events
    ]
    for name, choices in task.domain.variables.items():
        taken = [task.domain.space.values(code)[name] for code in codes]
        share = np.array([taken.count(choice) for choice in choices]) / len(codes)
        assert np.abs(share - 1 / len(choices)).max() < 5 * np.sqrt(0.16 / len(codes))


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("local_search", "nb201/sram-digital/C-latency"),
        ("regularized_evolution", "nb201/sram-digital/C-latency"),
        ("local_search", "nb201/sram-digital/M-energy"),
        ("nsga2", "nb201/sram-digital/M-energy"),
    ],
)
def test_ends_nearer_to_the_best_than_random_search(bench: nbi.Benchmark, name: str, task: str) -> None:
    """Mean over ten seeds of the regret at full budget, in units of random search's."""
    found = nbi.task(task)
    last = [regret_curve(found, bench, run(name, task, seed).events)[-1] for seed in range(10)]
    assert np.mean(last) < found.frozen.random_regret[-1]


@pytest.mark.parametrize("name", sorted(task.name for task in nbi.tasks()))
def test_exhaustive_search_reaches_what_is_reachable(name: str) -> None:
    """The frozen regret of choosing by search labels, but where that takes a margin or the best twenty."""
    task = nbi.task(name)
    bench, last = task.load_table(), []
    for seed in range(5):
        log = execute(exhaustive.search, "exhaustive", task, seed, 60.0)
        assert log.end in ("finished", "budget")
        last.append(regret_curve(task, bench, log.events)[-1])
    if task.goal == "accuracy":
        error = np.std(last, ddof=1) / np.sqrt(5)
        assert np.mean(last) == pytest.approx(task.frozen.reachable_regret, abs=5 * error + 0.1)
    if task.goal == "front":
        assert task.frozen.reachable_regret - 3 * task.frozen.noise_floor < np.mean(last)
        assert np.mean(last) < task.frozen.random_regret[-1]
