"""NAS-Bench-IMC: a benchmark for hardware-aware architecture search on in-memory-computing hardware.

    >>> import nasbench_imc as nbi
    >>> bench = nbi.load("nb201")
    >>> arch = bench.space.architectures[-1]
    >>> m = bench.query(nbi.Design(arch, "sram-digital-r128"))
    >>> m.units["energy"]
    'uJ'

Names are imported when first used, so that a query needs neither pandas nor scipy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nasbench_imc._version import __version__

if TYPE_CHECKING:
    from nasbench_imc.design import Design
    from nasbench_imc.errors import (
        BenchmarkError,
        BudgetExhausted,
        LogError,
        ProposalsExhausted,
        SearchError,
        SubmissionError,
        TableError,
        TaskError,
        UnavailableError,
        UnknownNameError,
    )
    from nasbench_imc.suites import Observation, Session, Task, task, tasks
    from nasbench_imc.tables import Benchmark, Measurement, load

_HOME = {
    "Benchmark": "tables",
    "BenchmarkError": "errors",
    "BudgetExhausted": "errors",
    "Design": "design",
    "LogError": "errors",
    "Measurement": "tables",
    "Observation": "suites",
    "ProposalsExhausted": "errors",
    "SearchError": "errors",
    "Session": "suites",
    "SubmissionError": "errors",
    "TableError": "errors",
    "Task": "suites",
    "TaskError": "errors",
    "UnavailableError": "errors",
    "UnknownNameError": "errors",
    "load": "tables",
    "task": "suites",
    "tasks": "suites",
}

__all__ = [
    "Benchmark",
    "BenchmarkError",
    "BudgetExhausted",
    "Design",
    "LogError",
    "Measurement",
    "Observation",
    "ProposalsExhausted",
    "SearchError",
    "Session",
    "SubmissionError",
    "TableError",
    "Task",
    "TaskError",
    "UnavailableError",
    "UnknownNameError",
    "__version__",
    "load",
    "task",
    "tasks",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"nasbench_imc.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
