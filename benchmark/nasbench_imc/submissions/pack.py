"""Packing the logs of one method as a submission: the same runs and words give the same bytes."""

from __future__ import annotations

import hashlib
import os
import platform
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from nasbench_imc.errors import SubmissionError
from nasbench_imc.files import replacing
from nasbench_imc.runs.log import SUFFIX, TROUBLE, read_log
from nasbench_imc.submissions import manifest
from nasbench_imc.submissions.manifest import Environment, Manifest, Tuning
from nasbench_imc.submissions.replay import Verdict, replay
from nasbench_imc.suites import tasks as all_tasks
from nasbench_imc.suites.definition import shipped_task
from nasbench_imc.suites.rules import SUITES

#: Distributions whose version may change what a searcher does or how fast.
DISTRIBUTIONS = (
    "botorch",
    "ConfigSpace",
    "gpytorch",
    "h5py",
    "lightgbm",
    "moocore",
    "nasbench-imc",
    "numpy",
    "optuna",
    "pandas",
    "pymoo",
    "scikit-learn",
    "scipy",
    "smac",
    "torch",
    "xgboost",
)

_MOMENT = (1980, 1, 1, 0, 0, 0)  # of every member; the earliest that a zip archive can hold


@dataclass(frozen=True, slots=True)
class About:
    """What only the authors know; see :class:`nasbench_imc.submissions.manifest.Manifest`."""

    authors: tuple[str, ...]
    description: str
    code: str
    paper: str
    tuning: Tuning


#: How each thing that only the authors know is asked for, and what it is.
QUESTIONS = {
    "authors": "names of the authors",
    "description": "what the method does, in a sentence or a few",
    "code": "address of its source code",
    "tuning.configurations": "settings of the method that were tried and compared (0 if none)",
    "tuning.tasks": "tasks that they were tried on (none if none)",
    "tuning.core_hours": "processor time of that tuning [core-h] (0 if none)",
}


def read_about(path: Path) -> dict[str, Any]:
    """What a TOML file says of a method, flat: a table's keys are ``tuning.configurations`` and so on.

    Raises
    ------
    SubmissionError
        Where it is not TOML or has an unknown key.
    """
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SubmissionError(f"{path} is not a TOML file: {error}") from error
    except OSError as error:
        raise SubmissionError(f"{path} cannot be read: {error.strerror}") from error
    tuning = read.pop("tuning", {})
    if not isinstance(tuning, dict):
        raise SubmissionError(f"{path}: tuning must be a table")
    flat = {**read, **{f"tuning.{name}": value for name, value in tuning.items()}}
    known = [*QUESTIONS, "paper"]
    for name in flat:
        if name not in known:
            raise SubmissionError(f"{path} has the unknown key {name!r}; known: {', '.join(known)}")
    return flat


def about(given: Mapping[str, Any]) -> About:
    """What the authors said, checked to be complete.

    Raises
    ------
    SubmissionError
        Where something was not said; the message lists all of that.
    """
    missing = [f"{name} ({text})" for name, text in QUESTIONS.items() if name not in given]
    if missing:
        raise SubmissionError(f"a submission needs {len(missing)} more: {'; '.join(missing)}")

    def names(value: Any) -> Any:
        return tuple(value) if isinstance(value, (list, tuple)) else (value,)

    return About(
        names(given["authors"]),
        given["description"],
        given["code"],
        given.get("paper", ""),
        Tuning(given["tuning.configurations"], names(given["tuning.tasks"]), given["tuning.core_hours"]),
    )


def environment() -> Environment:
    """The present one, without names of users, machines or folders."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return Environment(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        platform=f"{platform.system()} {platform.machine()}",
        cpus=os.cpu_count() or 1,
        distributions=found,
    )


def pack(folder: Path, method: str, said: About, out: Path) -> Verdict:
    """Pack a method's logs, replay the archive, and keep it where that succeeds.

    Parameters
    ----------
    folder : pathlib.Path
        Output folder of ``nasbench-imc run``.
    method : str
        Name of the method in its logs.
    said : About
    out : pathlib.Path
        The archive.

    Returns
    -------
    Verdict
        Of replaying it.

    Raises
    ------
    SubmissionError
        Where the folder has no such logs, they are incomplete, or replaying them fails; no archive is
        written.
    LogError
        Where a log cannot be read.
    """
    made, files = _manifest(folder, method, said)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted([manifest.MEMBER, *files]):
                data = made.to_json() if name == manifest.MEMBER else files[name].read_bytes()
                archive.writestr(_member(name), data)
        return replay(temporary)


def _manifest(folder: Path, method: str, said: About) -> tuple[Manifest, dict[str, Path]]:
    files: dict[str, Path] = {}
    logs: dict[str, tuple[str, int]] = {}
    runs: set[tuple[str, int]] = set()
    methods: set[str] = set()
    packages: set[str] = set()
    searchers: set[str] = set()
    failures = 0
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        log = read_log(path)
        methods.add(log.method)
        if log.method != method:
            continue
        name = manifest.member(log.task, method, log.seed)
        if name in files:
            raise SubmissionError(f"{files[name]} and {path} are of one run; a submission has each run once")
        data = path.read_bytes()
        files[name], logs[name] = path, (hashlib.sha256(data).hexdigest(), len(data))
        runs.add((log.task, log.seed))
        packages.add(log.package)
        searchers.add(log.searcher)
        failures += log.end in TROUBLE
    if not files:
        raise SubmissionError(
            f"{folder} holds no logs of {method!r}"
            + (f"; it holds {', '.join(sorted(methods))}" if methods else "")
        )
    if len(searchers) > 1:
        raise SubmissionError(
            f"the logs of {method!r} are of {len(searchers)} versions of the searcher; run it anew"
        )
    tasks = tuple(sorted({task for task, _ in runs}))
    own = sorted(set(tasks) - {task.name for task in all_tasks()})
    if own:
        raise SubmissionError(
            f"{', '.join(own)}: not of the benchmark; only runs on its tasks can be submitted"
        )
    found = [shipped_task(name) for name in tasks]
    made = Manifest(
        method=method,
        authors=said.authors,
        description=said.description,
        code=said.code,
        paper=said.paper,
        tuning=said.tuning,
        environment=environment(),
        packages=tuple(sorted(packages)),
        searcher=searchers.pop(),
        tables={task.table: (task.table_version, task.table_sha256) for task in found},
        suite=suite_of(tasks),
        tasks=tasks,
        seeds=max(seed for _, seed in runs) + 1,
        failures=failures,
        logs=logs,
    )
    manifest.check(made)
    return made, files


def suite_of(tasks: tuple[str, ...]) -> str:
    """The suite that these are all the tasks of, else empty."""
    return next((suite for suite in SUITES if sorted(t.name for t in all_tasks(suite)) == sorted(tasks)), "")


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, date_time=_MOMENT)
    info.create_system = 3  # Unix, wherever it is packed
    info.external_attr = 0o100644 << 16
    return info
