"""Golden trajectories: which designs each reference searcher asks for, in order.

A searcher whose trajectory has changed is another method, and its published results are no longer its own.
Where that is meant, or a library or a task has changed, ``python tests/baselines/test_golden.py`` writes the
file anew; its difference says which methods are concerned. Slow methods are checked by ``pytest -m slow``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import nasbench_imc as nbi
from nasbench_imc.bridges.designs import to_indices
from nasbench_imc.runs import methods
from nasbench_imc.runs.execute import execute
from nasbench_imc.testing.tasks import shrunk

FILE = Path(__file__).with_name("golden.json")
TASKS = (
    "nb201/sram-digital/C-memory",  # limits
    "nb201/joint/J-front",  # several objectives, and hardware to choose
    "nb201/pcm-to-sram/T-energy",  # free labels on other hardware
)
PARTICULAR = (  # for searchers that none of these is for
    "hybrid/pcm-1d/F-accuracy",  # several fidelities; its budget is in seconds
    "hybrid/sram-analog-adc6/C-area",  # proxies
)
BUDGET, SLOW_BUDGET = 30, 16
METHODS = {
    name: method for name, method in methods().items() if method.source.startswith("nasbench_imc_baselines.")
}


def trajectories(name: str) -> dict[str, str]:
    """By task: each query as the indices of its choices, in the order of the task's variables."""
    reach, found = METHODS[name].reach(), {}
    general, particular = (list(filter(reach.suits, map(nbi.task, names))) for names in (TASKS, PARTICULAR))
    for task in [shrunk(task, SLOW_BUDGET if reach.slow else BUDGET) for task in general] or particular:
        log = execute(METHODS[name].load(), name, task, 0, 600.0)
        assert log.end == "budget", (name, task.name, log.end, log.charged)
        asked = [task.domain.design(event["query"]) for event in log.events if "query" in event]
        found[task.name] = " ".join("".join(map(str, to_indices(task.domain, d))) for d in asked)
    return found


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * METHODS[n].reach().slow) for n in METHODS]
)
def test_a_searcher_asks_for_the_same_designs_as_ever(name: str) -> None:
    found = trajectories(name)
    assert found
    assert found == json.loads(FILE.read_text(encoding="utf-8"))[name]


def test_no_golden_trajectory_is_of_a_searcher_that_is_gone() -> None:
    assert list(json.loads(FILE.read_text(encoding="utf-8"))) == list(METHODS)


if __name__ == "__main__":
    FILE.write_text(json.dumps({name: trajectories(name) for name in METHODS}, indent=1) + "\n")
