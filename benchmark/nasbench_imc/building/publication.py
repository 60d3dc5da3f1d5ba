"""The reference searchers' runs as submissions, each with what its module and its tuning say of it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pandas as pd

from nasbench_imc.errors import SubmissionError
from nasbench_imc.runs import Method
from nasbench_imc.runs.log import SUFFIX
from nasbench_imc.submissions.manifest import Tuning
from nasbench_imc.submissions.pack import About, pack
from nasbench_imc.submissions.replay import Verdict
from nasbench_imc.tuning import tunable

AUTHORS = ("The NAS-Bench-IMC authors",)


def about(method: Method, tuning: Path | None) -> About:
    """What is known of a reference searcher.

    Parameters
    ----------
    method : Method
    tuning : pathlib.Path or None
        Table of ``nasbench-imc tune``; None where there was nothing to tune, or it was not.

    Raises
    ------
    SubmissionError
        Where its defaults are not the best configuration of its tuning: they would be called tuned and
        are not.
    """
    module = method.source.rpartition(":")[0]
    text = inspect.getdoc(import_module(module)) or ""
    description = " ".join(" ".join(text.split("\n\n")[:2]).split())
    return About(AUTHORS, description, module, "", _effort(method, tuning))


def _effort(method: Method, tuning: Path | None) -> Tuning:
    if tuning is None:
        return Tuning(0, (), 0.0)
    frame = pd.read_csv(tuning)
    final = frame[frame.seeds == frame.seeds.max()]
    best = final[final.score <= final.score.min()]
    defaults = tunable(method).defaults
    if not (best[list(defaults)] == pd.Series(defaults)).all(axis=1).any():
        raise SubmissionError(
            f"{tuning}: the defaults of {method.name}, {dict(defaults)}, are not the best of its tuning; "
            "adopt that, or tune again"
        )
    tasks = tuple(name for name in frame.columns if "/" in name)
    return Tuning(len(frame), tasks, round(float(frame.seconds.sum()) / 3600, 4))


def publish(methods: Mapping[str, Method], logs: Path, tuning: Path, out: Path) -> dict[str, Verdict]:
    """Pack the runs of methods below a folder, each as ``OUT/METHOD.zip``, which is replayed.

    Parameters
    ----------
    methods : mapping of str to Method
        Those of them that have runs are packed.
    logs : pathlib.Path
        Output folder of ``nasbench-imc run``.
    tuning : pathlib.Path
        Folder of tuning tables, ``METHOD.csv``; a method without one was not tuned.
    out : pathlib.Path

    Returns
    -------
    dict of str to Verdict
        Of replaying each.

    Raises
    ------
    SubmissionError, LogError
        As :func:`about` and :func:`nasbench_imc.submissions.pack.pack`.
    """
    ran = {path.parent.name for path in logs.rglob(f"*{SUFFIX}")}
    found = {}
    for name, method in methods.items():
        if name in ran:
            table = tuning / f"{name}.csv"
            said = about(method, table if table.is_file() else None)
            found[name] = pack(logs, name, said, out / f"{name}.zip")
    return found
