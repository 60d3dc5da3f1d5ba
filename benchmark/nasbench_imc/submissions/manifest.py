"""The manifest of a submission: who made it, what it holds, and how much tuning went before."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any

from nasbench_imc.errors import SubmissionError
from nasbench_imc.runs import strict_json
from nasbench_imc.runs.log import SUFFIX

FORMAT = 1
MEMBER = "manifest.json"

#: Most runs of a submission, and the largest manifest [bytes].
MAX_LOGS = 10_000
MAX_BYTES = 4 * 2**20

_METHOD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_URL = re.compile(r"https?://[!-~]{1,500}")
_OWN = re.compile(r"nasbench_imc_baselines\.\w{1,100}")  # which the benchmark's own repository holds
_HASH = re.compile(r"[0-9a-f]{64}")
_SHORT, _LONG = 200, 4_000  # characters of a text


@dataclass(frozen=True, slots=True)
class Tuning:
    """What choosing the method's own settings took, by its authors' word. All may be 0.

    Attributes
    ----------
    configurations : int
        Settings of the method that were tried and compared.
    tasks : tuple of str
        Names of the tasks that they were tried on.
    core_hours : float
        Processor time of all that [core-h].
    """

    configurations: int
    tasks: tuple[str, ...]
    core_hours: float


@dataclass(frozen=True, slots=True)
class Environment:
    """Where the runs were packed; nothing that names a person or a machine.

    Attributes
    ----------
    python, platform : str
    cpus : int
    distributions : mapping of str to str
        Installed distribution -> version, of those that may change a result.
    """

    python: str
    platform: str
    cpus: int
    distributions: Mapping[str, str]


@dataclass(frozen=True)
class Manifest:
    """What a submission says of itself; :meth:`from_json` checks its form, replaying its truth.

    Attributes
    ----------
    method : str
        Name of the method, as in its logs.
    authors : tuple of str
    description : str
    code : str
        Address of the method's source code, or the module of a reference searcher.
    paper : str
        Address of a paper, or empty.
    tuning : Tuning
    environment : Environment
    packages : tuple of str
        Versions of nasbench-imc that made the runs.
    searcher : str
        SHA-256 of the file that holds the searcher; empty where there is none.
    tables : mapping of str to (version, SHA-256)
    suite : str
        Suite that the tasks are all of; empty where they are others.
    tasks : tuple of str
    seeds : int
        Every task was run with label seeds 0 .. seeds - 1.
    failures : int
        Runs that ended by an error or were stopped.
    logs : mapping of str to (SHA-256, bytes)
        Member of the archive -> its hash and size.
    """

    method: str
    authors: tuple[str, ...]
    description: str
    code: str
    paper: str
    tuning: Tuning
    environment: Environment
    packages: tuple[str, ...]
    searcher: str
    tables: Mapping[str, tuple[str, str]]
    suite: str
    tasks: tuple[str, ...]
    seeds: int
    failures: int
    logs: Mapping[str, tuple[str, int]]

    def to_json(self) -> bytes:
        """The manifest as it stands in the archive."""
        data = {"format": FORMAT} | {field.name: getattr(self, field.name) for field in fields(self)}
        data["tuning"] = asdict(self.tuning)
        data["environment"] = {
            name: dict(value) if isinstance(value, Mapping) else value
            for name, value in (
                (field.name, getattr(self.environment, field.name)) for field in fields(Environment)
            )
        }
        data["tables"], data["logs"] = dict(self.tables), dict(self.logs)
        return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode("utf-8")

    @staticmethod
    def from_json(data: bytes) -> Manifest:
        """Read and check a manifest.

        Raises
        ------
        SubmissionError
            Where it is too large, is not JSON, lacks a field, has another, or one holds what it may not.
        """
        if len(data) > MAX_BYTES:
            raise SubmissionError(f"{MEMBER} has more than {MAX_BYTES:,} bytes")
        try:
            read = strict_json.loads(data)
        except ValueError as error:
            raise SubmissionError(f"{MEMBER}: {error}") from error
        names = {field.name for field in fields(Manifest)}
        _check_keys(read, {"format", *names}, "")
        if type(read["format"]) is not int or read.pop("format") != FORMAT:
            raise SubmissionError(f"{MEMBER} must have format {FORMAT}, which is what this version reads")
        for part, kind in (("tuning", Tuning), ("environment", Environment)):
            _check_keys(read[part], {field.name for field in fields(kind)}, f"{part}.")
            read[part] = kind(**{name: _immutable(value) for name, value in read[part].items()})
        made = Manifest(**{name: _immutable(value) for name, value in read.items()})
        check(made)
        return made

    def expected(self) -> dict[str, tuple[str, int]]:
        """Member -> (task, seed) of every run that the manifest declares."""
        return {
            member(task, self.method, seed): (task, seed) for task in self.tasks for seed in range(self.seeds)
        }


def member(task: str, method: str, seed: int) -> str:
    """Where a run's log stands in the archive."""
    return f"logs/{task}/{method}/seed-{seed:04d}{SUFFIX}"


def check(made: Manifest) -> None:
    """Raise SubmissionError where a field holds what it may not; the message says what it may."""
    for kept, rule in _rules(made):
        if not kept:
            raise SubmissionError(f"{MEMBER}: {rule}")


def _rules(made: Manifest) -> Iterator[tuple[bool, str]]:
    """Each rule as whether it is kept and what it says; a rule relies on those before it."""
    tuning, environment = made.tuning, made.environment
    yield (
        isinstance(made.method, str) and bool(_METHOD.fullmatch(made.method)),
        "method must be 1 to 100 letters, digits, underscores, points and hyphens",
    )
    yield (
        _texts(made.authors) and bool(made.authors),
        f"authors must be 1 to 100 texts of at most {_SHORT} characters",
    )
    yield _text(made.description, _LONG), f"description must be a text of 1 to {_LONG} printable characters"
    yield (
        _url(made.code) or (isinstance(made.code, str) and bool(_OWN.fullmatch(made.code))),
        "code must be the http(s) address of the source code, or a module of the reference searchers",
    )
    yield made.paper == "" or _url(made.paper), "paper must be an http(s) address, or empty"
    yield _count(tuning.configurations, 0), "tuning.configurations must be an integer of at least 0"
    yield _texts(tuning.tasks), "tuning.tasks must be a list of names"
    yield _amount(tuning.core_hours), "tuning.core_hours must be a number of at least 0"
    for name in ("python", "platform"):
        yield _text(getattr(environment, name), _SHORT), f"environment.{name} must be a short text"
    yield _count(environment.cpus, 1), "environment.cpus must be a positive integer"
    yield (
        isinstance(environment.distributions, Mapping)
        and _texts(tuple(environment.distributions))
        and _texts(tuple(environment.distributions.values())),
        "environment.distributions must map names to versions",
    )
    yield _texts(made.packages) and bool(made.packages), "packages must be a list of versions"
    yield (
        made.searcher == "" or _is_hash(made.searcher),
        "searcher must be a SHA-256, 64 hexadecimal digits, or empty",
    )
    yield (
        isinstance(made.tables, Mapping)
        and bool(made.tables)
        and all(
            _pair(value) and _text(value[0], _SHORT) and _is_hash(value[1]) for value in made.tables.values()
        ),
        "tables must map names to [version, SHA-256]",
    )
    yield isinstance(made.suite, str) and len(made.suite) <= _SHORT, "suite must be a name, or empty"
    yield (
        _texts(made.tasks) and bool(made.tasks) and list(made.tasks) == sorted(set(made.tasks)),
        "tasks must be a sorted list of different names",
    )
    yield _count(made.seeds, 1), "seeds must be a positive integer"
    yield (
        made.seeds * len(made.tasks) <= MAX_LOGS,
        f"{made.seeds} seeds on {len(made.tasks)} tasks are more than {MAX_LOGS:,} runs",
    )
    yield (
        _count(made.failures, 0) and made.failures <= made.seeds * len(made.tasks),
        "failures must be a number of runs",
    )
    yield (
        isinstance(made.logs, Mapping)
        and all(_pair(value) and _is_hash(value[0]) and _count(value[1], 1) for value in made.logs.values()),
        "logs must map members to [SHA-256, bytes]",
    )
    expected = made.expected()
    lacking = [name for name in expected if name not in made.logs]
    yield (
        not lacking,
        f"{len(lacking)} of {len(expected)} runs are missing, the first is {lacking[:1]}: every task "
        f"needs the log of every seed from 0 to {made.seeds - 1}, a failed run's too",
    )
    excess = [name for name in made.logs if name not in expected]
    yield not excess, f"{len(excess)} logs are of no declared run, the first is {str(excess[:1])[:200]}"


def _check_keys(read: Any, wanted: set[str], prefix: str) -> None:
    if not isinstance(read, dict):
        raise SubmissionError(f"{MEMBER}: {prefix.rstrip('.') or 'it'} must be an object")
    for what, names in (("lacks", wanted - read.keys()), ("has the unknown", read.keys() - wanted)):
        if names:
            raise SubmissionError(f"{MEMBER} {what} field {prefix}{min(names)!r:.80}")


def _text(value: Any, limit: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= limit and value.isprintable()


def _texts(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) <= 100 and all(_text(entry, _SHORT) for entry in value)


def _url(value: Any) -> bool:
    return isinstance(value, str) and bool(_URL.fullmatch(value))


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and bool(_HASH.fullmatch(value))


def _count(value: Any, least: int) -> bool:
    return type(value) is int and value >= least


def _amount(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def _pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2


def _immutable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_immutable(entry) for entry in value)
    if isinstance(value, dict):
        return MappingProxyType({name: _immutable(entry) for name, entry in value.items()})
    return value
