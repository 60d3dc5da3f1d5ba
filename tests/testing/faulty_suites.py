"""A suite for each faulty searcher; ``test_suite.py`` runs them and says which tests must fail."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from nasbench_imc.testing import SearcherSuite

_spec = importlib.util.spec_from_file_location("faulty", Path(__file__).with_name("faulty.py"))
faulty = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(faulty)

#: Searchers that need more than the defaults below.
SETTINGS = {
    "swallows": {"timeout": 0.3},
    "never_ends": {"timeout": 0.3},
    "never_satisfied": {"timeout": 1.0},
    "wants_a_feasible_one": {"tracks": ("C",)},
}

#: What a suite may be told, so that all its tests pass.
TOLD = {
    "stops_early": {"spends": 0.45},
    "own_generator": {"deterministic": False},
    "sweeps": {"uses_rng": False},
    "partial": {"source": "faulty.py:finds_itself_by_name"},
    "sound": {"tracks": None},
}

#: Faults that another process shows; the others are spared its start, which takes most of a suite's time.
ELSEWHERE = ("own_generator", "order_of_a_set", "prints", "opens_a_file_of_the_folder", "sound")
IN_ANOTHER_PROCESS = (
    "test_runs_in_another_process",
    "test_same_run_in_another_process",
    "test_prints_nothing",
)


def suite(name, settings, elsewhere=True):
    return type(
        f"Test_{name}",
        (SearcherSuite,),
        {
            "searcher": staticmethod(getattr(faulty, name)),
            "tracks": ("S",),
            "budget": 10,
            "__module__": __name__,
            **settings,
            **({} if elsewhere else dict.fromkeys(IN_ANOTHER_PROCESS)),
        },
    )


for _name, _value in list(vars(faulty).items()):
    if getattr(_value, "__module__", "") == "faulty" and _name not in ("made_by_a_function", "partial"):
        globals()[f"Test_{_name}"] = suite(_name, SETTINGS.get(_name, {}), _name in ELSEWHERE)

for _name, _settings in TOLD.items():
    globals()[f"TestTold_{_name}"] = suite(_name, _settings)


class Test_local(SearcherSuite):
    searcher = staticmethod(faulty.made_by_a_function())
    tracks = ("S",)
    budget = 10
