"""One run in this process: how it ends and what is kept."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nasbench_imc as nbi
from nasbench_imc.runs import find_method
from nasbench_imc.runs.execute import execute, searcher_rng
from nasbench_imc.runs.log import read_log, write_log

FILE = Path(__file__).with_name("searchers.py")
TASK = nbi.task("nb201/sram-digital/S-accuracy")


def run(name: str, timeout: float = 60.0, seed: int = 0) -> Any:
    method = find_method(f"{FILE}:{name}")
    return execute(method.load(), method.name, TASK, seed, timeout)


@pytest.mark.parametrize(
    ("name", "end", "error", "charged"),
    [
        ("raises", "failed", "RuntimeError: on purpose", 1),
        ("raises_an_error_that_cannot_be_pickled", "failed", "Local", 0),
        ("exits", "failed", "SystemExit: 0", 1),
        ("interrupts", "failed", "KeyboardInterrupt", 0),
        ("runs_out_of_stack", "failed", "RecursionError", 0),
        ("asks_for_nan", "failed", "UnknownNameError: expected a Design, not float: nan", 1),
        ("asks_for_a_nan_design", "failed", "UnknownNameError: unknown nb201 architecture nan", 0),
        ("recommends_too_many", "failed", "names 1 to 1 designs, not 20", 20),
        ("repeats", "proposals", "", 1),
        ("returns", "finished", "", 0),
    ],
)
def test_end(name: str, end: str, error: str, charged: int, tmp_path: Path) -> None:
    log = run(name)
    assert (log.end, log.charged, len(log.events)) == (end, charged, charged)
    assert error in log.error
    assert bool(log.error) == (end == "failed")
    assert len(log.error) <= 4_000
    write_log(log, tmp_path / "log")
    assert read_log(tmp_path / "log") == log


@pytest.mark.parametrize(("name", "charged"), [("loops", 1), ("swallows", TASK.budget), ("sleeps", 1)])
def test_stopped_in_time_with_its_queries_kept(name: str, charged: int) -> None:
    run("raises")  # the labels are ready: what follows is quick
    log = run(name, timeout=1.0)
    assert (log.end, log.error) == ("timeout", "stopped after 1 s")
    assert log.charged == len(log.events) == charged
    assert 1.0 <= log.seconds < 20


def test_same_cell_for_ever_ends_at_the_proposals() -> None:
    assert run("repeats").proposals == TASK.max_proposals


def test_seed_fixes_the_run() -> None:
    one, again, other = run("relies_on_hidden_state"), run("relies_on_hidden_state"), run("slow", seed=1)
    assert one.events == again.events
    assert other.events[0] != run("slow", seed=2).events[0]


def test_generator_depends_on_task_and_seed() -> None:
    tasks = nbi.tasks()
    draws = {float(searcher_rng(task, seed).random()) for task in tasks for seed in range(5)}
    assert len(draws) == 5 * len(tasks)
    assert searcher_rng(TASK, 3).random() == searcher_rng(TASK, 3).random()


def test_in_another_thread() -> None:
    """Signals do not reach it; the run is made all the same."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(run("raises")))
    thread.start()
    thread.join()
    assert found[0].end == "failed"


def test_labels_in_the_log_are_search_labels(bench: nbi.Benchmark) -> None:
    log = run("raises", seed=4)
    event = log.events[0]
    design = TASK.domain.design(event["query"])
    search = bench.query(design, TASK.at, labels="search", seed=TASK.label_seed(4))
    assert event["values"] == {"accuracy": search["accuracy"]}
    assert event["values"]["accuracy"] != bench.query(design, TASK.at)["accuracy"]
    assert np.isfinite(event["values"]["accuracy"])
