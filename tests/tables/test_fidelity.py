"""Labels of several fidelities, and a session of track F that pays for them by the clock."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import nasbench_imc as nbi
from nasbench_imc.building import hybrid, tasks
from nasbench_imc.building.tasks import Plan, freeze
from nasbench_imc.scoring import regret_curve, standing
from nasbench_imc.tables import files
from nasbench_imc.tables.fidelity import fidelities, fidelity_label

PCM = "pcm-r256-adc8-mux4"
NAMES = ("curve-0", "curve-1", "curve-2", "draws-1", "draws-2", "draws-4", "draws-8")


@pytest.fixture(scope="module")
def measured(pilot, tmp_path_factory):
    """A table of seven networks."""
    folder = tmp_path_factory.mktemp("tables")
    hybrid.pack(pilot, folder / "hybrid.h5", log=lambda message: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(files.DATA_VARIABLE, str(folder))
        return nbi.load("hybrid")


@pytest.fixture(scope="module")
def task(measured):
    """Accuracy on PCM by the clock. Seven random networks are within their noise, which is left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks._Designs, "noise", lambda self: np.zeros(len(self.column("accuracy"))))
        return freeze(Plan("hybrid/pcm-1d/F", "dev", (PCM,), budget=6, multi_fidelity=True), measured)


def test_names_from_cheap_to_dear(measured, bench):
    assert fidelities(measured) == NAMES
    with pytest.raises(nbi.UnavailableError, match="no learning curves"):
        fidelities(bench)
    with pytest.raises(nbi.UnknownNameError, match="unknown fidelity 'curve-9'"):
        fidelity_label(measured, nbi.Design(measured.architectures[0], PCM), "1d", "curve-9", 0)


def test_labels_and_clock_are_the_tables(measured):
    for code in measured.architectures:
        design, training = nbi.Design(code, PCM), measured.training(code)
        labels = [fidelity_label(measured, design, "1d", name, 5) for name in NAMES]
        assert [label.accuracy for label in labels[:3]] == training.learning_curve.tolist()
        assert [label.seconds for label in labels[:3]] == pytest.approx(np.cumsum(training.seconds))
        for label, draws in zip(labels[3:], (1, 2, 4, 8), strict=True):
            assert (
                label.accuracy
                == measured.query(design, "1d", labels="search", seed=5, draws=draws)["accuracy"]
            )
            share = training.evaluation_seconds * draws / 8 / measured.cells
            assert label.seconds == pytest.approx(training.seconds.sum() + training.anchor_seconds + share)
        assert labels[-1].accuracy == measured.query(design, "1d", labels="search", seed=5)["accuracy"]
        assert (np.diff([label.seconds for label in labels]) >= 0).all()


def test_frozen_by_the_clock(measured, task):
    assert (task.track, task.unit, task.fidelities, task.label_seeds) == ("F", "core-s", NAMES, 1)
    full = [
        fidelity_label(measured, nbi.Design(c, PCM), "1d", "draws-8", 0).seconds
        for c in measured.architectures
    ]
    assert task.budget == round(6 * np.mean(full))
    score = measured.array("accuracy", hardware=PCM, at="1d")
    assert (task.frozen.best, task.frozen.worst) == (score.max(), score.min())
    assert task.frozen.random_regret_error[0] > 0
    assert nbi.Task.from_json(task.to_json(), "here") == task


def test_a_design_pays_each_second_once(measured, task):
    design = nbi.Design(measured.architectures[1], PCM)
    training = measured.training(design.arch)
    with task.session(0, measured) as s:
        first = s.query(design, "curve-0")
        assert first.cost_charged == pytest.approx(training.seconds[0])
        second = s.query(design, "curve-2")
        assert second.cost_charged == pytest.approx(training.seconds[1:].sum())
        assert s.query(design, "curve-1").cost_charged == 0  # on the way there
        full = s.query(design)
        assert full.fidelity == "draws-8"
        assert s.query(design, "draws-8").cost_charged == 0
        assert s.charged == pytest.approx(
            fidelity_label(measured, design, "1d", "draws-8", 0).seconds, abs=1e-5
        )
        assert s.charged + s.budget_left == task.budget
        assert [event["fidelity"] for event in s.events()] == ["curve-0", "curve-2", "curve-1", "draws-8"]
        assert s.charged == pytest.approx(sum(event["charged"] for event in s.events()))
        with pytest.raises(nbi.UnknownNameError, match="unknown fidelity for this task"):
            s.query(design, "epoch-1")
        s.recommend(design)


def test_what_does_not_fit_is_not_charged(measured, task):
    designs = [nbi.Design(code, PCM) for code in measured.architectures]
    with task.session(0, measured) as s:
        fitting = []
        for design in designs:
            seconds = fidelity_label(measured, design, "1d", "draws-8", 0).seconds
            if s.charged + seconds <= task.budget:
                fitting.append(s.query(design))
                continue
            before = s.charged, s.proposals + 1, s.events()  # the message tells a price
            with pytest.raises(nbi.BudgetExhausted, match="core-s left"):
                s.query(design)
            assert (s.charged, s.proposals, s.events()) == before
    assert 0 < len(fitting) < len(designs)


def test_the_default_is_the_best_of_the_highest_fidelity_asked_for(measured, task):
    low, other, high = (nbi.Design(code, PCM) for code in measured.architectures[:3])
    with task.session(0, measured) as s:
        labels = {design: s.query(design, "curve-0").values["accuracy"] for design in (low, other)}
        events = s.events()
        s.query(high, "curve-1")
    assert standing(task, events)[-1] == [max(labels, key=labels.__getitem__)]
    assert standing(task, s.events())[-1] == [high]
    truth = measured.query(high, "1d")["accuracy"]
    assert regret_curve(task, measured, s.events())[-1] == pytest.approx(task.frozen.best - truth)


def test_a_query_that_ends_after_a_checkpoint_does_not_count_for_it(measured, task):
    design = nbi.Design(measured.architectures[0], PCM)
    with task.session(0, measured) as s:
        s.query(design)
    stands = standing(task, s.events())
    for at, named in zip(task.checkpoints, stands, strict=True):
        assert named == ([design] if s.charged <= at else [])


@pytest.fixture(scope="module")
def inherited(inheriting):
    """A table whose networks inherit from a super-network, and a task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(files.DATA_VARIABLE, str(inheriting))
        patch.setattr(tasks._Designs, "noise", lambda self: np.zeros(len(self.column("accuracy"))))
        bench = nbi.load("hybrid")
        return bench, freeze(Plan("hybrid/pcm-1d/F", "dev", (PCM,), budget=3, multi_fidelity=True), bench)


def test_the_supernetwork_is_charged_once(inherited):
    bench, task = inherited
    designs = [nbi.Design(code, PCM) for code in bench.architectures[:2]]
    own = [bench.training(design.arch).seconds for design in designs]
    with task.session(0, bench) as s:
        assert s.query(designs[0], "curve-0").cost_charged == pytest.approx(500 + own[0][0])
        assert s.query(designs[0], "curve-1").cost_charged == pytest.approx(own[0][1])
        assert s.query(designs[1], "curve-0").cost_charged == pytest.approx(own[1][0])
        assert s.charged == pytest.approx(sum(event["charged"] for event in s.events()))
    assert min(task.checkpoints) > 500
    assert task.frozen.random_regret[-1] < task.frozen.best - task.frozen.worst  # some designs were done


def test_proxies_are_charged_once_an_architecture_by_the_clock(inherited):
    bench, task = inherited
    design = nbi.Design(bench.architectures[2], PCM)
    with task.session(0, bench) as s:
        assert s.proxies(design) == {"snip": 2.0}
        assert (s.charged, s.proposals) == (0.25, 1)
        assert s.proxies(design) == {"snip": 2.0}
        assert (s.charged, s.proposals) == (0.25, 2)
        assert s.events() == [{"proxies": {"arch": design.arch}, "charged": 0.25, "proposals": 1}]
        seen = s.query(design)
        assert seen.cost_charged > 500  # the super-network is not paid by a proxy
    assert standing(task, s.events())[-1] == [design]
    assert bench.table("proxy_snip")["proxy_snip"].tolist() == [0.0, 1.0, 2.0, 3.0]


def test_proxies_that_do_not_fit_are_not_charged(inherited):
    bench, task = inherited
    with replace(task, budget=0).session(0, bench) as s:
        with pytest.raises(nbi.BudgetExhausted, match=r"proxies of this design take 0\.25"):
            s.proxies(nbi.Design(bench.architectures[0], PCM))
        assert (s.charged, s.events()) == (0, [])


def test_proxies_are_free_where_queries_are_counted_and_empty_where_there_are_none(inherited, bench):
    table, _ = inherited
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks._Designs, "noise", lambda self: np.zeros(len(self.column("accuracy"))))
        task = freeze(Plan("hybrid/pcm-1d/S", "dev", (PCM,), budget=3), table)
    with task.session(0, table) as s:
        assert s.proxies(nbi.Design(table.architectures[1], PCM)) == {"snip": 1.0}
        assert (s.charged, s.proposals, s.events()) == (0, 1, [])
    with nbi.task("nb201/sram-digital/S-accuracy").session(0) as s:
        assert s.proxies(nbi.Design(bench.architectures[0], s.task.hardware[0])) == {}
        assert s.proposals == 1
    with pytest.raises(nbi.UnavailableError, match="no zero-cost proxies"):
        bench.proxies(bench.architectures[0])


def test_noise_of_measured_labels_is_how_far_search_is_from_score(measured):
    """Over networks, less the mean difference; exchanging the differences leaves that spread."""
    plan = Plan("hybrid/joint/J", "dev", (PCM, "sram-digital-r128"), weight_bits=(8, 4))
    designs = tasks._Designs(plan, measured)
    noise = designs.noise().reshape(2, len(measured.architectures), 2)
    for k, bits in enumerate((8, 4)):
        for column, id_ in enumerate(plan.hardware):
            search, score = (
                measured.array("accuracy", hardware=id_, at="1d", weight_bits=bits, labels=labels).ravel()
                for labels in ("search", "score")
            )
            spread = np.std(search.astype(float) - score, ddof=1)
            assert noise[k, :, column] == pytest.approx(spread, rel=1e-5)
            assert spread > 0
    drawn = next(designs.redrawn()) - designs.column("accuracy")
    expected = designs.column("accuracy", "search") - designs.column("accuracy")
    for part, of in ((drawn, expected),):
        blocks = part.reshape(2, -1, 2), of.reshape(2, -1, 2)
        assert blocks[0].std(axis=1) == pytest.approx(blocks[1].std(axis=1))
        assert np.abs(blocks[0].mean(axis=1)).max() < 1e-6
