"""The tests themselves."""

from __future__ import annotations

import inspect
import json
import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasbench_imc.errors import BenchmarkError
from nasbench_imc.runs.execute import execute
from nasbench_imc.runs.log import TROUBLE, RunLog
from nasbench_imc.runs.methods import Searcher
from nasbench_imc.suites import Session, Task
from nasbench_imc.suites.rules import TRACKS
from nasbench_imc.testing import tasks as small
from nasbench_imc.testing.elsewhere import Answer, run_elsewhere, source
from nasbench_imc.testing.sessions import Notes, relabelled, watched

#: Spread of labels that say nothing [points of accuracy].
NOISE = 1e3


class SearcherSuite:
    """Inherit it and name the searcher; each failing test says what to change.

    Attributes
    ----------
    searcher : callable
        ``searcher(session, rng)``, as a ``staticmethod``.
    tracks : sequence of str or None
        Those that the searcher is meant for; None for every track that has tasks.
    budget : int
        Of the sessions: the first checkpoint of a task of at least this. Give more where the searcher has
        a longer first phase, so that the tests see its second.
    timeout : float
        Longest time that one run may take [s].
    spends : float
        Share of its budget that the searcher uses at least, where it ends by itself.
    deterministic : bool
        Whether equal seeds give equal runs. False leaves out the tests of that: say so in publications.
    uses_rng : bool
        Whether runs with other seeds ask for other designs. False for a searcher that draws nothing.
    source : str
        Where another process finds the searcher, ``"module:function"`` or ``"file.py:function"`` beside
        the test file; empty where it is a function at the top of a file.
    """

    searcher: Searcher
    tracks: Sequence[str] | None = None
    budget: int = 27
    timeout: float = 60.0
    spends: float = 1.0
    deterministic: bool = True
    uses_rng: bool = True
    source: str = ""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test that has a ``task`` on each kind of task, a ``limited_task`` on those with limits."""
        chosen = self._case.tasks
        for name, wanted in (
            ("task", chosen),
            ("limited_task", tuple(task for task in chosen if small.limited(task))),
        ):
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, wanted, ids=[task.name for task in wanted])

    @property
    def _case(self) -> _Case:
        return _case(type(self))

    # One run, looked at from several sides.

    def test_ends(self, task: Task) -> None:
        log, _ = _watched(self._case, task)
        _well(log, task)
        _require(log.charged > 0, f"it made no query in a session of {task.budget}")

    def test_spends_its_budget(self, task: Task) -> None:
        log, _ = _watched(self._case, task)
        _require(
            log.end == "budget" or log.charged >= self.spends * task.budget,
            f"it ended ({log.end}) after {log.charged:g} of {task.budget} {task.unit} and {log.proposals} of "
            f"{task.max_proposals} proposals: query until the session raises BudgetExhausted, with fewer "
            "repeats and looks at costs, or state the share that it uses: spends = "
            f"{np.floor(100 * log.charged / task.budget) / 100:g}",
        )

    def test_lets_the_end_of_the_budget_pass(self, task: Task) -> None:
        _, notes = _watched(self._case, task)
        _require(
            notes.after_end == 0,
            f"it went on to ask {notes.after_end} times after BudgetExhausted: let it pass (catch nothing "
            "wider than what you expect), or return; a library that swallows it is run by "
            "nasbench_imc.bridges.run_function",
        )

    def test_recommends_only_what_it_may(self, task: Task) -> None:
        _, notes = _watched(self._case, task)
        _require(
            not notes.refused,
            f"the session refused a recommendation: {notes.refused[:1]}; name 1 to {task.max_recommended} "
            "designs that this session has queried",
        )

    def test_leaves_session_task_and_observations_as_they_are(self, task: Task) -> None:
        _, notes = _watched(self._case, task)
        _require(
            not notes.changed,
            f"it changed {', '.join(dict.fromkeys(notes.changed))}: keep what you derive in your own objects",
        )

    def test_uses_the_public_session_alone(self, task: Task) -> None:
        _, notes = _watched(self._case, task)
        _require(
            not notes.forbidden,
            f"it used {', '.join(dict.fromkeys(notes.forbidden))}: a searcher learns from session.query and "
            "session.cost, session.observations, budget_left, and from session.task (objectives, limits, "
            "domain, ...), and from nothing else",
        )

    # The same run again.

    def test_same_seed_same_run(self, task: Task) -> None:
        self._only_if_deterministic()
        _same(
            _watched(self._case, task)[0].events,
            _ran(self._case, task).events,
            "twice in one process: draw from the rng that the searcher gets and from nothing else, keep no "
            "state between runs",
        )

    def test_does_not_depend_on_global_generators(self, task: Task) -> None:
        self._only_if_deterministic()

        def other_state(session: Session) -> Session:
            random.seed(987_654)
            np.random.seed(987_654)  # noqa: NPY002
            return session

        _same(
            _watched(self._case, task)[0].events,
            _ran(self._case, task, wrap=other_state).events,
            "with another state of the generators of random and numpy.random: draw from the rng that the "
            "searcher gets, and seed libraries by it, seed=int(rng.integers(2**31))",
        )

    def test_another_seed_another_run(self, task: Task) -> None:
        if not self.uses_rng:
            pytest.skip("uses_rng = False")
        asked = [
            [event.get("query") for event in events]
            for events in (_watched(self._case, task)[0].events, _ran(self._case, task, seed=1).events)
        ]
        _require(
            asked[0] != asked[1],
            "seeds 0 and 1 ask for the same designs: seed what it draws by the rng that the searcher gets; "
            "for a searcher that draws nothing, uses_rng = False",
        )

    # Sessions out of the ordinary.

    def test_budget_of_one(self, task: Task) -> None:
        one = small.of_budget_one(task)
        _well(_ran(self._case, one), one, "with a budget of 1: it may be spent within the first phase")

    def test_budget_beyond_the_domain(self, task: Task) -> None:
        few = small.on_few_designs(task)
        log = _ran(self._case, few, copied=False)
        _well(
            log,
            few,
            f"with a budget of {few.budget} and {len(few.domain)} designs: return once all are queried, or "
            "ask for one again, which counts as a proposal and so ends the session",
        )

    def test_every_design_breaks_a_limit(self, limited_task: Task) -> None:
        hopeless = small.beyond_limits(limited_task)
        log = _ran(self._case, hopeless, wrap=lambda session: relabelled(session, feasible=False))
        _well(log, hopeless, "where no design is feasible: a search for one must end, by costs or queries")

    def test_labels_of_pure_noise(self, task: Task) -> None:
        def accuracy(design: Any) -> float:
            return NOISE * float(np.random.default_rng(zlib.crc32(repr(design).encode())).normal())

        log = _ran(self._case, task, wrap=lambda session: relabelled(session, accuracy))
        _well(log, task, "with labels of pure noise, some negative, some above 100")

    def test_labels_that_are_all_equal(self, task: Task) -> None:
        log = _ran(self._case, task, wrap=lambda session: relabelled(session, lambda design: 50.0))
        _well(log, task, "where all designs have one accuracy: do not divide by a spread that may be 0")

    # Another process.

    def test_runs_in_another_process(self, task: Task) -> None:
        answer = _elsewhere(self._case)
        _require(not answer.error, f"it cannot be run in another process: {answer.error}")
        log = answer.logs[task.name]
        _require(
            log["end"] not in TROUBLE,
            f"in a process of its own, with one thread, it ended with {log['end']}: {log['error'].strip()}",
        )

    def test_same_run_in_another_process(self, task: Task) -> None:
        self._only_if_deterministic()
        log = self._answer().logs[task.name]
        if log["end"] in TROUBLE:
            pytest.skip("see test_runs_in_another_process")
        _same(
            _watched(self._case, task)[0].events,
            log["events"],
            "in a process that hashes strings otherwise (PYTHONHASHSEED): sort a set before its order "
            "counts, and do not use hash() or id()",
        )

    def test_prints_nothing(self) -> None:
        printed = self._answer().printed
        _require(
            not printed, f"it wrote to standard output: {printed!r:.200}; use logging, or standard error"
        )

    def _answer(self) -> Answer:
        answer = _elsewhere(self._case)
        if answer.error:
            pytest.skip("see test_runs_in_another_process")
        return answer

    def _only_if_deterministic(self) -> None:
        if not self.deterministic:
            pytest.skip("deterministic = False")


@dataclass(frozen=True)
class _Case:
    """What a suite asks for; runs of equal cases are made once."""

    name: str
    searcher: Searcher
    source: str
    tasks: tuple[Task, ...]
    timeout: float


def _case(suite: type[SearcherSuite]) -> _Case:
    searcher = inspect.getattr_static(suite, "searcher", None)
    if isinstance(searcher, staticmethod):  # a bare function does as well
        searcher = searcher.__func__
    if not callable(searcher):
        raise BenchmarkError(f"{suite.__name__} names no searcher: searcher = staticmethod(my_method.search)")
    tracks = TRACKS if suite.tracks is None else suite.tracks
    if not tracks or not set(tracks) <= set(TRACKS):
        raise BenchmarkError(f"{suite.__name__}.tracks is a sequence of {list(TRACKS)}, not {suite.tracks!r}")
    place, _, function = suite.source.rpartition(":")
    if place.endswith(".py"):
        place = str(Path(inspect.getfile(suite)).parent.joinpath(place).resolve())
    return _Case(
        suite.__name__,
        searcher,
        f"{place}:{function}" if place else "",
        tuple(small.shrunk(task, suite.budget) for task in small.one_a_kind() if task.track in tracks),
        suite.timeout,
    )


def _ran(
    case: _Case,
    task: Task,
    *,
    seed: int = 0,
    wrap: Callable[[Session], Session] = lambda session: session,
    copied: bool = True,
) -> RunLog:
    """One run. The task is copied, so that what a searcher does to it is not met by the next run."""

    def run(session: Session, rng: np.random.Generator) -> None:
        case.searcher(wrap(session), rng)

    return execute(run, case.name, replace(task) if copied else task, seed, case.timeout)


@cache
def _watched(case: _Case, task: Task) -> tuple[RunLog, Notes]:
    """The run with seed 0, and what was noted of it."""
    notes = Notes()

    def run(session: Session, rng: np.random.Generator) -> None:
        with watched(session, notes) as stand:
            case.searcher(stand, rng)

    return execute(run, case.name, replace(task), 0, case.timeout), notes


@cache
def _elsewhere(case: _Case) -> Answer:
    """The same runs in another process."""
    try:
        return run_elsewhere(case.source or source(case.searcher), case.tasks, 0, case.timeout)
    except BenchmarkError as error:
        return Answer(str(error), "", {})


def _well(log: RunLog, task: Task, circumstance: str = "") -> None:
    """Fail where a run did not end well."""
    where = f"on {task.name}" + (f", {circumstance}" if circumstance else "")
    spent = (
        f"after {log.charged:g} of {task.budget} {task.unit}, "
        f"{log.proposals} of {task.max_proposals} proposals"
    )
    if log.end == "timeout":
        pytest.fail(f"{log.error} and did not end ({spent}) {where}", pytrace=False)
    if log.end in TROUBLE:
        pytest.fail(f"it raised {spent} {where}\n\n{log.error.strip()}", pytrace=False)


def _same(one: Sequence[Any], other: Sequence[Any], circumstance: str) -> None:
    """Fail where two runs differ; say where they part."""
    ours, theirs = json.loads(json.dumps(list(one))), json.loads(json.dumps(list(other)))
    if ours == theirs:
        return
    pairs = zip(ours, theirs, strict=False)
    first = next((k for k, (a, b) in enumerate(pairs) if a != b), min(len(ours), len(theirs)))
    pytest.fail(f"the same seed gave another run, from event {first + 1} on, {circumstance}", pytrace=False)


def _require(holds: bool, message: str) -> None:
    if not holds:
        pytest.fail(message, pytrace=False)
