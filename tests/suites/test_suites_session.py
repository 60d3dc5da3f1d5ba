"""Search sessions: what is charged, what is shown, what may be recommended."""

from __future__ import annotations

from collections import Counter
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nasbench_imc as nbi

S, C, M = "nb201/sram-digital/S-accuracy", "nb201/pcm-t0/C-energy", "nb201/sram-digital/M-energy"
T, EDAP = "nb201/sram-to-pcm-t0/T-energy", "nb201/joint/J-edap"
TASKS = [task.name for task in nbi.tasks()]


def designs(task: nbi.Task, count: int, seed: int = 0) -> list[nbi.Design]:
    """Different designs of a task."""
    rng = np.random.default_rng(seed)
    drawn: dict[nbi.Design, None] = {}
    while len(drawn) < count:
        drawn[task.domain.random(rng)] = None
    return list(drawn)


def state(session: nbi.Session) -> tuple[Any, ...]:
    return session.charged, session.proposals, session.budget_left, session.observations, session.events()


def test_budget_is_charged_exactly() -> None:
    task = nbi.task(S)
    asked = designs(task, task.budget + 1)
    with task.session(0) as s:
        for k, design in enumerate(asked[:-1]):
            assert (s.charged, s.budget_left) == (k, task.budget - k)
            assert s.query(design).cost_charged == 1
        before = state(s)
        for _ in range(3):
            with pytest.raises(nbi.BudgetExhausted, match=f"{task.budget} queries"):
                s.query(asked[-1])
        assert state(s) == before
        again = s.query(asked[0])  # still free
        assert again.cost_charged == 0
        assert s.charged == task.budget
        s.recommend(asked[0])


def test_identical_query_is_free_and_shows_the_same() -> None:
    task = nbi.task(M)
    design = designs(task, 1)[0]
    with task.session(3) as s:
        first, second = s.query(design), s.query(nbi.Design(design.arch, design.hardware))
        assert (first.cost_charged, second.cost_charged) == (1, 0)
        assert first.values == second.values
        assert first.objectives == second.objectives
        assert (s.charged, s.proposals) == (1, 2)
        assert s.observations == (first,)
        assert len(s.events()) == 1


def test_isomorphic_cell_of_another_code_is_charged(bench: nbi.Benchmark) -> None:
    by_class: dict[str, list[str]] = {}
    for arch in bench.architectures[:3000]:
        by_class.setdefault(bench.canonical(arch), []).append(arch)
    one, other = next(group for group in by_class.values() if len(group) > 1)[:2]
    task = nbi.task(S)
    with task.session(0) as s:
        a, b = (s.query(nbi.Design(arch, task.hardware[0])) for arch in (one, other))
        assert (a.cost_charged, b.cost_charged, s.charged) == (1, 1, 2)
        assert a.values == b.values  # one label seed, one canonical cell: one draw


def test_same_cell_for_ever_ends() -> None:
    task = nbi.task(S)
    design = designs(task, 1)[0]
    with task.session(0) as s:
        for _ in range(task.max_proposals):
            s.query(design)
        before = state(s)
        with pytest.raises(nbi.BudgetExhausted, match=r"4000 proposals .*1 of 25"):
            s.query(design)
        with pytest.raises(nbi.BudgetExhausted):
            s.cost(design)
        assert state(s) == before
        assert (s.charged, s.proposals) == (1, 4000)


def test_costs_are_free_but_are_proposals(bench: nbi.Benchmark) -> None:
    task = nbi.task(C)
    design = designs(task, 1)[0]
    with task.session(0) as s:
        costs = s.cost(design)
        assert set(costs) == {"energy", "latency", "area"}
        truth = bench.query(design)
        assert all(costs[name] == truth[name] for name in costs)
        assert (s.charged, s.proposals, s.events(), s.observations) == (0, 1, [], ())
        with pytest.raises(nbi.SearchError):
            s.recommend(design)
        with pytest.raises(TypeError):
            costs["energy"] = 0.0  # type: ignore[index]
        for _ in range(task.max_proposals - 1):
            s.cost(design)
        with pytest.raises(nbi.BudgetExhausted):
            s.cost(design)
        assert s.charged == 0


@pytest.mark.parametrize("name", TASKS)
def test_search_label_and_no_score_label(name: str) -> None:
    """What a session shows is the table's search label of its seed, and no score label ever."""
    task = nbi.task(name)
    bench = nbi.load(task.table)
    queries = 5 if task.fidelities else task.budget
    equal = 0
    for seed in range(20):
        with task.session(seed, bench) as s:
            for design in designs(task, queries, seed):
                values = s.query(design).values
                drawn = bench.query(design, task.at, labels="search", seed=task.label_seed(seed))
                assert values["accuracy"] == drawn["accuracy"]
                equal += values["accuracy"] == bench.query(design, task.at)["accuracy"]
                assert not [metric for metric in values if "accuracy" in metric and metric != "accuracy"]
    # Labels of `nb201` are 32-bit: with a noise of 0.2 points near 90 one draw in some 60,000 rounds to zero.
    # Those of `hybrid` are shares of thousands of images, of which a few per cent coincide.
    assert equal <= (3 if task.table == "nb201" else queries)


def test_noise_is_the_tables(bench: nbi.Benchmark) -> None:
    task = nbi.task(S)
    noise = []
    for seed in range(30):
        with task.session(seed, bench) as s:
            noise += [
                s.query(d).values["accuracy"] - bench.query(d, task.at)["accuracy"]
                for d in designs(task, task.budget, seed)
            ]
    sd = bench.label_noise(task.hardware[0], task.at)
    assert np.mean(noise) == pytest.approx(0, abs=4 * sd / np.sqrt(len(noise)))
    assert np.std(noise) == pytest.approx(sd, rel=0.05)


def test_seeds_differ() -> None:
    task = nbi.task(S)
    design = designs(task, 1)[0]
    labels = set()
    for seed in range(30):
        with task.session(seed) as s:
            labels.add(s.query(design).values["accuracy"])
    assert len(labels) == 30


@pytest.mark.parametrize("seed", [None, -1, 1.0, float("nan"), "7", True, [1]])
def test_seed_is_an_integer(seed: Any) -> None:
    """None above all: search labels without a seed are score labels."""
    with pytest.raises(nbi.SearchError, match="label seed"):
        nbi.task(S).session(seed)


def test_numpy_seed() -> None:
    task = nbi.task(S)
    design = designs(task, 1)[0]
    with task.session(np.int64(5)) as a, task.session(5) as b:  # type: ignore[arg-type]
        assert a.query(design) == b.query(design)
        assert type(a.seed) is int  # it goes into the log


@pytest.mark.parametrize("name", TASKS)
def test_objectives_are_minimised_and_limits_kept(name: str) -> None:
    task = nbi.task(name)
    bench = nbi.load(task.table)
    feasible = set()
    with task.session(1, bench) as s:
        for design in designs(task, 5 if task.fidelities else min(60, task.budget)):
            seen = s.query(design)
            assert seen.design == design
            signs = [-1 if metric == "accuracy" else 1 for metric in task.objectives]
            values = [seen.values[metric] for metric in task.objectives]
            assert seen.objectives == tuple(np.multiply(signs, values))
            assert {"accuracy", "energy", "latency", "area"} <= set(seen.values)
            truth = bench.query(design, task.at)
            assert all(seen.values[metric] == truth[metric] for metric in ("energy", "latency", "area"))
            kept = [truth[metric] <= limit for metric, limit in task.limits.items()]
            kept += [seen.values[metric] >= limit for metric, limit in task.least.items()]
            assert seen.feasible == all(kept)
            feasible.add(seen.feasible)
    assert feasible == ({True, False} if task.limits or task.least else {True})


def test_observation_is_immutable() -> None:
    task = nbi.task(S)
    design = designs(task, 1)[0]
    with task.session(0) as s:
        seen = s.query(design)
        with pytest.raises(FrozenInstanceError):
            seen.feasible = False  # type: ignore[misc]
        with pytest.raises(TypeError):
            seen.values["accuracy"] = 100.0  # type: ignore[index]
        with pytest.raises(AttributeError):
            s.budget_left = 1_000  # type: ignore[misc]
        s.events().clear()
        s.events()[0]["query"]["arch"] = "another"
        assert s.events()[0]["query"]["arch"] == design.arch
        assert len(s.events()) == 1


@pytest.mark.parametrize(
    "given_",
    [
        None,
        float("nan"),
        "|none~0|",
        [],
        {},
        nbi.Design("cell", "sram-digital-r128"),
        nbi.Design(float("nan"), "sram-digital-r128"),  # type: ignore[arg-type]
        nbi.Design(nbi.load("nb201").architectures[0], "sram-digital-r64"),
        nbi.Design(nbi.load("nb201").architectures[0], ["sram-digital-r128"]),  # type: ignore[arg-type]
        nbi.Design(nbi.load("nb201").architectures[0], "sram-digital-r128", 4),
    ],
    ids=repr,
)
def test_what_is_not_a_design_costs_nothing(given_: Any) -> None:
    with nbi.task(S).session(0) as s:
        before = state(s)
        for ask in (s.query, s.cost):
            with pytest.raises(nbi.UnknownNameError):
                ask(given_)
        assert state(s) == before


def test_no_queries_after_the_block() -> None:
    task = nbi.task(S)
    design = designs(task, 1)[0]
    with task.session(0) as s:
        s.query(design)
    for ask in (s.query, s.cost, s.recommend):
        with pytest.raises(nbi.SearchError, match="has ended"):
            ask(design)
    assert s.charged == 1
    assert len(s.observations) == 1


def test_the_block_lets_errors_through() -> None:
    with pytest.raises(ZeroDivisionError), nbi.task(S).session(0):
        _ = 1 / 0


@pytest.mark.parametrize("name", TASKS)
def test_how_many_may_be_recommended(name: str) -> None:
    task = nbi.task(name)
    queried = 5 if task.fidelities else min(21, task.budget)
    asked = designs(task, queried + 1)
    most = min(queried, 20) if task.goal == "front" else 1
    with task.session(0) as s:
        for design in asked[:queried]:
            s.query(design)
        s.recommend(asked[0])
        s.recommend(asked[:most])
        s.recommend([asked[0], asked[0]])  # one design, named twice
        s.recommend(d for d in asked[:1])
        before = state(s)
        for wrong in ([], asked[: most + 1], asked[queried], [asked[queried]]):
            with pytest.raises(nbi.SearchError):
                s.recommend(wrong)
        assert state(s) == before
        kinds = Counter("recommend" if "recommend" in event else "query" for event in s.events())
        assert kinds == {"query": queried, "recommend": 4}


@pytest.mark.parametrize("given_", [None, 3, float("nan"), [[]], [None], "abc", [{}]])
def test_what_is_no_recommendation(given_: Any) -> None:
    task = nbi.task(S)
    with task.session(0) as s:
        s.query(designs(task, 1)[0])
        with pytest.raises(nbi.SearchError):
            s.recommend(given_)


def test_an_observation_is_no_recommendation_and_the_message_says_so() -> None:
    task = nbi.task(S)
    with task.session(0) as s:
        seen = s.query(designs(task, 1)[0])
        with pytest.raises(nbi.SearchError, match="not Observation"):
            s.recommend(seen)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("qcr"), st.integers(0, 8)), max_size=60))
def test_counters_follow_a_simple_model(steps: list[tuple[str, int]]) -> None:
    task = nbi.task(S)
    pool = designs(task, 9)
    queried: set[int] = set()
    proposals = recommended = 0
    with task.session(0) as s:
        for kind, k in steps:
            if kind == "q":
                assert s.query(pool[k]).cost_charged == (k not in queried)
                queried.add(k)
                proposals += 1
            elif kind == "c":
                s.cost(pool[k])
                proposals += 1
            elif k in queried:
                s.recommend(pool[k])
                recommended += 1
            else:
                with pytest.raises(nbi.SearchError):
                    s.recommend(pool[k])
            assert (s.charged, s.proposals) == (len(queried), proposals)
            assert len(s.events()) == len(queried) + recommended


# ---- transfer -----------------------------------------------------------------------------------------


def test_labels_on_sources_are_free_and_leave_no_trace(bench: nbi.Benchmark) -> None:
    task = nbi.task(T)
    (source,) = task.sources
    with task.session(3, bench) as s:
        for design in designs(task, 50):
            there = nbi.Design(design.arch, source)
            seen = s.query(there)
            label = bench.query(there, task.at, labels="search", seed=task.label_seed(3))["accuracy"]
            assert (seen.values["accuracy"], seen.cost_charged) == (label, 0)
            assert label != bench.query(there, task.at)["accuracy"]
            assert s.cost(there)["energy"] == bench.query(there)["energy"]
        assert (s.charged, s.proposals, s.events(), s.observations) == (0, 100, [], ())
        for _ in range(task.max_proposals - 100):
            s.query(there)
        with pytest.raises(nbi.BudgetExhausted, match="proposals"):
            s.query(there)


def test_before_the_first_charge_anything_may_be_recommended_on_the_target() -> None:
    task = nbi.task(T)
    first, second, third = designs(task, 3)
    on_source = nbi.Design(first.arch, task.sources[0])
    with task.session(0) as s:
        with pytest.raises(nbi.UnknownNameError, match="hardware for this task"):
            s.recommend(on_source)
        with pytest.raises(
            nbi.SearchError, match="names 1 to 1 designs before the first charged query, not 2"
        ):
            s.recommend([first, second])
        s.recommend(first)
        s.query(third)
        with pytest.raises(nbi.SearchError, match="only a queried design"):
            s.recommend(first)
        s.recommend(third)
    with nbi.task(S).session(0) as s, pytest.raises(nbi.SearchError, match="only a queried design"):
        s.recommend(designs(nbi.task(S), 1)[0])


def test_source_hardware_is_no_design_elsewhere() -> None:
    with nbi.task(S).session(0) as s, pytest.raises(nbi.UnknownNameError, match="hardware for this task"):
        s.query(nbi.Design(designs(nbi.task(S), 1)[0].arch, "pcm-r512-adc8-mux4"))


# ---- several choices of hardware ----------------------------------------------------------------------


def test_joint_designs_name_their_hardware_in_the_log(bench: nbi.Benchmark) -> None:
    task = nbi.task(EDAP)
    assert len(task.domain) == 15_625 * len(task.hardware)
    asked = designs(task, 40)
    assert {design.hardware for design in asked} == set(task.hardware)
    with task.session(1, bench) as s:
        for design in asked:
            s.query(design)
        s.recommend(asked[5])
    assert [event["query"]["hardware"] for event in s.events()[:-1]] == [d.hardware for d in asked]
    assert s.events()[-1] == {"recommend": [{"arch": asked[5].arch, "hardware": asked[5].hardware}]}


def test_one_fidelity_where_there_are_no_others() -> None:
    task = nbi.task(S)
    with task.session(0) as s:
        with pytest.raises(nbi.SearchError, match="labels of one fidelity, not 'draws-1'"):
            s.query(designs(task, 1)[0], "draws-1")
        assert (s.charged, s.proposals) == (0, 0)


def test_values_that_equal_the_tasks_are_its_own_in_the_log() -> None:
    task = nbi.task(EDAP)
    design = designs(task, 1)[0]
    same = nbi.Design(np.str_(design.arch), np.str_(design.hardware), np.int64(8), np.float64(0))
    with task.session(0) as s:
        first, again = s.query(same), s.query(design)
        assert (first.design, again.cost_charged) == (design, 0)
        s.recommend(same)
        fields = [s.events()[0]["query"], s.events()[1]["recommend"][0]]
    assert all(type(value) is str for each in fields for value in each.values())
    with nbi.task(S).session(0) as s, pytest.raises(nbi.UnknownNameError, match="sparsity for this task"):
        s.query(nbi.Design(design.arch, "sram-digital-r128", 8, False))


def test_the_suites_show_other_labels() -> None:
    dev, test = nbi.task(M), nbi.task(S)
    assert (dev.hardware, dev.at) == (test.hardware, test.at)
    design = designs(dev, 1)[0]
    for seed in range(5):
        with dev.session(seed) as a, test.session(seed) as b:
            assert a.query(design).values["accuracy"] != b.query(design).values["accuracy"]


@pytest.mark.parametrize("name", TASKS)
def test_a_session_withholds_what_was_frozen_from_the_whole_table(name: str) -> None:
    """The optimum's cost, for one, names the optimum: costs are free to look at."""
    task = nbi.task(name)
    with task.session(0) as s:
        shown = s.task.frozen
        assert shown.margin == task.margin
        for part in ("best", "worst", "best_hypervolume", "noise_floor", "reachable_regret"):
            assert np.isnan(getattr(shown, part)), part
        for empty in ("ideal", "nadir", "random_regret", "random_regret_error"):
            assert not getattr(shown, empty)
        assert s.task.domain is task.domain
        assert replace(s.task, frozen=task.frozen) == task
