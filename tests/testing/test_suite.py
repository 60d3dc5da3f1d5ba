"""The suite finds faults: each faulty searcher fails the test that is meant for it, and no other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

import nasbench_imc as nbi
from nasbench_imc.suites.rules import TRACKS, rules
from nasbench_imc.testing import SearcherSuite
from nasbench_imc.testing import tasks as small

SUITES = Path(__file__).with_name("faulty_suites.py")

#: Of the sessions that ``faulty_suites.py`` asks for.
BUDGET = next(small.shrunk(task, 10).budget for task in small.one_a_kind() if task.track == "S")

#: Faulty searcher -> the tests that it fails, and a part of what they say.
CAUGHT = {
    "queries_nothing": {
        "test_ends": "made no query",
        "test_spends_its_budget": f"ended (finished) after 0 of {BUDGET} queries",
        "test_another_seed_another_run": "ask for the same designs",
    },
    "stops_early": {"test_spends_its_budget": "spends = 0.5"},
    "asks_once_more": {"test_lets_the_end_of_the_budget_pass": "ask 1 times after BudgetExhausted"},
    "recommends_unseen": {"test_recommends_only_what_it_may": "only a queried design can be recommended"},
    "changes_an_observation": {
        "test_leaves_session_task_and_observations_as_they_are": "changed an observation"
    },
    "changes_the_domain": {
        "test_leaves_session_task_and_observations_as_they_are": "changed session.task.domain.variables"
    },
    "reads_the_table_of_the_session": {
        "test_uses_the_public_session_alone": "used session._bench, Benchmark.query"
    },
    "reads_the_table": {"test_uses_the_public_session_alone": "used Benchmark.query"},
    "reads_the_best": {"test_uses_the_public_session_alone": "used session.task.frozen"},
    "keeps_state": {
        "test_same_seed_same_run": "twice in one process",
        "test_does_not_depend_on_global_generators": "from event 1 on",
    },
    "own_generator": {
        "test_same_seed_same_run": "from event 1 on",
        "test_does_not_depend_on_global_generators": "from event 1 on",
        "test_same_run_in_another_process": "from event 1 on",
    },
    "global_generators": {"test_does_not_depend_on_global_generators": "draw from the rng"},
    "global_numpy_generator": {"test_does_not_depend_on_global_generators": "draw from the rng"},
    "ignores_the_seed": {"test_another_seed_another_run": "ask for the same designs"},
    "sweeps": {"test_another_seed_another_run": "uses_rng = False"},
    "order_of_a_set": {"test_same_run_in_another_process": "PYTHONHASHSEED"},
    "wants_two": {"test_budget_of_one": "IndexError"},
    "wants_five_distinct": {"test_budget_beyond_the_domain": "AssertionError"},
    "never_satisfied": {"test_budget_beyond_the_domain": f"did not end (after 4 of {BUDGET} queries"},
    "wants_a_feasible_one": {"test_every_design_breaks_a_limit": "IndexError"},
    "logarithm_of_the_error": {"test_labels_of_pure_noise": "ValueError"},
    "divides_by_the_spread": {"test_labels_that_are_all_equal": "ZeroDivisionError"},
    "prints": {"test_prints_nothing": "so far so good"},
    "opens_a_file_of_the_folder": {"test_runs_in_another_process": "FileNotFoundError"},
    "local": {"test_runs_in_another_process": "is not a function at the top of a file"},
}

#: Faults by which most tests fail -> the one meant for them.
WORSE = {
    "raises": ("test_ends", "RuntimeError: on purpose"),
    "never_ends": ("test_ends", f"stopped after 0.3 s and did not end (after 1 of {BUDGET} queries"),
    "swallows": ("test_lets_the_end_of_the_budget_pass", "went on to ask"),
    "changes_the_session": (
        "test_leaves_session_task_and_observations_as_they_are",
        "changed session.charged",
    ),
}

Failures = Mapping[str, Mapping[str, str]]


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> Failures:
    """Class -> failed test -> what it said."""
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "weights.txt").write_text("1 2 3")
    report = folder / "report.xml"
    subprocess.run(
        [sys.executable, "-m", "pytest", str(SUITES), f"--junitxml={report}", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        capture_output=True,
        timeout=300,
    )
    found: dict[str, dict[str, str]] = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = case.get("classname", "").rpartition(".")[2]
        failed = found.setdefault(name, {})
        for kind in ("failure", "error"):
            for element in case.findall(kind):
                message = f"{element.get('message', '')}\n{element.text or ''}"
                failed[case.get("name", "").partition("[")[0]] = message
    return found


@pytest.mark.parametrize("name", CAUGHT)
def test_fault_is_caught_by_the_test_meant_for_it(failures: Failures, name: str) -> None:
    failed = failures[f"Test_{name}"]
    assert set(failed) == set(CAUGHT[name])
    for test, says in CAUGHT[name].items():
        assert says in failed[test]


@pytest.mark.parametrize("name", WORSE)
def test_worse_fault_is_caught(failures: Failures, name: str) -> None:
    test, says = WORSE[name]
    assert says in failures[f"Test_{name}"][test]


def test_no_fault_no_failure(failures: Failures) -> None:
    told = [name for name in failures if name.startswith("TestTold_")]
    assert len(told) == 5
    assert not any(failures[name] for name in [*told, "Test_sound"])


def test_every_fault_is_expected(failures: Failures) -> None:
    expected = {*CAUGHT, *WORSE, "sound", "finds_itself_by_name"}
    assert {name.removeprefix("Test_") for name in failures if name.startswith("Test_")} == expected


def test_every_test_catches_something() -> None:
    tests = {name for name in vars(SearcherSuite) if name.startswith("test_")}
    assert tests == {test for caught in CAUGHT.values() for test in caught}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"Broken names no searcher: searcher = staticmethod\("),
        ({"searcher": 3}, "names no searcher"),
        (
            {"searcher": len, "tracks": ("S", "X")},
            r"Broken.tracks is a sequence of \['S'.*, not \('S', 'X'\)",
        ),
        ({"searcher": len, "tracks": ()}, "tracks is a sequence"),
    ],
)
def test_misdeclared_suite(settings: dict[str, Any], message: str) -> None:
    broken = type("Broken", (SearcherSuite,), settings)
    with pytest.raises(nbi.BenchmarkError, match=message):
        broken().pytest_generate_tests(SimpleNamespace(fixturenames=["task"]))  # type: ignore[arg-type]


def test_a_task_of_every_kind() -> None:
    kinds = {(task.track, task.goal) for task in nbi.tasks() if task.table == "nb201"}
    found = [(task.track, task.goal) for task in small.one_a_kind()]
    assert kinds <= set(found)
    assert len(set(found)) == len(found)
    assert {track for track, _ in found} <= set(TRACKS)


@pytest.mark.parametrize("task", nbi.tasks(), ids=lambda task: task.name)
def test_small_tasks_keep_the_rules(task: nbi.Task) -> None:
    for made in (small.shrunk(task, 27), small.shrunk(task, 10**9), small.of_budget_one(task)):
        assert all(kept for kept, _ in rules(made))
        assert type(made).from_json(made.to_json(), "here") == made
    first, second = task.checkpoints[1:3]
    assert small.shrunk(task, first).budget == first
    assert small.shrunk(task, first + 1).budget == second
    assert small.shrunk(task, 10**9) == task
    assert small.of_budget_one(task).budget == 1
    few = small.on_few_designs(task)
    assert len(set(few.domain.points)) == len(few.domain) < few.budget
    with few.session(0) as session:
        assert session.query(few.domain.points[-1]).feasible
        with pytest.raises(nbi.UnknownNameError, match="unknown choice of"):
            session.query(task.domain.points[0])
