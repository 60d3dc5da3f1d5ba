"""Replaying logs: a fresh session is asked what a log says was asked, and must say what the log says.

No rule of a session is written again here. What replaying cannot see is how the searcher came to its choices:
whether it had read the table, knew the noise of a label seed, or was run more often than it was submitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_imc._version import __version__
from nasbench_imc.design import Design
from nasbench_imc.errors import (
    BenchmarkError,
    SubmissionError,
    UnavailableError,
    UnknownNameError,
)
from nasbench_imc.runs.log import SUFFIX, TROUBLE, RunLog, log_path, read_log
from nasbench_imc.submissions.tiers import TIERS
from nasbench_imc.submissions.unpack import Archive
from nasbench_imc.suites import Session, Task
from nasbench_imc.suites import tasks as all_tasks
from nasbench_imc.suites.definition import shipped_task
from nasbench_imc.suites.rules import SUITES
from nasbench_imc.tables.fidelity import fidelity_label

if TYPE_CHECKING:
    from nasbench_imc.tables import Benchmark

FORMAT = 1

#: Fields of a query that a session is asked with, beside the design.
OPTIONS = ("fidelity",)

_SEEDS = 100  # label seeds looked at to explain a wrong value


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a log first departs from what the table and the rules give.

    Attributes
    ----------
    file : str
    line : int
        From 1; 0 where it is no line's.
    field : str
    logged, recomputed : str
        As text; empty where there is none.
    reason : str
    """

    file: str
    line: int
    field: str
    logged: str
    recomputed: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}" if self.line else self.file
        values = (
            f": logged {self.logged}, recomputed {self.recomputed}" if self.logged or self.recomputed else ""
        )
        return f"{place}, {self.field}{values}: {self.reason}"


class Refused(SubmissionError):
    """A log that differs from what replaying it gives."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(str(difference))
        self.difference = difference


@dataclass(frozen=True)
class Verdict:
    """What replaying found. Every count is recomputed, none is the submission's word.

    Attributes
    ----------
    sha256 : str
        Of the archive; empty for a folder.
    methods, tasks : tuple of str
    suite : str
        Suite that the tasks are all of, else empty.
    seeds, runs, failures, queries : int
    tables : mapping of str to str
        Table -> SHA-256.
    scores : tuple of mapping
        ``task``, ``method``, ``score`` (mean over runs), ``runs``, ``failures``.
    notes : tuple of str
        What a reader should know although it is no reason to refuse.
    """

    sha256: str
    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    suite: str
    seeds: int
    runs: int
    failures: int
    queries: int
    tables: Mapping[str, str]
    scores: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For ``--json`` and ``--out``; see :func:`refusal` for the other outcome."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        data["tables"], data["scores"] = dict(self.tables), [dict(row) for row in self.scores]
        tier = TIERS[1] if self.sha256 else "self-check"
        return {"format": FORMAT, "accepted": True, "tier": tier, "package": __version__, **data}


def refusal(error: BenchmarkError) -> dict[str, Any]:
    """The verdict on a submission that was refused."""
    data: dict[str, Any] = {"format": FORMAT, "accepted": False, "tier": None, "package": __version__}
    if isinstance(error, Refused):
        data |= asdict(error.difference)
    return data | {"reason": str(error)}


def replay(path: Path) -> Verdict:
    """Recompute every value, order, budget and score of a submission, or of a folder of logs.

    Logs are read one at a time, so that memory does not grow with their number.

    Parameters
    ----------
    path : pathlib.Path
        A submission, or an output folder of ``nasbench-imc run``.

    Raises
    ------
    SubmissionError
        Where it cannot be read safely, lacks a run, or differs (:class:`Refused`).
    TableError
        Where the table is missing here.
    """
    if path.is_dir():
        return _replay_folder(path)
    with Archive(path) as archive:
        return _replay_archive(archive)


class _Count:
    """What is gathered while logs pass by on their way to scoring."""

    def __init__(self) -> None:
        self.runs: dict[tuple[str, str, int], str] = {}
        self.failures = self.queries = 0
        self.notes: list[str] = []
        self._events: dict[tuple[str, str, int], int] = {}

    def add(self, log: RunLog, file: str) -> None:
        run = (log.method, log.task, log.seed)
        if run in self.runs:
            raise SubmissionError(f"{file} and {self.runs[run]} are of one run")
        self.runs[run] = file
        self.failures += log.end in TROUBLE
        self.queries += sum("query" in event for event in log.events)
        twin = (log.method, log.task, hash(repr(log.events)))
        if log.events and twin in self._events:
            self.notes.append(f"{file} has the same events as seed {self._events[twin]}")
        self._events.setdefault(twin, log.seed)


def _replay_archive(archive: Archive) -> Verdict:
    declared = archive.manifest
    tasks = [_official_task(name) for name in declared.tasks]
    for task in tasks:
        version, sha256 = declared.tables.get(task.table, ("", ""))
        if sha256 != task.table_sha256:
            raise SubmissionError(
                f"the manifest declares table {task.table} {version or 'of no version'} ({sha256[:12]}...), "
                f"{task.name} belongs to {task.table_version} ({task.table_sha256[:12]}...); run it again"
            )
    if declared.suite and declared.suite not in SUITES:
        raise SubmissionError(f"suite {declared.suite!r:.80} is unknown; suites: {', '.join(SUITES)}")
    if declared.suite:
        lacking = {task.name for task in all_tasks(declared.suite)} - set(declared.tasks)
        if lacking:
            raise SubmissionError(
                f"the manifest declares suite {declared.suite!r}, of which {len(lacking)} tasks are missing, "
                f"the first is {min(lacking)}"
            )
    count = _Count()

    def logs() -> Iterator[RunLog]:
        by_name = {task.name: task for task in tasks}
        for file, (task, seed) in declared.expected().items():
            log = archive.log(file)
            _check_identity(log, file, task, declared.method, seed)
            if log.searcher != declared.searcher:
                raise _refused(
                    file, 1, "searcher", log.searcher, declared.searcher, "it is another searcher's log"
                )
            if log.package not in declared.packages:
                raise _refused(
                    file, 1, "package", log.package, list(declared.packages), "the manifest lacks it"
                )
            replay_log(by_name[task], log, file, declared.seeds)
            count.add(log, file)
            yield log

    verdict = _verdict(logs(), count, archive.sha256)
    if count.failures != declared.failures:
        raise SubmissionError(
            f"the manifest declares {declared.failures} failed runs, the logs hold {count.failures}"
        )
    return verdict


def _replay_folder(folder: Path) -> Verdict:
    paths = sorted(folder.rglob(f"*{SUFFIX}"))
    if not paths:
        raise SubmissionError(f"there are no run logs (*{SUFFIX}) below {folder}")
    count = _Count()

    def logs() -> Iterator[RunLog]:
        for path in paths:
            log, file = read_log(path), str(path.relative_to(folder))
            if not path.as_posix().endswith(log_path(Path(), log.task, log.method, log.seed).as_posix()):
                raise SubmissionError(
                    f"{file} says that it is of {log.method!r:.100} on {log.task!r:.100}, seed {log.seed}; "
                    "its name says otherwise"
                )
            replay_log(_official_task(log.task), log, file, len(paths))
            count.add(log, file)
            yield log

    return _verdict(logs(), count, "")


def _verdict(logs: Iterator[RunLog], count: _Count, sha256: str) -> Verdict:
    from nasbench_imc.scoring import score

    scores = score(logs)
    methods = tuple(sorted({method for method, _, _ in count.runs}))
    tasks = tuple(sorted({task for _, task, _ in count.runs}))
    seeds = 1 + max(seed for _, _, seed in count.runs)
    for method in methods:
        for task in tasks:
            for seed in range(seeds):
                if (method, task, seed) not in count.runs:
                    raise SubmissionError(
                        f"{method} on {task} lacks seed {seed}: every task needs the log of every seed from "
                        f"0 to {seeds - 1}, a failed run's too"
                    )
    groups = scores.runs.groupby(["task", "method"], sort=True)
    return Verdict(
        sha256=sha256,
        methods=methods,
        tasks=tasks,
        suite=next((s for s in SUITES if {t.name for t in all_tasks(s)} == set(tasks)), ""),
        seeds=seeds,
        runs=len(count.runs),
        failures=count.failures,
        queries=count.queries,
        tables={task.table: task.table_sha256 for task in map(shipped_task, tasks)},
        scores=tuple(
            {
                "task": task,
                "method": method,
                "score": float(rows.score.mean()),
                "runs": len(rows),
                "failures": int(rows.end.isin(TROUBLE).sum()),
            }
            for (task, method), rows in groups
        ),
        notes=tuple(count.notes),
    )


def _official_task(name: str) -> Task:
    try:
        return shipped_task(name)
    except UnknownNameError:
        raise SubmissionError(f"{name!r:.120} is not a task of the benchmark") from None


def _check_identity(log: RunLog, file: str, task: str, method: str, seed: int) -> None:
    for field, logged, stands in (
        ("task", log.task, task),
        ("method", log.method, method),
        ("seed", log.seed, seed),
    ):
        if logged != stands:
            raise _refused(file, 1, field, logged, stands, "the log is of another run than its place says")


def replay_log(task: Task, log: RunLog, file: str, seeds: int = 0) -> None:
    """Replay one log against the task's table.

    Parameters
    ----------
    task : Task
    log : RunLog
    file : str
        What a refusal calls it.
    seeds : int
        Label seeds whose labels are looked at to explain a wrong value.

    Raises
    ------
    Refused
        At the first line that differs.
    """
    bench = task.load_table()
    if not bench.official:
        raise SubmissionError(
            f"table {task.table!r} here is not the released one, so nothing can be replayed on it"
        )
    for field, logged, stands, what in (
        ("table_sha256", log.table_sha256, task.table_sha256, f"table {task.table}"),
        ("table", log.table, task.table_version, f"table {task.table}"),
        ("task_sha256", log.task_sha256, task.sha256, f"task {task.name}"),
    ):
        if logged != stands:
            raise _refused(file, 1, field, logged, stands, f"it was made with another version of {what}")
    if not log.official:
        raise _refused(
            file, 1, "official", log.official, True, "it was made with a table that is not a released one"
        )
    if log.seed < 0:
        raise _refused(file, 1, "seed", log.seed, "", "a label seed is at least 0")
    with task.session(log.seed, bench) as session:
        driven, stopped = _drive(session, log, file)
        proposals = 0
        for line, (event, said) in enumerate(
            zip(log.events[:driven], session.events(), strict=True), start=2
        ):
            _compare(session, bench, event, said, log.seed, seeds, file, line)
            if "recommend" not in event:
                if event["proposals"] <= proposals:
                    reason = "rows are out of order, or miscounted"
                    raise _refused(
                        file, line, "proposals", event["proposals"], f"more than {proposals}", reason
                    )
                proposals = event["proposals"]
        if stopped:
            raise stopped
        _check_end(session, bench, log, file, proposals)


def _drive(session: Session, log: RunLog, file: str) -> tuple[int, Refused | None]:
    """Ask a session what the log says was asked.

    Returns
    -------
    int
        Lines that the session took.
    Refused or None
        Why it did not take the next one, where there is one; an earlier line may still differ.
    """
    domain = session.task.domain
    lines: dict[tuple[Any, ...], int] = {}
    for line, event in enumerate(log.events, start=2):
        field = next(name for name in ("recommend", "proxies", "query") if name in event)
        try:
            if field == "recommend":
                session.recommend([domain.design(fields) for fields in event["recommend"]])
                continue
            design = domain.design(event[field])
            options = {name: event[name] for name in OPTIONS if name in event}
            if field == "proxies":
                free = not session.task.fidelities or (field, design.arch) in lines
                session.proxies(design)
                asked: tuple[Any, ...] = (field, design.arch)
            else:
                known = len(session.observations)
                session.query(design, **options)
                free = len(session.observations) == known
                asked = (design, *options.values())
        except (BenchmarkError, TypeError) as error:
            return line - 2, _refused(file, line, field, event[field], "", f"a session refuses it: {error}")
        if free:
            before = f"line {lines[asked]} has it" if asked in lines else "it costs nothing here"
            reason = f"a free {field} is neither logged nor charged, and {before}"
            return line - 2, _refused(file, line, field, event[field], "", reason)
        lines[asked] = line
    return len(log.events), None


def _compare(
    session: Session,
    bench: Benchmark,
    event: Mapping[str, Any],
    said: Mapping[str, Any],
    seed: int,
    seeds: int,
    file: str,
    line: int,
) -> None:
    """Compare a line with what the session would have written, but for the count of proposals."""
    logged, recomputed = _flat(event), _flat(said)
    for field in recomputed | logged:
        if field == "proposals":
            _check_proposals(session.task, said["proposals"], event["proposals"], file, line)
        elif field not in logged or field not in recomputed or logged[field] != recomputed[field]:
            reason = "it is not what a session says"
            if field == "values.accuracy" and field in logged:
                design = session.task.domain.design(event["query"])
                reason = _explanation(
                    session.task, bench, design, logged[field], recomputed[field], seed, seeds
                )
            raise _refused(
                file, line, field, logged.get(field, "nothing"), recomputed.get(field, "nothing"), reason
            )


def _flat(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event with the keys of its mappings joined by points."""
    flat: dict[str, Any] = {}
    for name, value in event.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            flat[name] = value
    return flat


def _explanation(
    task: Task, bench: Benchmark, design: Design, logged: Any, recomputed: float, seed: int, seeds: int
) -> str:
    """Where a wrong accuracy may have come from."""
    try:
        if logged == bench.query(design, task.at)["accuracy"]:
            return "it is the design's score label, which no session shows"
        for other in range(min(seeds, _SEEDS)):
            label = bench.query(design, task.at, labels="search", seed=task.label_seed(other))["accuracy"]
            if other != seed and logged == label:
                return f"it is the search label of seed {other}"
    except UnavailableError:
        pass
    if any(logged == round(recomputed, digits) for digits in range(10)):
        return "it is the search label, rounded"
    return "it is not the search label"


def _check_proposals(task: Task, queries: int, proposals: int, file: str, line: int) -> None:
    if proposals < queries:
        raise _refused(file, line, "proposals", proposals, f"at least {queries}", "each query is a proposal")
    if proposals > task.max_proposals:
        raise _refused(
            file,
            line,
            "proposals",
            proposals,
            f"at most {task.max_proposals}",
            "a session ends at that number",
        )


def _check_end(session: Session, bench: Benchmark, log: RunLog, file: str, counted: int) -> None:
    """Compare the last line with the session; ``counted`` are the proposals of the last query's line."""
    task, line = session.task, len(log.events) + 2
    if log.charged != session.charged:
        raise _refused(
            file, line, "charged", log.charged, session.charged, "the log's queries are not so many"
        )
    if log.proposals < counted:
        raise _refused(
            file,
            line,
            "proposals",
            log.proposals,
            f"at least {counted}",
            "an earlier line counts more: is it cut off?",
        )
    _check_proposals(task, session.proposals, log.proposals, file, line)  # the session saw queries alone
    if bool(log.error) != (log.end in TROUBLE):
        raise _refused(file, line, "error", log.error, "", f"it does not go with the end {log.end!r}")
    if log.seconds < 0:
        raise _refused(file, line, "seconds", log.seconds, "", "a time is at least 0")
    if log.end == "proposals" and log.proposals != task.max_proposals:
        raise _refused(
            file,
            line,
            "proposals",
            log.proposals,
            task.max_proposals,
            "the end says that all proposals were spent",
        )
    if log.end == "budget" and not _is_spent(session, bench):
        left = f"{session.budget_left:g} of {task.budget} {task.unit} left"
        reason = "the budget is not spent: the log is cut off, or wrong"
        raise _refused(file, line, "end", log.end, left, reason)


def _is_spent(session: Session, bench: Benchmark) -> bool:
    """Whether there is a query that the session would refuse for its price."""
    task, left = session.task, session.budget_left
    if not task.fidelities:
        return left < 1
    first = (task.hardware[0], task.weight_bits[0], task.sparsity[0])  # a label takes as long on any
    designs = (Design(arch, *first) for arch in bench.architectures)
    seed = task.label_seed(session.seed)
    prices = (fidelity_label(bench, design, task.at, task.fidelities[-1], seed).seconds for design in designs)
    return any(price > left for price in prices)


def _refused(file: str, line: int, field: str, logged: Any, recomputed: Any, reason: str) -> Refused:
    def text(value: Any) -> str:
        return (
            value if isinstance(value, str) and value.isprintable() and len(value) < 80 else f"{value!r:.300}"
        )

    return Refused(Difference(file, line, field, text(logged), text(recomputed), reason))
