"""Replaying sessions of the tracks T and F, where a query may be free or has a price of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nasbench_imc as nbi
from nasbench_imc.building import hybrid
from nasbench_imc.building.tasks import Plan, _Designs, freeze
from nasbench_imc.runs.execute import execute
from nasbench_imc.runs.log import RunLog
from nasbench_imc.submissions.replay import Refused, replay_log
from nasbench_imc.tables import files

PCM = "pcm-r256-adc8-mux4"
T = next(task for task in nbi.tasks() if task.track == "T")


def transfers(session: nbi.Session, rng: np.random.Generator) -> None:
    """Free labels of the source, a guess, and charged labels until the end."""
    assert session.task.source_domain is not None
    known = [session.query(session.task.source_domain.random(rng)) for _ in range(30)]
    best = max(known, key=lambda seen: seen.values["accuracy"]).design
    session.recommend(nbi.Design(best.arch, session.task.hardware[0]))
    while True:
        session.query(session.task.domain.random(rng))


def climbs(session: nbi.Session, rng: np.random.Generator) -> None:
    """Every design from cheap to dear, and once more a cheaper label, which then costs nothing."""
    names = session.task.fidelities
    for arch in session.task.load_table().architectures * 2:
        design = nbi.Design(arch, PCM)
        for name in (names[1], names[-1], names[0]):
            session.query(design, name)
        session.recommend(design)


@pytest.fixture(scope="module")
def multi_fidelity(pilot: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[nbi.Task, nbi.Benchmark]:
    """A task of track F on a table of seven networks."""
    folder = tmp_path_factory.mktemp("tables")
    hybrid.pack(pilot, folder / "hybrid.h5", log=lambda message: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(files.DATA_VARIABLE, str(folder))
        bench = nbi.load("hybrid")
        patch.setattr(_Designs, "noise", lambda self: np.zeros(len(self.column("accuracy"))))
        task = freeze(Plan("hybrid/pcm-1d/F", "dev", (PCM,), budget=4, multi_fidelity=True), bench)
    return task, bench


@pytest.fixture
def clocked(
    multi_fidelity: tuple[nbi.Task, nbi.Benchmark], monkeypatch: pytest.MonkeyPatch
) -> tuple[nbi.Task, RunLog]:
    """The task, on a table taken for a released one, and a log."""
    task, bench = multi_fidelity
    monkeypatch.setattr(bench, "official", True)
    monkeypatch.setattr(nbi.Task, "load_table", lambda self: bench)
    return task, execute(climbs, "climbs", task, 0, 60.0)


def refused(
    task: nbi.Task, log: RunLog, change: Callable[[list[dict[str, Any]]], object], reason: str
) -> Any:
    events = [dict(event) for event in log.events]
    change(events)
    charged = sum(event.get("charged", 1) for event in events if "recommend" not in event)
    with pytest.raises(Refused, match=reason) as caught:
        replay_log(task, replace(log, events=tuple(events), charged=charged), "log")
    return caught.value.difference


def test_source_and_guess() -> None:
    log = execute(transfers, "transfers", T, 0, 60.0)
    assert (log.end, log.proposals - log.charged >= 30) == ("budget", True)
    replay_log(T, log, "log")


def test_guess_after_the_first_charge() -> None:
    log = execute(transfers, "transfers", T, 0, 60.0)
    place = refused(
        T, log, lambda events: events.insert(1, events.pop(0)), "only a queried design can be recommended"
    )
    assert place.line == 3


def test_source_passed_off_as_charged() -> None:
    log = execute(transfers, "transfers", T, 0, 60.0)
    fields = {**log.events[3]["query"], "hardware": T.sources[0]}
    place = refused(T, log, lambda events: events[3].update(query=fields), "it costs nothing here")
    assert place.line == 5


def test_by_the_clock(clocked: tuple[nbi.Task, RunLog]) -> None:
    task, log = clocked
    assert (log.end, log.error) == ("budget", "")
    assert any(event.get("charged") == 0 for event in log.events)
    replay_log(task, log, "log")


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        (lambda events: events[1].update(charged=0.5), "charged", "not what a session says"),
        (lambda events: events[1].update(fidelity="curve-0"), "values.accuracy|charged", "not"),
        (lambda events: events[1].update(fidelity="exact"), "query", "unknown fidelity"),
        (lambda events: events[1].pop("fidelity"), "fidelity", "recomputed"),
        (lambda events: events[2].update(events[1], proposals=3), "query", "line 3 has it"),
        (lambda events: events.__delitem__(slice(4, None)), "end", "the budget is not spent"),
    ],
)
def test_by_a_wrong_clock(
    clocked: tuple[nbi.Task, RunLog], change: Callable[[Any], object], field: str, reason: str
) -> None:
    task, log = clocked
    assert refused(task, replace(log, proposals=40), change, reason).field in field.split("|")


def looks_first(session: nbi.Session, rng: np.random.Generator) -> None:
    """Proxies of every design, twice, then labels from the best to the worst by them."""
    designs = [nbi.Design(arch, PCM) for arch in session.task.load_table().architectures]
    looks = [session.proxies(design)["snip"] for design in designs * 2]
    for k in np.argsort(looks[: len(designs)])[::-1]:
        session.query(designs[k])


@pytest.fixture
def looked(inheriting: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[nbi.Task, RunLog]:
    monkeypatch.setenv(files.DATA_VARIABLE, str(inheriting))
    bench = nbi.load("hybrid")
    monkeypatch.setattr(_Designs, "noise", lambda self: np.zeros(len(self.column("accuracy"))))
    task = freeze(Plan("hybrid/pcm-1d/F", "dev", (PCM,), budget=3, multi_fidelity=True), bench)
    monkeypatch.setattr(bench, "official", True)
    monkeypatch.setattr(nbi.Task, "load_table", lambda self: bench)
    return task, execute(looks_first, "looks", task, 0, 60.0)


def test_proxies_and_the_supernetwork(looked: tuple[nbi.Task, RunLog]) -> None:
    task, log = looked
    assert (log.end, log.error) == ("budget", "")
    assert [event["charged"] for event in log.events[:4]] == [0.25] * 4
    assert log.events[4]["charged"] > 500
    replay_log(task, log, "log")


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        (lambda events: events[1].update(charged=0.125), "charged", "not what a session says"),
        (lambda events: events[1].update(proxies=events[0]["proxies"]), "proxies", "line 2 has it"),
        (lambda events: events[1].update(proxies={"arch": "c16"}), "proxies", "a session refuses it"),
        (lambda events: events[4].update(charged=events[4]["charged"] - 500), "charged", "not what"),
        (lambda events: events[2].update(proposals=1), "proposals", "out of order|is a proposal"),
    ],
)
def test_proxies_at_another_price(
    looked: tuple[nbi.Task, RunLog], change: Callable[[Any], object], field: str, reason: str
) -> None:
    task, log = looked
    assert refused(task, log, change, reason).field == field


def test_proxies_where_they_are_free() -> None:
    log = execute(transfers, "transfers", T, 0, 60.0)
    look = {"proxies": log.events[1]["query"], "charged": 0.0, "proposals": 1}
    assert refused(T, log, lambda events: events.insert(0, look), "it costs nothing here").line == 2
