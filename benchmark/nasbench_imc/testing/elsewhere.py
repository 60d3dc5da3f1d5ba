"""Runs of a searcher in a process of its own, as the harness makes them.

``python -m nasbench_imc.testing.elsewhere REQUEST ANSWER`` reads what to run from one JSON file and writes
the runs into another; what the searcher prints is left to the standard streams.
"""

from __future__ import annotations

import importlib.machinery
import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasbench_imc.errors import BenchmarkError
from nasbench_imc.runs.execute import execute
from nasbench_imc.runs.log import read_log, write_log
from nasbench_imc.runs.methods import find_method
from nasbench_imc.suites import Task

#: One thread for every library that computes by many: the harness runs a searcher on each core.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

#: Hashes of strings that are not those of this process, nor of the harness.
HASH_SEED = "4242"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of the runs.

    Attributes
    ----------
    error : str
        Why there are no runs; empty where there are.
    printed : str
        What the process wrote to standard output.
    logs : mapping of str to mapping
        Task name -> ``end``, ``error``, ``events``.
    """

    error: str
    printed: str
    logs: dict[str, dict[str, Any]]


def source(searcher: Callable[..., Any]) -> str:
    """Where another process finds a searcher: ``module:function`` or ``file.py:function``.

    Raises
    ------
    BenchmarkError
        Where it is no function at the top of a file.
    """
    name, file = getattr(searcher, "__qualname__", ""), None
    if name.isidentifier():
        file = inspect.getsourcefile(inspect.unwrap(searcher))
    if file is None:
        raise BenchmarkError(
            f"{searcher!r:.120} is not a function at the top of a file, so another process cannot import "
            "it; make it one, or name one: source = 'my_method.py:search'"
        )
    return f"{_module(searcher.__module__, file) or Path(file).resolve()}:{name}"


def _module(name: str, file: str) -> str:
    """The module's name where another process finds this file by it, else empty."""
    path: Sequence[str] | None = None
    for part in (parts := name.split(".")):
        found = importlib.machinery.PathFinder.find_spec(part if path is None else f"_.{part}", path)
        if found is None:
            return ""
        if part is parts[-1]:
            same = found.origin is not None and Path(found.origin).resolve() == Path(file).resolve()
            return name if same else ""
        path = found.submodule_search_locations
    return ""


def run_elsewhere(where: str, tasks: Sequence[Task], seed: int, timeout: float) -> Answer:
    """Run a searcher once on each task, in one other process with other hashes and one thread.

    Parameters
    ----------
    where : str
        As :func:`source` gives it.
    tasks : sequence of Task
    seed : int
    timeout : float
        Of a run [s].
    """
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder, "request.json"), Path(folder, "answer.json")
        request.write_text(
            json.dumps(
                {
                    "source": where,
                    "tasks": [task.to_json() for task in tasks],
                    "seed": seed,
                    "timeout": timeout,
                }
            ),
            encoding="utf-8",
        )
        try:
            done = subprocess.run(
                [sys.executable, "-m", __name__, str(request), str(answer)],
                env={
                    **os.environ,
                    **dict.fromkeys(THREADS, "1"),
                    "PYTHONHASHSEED": HASH_SEED,
                    "PYTHONPATH": os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path),
                },
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60.0 + 2 * timeout * len(tasks),
            )
        except subprocess.TimeoutExpired:
            return Answer("the process did not end", "", {})
        if not answer.is_file():
            last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            return Answer(f"the process died: {last[0]}", done.stdout, {})
        return Answer("", done.stdout, json.loads(answer.read_text(encoding="utf-8")))


def main(request: str, answer: str) -> None:
    """The other process."""
    wanted = json.loads(Path(request).read_text(encoding="utf-8"))
    method = find_method(wanted["source"])
    searcher = method.load()
    logs = {}
    for text in wanted["tasks"]:
        task = Task.from_json(text, "the task of a run")
        log = execute(searcher, method.name, task, wanted["seed"], wanted["timeout"])
        path = Path(answer).with_name("log")
        write_log(log, path)  # what it did must go into a log
        read = read_log(path)
        logs[task.name] = {"end": read.end, "error": read.error, "events": list(read.events)}
    Path(answer).write_text(json.dumps(logs), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
