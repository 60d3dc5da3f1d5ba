"""Bridges: each runs a foreign method on every kind of task, and tells it what it should."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
from ConfigSpace.util import get_one_exchange_neighbourhood
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.soo.nonconvex.de import DE
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from scipy.optimize import differential_evolution

import nasbench_imc as nbi
from nasbench_imc import bridges
from nasbench_imc.bridges import configspace, functions
from nasbench_imc.bridges import optuna as optuna_bridge
from nasbench_imc.bridges.pymoo import DesignProblem, Redraw
from nasbench_imc.spaces import NB201, Hybrid
from nasbench_imc.suites import Domain
from nasbench_imc.testing import tasks as small

S, C, M = (
    small.shrunk(nbi.task(f"nb201/{name}"), 27)
    for name in ("sram-digital/S-accuracy", "sram-digital/C-memory", "sram-digital/M-energy")
)
(LIMITED,) = C.limits
FREE = Domain(Hybrid(), ("pcm-r256-adc8-mux4", "sram-digital-r128"), (4, 8), (0.0, 0.5))
DOMAINS = [S.domain, FREE]
KINDS = [small.shrunk(task, 27) for task in small.one_a_kind()]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def spent(session: nbi.Session) -> None:
    """All of the budget; of a clock's, all but what is less than another label takes."""
    task = session.task
    assert session.charged <= task.budget
    assert session.charged == task.budget or (task.fidelities and session.budget_left < 60)


def costs_beyond(session: nbi.Session) -> list[float]:
    """Violations of limits on costs by what was queried: there should be none."""
    return [
        seen.values[metric] / limit - 1
        for seen in session.observations
        for metric, limit in session.task.limits.items()
    ]


# Points.


@pytest.mark.parametrize("domain", DOMAINS, ids=["nb201", "hybrid"])
def test_a_design_in_every_form(domain: Domain) -> None:
    for k in range(20):
        design = domain.random(rng(k))
        values = domain.values(design)
        indices = bridges.to_indices(domain, design)
        for form in (design, values, indices, indices.tolist(), indices + 0.4, indices - 0.5 + 1e-9):
            assert bridges.to_design(domain, form) == design
        numpy = {name: np.array([value])[0] for name, value in values.items()}
        made = bridges.to_design(domain, numpy)
        assert made == design
        assert {type(value) for value in domain.values(made).values()} <= {str, int, float}  # goes into JSON


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([0] * 5, "their 6 indices, not"),
        ([0] * 7, "their 6 indices, not"),
        ([[0] * 6], "their 6 indices, not"),
        ("nor_conv_3x3", "their 6 indices, not 'nor_conv_3x3'"),
        (None, "their 6 indices, not None"),
        (3, "their 6 indices, not 3"),
        ([0, 0, 0, 0, 0, 5], r"out of range; each is at least 0 and below \[5, 5"),
        ([0, 0, 0, 0, 0, -1], "out of range"),
        ([0, 0, 0, 0, 0, np.nan], "out of range"),
        ({}, "unknown choice of edge_0_1 None"),
        (dict.fromkeys(NB201().variables, "conv"), "unknown choice of edge_0_1 'conv'"),
        (dict.fromkeys(NB201().variables, np.zeros(2)), "unknown choice of edge_0_1"),
        (nbi.Design("x", "sram-digital-r128"), "malformed nb201 architecture"),
    ],
)
def test_what_is_no_point(x: Any, message: str) -> None:
    with pytest.raises(nbi.UnknownNameError, match=message):
        bridges.to_design(S.domain, x)


# Objectives.


def test_logged_objectives() -> None:
    task = SimpleNamespace(objectives=("accuracy", "energy", "leakage_power"))
    seen: Any = SimpleNamespace(objectives=(-90.0, 8.0, 0.0))
    made = bridges.logged(task, seen)  # type: ignore[arg-type]
    assert made[:2] == (-90.0, np.log(8.0))
    assert np.isfinite(made[2])


def test_violations() -> None:
    task: Any = SimpleNamespace(limits={"energy": 4.0, "area": 2.0}, least={"accuracy": 80.0})
    found = bridges.violations(task, {"energy": 5.0, "area": 1.0, "accuracy": 60.0})
    assert found == {"energy": 0.25, "area": -0.5, "accuracy": 0.25}
    assert bridges.violations(task, {"energy": 5.0, "area": 1.0}) == {"energy": 0.25, "area": -0.5}
    assert bridges.violations(task, {"energy": 4.0, "area": 2.0, "accuracy": 88.0})["accuracy"] < 0
    assert bridges.violations(S, {"energy": 5.0}) == {}


def isomorphs(count: int) -> list[nbi.Design]:
    """Designs of one network under different codes."""
    domain, forms = S.domain, {}
    for k in range(10_000):
        design = domain.random(rng(k))
        alike = forms.setdefault(domain.canonical_form(design), {})
        alike[design] = None
        if len(alike) == count:
            return list(alike)
    raise AssertionError("no isomorphic cells were drawn")


def test_a_network_is_asked_for_once() -> None:
    first, second, third = isomorphs(3)
    with S.session(0) as session:
        seen = bridges.ask(session, first)
        assert (seen.cost_charged, session.charged) == (1, 1)
        for design in (first, second, third):
            again = bridges.ask(session, design)
            assert (again.design, again.values, again.cost_charged) == (first, seen.values, 0)
        assert session.charged == 1
        paid = session.query(second)  # a session charges for every code
        assert (paid.values, session.charged) == (seen.values, 2)
        assert bridges.queried(session) == {S.domain.canonical_form(first): first}


def test_other_hardware_is_another_design() -> None:
    domain = FREE
    design = domain.random(rng())
    others = [d for d in domain.neighbors(design) if d.arch == design.arch]
    assert len(others) == 3
    assert len({domain.canonical_form(d) for d in (design, *others)}) == 4


def test_scale_is_from_the_best_to_the_median_of_different_points() -> None:
    points = np.array([[0.0, 5.0], [1.0, 5.0], [4.0, 5.0], [9.0, 5.0]])
    low, span = bridges.scale(points)
    assert low.tolist() == [0.0, 5.0]
    assert span.tolist() == [2.5, 1.0]  # equal values have no extent
    repeated = np.concatenate([points, np.repeat(points[:1], 20, axis=0)])
    assert [part.tolist() for part in bridges.scale(repeated)] == [[0.0, 5.0], [2.5, 1.0]]
    tied = np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [8.0, 4.0]])  # most share the best value
    assert bridges.scale(tied)[1].tolist() == [8.0, 1.5]


def test_scalarised_needs_observations() -> None:
    with M.session(0) as session, pytest.raises(nbi.SearchError, match="query some designs first"):
        bridges.scalarised(session, rng())


def test_scalarised_by_others_needs_no_observation_and_takes_their_scale() -> None:
    with M.session(0) as session:
        seen = [session.query(M.domain.random(rng(k))) for k in range(12)]
    with M.session(0) as fresh:  # nothing observed here
        assert not fresh.observations
        by_all, by_few = (bridges.scalarised(fresh, rng(3), some) for some in (seen, seen[:3]))
        with pytest.raises(nbi.SearchError, match="query some designs first"):
            bridges.scalarised(fresh, rng(3), [])
    with M.session(0) as known:
        for each in seen:
            known.query(each.design)
        own = bridges.scalarised(known, rng(3))
    assert [by_all(each) for each in seen] == [own(each) for each in seen]
    assert [by_few(each) for each in seen] != [own(each) for each in seen]


# Ask and tell.


class Told:
    def __init__(self, *asked: Any) -> None:
        self.asked, self.told = list(asked), []

    def ask(self) -> Any:
        return self.asked.pop(0)

    def tell(self, seen: Any) -> None:
        self.told.append(seen)


def test_ask_and_tell_one_and_several() -> None:
    a, b, c = (S.domain.random(rng(k)) for k in range(3))
    optimiser = Told(a, [b, c], (a,), [])
    with S.session(0) as session:
        bridges.run_ask_tell(session, optimiser)  # an empty list ends it
        seen = session.observations
        assert [each.design for each in seen] == [a, b, c]
        one, two, repeated = optimiser.told
        assert one == seen[0]
        assert two == list(seen[1:])
        assert [(each.design, each.cost_charged) for each in repeated] == [(a, 0)]


@pytest.mark.parametrize("asked", [None, 3, "abc", [None], {"edge_0_1": "none"}])
def test_ask_for_no_design(asked: Any) -> None:
    with S.session(0) as session, pytest.raises(nbi.UnknownNameError, match="expected a Design"):
        bridges.run_ask_tell(session, Told(asked))


def test_ask_and_tell_ends_at_the_budget() -> None:
    class Random:
        def __init__(self) -> None:
            self.rng, self.told = rng(), 0

        def ask(self) -> list[nbi.Design]:
            return [S.domain.random(self.rng) for _ in range(10)]

        def tell(self, seen: list[nbi.Observation]) -> None:
            self.told += len(seen)

    optimiser = Random()
    with S.session(0) as session, pytest.raises(nbi.BudgetExhausted):
        bridges.run_ask_tell(session, optimiser)
    assert (session.charged, optimiser.told) == (S.budget, S.budget // 10 * 10)


# Functions.


def test_function_of_one_objective() -> None:
    with S.session(0) as session:
        f = bridges.function(session, rng())
        design = S.domain.random(rng())
        value = f(bridges.to_indices(S.domain, design))
        assert value == session.query(design).objectives[0] == -session.observations[0].values["accuracy"]
        assert f(S.domain.values(design)) == f(design) == value
        assert session.charged == 1
        assert session.proposals == 4  # repeats are free, and proposals


def test_function_of_two_objectives() -> None:
    with M.session(0) as session:
        f = bridges.function(session)
        seen = session.query(M.domain.random(rng()))
        assert f(seen.design) == (-seen.values["accuracy"], np.log(seen.values["energy"]))


def test_function_does_not_query_what_breaks_a_limit() -> None:
    with C.session(0) as session:
        f = bridges.function(session)
        ranked = sorted((C.domain.random(rng(k)) for k in range(100)), key=lambda d: session.cost(d)[LIMITED])
        good, bad, worse = ranked[0], ranked[75], ranked[99]
        memory = session.cost(worse)[LIMITED]
        assert f(worse) == functions.PENALTY * (1 + (memory / C.limits[LIMITED] - 1))
        assert f(worse) > f(bad) > functions.PENALTY
        assert session.charged == 0
        assert f(good) == session.observations[0].objectives[0] < 0
        assert session.charged == 1


def test_function_penalises_what_only_a_query_shows() -> None:
    class Strict:
        """A session whose task asks for an accuracy that no design has."""

        def __init__(self, session: nbi.Session) -> None:
            self.session, self.observations = session, ()
            self.task = SimpleNamespace(
                domain=M.domain, objectives=M.objectives, sources=(), limits={}, least={"accuracy": 200.0}
            )

        def query(self, design: nbi.Design) -> nbi.Observation:
            return replace(self.session.query(design), feasible=False)

    with M.session(0) as session:
        strict: Any = Strict(session)
        design = M.domain.random(rng())
        accuracy = session.query(design).values["accuracy"]
        penalty = pytest.approx(functions.PENALTY * (2 - accuracy / 200))
        assert bridges.function(strict)(design) == (penalty, penalty)
        assert functions.Function(strict, lambda seen: 0.0)(design) == penalty
        out: dict[str, Any] = {}
        DesignProblem(strict)._evaluate(bridges.to_indices(M.domain, design), out)
        assert out["G"] == [pytest.approx(1 - accuracy / 200)]
        study = optuna_bridge.create_study(strict, optuna.samplers.RandomSampler(seed=0))
        study.optimize(optuna_bridge.objective(strict), n_trials=1)
        assert study.trials[0].constraints["accuracy"] > 0


def test_scalar_function_of_two_objectives() -> None:
    with M.session(0) as session:
        f, g = (bridges.function(session, rng(k)) for k in (0, 1))
        assert session.charged == functions.SCALED_FROM  # drawn once, to scale by
        values = [[h(seen.design) for seen in session.observations] for h in (f, g)]
        assert all(isinstance(value, float) for value in np.ravel(values).tolist())
        assert not np.allclose(*values)  # other weights
        best = min(session.observations, key=lambda seen: seen.objectives[1])
        dominated = [s for s in session.observations if all(np.greater(s.objectives, best.objectives))]
        assert all(f(best.design) < f(seen.design) for seen in dominated)


def test_scalar_function_where_hardly_a_design_is_feasible() -> None:
    hopeless = replace(M, limits={"energy": 1e-12})
    with hopeless.session(0) as session:
        f = bridges.function(session, rng())
        assert session.charged == 1
        assert f(session.observations[0].design) > functions.PENALTY


@pytest.mark.parametrize("task", KINDS, ids=lambda task: task.name)
def test_scipy(task: nbi.Task) -> None:
    generator = rng()

    def method(f: bridges.Function) -> None:
        differential_evolution(f, f.bounds, rng=generator, popsize=3, polish=False)

    def restarts(session: nbi.Session) -> None:
        while True:
            bridges.run_function(session, method, generator)

    with task.session(0) as session, pytest.raises(nbi.BudgetExhausted):
        restarts(session)
    spent(session)
    assert all(broken <= 0 for broken in costs_beyond(session))


def call_for_ever(f: Any) -> None:
    while True:
        try:
            f([0] * 6)
            f(S.domain.random(generator))
        except Exception:
            pass


def call_and_return(f: Any) -> float:
    try:
        call_for_ever(f)
    except BaseException:
        return 0.0
    raise AssertionError


def call_and_raise_otherwise(f: Any) -> None:
    try:
        for k in range(1000):
            f(S.domain.random(rng(k)))
    except nbi.BudgetExhausted as error:
        raise RuntimeError("a worker died") from error


generator = rng()


@pytest.mark.parametrize("method", [call_for_ever, call_and_return, call_and_raise_otherwise])
def test_run_function_ends_what_swallows(method: Any) -> None:
    with S.session(0) as session, pytest.raises(nbi.BudgetExhausted, match=f"{S.budget} queries"):
        bridges.run_function(session, method)
    assert session.charged == S.budget


def test_function_alone_ends_what_swallows() -> None:
    with S.session(0) as session, pytest.raises(functions.SearchEnded, match="run_function"):
        call_for_ever(bridges.function(session))


def test_run_function_passes_on_what_is_not_the_end() -> None:
    def broken(f: bridges.Function) -> None:
        f(S.domain.random(rng()))
        raise KeyError("mine")

    with S.session(0) as session:
        with pytest.raises(KeyError, match="mine"):
            bridges.run_function(session, broken)
        bridges.run_function(session, lambda f: f(S.domain.random(rng(1))))  # returns: so does it
        assert session.charged == 2


# Optuna.


@pytest.mark.parametrize("task", KINDS, ids=lambda task: task.name)
@pytest.mark.parametrize("sampler", ["RandomSampler", "TPESampler", "NSGAIISampler"])
def test_optuna(task: nbi.Task, sampler: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = optuna.logging.get_verbosity()
    with task.session(0) as session, pytest.raises(nbi.BudgetExhausted):
        bridges.run_optuna(session, getattr(optuna.samplers, sampler)(seed=0))
    spent(session)
    assert all(broken <= 0 for broken in costs_beyond(session))
    assert "".join(capfd.readouterr()) == ""
    assert optuna.logging.get_verbosity() == before


def test_optuna_sampler_that_stops() -> None:
    """The grid has four designs."""
    few = small.on_few_designs(S)
    grid = {name: list(choices) for name, choices in few.domain.variables.items()}
    with few.session(0) as session:
        bridges.run_optuna(session, optuna.samplers.GridSampler(grid, seed=0))
    assert session.charged == 4


def test_optuna_trials_say_what_was_seen() -> None:
    with C.session(0) as session:
        study = optuna_bridge.create_study(session, optuna.samplers.RandomSampler(seed=0))
        study.optimize(optuna_bridge.objective(session), n_trials=20)
        pruned = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.PRUNED]
        done = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
        assert len(pruned) + len(done) == 20
        assert pruned
        assert [trial.value for trial in done] == [seen.objectives[0] for seen in session.observations]
        for trial in study.trials:
            cost = session.cost(C.domain.from_values(trial.params))[LIMITED]
            expected = cost / C.limits[LIMITED] - 1
            assert trial.constraints == {LIMITED: expected}
            assert (expected > 0) == (trial in pruned)
        again = optuna_bridge.finished_trial(C, session.observations[0])
        assert (again.params, again.value) == (done[0].params, done[0].value)
        assert again.constraints == done[0].constraints


# pymoo.


@pytest.mark.parametrize("task", KINDS, ids=lambda task: task.name)
def test_pymoo(task: nbi.Task) -> None:
    operators = {"sampling": IntegerRandomSampling(), "crossover": UniformCrossover(), "mutation": Redraw()}
    with task.session(0) as session, pytest.raises(nbi.BudgetExhausted):
        bridges.run_pymoo(session, NSGA2(pop_size=10, **operators), rng())
    spent(session)
    assert all(broken <= 0 for broken in costs_beyond(session))


def test_pymoo_over_real_numbers() -> None:
    with C.session(0) as session, pytest.raises(nbi.BudgetExhausted):
        bridges.run_pymoo(session, DE(pop_size=10), rng())
    assert session.charged == C.budget


def test_pymoo_problem() -> None:
    with C.session(0) as session:
        problem = DesignProblem(session)
        assert (problem.n_var, problem.n_obj, problem.n_ieq_constr) == (6, 1, 1)
        good, _, bad = sorted(
            (C.domain.random(rng(k)) for k in range(100)), key=lambda d: session.cost(d)[LIMITED]
        )[::49]
        x = np.stack([bridges.to_indices(C.domain, design) for design in (good, bad)])
        out = problem.evaluate(x, return_as_dictionary=True)
        assert [seen.design for seen in session.observations] == [good]
        assert out["F"].tolist() == [[session.observations[0].objectives[0]], [0.0]]
        costs = [session.cost(design)[LIMITED] / C.limits[LIMITED] - 1 for design in (good, bad)]
        assert out["G"].ravel().tolist() == costs
        assert costs[0] < 0 < costs[1]


# ConfigSpace.


@pytest.mark.parametrize("domain", DOMAINS, ids=["nb201", "hybrid"])
def test_configurations_there_and_back(domain: Domain) -> None:
    task: Any = SimpleNamespace(domain=domain)
    space, same, other = (bridges.configuration_space(task, rng(seed)) for seed in (0, 0, 1))
    assert sorted(space.keys()) == sorted(domain.variables)
    drawn = space.sample_configuration(20)
    assert same.sample_configuration(20) == drawn != other.sample_configuration(20)
    for configuration in drawn:
        design = bridges.to_design(domain, configuration)
        assert configspace.to_configuration(space, task, design) == configuration
        assert {type(value) for value in domain.values(design).values()} <= {str, int, float}
        near = [bridges.to_design(domain, n) for n in get_one_exchange_neighbourhood(configuration, seed=1)]
        assert sorted(near) == sorted(domain.neighbors(design))


def test_target_of_a_configuration() -> None:
    with S.session(0) as session:
        space = bridges.configuration_space(S, rng())
        configuration = space.sample_configuration()
        target = configspace.target(bridges.function(session))
        assert target(configuration, seed=3) == target(configuration) == session.observations[0].objectives[0]  # type: ignore[call-arg]


# What each needs.

IMPORTS = """
import sys
{hidden}
import nasbench_imc.bridges as bridges
from nasbench_imc.errors import BenchmarkError
from nasbench_imc.bridges import function, run_ask_tell, run_function, scalarised
assert not {{"optuna", "pymoo", "ConfigSpace", "pandas"}} & {{n for n, m in sys.modules.items() if m}}
for name in ("run_optuna", "run_pymoo", "configuration_space"):
    try:
        getattr(bridges, name)
    except BenchmarkError as error:
        print(error)
"""


def test_a_library_is_needed_by_its_own_bridge_alone() -> None:
    hidden = "sys.modules.update(dict.fromkeys(('optuna', 'pymoo', 'ConfigSpace')))"
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS.format(hidden=hidden)], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    for line, library in zip(lines, ("Optuna", "pymoo", "ConfigSpace"), strict=True):
        assert line.startswith(f"the bridge to {library} needs the module")
        assert line.endswith('pip install "nasbench-imc[search]"')


def test_every_name_is_there() -> None:
    for name in bridges.__all__:
        assert getattr(bridges, name).__name__ == name
    assert dir(bridges) == sorted(bridges.__all__)
    with pytest.raises(AttributeError, match="no attribute 'run_smac'"):
        bridges.run_smac  # noqa: B018
