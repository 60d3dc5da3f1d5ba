"""The searchers of the extra [bo]: what is special to each. Budgets are small, since their steps are slow."""

from __future__ import annotations

import logging
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm

import nasbench_imc as nbi
from nasbench_imc.bridges import logged
from nasbench_imc.runs import find_method
from nasbench_imc.runs.execute import execute
from nasbench_imc.testing.tasks import shrunk
from nasbench_imc_baselines import fronts, gp, qnehvi, smac
from nasbench_imc_baselines.one_thread import one_thread

LIMITED, FRONT = "nb201/pcm-t0/C-energy", "nb201/sram-digital/M-energy"


def observed(session: nbi.Session, count: int) -> list[nbi.Design]:
    rng = np.random.default_rng(3)
    designs = [session.task.domain.random(rng) for _ in range(count)]
    for design in designs:
        session.query(design)
    return designs


@pytest.mark.parametrize("name", ["gp", "qnehvi", "smac"])
def test_a_missing_library_is_named_with_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = {"gp": "torch", "qnehvi": "botorch", "smac": "smac"}[name]
    monkeypatch.delitem(sys.modules, f"nasbench_imc_baselines.{name}")
    monkeypatch.delitem(sys.modules, "nasbench_imc_baselines.one_thread")
    for module in [module for module in sys.modules if module.startswith(f"{library}.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(nbi.UnknownNameError, match=rf"'{library}[.'].*nasbench-imc\[bo\]"):
        find_method(f"nasbench_imc_baselines.{name}:search")


@pytest.mark.parametrize("searcher", [gp.search, qnehvi.search], ids=["gp", "qnehvi"])
def test_torch_is_left_as_it_was_and_does_not_matter(
    searcher: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its number of threads nor its global generator, which a run would seed."""
    monkeypatch.setattr("nasbench_imc.runs.execute.seed_globals", lambda seed: None)
    task = shrunk(nbi.task(LIMITED), 12)
    before, runs = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            torch.manual_seed(threads)
            state = torch.get_rng_state()
            runs.append(execute(searcher, "searcher", task, 5, 120.0))  # type: ignore[arg-type]
            assert runs[-1].end == "budget"
            assert torch.get_num_threads() == threads
            assert torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_num_threads(before)
    assert runs[0].events == runs[1].events


def test_one_thread_ends_with_its_block() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_normal_scores() -> None:
    assert gp.normal_scores([3.0, 1.0, 2.0]) == pytest.approx(norm.ppf([5 / 6, 1 / 6, 1 / 2]))
    assert gp.normal_scores([7.0]) == [0.0]
    far = gp.normal_scores([1e12, 1.0, 1.0, 5.0])
    assert far[1] == far[2] < far[3] < far[0]
    assert far == gp.normal_scores([6.0, 1.0, 1.0, 5.0])


def test_qnehvi_knows_costs_and_looks_them_up_once() -> None:
    task = nbi.task(FRONT)
    with task.session(1) as session:
        designs = observed(session, 6)
        rows = qnehvi._Rows(session)
        new = task.domain.random(np.random.default_rng(8))
        before = session.proposals
        x = rows.of([*designs, new])
        assert session.proposals == before + 1
        assert torch.equal(rows.of([new])[0], x[-1])
        assert session.proposals == before + 1
        labels = torch.tensor([[seen.values["accuracy"]] for seen in session.observations])
        found = rows.outcomes(labels, x[:-1])
        wanted = -np.array([logged(task, seen) for seen in session.observations])
        np.testing.assert_allclose(found.numpy(), wanted)
        drawn = rows.outcomes(torch.zeros(5, 6, 1), x[:-1])
        assert drawn.shape == (5, 6, 2)
        np.testing.assert_allclose(drawn[3, :, 1].numpy(), wanted[:, 1], rtol=1e-6)


def test_qnehvi_prefers_what_gains_most() -> None:
    """The best design again gains hardly anything; were it cheaper, it would, and not if it were dearer."""
    with nbi.task(FRONT).session(1) as session:
        observed(session, 12)
        best = min(session.observations, key=lambda seen: seen.objectives[0])
        rows = qnehvi._Rows(session)
        with warnings.catch_warnings(action="ignore"):
            gain = qnehvi._acquisition(session, rows, seed=0)
        x = rows.of([best.design]).repeat(3, 1)
        x[:, rows.costs[rows.names.index("energy")]] += torch.tensor([-0.3, 0.0, 0.3])
        with torch.no_grad():
            values = gain(x[:, None, :])
        assert values[0] > 2 * values[1] >= 2 * values[2]


def test_qnehvi_seeks_accuracy_until_the_least_is_reached() -> None:
    """On a task that minimises a cost, with a least accuracy that no design has."""
    task = replace(shrunk(nbi.task("nb201/joint/J-edap"), 26), least={"accuracy": 99.0})
    with task.session(1) as session:
        with pytest.raises(nbi.BudgetExhausted):
            qnehvi.search(session, np.random.default_rng(0), initial=10)
        found = [seen.values["accuracy"] for seen in session.observations]
    assert np.median(found[10:]) > np.percentile(found[:10], 80)


def test_qnehvi_parents_are_the_front() -> None:
    with nbi.task(FRONT).session(1) as session:
        observed(session, 12)
        seen = session.observations
        fitness = fronts.dominators(session)
        for one in seen:
            dominators = [
                other
                for other in seen
                if other is not one
                and all(a <= b for a, b in zip(other.objectives, one.objectives, strict=True))
                and other.objectives != one.objectives
            ]
            counts = one.objectives[0] <= min(other.objectives[0] for other in seen) + fronts.WINDOW
            assert fitness(one) == len(dominators) + (0 if counts else len(seen))


def test_smac_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    level, handlers = logging.getLogger().level, list(logging.getLogger().handlers)
    log = execute(smac.search, "smac", shrunk(nbi.task(FRONT), 12), 0, 60.0)
    assert log.end == "budget"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not list((tmp_path / "scratch").iterdir())
    assert (logging.getLogger().level, logging.getLogger().handlers) == (level, handlers)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("searcher", [qnehvi.search, smac.search, gp.search], ids=["qnehvi", "smac", "gp"])
def test_nothing_beyond_a_limit_is_queried_and_nothing_twice(searcher: object) -> None:
    task = nbi.task(LIMITED)
    log = execute(searcher, "searcher", task, 2, 120.0)  # type: ignore[arg-type]
    assert log.charged == task.budget
    assert all(event["values"]["energy"] <= task.limits["energy"] for event in log.events)
    assert log.proposals < task.max_proposals


def test_smac_costs_bound_broken_networks() -> None:
    """No label counts as more than WINDOW below the best."""
    task = nbi.task(FRONT)
    with task.session(1) as session:
        observed(session, 30)
        costs = np.array([smac._cost(session, seen) for seen in session.observations])
        true = np.array([logged(task, seen) for seen in session.observations])
        assert np.ptp(true[:, 0]) > smac.WINDOW  # else nothing is tested
        assert np.ptp(costs[:, 0]) == pytest.approx(smac.WINDOW)
        np.testing.assert_array_equal(costs[:, 1], true[:, 1])
        broken = replace(session.observations[0], feasible=False)
        assert smac._cost(session, broken) == costs.max(axis=0).tolist()
