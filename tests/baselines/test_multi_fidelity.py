"""Successive halving, Hyperband and ASHA by the clock: what climbs, what is paid, and what is found."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import ModuleType

import numpy as np
import pytest
from scipy.stats import wilcoxon

import nasbench_imc as nbi
from nasbench_imc.building import hybrid
from nasbench_imc.building.tasks import SIMULATED_RUNS, Plan, freeze
from nasbench_imc.building.training_log import TrainingRun
from nasbench_imc.hardware import grid
from nasbench_imc.runs.execute import searcher_rng
from nasbench_imc.scoring import regret_curve
from nasbench_imc.spaces import Hybrid
from nasbench_imc.tables import files
from nasbench_imc.tables.fidelity import fidelity_label
from nasbench_imc.testing import tasks as small
from nasbench_imc_baselines import (
    asha,
    bananas,
    halving,
    hyperband,
    moead,
    nsga2,
    random_search,
    regularized_evolution,
    successive_halving,
)
from nasbench_imc_baselines.common import begin, draws

CHIP = next(config for config in grid() if config.id == "pcm-r256-adc8-mux4")
EPOCHS, DRAWS = 9, 8  # and an entry of the curve before the first epoch
RUNGS = ("curve-0", "curve-1", "curve-3", "draws-8")  # 0.04, 0.14, 0.36 and all of the price
METHODS = (successive_halving, hyperband, asha)
SEEDS = range(20)
ETA = 3  # of all three here, whatever they were tuned to
SUPERNET = 60.0  # what it took [core-s], 6 full labels


def _evaluated(code: str) -> dict[str, np.ndarray]:
    """What evaluating a network on one chip would give, made up.

    Accuracies spread by 3 points; a learning curve leads up to them, and says the more of where it will end
    the farther it has come. An epoch takes 0.5 to 2 s, longer for better networks.
    """
    rng = np.random.default_rng([*code.encode()])
    standing = rng.normal()
    final = 70 + 3 * standing
    epochs = np.arange(EPOCHS + 1)
    noise = rng.normal(0, 2, EPOCHS + 1) * (1 - epochs / EPOCHS)
    epoch = float(np.exp(np.clip(0.2 * standing + rng.normal(0, 0.3), -0.7, 0.7)))
    members = {
        "about": np.array(
            json.dumps(
                {
                    "code": code,
                    "seed": 0,
                    "protocol": "short",
                    "pixels": "folder",
                    "torch": "2.0",
                    "recipe": {"parent": "super", "parent_seed": None},
                }
            )
        ),
        "compressions": np.array([(8, 0.0)]),
        "cell_compression": np.array([0]),
        "cell_class": np.array([CHIP.accuracy_class], dtype="S"),
        "cell_time": np.array(["1d"], dtype="S"),
        "accuracy_digital": np.full(2, final),
        "curve_epochs": epochs.astype(float),
        "learning_curve": np.clip(10 + (final - 10) * (1 - np.exp(-(epochs + 1) / 3)) + noise, 0, 100),
        "measured/training_seconds": epoch * np.array([0.4, *[1.0] * EPOCHS]),
        "measured/evaluation_seconds": np.array(0.1),
        "measured/processor": np.array("an evaluator"),
        "weights_sha256": np.array("0" * 64),
    }
    for kind in ("score", "search"):
        members[f"{kind}_subset"] = np.full((1, DRAWS), final)
        members[f"{kind}_full"] = np.full(1, final)
        members[f"{kind}_accuracy"] = np.clip(final + rng.normal(0, 0.5, (1, DRAWS)), 0, 100)
    return members


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> nbi.Benchmark:
    """All networks of the space on one chip, inheriting from a super-network."""
    runs = [TrainingRun("super", 0, None, {}, {"seconds": [SUPERNET]})]
    evaluated, folder = tmp_path_factory.mktemp("evaluated"), tmp_path_factory.mktemp("tables")
    for row, code in enumerate(Hybrid().architectures):
        np.savez(evaluated / f"{row}.npz", **_evaluated(code))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hybrid, "grid", lambda: [CHIP])
        hybrid.pack(evaluated, folder / "hybrid.h5", runs=runs, log=lambda message: None)
        patch.setenv(files.DATA_VARIABLE, str(folder))
        return nbi.load("hybrid")


@pytest.fixture(scope="module")
def task(table: nbi.Benchmark) -> nbi.Task:
    """Its budget is that of thirty full labels, beyond the super-network."""
    return freeze(Plan("hybrid/pcm-1d/F", "dev", (CHIP.id,), budget=30, multi_fidelity=True), table)


@pytest.fixture(scope="module")
def front_task(table: nbi.Benchmark) -> nbi.Task:
    """The same against energy."""
    objectives = "accuracy", "energy"
    plan = Plan("hybrid/pcm-1d/F-energy", "dev", (CHIP.id,), objectives, budget=30, multi_fidelity=True)
    return freeze(plan, table)


@dataclass(frozen=True)
class Run:
    """A session that has ended, and all that it answered: repeats too, which it neither charges nor logs."""

    session: nbi.Session
    answers: list[nbi.Observation]

    @property
    def climbs(self) -> list[nbi.Observation]:
        """The answers after those of the two designs that are asked for first."""
        return self.answers[1 + len(self.session.task.fidelities) :]

    @property
    def prices(self) -> np.ndarray:
        """What the label of each rung takes from scratch, as the second design shows, (rungs,) [core-s]."""
        levels = self.session.task.fidelities
        prices = np.cumsum([seen.cost_charged for seen in self.answers[1 : 1 + len(levels)]])
        return prices[[levels.index(level) for level in RUNGS]]


@pytest.fixture(scope="module")
def ran(table: nbi.Benchmark) -> Callable[..., Run]:
    """Runs a method until its session ends it; those that have a factor with :data:`ETA`."""

    @cache
    def run(method: ModuleType, task: nbi.Task, seed: int = 0, again: int = 0) -> Run:
        answers: list[nbi.Observation] = []
        with task.session(seed, table) as session:
            query = session.query

            def noted(design: nbi.Design, fidelity: str | None = None) -> nbi.Observation:
                answers.append(query(design, fidelity))
                return answers[-1]

            session.query = noted  # type: ignore[method-assign]
            with pytest.raises(nbi.BudgetExhausted):
                method.search(
                    session, searcher_rng(task, seed), **({"eta": ETA} if method in METHODS else {})
                )
        assert session.proposals < task.max_proposals  # it was the budget that ended it
        return Run(session, answers)

    return run


def brackets(climbs: list[nbi.Observation]) -> list[list[list[nbi.Observation]]]:
    """Answers by rung, from the lowest that a bracket has on; above it, all come from the rung below."""
    found: list[dict[int, list[nbi.Observation]]] = []
    for seen in climbs:
        rung = RUNGS.index(seen.fidelity)
        bracket = found[-1] if found else {}
        below = [each.design for each in bracket.get(rung - 1, [])]
        climbs_on = rung >= max(bracket, default=len(RUNGS)) and seen.design in below
        if not climbs_on and list(bracket) != [rung]:
            bracket = {}
            found.append(bracket)
        bracket.setdefault(rung, []).append(seen)
    return [list(bracket.values()) for bracket in found]


def most_accurate(seen: Iterable[nbi.Observation]) -> list[nbi.Design]:
    return [each.design for each in sorted(seen, key=lambda each: -each.values["accuracy"])]


@pytest.mark.parametrize(
    ("prices", "chosen"),
    [
        ([1.0], [0]),
        ([1.0, 3.0, 9.0, 27.0], [0, 1, 2, 3]),
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], [0, 2, 8]),
        ([4.0, 14.0, 24.0, 36.0, 50.0, 98.0, 99.0, 100.0], [0, 1, 3, 7]),
        ([0.0, 0.0, 7.0, 9.0], [3]),  # what is free is no rung; 7 of 9 is nearer to all than to a third
        ([0.001, 9.0], [0, 1]),
        ([0.0], [0]),
    ],
)
def test_rungs_are_about_a_factor_of_three_apart(prices: list[float], chosen: list[int]) -> None:
    assert halving.spaced(prices, ETA) == chosen


@pytest.mark.parametrize("method", METHODS)
def test_another_factor(table, task, method: ModuleType) -> None:
    """With 2 the rungs are nearer to each other, and about half of each climbs on."""
    with task.session(0, table) as session, pytest.raises(nbi.BudgetExhausted):
        method.search(session, searcher_rng(task, 0), eta=2)
    climbs = session.observations[1 + len(task.fidelities) :]
    counts = Counter(seen.fidelity for seen in climbs)
    assert list(counts) == ["curve-0", "curve-1", "curve-2", "curve-4", "draws-8"]
    if method is not hyperband:  # whose brackets also begin higher
        for below, above in pairwise(counts.values()):
            assert above == pytest.approx(below / 2, rel=0.35)


@pytest.mark.parametrize("method", METHODS)
def test_no_second_is_paid_twice(ran, table, task, method: ModuleType) -> None:
    run = ran(method, task)
    payer, *first = run.answers[: 1 + len(task.fidelities)]
    assert payer.fidelity == task.fidelities[0]
    assert payer.cost_charged > SUPERNET
    assert [seen.fidelity for seen in first] == list(task.fidelities)
    assert {seen.design for seen in first}.isdisjoint({payer.design})
    assert len({seen.design for seen in first}) == 1
    charged: dict[nbi.Design, float] = defaultdict(float)
    highest: dict[nbi.Design, int] = defaultdict(int)
    for seen in run.answers:
        charged[seen.design] += seen.cost_charged
        highest[seen.design] = max(highest[seen.design], task.fidelities.index(seen.fidelity))
    for design, level in highest.items():
        seconds = fidelity_label(table, design, "1d", task.fidelities[level], 0).seconds
        seconds += SUPERNET if design == payer.design else 0
        assert charged[design] == pytest.approx(seconds, abs=1e-4)
    assert run.session.charged == pytest.approx(sum(charged.values()))
    assert 0.95 * task.budget < run.session.charged <= task.budget
    assert {seen.fidelity for seen in run.climbs} == set(RUNGS)


@pytest.mark.parametrize("method", METHODS)
def test_is_fixed_by_its_seed(ran, task, method: ModuleType) -> None:
    events = ran(method, task).session.events()
    assert ran(method, task, again=1).session.events() == events
    assert ran(method, task, 1).session.events() != events


@pytest.mark.parametrize("seed", SEEDS[:10])
def test_successive_halving_keeps_the_best_third(ran, task, seed: int) -> None:
    """Of each rung, or as many of them as its share of the budget pays for: then the worst are left out."""
    run = ran(successive_halving, task, seed)
    bracket = brackets(run.climbs)[0]
    assert len(bracket) == len(RUNGS)
    prices = run.prices
    first = run.answers[: 1 + len(task.fidelities)]
    budget = task.budget - sum(seen.cost_charged for seen in first)
    share = np.diff(prices, prepend=0) / ETA ** np.arange(len(RUNGS))
    due = budget * np.cumsum(share) / share.sum()
    spent = np.cumsum([sum(seen.cost_charged for seen in rung) for rung in bracket])
    assert spent[0] >= due[0]
    for k, (below, above) in enumerate(pairwise(bracket), start=1):
        third = len(below) // ETA
        assert [seen.design for seen in above] == most_accurate(below)[: len(above)]
        assert third / 2 < len(above) <= third
        if len(above) < third and k < len(RUNGS) - 1:  # at the top the next one may not have fitted
            assert spent[k] >= due[k]
    assert spent[-1] > 0.85 * budget


@pytest.mark.parametrize("seed", SEEDS[:10])
def test_hyperband_has_a_bracket_for_each_rung(ran, task, seed: int) -> None:
    """Each keeps the best third at each rung, and takes as much as four full labels."""
    run = ran(hyperband, task, seed)
    prices = run.prices
    complete = brackets(run.climbs)[:-1]
    assert len(complete) >= 4
    assert [len(bracket) for bracket in complete] == [4 - k % 4 for k in range(len(complete))]
    for bracket in complete:
        for below, above in pairwise(bracket):
            assert [seen.design for seen in above] == most_accurate(below)[: len(below) // ETA]
        rises = np.diff(prices[-len(bracket) :], prepend=0)
        taken = sum(rise * len(rung) for rise, rung in zip(rises, bracket, strict=True))
        assert taken / prices[-1] == pytest.approx(len(RUNGS), rel=0.25)


@pytest.mark.parametrize("seed", SEEDS[:10])
def test_asha_promotes_as_soon_as_it_can(ran, task, seed: int) -> None:
    """Each step is the promotion from the highest rung that has one in its best third, else a new design."""
    rungs: list[dict[nbi.Design, nbi.Observation]] = [{} for _ in RUNGS]
    for seen in ran(asha, task, seed).climbs:
        due = None
        for rung in (2, 1, 0):
            best = most_accurate(rungs[rung].values())[: len(rungs[rung]) // ETA]
            due = due or next(((d, rung + 1) for d in best if d not in rungs[rung + 1]), None)
        rung = RUNGS.index(seen.fidelity)
        if due:
            assert (seen.design, rung) == due
        else:
            assert rung == 0
            assert seen.design not in rungs[0]
        rungs[rung][seen.design] = seen
    for below, above in pairwise(rungs):
        assert len(below) // ETA - 1 <= len(above) <= 0.5 * len(below)  # some were best for a time alone


def test_asha_goes_on_where_there_are_no_new_designs(table, task) -> None:
    """One after the other climbs to the full label, until each has one."""
    few = small.on_few_designs(task)
    with few.session(0, table) as session:
        asha.search(session, np.random.default_rng(0), eta=ETA)
    full = {seen.design for seen in session.observations if seen.fidelity == RUNGS[-1]}
    assert full == set(few.domain.points)
    last = session.observations[-3:]
    assert [seen.fidelity for seen in last] == list(RUNGS[1:])
    assert len({seen.design for seen in last}) == 1


@pytest.mark.parametrize("method", METHODS)
def test_the_best_at_the_highest_rung_stands(ran, task, method: ModuleType) -> None:
    """And not the design that shows the prices, though it has a full label from the beginning."""
    run = ran(method, task)
    best: dict[int, nbi.Observation] = {}
    expected = []
    for seen in run.climbs:
        rung = RUNGS.index(seen.fidelity)
        if rung == max(best, default=rung) or rung > max(best):
            before = best.get(rung)
            if before is None or seen.values["accuracy"] > before.values["accuracy"]:
                best[rung] = seen
                expected.append({"recommend": [{"arch": seen.design.arch}]})
    assert [event for event in run.session.events() if "recommend" in event] == expected


@pytest.mark.parametrize("method", METHODS)
def test_beats_random_search_at_full_labels(ran, table, task, method: ModuleType) -> None:
    """Where curves tell of the end: regret when the budget is spent, over paired seeds."""
    last = {
        each: [regret_curve(task, table, ran(each, task, seed).session.events())[-1] for seed in SEEDS]
        for each in (method, random_search)
    }
    assert wilcoxon(last[method], last[random_search], alternative="less").pvalue < 0.01
    assert np.mean(last[method]) < 0.8 * task.frozen.random_regret[-1]


@pytest.mark.parametrize("method", [hyperband, asha])
def test_has_early_answers(ran, table, task, method: ModuleType) -> None:
    """Unlike successive halving, which has its full labels at the end: better over all checkpoints."""
    curves = [regret_curve(task, table, ran(method, task, seed).session.events()) for seed in SEEDS]
    assert np.mean(curves, axis=0).sum() < 0.9 * sum(task.frozen.random_regret)


# Several objectives.


def test_epsilon_net_goes_where_it_is_farthest() -> None:
    line = np.column_stack([[0.0, 0.1, 0.2, 0.5, 1.0], [1.0, 0.9, 0.8, 0.5, 0.0]])
    assert halving.epsilon_net(line, 5) == [0, 4, 3, 2, 1]
    assert halving.epsilon_net(line, 2) == [0, 4]
    assert sorted(halving.epsilon_net(np.zeros((3, 2)), 9)) == [0, 1, 2]
    points = np.random.default_rng(0).random((60, 3))
    order = halving.epsilon_net(points, 60)
    assert sorted(order) == list(range(60))
    for size in (1, 5, 20):
        distance = np.linalg.norm(points[:, None] - points[order[:size]], axis=2).min(axis=1)
        assert distance.max() == pytest.approx(distance[order[size]])


def test_fronts_come_one_after_the_other(front_task) -> None:
    """With costs by their logarithm, each objective between its extremes, and infeasible designs last."""

    def seen(arch: str, accuracy: float, energy: float, feasible: bool = True) -> nbi.Observation:
        values = {"accuracy": accuracy, "energy": energy}
        return nbi.Observation(nbi.Design(arch, CHIP.id), values, (-accuracy, energy), feasible, 1.0)

    front = [seen("a", 90, 1000), seen("b", 89, 999), seen("c", 70, 10), seen("d", 50, 1)]
    second = [seen("e", 69, 10), seen("f", 49, 1)]
    last = [seen("g", 95, 0.1, feasible=False)]
    observations = [*second, *last, *front[::-1]]
    ordered = "".join(each.design.arch for each in halving.best_first(front_task, observations, 9))
    assert ordered == "adcbefg"  # by the raw energy, b is farther from a than c from d
    for count in range(8):
        found = halving.best_first(front_task, observations, count)
        assert "".join(each.design.arch for each in found) == ordered[:count]
    assert halving.best_first(front_task, [], 3) == []


@pytest.mark.parametrize("method", METHODS)
def test_several_objectives(ran, front_task, method: ModuleType) -> None:
    """Several of the full labels are recommended in the end."""
    run = ran(method, front_task)
    full = {seen.design.arch for seen in run.climbs if seen.fidelity == RUNGS[-1]}
    last = [event["recommend"] for event in run.session.events() if "recommend" in event][-1]
    assert 1 < len(last) <= front_task.max_recommended
    assert {fields["arch"] for fields in last} <= full


def test_mo_asha_beats_random_search_at_full_labels(ran, table, front_task) -> None:
    """Hypervolume of what is recommended when the budget is spent, over paired seeds."""
    last = {
        method: [
            regret_curve(front_task, table, ran(method, front_task, seed).session.events())[-1]
            for seed in SEEDS
        ]
        for method in (asha, random_search)
    }
    assert wilcoxon(last[asha], last[random_search], alternative="less").pvalue < 0.01


def test_mo_asha_climbs_along_the_whole_front(ran, front_task) -> None:
    """Full labels of the cheap as well as of the accurate: near both ends of what random search sees."""
    ends = {}
    for method in (asha, random_search):
        answers = [seen for seed in SEEDS[:5] for seen in ran(method, front_task, seed).climbs]
        full = [seen.objectives for seen in answers if seen.fidelity == RUNGS[-1]]
        ends[method] = np.array(full)
    assert (ends[asha].min(axis=0) <= np.quantile(ends[random_search], 0.05, axis=0)).all()


def test_designs_take_their_own_time_on_a_front(ran, table: nbi.Benchmark, front_task: nbi.Task) -> None:
    """Random search by full labels comes to what was frozen; others spend half of the budget at first."""
    curves = []
    for seed in range(60):
        events = ran(random_search, front_task, seed).session.events()
        curves.append(regret_curve(front_task, table, events))
    frozen = front_task.frozen
    error = np.array(frozen.random_regret_error) * np.sqrt(SIMULATED_RUNS / len(curves))
    assert (np.abs(np.mean(curves, axis=0) - frozen.random_regret) < 4 * error).all()
    for method in (nsga2, moead, bananas, regularized_evolution):
        assert len(ran(method, front_task).session.observations) > 20  # most of thirty labels


def test_what_a_run_begins_with_is_half_of_what_the_first_label_leaves(
    table: nbi.Benchmark, front_task: nbi.Task
) -> None:
    with front_task.session(0, table) as session:
        seen = begin(session, draws(session, 40, np.random.default_rng(0)))
        shared = seen[0].cost_charged
        assert 10 <= len(seen) <= 20  # of thirty
        assert session.charged - shared == pytest.approx((front_task.budget - shared) / 2, rel=0.2)
