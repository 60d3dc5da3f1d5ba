"""Running a searcher again: confined, without the table, with label seeds that nobody knew before."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from nasbench_imc._version import __version__
from nasbench_imc.design import Design
from nasbench_imc.errors import (
    BenchmarkError,
    BudgetExhausted,
    ProposalsExhausted,
    SearchError,
    SubmissionError,
    UnknownNameError,
)
from nasbench_imc.files import replacing
from nasbench_imc.runs.execute import check_time_limit
from nasbench_imc.runs.log import MAX_EVENTS, TROUBLE, RunLog, log_path, write_log
from nasbench_imc.runs.methods import parse_method
from nasbench_imc.submissions.manifest import member
from nasbench_imc.submissions.permuted import Relabelling, interval_of_mean
from nasbench_imc.submissions.pipe import Closed, Late
from nasbench_imc.submissions.replay import FORMAT, Verdict, replay
from nasbench_imc.submissions.sandbox import Sandbox, Searcher, process, sandbox, withheld
from nasbench_imc.submissions.tiers import TIERS
from nasbench_imc.submissions.unpack import Archive
from nasbench_imc.suites import Observation, Session, Task
from nasbench_imc.suites.definition import is_shipped, shipped_task

#: Longest time that a process may take to start and to import the searcher [s].
START = 120.0

#: Fresh label seeds are drawn between these, far from those that runs are submitted with.
SEEDS = (2**20, 2**31)

#: Runs of each task of a submission that are made again with their own seeds.
REPRODUCED = 3

_RECOMMENDATIONS = MAX_EVENTS // 2  # a session does not bound them


@dataclass(frozen=True, slots=True)
class Seeds:
    """Seeds of one run: of the labels, of the searcher's own generator, and of the permutation."""

    label: int
    searcher: int
    permutation: int


def draw_seeds(entropy: int, count: int) -> list[Seeds]:
    """Fresh seeds; the same entropy gives the same ones."""
    rng = np.random.default_rng(entropy)
    labels = rng.choice(SEEDS[1] - SEEDS[0], size=count, replace=False) + SEEDS[0]
    others = rng.integers(2**31, size=(count, 2))
    return [Seeds(int(label), int(a), int(b)) for label, (a, b) in zip(labels, others, strict=True)]


def rerun(
    source: str,
    tasks: Sequence[Task],
    seeds: int,
    out: Path,
    *,
    entropy: int | None = None,
    jobs: int = 1,
    timeout: float = 600.0,
    permuted: bool = True,
    readable: Iterable[Path] = (),
    submission: Path | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Run a searcher on every task with fresh seeds, each run in a confined process of its own.

    Writes a log of each run below ``out/logs``, those with permuted labels below ``out/permuted``, those of
    a submission made again below ``out/reproduced``, and what is returned as ``out/rerun.json``.

    Parameters
    ----------
    source : str
        As :func:`nasbench_imc.runs.methods.find_method` takes it; nothing is imported in this process.
    tasks : sequence of Task
    seeds : int
        How many.
    out : pathlib.Path
        A folder without logs.
    entropy : int, optional
        What the seeds are drawn from; from the operating system by default.
    jobs : int
        Processes at a time.
    timeout : float
        Longest time that a run may take [s].
    permuted : bool
        Whether each run is made a second time with permuted category labels.
    readable : iterable of pathlib.Path
        Further files and folders that the searcher may read, for example its own package.
    submission : pathlib.Path, optional
        What the searcher was submitted with. It is replayed, its scores are set beside the fresh ones, and
        its first :data:`REPRODUCED` runs of each task are made again with their own seeds, to see whether
        the searcher does what its logs say.
    progress : bool
        Whether to show a progress bar, on standard error.

    Raises
    ------
    UnknownNameError
        Where ``source`` names no method.
    SubmissionError
        Where the submission is refused, or is of another searcher.
    BenchmarkError
        Where the time limit is not a positive number, the folder holds logs, a task is not the benchmark's,
        the searcher cannot be imported, or confinement fails.
    """
    check_time_limit(timeout)
    method = parse_method(source)
    if out.exists() and any(out.iterdir()):
        raise BenchmarkError(f"{out} is not empty; give a new folder")
    if len({task.name for task in tasks}) < len(tasks):
        raise BenchmarkError("two tasks have one name")
    own = [task.name for task in tasks if not is_shipped(task)]
    if own:
        raise BenchmarkError(f"{own[0]!r} is not a task of the benchmark; only these are run again")
    tasks = [shipped_task(task.name) for task in tasks]  # a copy may write its numbers otherwise
    fingerprint = method.fingerprint()
    entropy = secrets.randbits(128) if entropy is None else entropy
    drawn = draw_seeds(entropy, seeds)
    submitted = None if submission is None else _submitted(submission, method.name, fingerprint)
    for task in tasks:
        task.load_table()
    lock = threading.Lock()
    plain = [(task, seed, False) for task in tasks for seed in drawn]
    with sandbox(method, readable) as box, ThreadPoolExecutor(jobs) as pool:

        def run(task: Task, seed: Seeds, flag: bool, folder: str = "") -> tuple[RunLog, Mapping[str, str]]:
            log, confinement = run_confined(
                box, task, seed, timeout, permuted=flag, searcher=fingerprint, lock=lock
            )
            write_log(log, log_path(out / folder, task.name, log.method, log.seed))
            return log, confinement

        jobs_of = {
            "logs": plain,
            "permuted": [(task, seed, True) for task, seed, _ in plain] if permuted else [],
            "reproduced": _to_reproduce(tasks, submitted),
        }
        futures = {
            folder: [pool.submit(run, *job, folder) for job in wanted] for folder, wanted in jobs_of.items()
        }
        everything = [future for waiting in futures.values() for future in waiting]
        try:
            bar = track(
                as_completed(everything),
                "runs",
                len(everything),
                console=Console(stderr=True),
                disable=not progress,
            )
            for future in bar:
                future.result()  # the first error ends all
            done = {folder: [future.result() for future in waiting] for folder, waiting in futures.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            box.stop()
            raise
    logs = {folder: [log for log, _ in made] for folder, made in done.items()}
    rows = _rows(tasks, logs["logs"], logs["permuted"])
    result = {
        "format": FORMAT,
        "tier": TIERS[2],
        "method": method.name,
        "searcher": fingerprint,
        "package": __version__,
        "tables": {task.table: task.load_table().sha256 for task in tasks},
        "entropy": str(entropy),
        "label_seeds": [seed.label for seed in drawn],
        "confinement": dict(done["logs"][0][1]),
        "tasks": rows[:-1],
        "all": rows[-1],
        "submission": None
        if submission is None or submitted is None
        else _compared(submission, submitted, logs["reproduced"]),
    }
    with replacing(out / "rerun.json") as temporary:
        temporary.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return result


def _submitted(path: Path, method: str, fingerprint: str) -> Verdict:
    """The verdict on a submission of this searcher."""
    verdict = replay(path)
    with Archive(path) as archive:
        declared = archive.manifest
    if declared.method != method:
        raise SubmissionError(f"{path} is of {declared.method!r}, not of {method!r}")
    if declared.searcher != fingerprint:
        raise SubmissionError(
            f"{path} is of another version of {method}: SHA-256 {declared.searcher[:12]}..., not "
            f"{fingerprint[:12]}..."
        )
    return verdict


def _to_reproduce(tasks: Sequence[Task], submitted: Verdict | None) -> list[tuple[Task, Seeds, bool]]:
    """Runs of a submission, with the seeds that it had: then the searcher's seed was the labels'."""
    if submitted is None:
        return []
    seeds = range(min(REPRODUCED, submitted.seeds))
    return [(task, Seeds(k, k, 0), False) for task in tasks if task.name in submitted.tasks for k in seeds]


def _compared(path: Path, submitted: Verdict, again: Sequence[RunLog]) -> dict[str, Any]:
    """Whether a submission's runs came out as its logs say."""
    differs = []
    with Archive(path) as archive:
        for log in again:
            file = member(log.task, log.method, log.seed)
            first, second = archive.log(file).events, log.events
            if first != second:
                same = next((k for k, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), None)
                line = 2 + (min(len(first), len(second)) if same is None else same)
                differs.append({"file": file, "line": line})
    return {
        "sha256": submitted.sha256,
        "scores": {row["task"]: row["score"] for row in submitted.scores},
        "runs_again": len(again),
        "differ": differs,
    }


def run_confined(
    box: Sandbox,
    task: Task,
    seeds: Seeds,
    timeout: float,
    *,
    permuted: bool = False,
    searcher: str = "",
    lock: threading.Lock | None = None,
) -> tuple[RunLog, dict[str, str]]:
    """One run in a process of its own.

    Parameters
    ----------
    box : Sandbox
    task : Task
    seeds : Seeds
    timeout : float
        Longest time that the searcher may take, without starting [s].
    permuted : bool
    searcher : str
        Fingerprint for the log.
    lock : threading.Lock, optional
        Held while the table is asked, where several threads do.

    Returns
    -------
    RunLog
        Of the designs that the session was asked for: with permuted labels those that they stand for.
    dict of str to str
        The confinement in force.

    Raises
    ------
    BenchmarkError
        Where the process does not start, cannot be confined, or cannot import the searcher.
    """
    bench = task.load_table()
    relabel: Callable[[Design], Design] | None = None
    if permuted:
        relabel = Relabelling(task.domain.space, np.random.default_rng(seeds.permutation))
    with process(box) as child:
        confinement = _start(child, box, task, seeds)
        with task.session(seeds.label, bench) as session:
            start = time.monotonic()
            child.channel.deadline = start + timeout
            end, error = _serve(session, child, relabel, lock or threading.Lock())
            seconds = time.monotonic() - start
    log = RunLog(
        method=box.method.name,
        task=task.name,
        task_sha256=task.sha256,
        seed=seeds.label,
        table=bench.version,
        table_sha256=bench.sha256,
        official=bench.official,
        events=tuple(session.events()),
        end=end,
        error=error or (f"stopped after {timeout:g} s" if end == "timeout" else ""),
        charged=session.charged,
        proposals=session.proposals,
        seconds=round(seconds, 6),
        searcher=searcher,
    )
    return log, confinement


def _start(child: Searcher, box: Sandbox, task: Task, seeds: Seeds) -> dict[str, str]:
    """Have the process confined, proved to be so, and ready to search."""
    channel = child.channel
    channel.deadline = time.monotonic() + START
    try:
        hidden = [str(path) for path in box.hidden]
        channel.send({"grants": {**box.grants, "write": [child.scratch]}, "hidden": hidden})
        said = channel.receive()
        confinement = {str(name): str(text) for name, text in said["confinement"].items()}
        if said["readable"]:
            raise BenchmarkError(f"confinement does not hold here: {said['readable'][0]} could be read")
        channel.send(
            {
                "task": withheld(task).to_json(),
                "method": [box.method.name, box.method.source],
                "imports": box.imports,
                "seed": seeds.searcher,
            }
        )
        ready = channel.receive()
    except Late:
        raise BenchmarkError(f"the searcher's process was not ready after {START:g} s") from None
    except Closed:
        raise BenchmarkError(f"the searcher's process did not start: {_last_line(child)}") from None
    if ready != {"ready": True}:
        told = ready.get("unloadable", "it sent something else") if isinstance(ready, dict) else "no reason"
        raise BenchmarkError(f"the searcher cannot be loaded where it is confined: {str(told)!s:.500}")
    return confinement


def _serve(
    session: Session, child: Searcher, relabel: Callable[[Design], Design] | None, lock: threading.Lock
) -> tuple[str, str]:
    """Answer the searcher until it ends; how, and its error. Nothing that it sends is trusted."""
    answers = _Answers(session, relabel)
    channel = child.channel
    try:
        while True:
            request = channel.receive()
            if not isinstance(request, dict):
                return "failed", "its process sent what is no request"
            if "end" in request:
                return _end(request, answers)
            with lock:
                reply = answers.to(request)
            channel.send(reply)
    except Late:
        return "timeout", ""
    except Closed as error:
        return "failed", f"its process ended: {error}. {_last_line(child)}"


def _end(request: Mapping[str, Any], answers: _Answers) -> tuple[str, str]:
    """How a run ended by the searcher's word, where that agrees with what it was told."""
    end, error = request["end"], request.get("error")
    if end == "finished" or (end in ("budget", "proposals") and end == answers.exhausted):
        return end, ""
    if end == "failed" and isinstance(error, str) and error:
        return end, error[:4_000]
    return "failed", f"its process said that it ended by {end!r:.80}, which it did not"


class _Answers:
    """Answers requests from a session; the fields of a request are checked by the session's own rules."""

    def __init__(self, session: Session, relabel: Callable[[Design], Design] | None) -> None:
        self.exhausted = ""  # what the searcher was last told is spent
        self._session, self._relabel = session, relabel
        self._recommendations = 0

    def to(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The reply to a request: what was said, or the error that the session raised."""
        session = self._session
        try:
            reply: dict[str, Any] = {"said": self._said(request)}
        except ProposalsExhausted as error:
            self.exhausted, reply = "proposals", _error(error)
        except BudgetExhausted as error:
            self.exhausted, reply = "budget", _error(error)
        except (BenchmarkError, TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            # With permuted labels the message would tell which design a label stands for.
            told = SearchError("not allowed in a session") if self._relabel else error
            reply = _error(told)
        return {**reply, "state": [session.charged, session.proposals, session.budget_left]}

    def _said(self, request: Mapping[str, Any]) -> Any:
        session = self._session
        if "query" in request:
            seen = session.query(self._design(request["query"]), request.get("fidelity"))
            return {
                field.name: dict(value) if isinstance(value, Mapping) else value
                for field in fields(Observation)
                if field.name != "design"
                for value in [getattr(seen, field.name)]
            }
        if "cost" in request:
            return dict(session.cost(self._design(request["cost"])))
        if "proxies" in request:
            return dict(session.proxies(self._design(request["proxies"])))
        if self._recommendations >= _RECOMMENDATIONS:
            raise SearchError(f"more than {_RECOMMENDATIONS:,} recommendations")
        session.recommend([self._design(named) for named in request["recommend"]])
        self._recommendations += 1
        return None

    def _design(self, named: Any) -> Design:
        """The design that the searcher means; the session checks it."""
        design = Design(**named)
        return self._relabel(design) if self._relabel else design


def _error(error: Exception) -> dict[str, str]:
    """An error to be raised again in the searcher's process, by its name among ours."""
    known = (ProposalsExhausted, BudgetExhausted, UnknownNameError)
    name = next((kind.__name__ for kind in known if isinstance(error, kind)), SearchError.__name__)
    return {"error": name, "message": str(error)[:1_000]}


def _last_line(child: Searcher) -> str:
    lines = "".join(child.said).strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _rows(tasks: Sequence[Task], plain: Sequence[RunLog], permuted: Sequence[RunLog]) -> list[dict[str, Any]]:
    """Score of each task, and of all, with and without permuted labels; lower is better."""
    from nasbench_imc.scoring import score

    def by_task(logs: Sequence[RunLog]) -> list[np.ndarray]:
        runs = score(logs).runs
        return [
            runs[runs.task == task.name].sort_values("seed").score.to_numpy(dtype=float) for task in tasks
        ]

    def row(
        name: str, logs: Sequence[RunLog], one: list[np.ndarray], other: list[np.ndarray]
    ) -> dict[str, Any]:
        low, high = interval_of_mean(one)
        fresh = {"score": float(np.mean([s.mean() for s in one])), "low": low, "high": high}
        changed = None
        if other:
            differences = [b - a for a, b in zip(one, other, strict=True)]
            low, high = interval_of_mean(differences)
            changed = {
                "score": float(np.mean([s.mean() for s in other])),
                "difference": float(np.mean([d.mean() for d in differences])),
                "low": low,
                "high": high,
            }
        return {
            "task": name,
            **fresh,
            "runs": len(logs),
            "failures": sum(log.end in TROUBLE for log in logs),
            "permuted": changed,
        }

    scores, others = by_task(plain), by_task(permuted) if permuted else []
    rows = [
        row(task.name, [log for log in plain if log.task == task.name], [scores[k]], others[k : k + 1])
        for k, task in enumerate(tasks)
    ]
    return [*rows, row("all tasks", plain, scores, others)]
