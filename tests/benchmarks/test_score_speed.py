"""How fast many runs are scored and compared, beside the least that must be done, in one run on one machine.

Nothing here fails for being slow. Run it alone for figures::

    pytest tests/benchmarks/test_score_speed.py --benchmark-columns=median,iqr,rounds

The goal is 12 methods x 24 tasks x 30 seeds, 8,640 logs of 200 queries, within 15 s and 1 GB. Reading
and scoring are measured on fewer logs and given for as many; ``NASBENCH_IMC_LOGS=8640`` makes them all.
"""

import contextlib
import gzip
import json
import os
import resource
import statistics
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

import nasbench_imc as nbi
from nasbench_imc.runs.log import RunLog, log_path, write_log
from nasbench_imc.scoring import Scores, score_folder
from nasbench_imc_baselines import random_search

pytest.importorskip("pytest_benchmark")

LOGS = int(os.environ.get("NASBENCH_IMC_LOGS", 360))
METHODS, TASKS, SEEDS = 12, 24, 30


def seconds(function, rounds=3):
    taken = []
    for _ in range(rounds):
        begin = time.perf_counter()
        function()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def measured(benchmark, function, rounds=3):
    """Median time [s] of a call, through pytest-benchmark (one call where that is disabled)."""
    benchmark.pedantic(function, rounds=rounds, iterations=1)
    return benchmark.stats.stats.median if benchmark.stats else seconds(function, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, bench):
    """Logs of random search, the same ones under several names of methods."""
    out = tmp_path_factory.mktemp("logs")
    tasks = nbi.tasks()
    seeds = -(-LOGS // (METHODS * len(tasks)))
    for task in tasks:
        for seed in range(seeds):
            with task.session(seed) as session, contextlib.suppress(nbi.BudgetExhausted):
                random_search.search(session, np.random.default_rng(seed))
            table = task.load_table()
            made = RunLog(
                method="",
                task=task.name,
                task_sha256=task.sha256,
                seed=seed,
                table=table.version,
                table_sha256=table.sha256,
                official=table.official,
                events=tuple(session.events()),
                end="budget",
                error="",
                charged=session.charged,
                proposals=session.proposals,
                seconds=1.0,
            )
            for k in range(METHODS):
                name = f"method-{k:02}"
                write_log(replace(made, method=name), log_path(out, task.name, name, seed))
    return out


def read_plainly(folder):
    """What any reader does at the least: unpack, and parse line by line."""
    for path in folder.rglob("*.gz"):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                json.loads(line)


@pytest.mark.parametrize("jobs", [1, os.cpu_count() or 1])
def test_scoring_logs(benchmark, folder, jobs):
    scores = score_folder(folder, jobs)  # tables are loaded once
    count = len(scores.runs)
    taken = measured(benchmark, lambda: score_folder(folder, jobs), rounds=3 if count < 2_000 else 1)
    plain = seconds(lambda: read_plainly(folder), 1)
    goal = METHODS * TASKS * SEEDS
    benchmark.extra_info.update(
        logs=count,
        milliseconds_a_log=round(1e3 * taken / count, 3),
        seconds_for_the_goal=round(taken / count * goal, 2),
        ours_to_plain_reading=round(taken / plain, 2),
        mebibytes=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    )


@pytest.fixture(scope="module")
def made():
    """Scores of 12 methods on 24 tasks with 30 seeds, drawn at random; tasks are shipped ones renamed."""
    rng = np.random.default_rng(0)
    shipped = nbi.tasks()
    tasks = tuple(replace(shipped[k % len(shipped)], name=f"task-{k:02}") for k in range(TASKS))
    rows = []
    for task in tasks:
        for k in range(METHODS):
            for seed in range(SEEDS):
                regret = np.array(task.frozen.random_regret) * rng.uniform(0, 1 + 0.1 * k)
                row = {"task": task.name, "method": f"method-{k:02}", "seed": seed, "end": "budget"}
                row |= {"error": "", "charged": 200, "proposals": 200, "seconds": 1.0, "official": True}
                row |= {"score": regret.sum() / sum(task.frozen.random_regret), "regret": regret}
                rows.append(row | {"recommended": ()})
    return Scores(tasks, tuple(f"method-{k:02}" for k in range(METHODS)), pd.DataFrame(rows))


def test_statistics(benchmark, made):
    """Intervals, tests of all pairs, ranks and Elo with their bootstraps, beside scipy's tests alone."""

    def all_of_them():
        fresh = Scores(made.tasks, made.methods, made.runs)
        fresh.leaderboard()
        for task in fresh.tasks:
            fresh.comparisons(task.name)

    def scipys_tests():
        for _, group in made.runs.groupby("task"):
            grid = group.pivot(index="seed", columns="method", values="score").to_numpy()
            for i in range(METHODS):
                for j in range(i):
                    wilcoxon(grid[:, i], grid[:, j])

    taken = measured(benchmark, all_of_them)
    other = seconds(scipys_tests, 1)
    benchmark.extra_info.update(
        seconds=round(taken, 2),
        scipy_tests_seconds=round(other, 2),
        ours_to_scipys_tests=round(taken / other, 2),
    )
