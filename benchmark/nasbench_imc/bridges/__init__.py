"""Bridges between a search session and other conventions: ask/tell, plain functions, other libraries.

==============================  ==============================================================
:func:`run_ask_tell`            methods with ``ask()`` and ``tell(observation)``
:func:`function`                methods that want ``f(x)``: a number, or several
:func:`run_function`            the same, for methods that keep exceptions to themselves
:func:`run_optuna`              any sampler of Optuna; more in :mod:`nasbench_imc.bridges.optuna`
:func:`run_pymoo`               any algorithm of pymoo; more in :mod:`nasbench_imc.bridges.pymoo`
:func:`configuration_space`     tools that search a ``ConfigSpace``;
                                more in :mod:`nasbench_imc.bridges.configspace`
:func:`ask`                     a query, free where the same network was queried before
:func:`scalarised`              one number for several objectives
:func:`keeps_limits`            a look at the costs, before a query is spent
==============================  ==============================================================

Names are imported when first used: a library is needed by its own bridge alone, and the extra
``[search]`` has all of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench_imc.bridges.ask_tell import AskTell, run_ask_tell
    from nasbench_imc.bridges.asking import ask, queried
    from nasbench_imc.bridges.configspace import configuration_space
    from nasbench_imc.bridges.designs import to_design, to_indices
    from nasbench_imc.bridges.functions import Function, function, run_function
    from nasbench_imc.bridges.objectives import keeps_limits, logged, scalarised, scale, violations
    from nasbench_imc.bridges.optuna import run_optuna
    from nasbench_imc.bridges.pymoo import run_pymoo

_HOME = {
    "AskTell": "ask_tell",
    "Function": "functions",
    "ask": "asking",
    "configuration_space": "configspace",
    "function": "functions",
    "keeps_limits": "objectives",
    "logged": "objectives",
    "queried": "asking",
    "run_ask_tell": "ask_tell",
    "run_function": "functions",
    "run_optuna": "optuna",
    "run_pymoo": "pymoo",
    "scalarised": "objectives",
    "scale": "objectives",
    "to_design": "designs",
    "to_indices": "designs",
    "violations": "objectives",
}

__all__ = [
    "AskTell",
    "Function",
    "ask",
    "configuration_space",
    "function",
    "keeps_limits",
    "logged",
    "queried",
    "run_ask_tell",
    "run_function",
    "run_optuna",
    "run_pymoo",
    "scalarised",
    "scale",
    "to_design",
    "to_indices",
    "violations",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
