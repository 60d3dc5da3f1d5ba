"""What a run costs beside its searcher: the harness against the same searches made bare, in one go.

Both are process times [core-s], those of the harness's processes included, so that other work on the machine
tells little. Nothing here fails for being slow::

    pytest tests/benchmarks/test_run_speed.py --benchmark-json=speed.json

The JSON file's ``extra_info`` holds both figures and their ratio.
"""

import resource
import time

import pytest

import nasbench_imc as nbi
from nasbench_imc.runs import find_method, read_logs, run_all
from nasbench_imc.runs.execute import execute

pytest.importorskip("pytest_benchmark")

SEEDS = 60
METHODS = ("random_search", "local_search")


def core_seconds() -> float:
    """Process time of this process and of those that it has waited for [s]."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def test_runs_of_cheap_methods(benchmark, tmp_path):
    methods, tasks = [find_method(name) for name in METHODS], nbi.tasks(suite="dev")
    runs = len(methods) * len(tasks) * SEEDS
    figures = {}

    def harness():
        begin = core_seconds()
        report = run_all(methods, tasks, range(SEEDS), tmp_path, jobs=2, progress=False)
        figures["core_seconds_a_run"] = (core_seconds() - begin) / runs
        assert report.done == runs

    benchmark.pedantic(harness, rounds=1, iterations=1)
    begin = time.process_time()
    bare = [
        execute(method.load(), method.name, task, seed, 600.0)
        for task in tasks
        for seed in range(SEEDS)
        for method in methods
    ]
    figures["bare_core_seconds_a_run"] = (time.process_time() - begin) / runs
    figures["harness_to_bare"] = figures["core_seconds_a_run"] / figures["bare_core_seconds_a_run"]
    benchmark.extra_info.update({name: float(f"{value:.4g}") for name, value in figures.items()})
    logs = {(log.method, log.task, log.seed): log.events for log in read_logs(tmp_path)}
    assert all(logs[log.method, log.task, log.seed] == log.events for log in bare)
