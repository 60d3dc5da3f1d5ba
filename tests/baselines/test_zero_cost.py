"""Warm start and moves by zero-cost proxies: what the vote is, and what good and useless proxies do."""

from __future__ import annotations

from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest
from scipy.stats import wilcoxon

import nasbench_imc as nbi
from nasbench_imc.runs.execute import searcher_rng
from nasbench_imc.scoring import regret_curve
from nasbench_imc_baselines import zero_cost

TASK = nbi.task("nb201/sram-digital/S-accuracy")


class WithProxies:
    """The table, and proxies of its networks that are made up here."""

    def __init__(self, bench: nbi.Benchmark, **columns: np.ndarray) -> None:
        self.bench, self.proxy_names = bench, tuple(columns)
        row = {code: k for k, code in enumerate(bench.architectures)}
        self.proxies = lambda arch: SimpleNamespace(
            values=MappingProxyType({name: float(column[row[arch]]) for name, column in columns.items()})
        )

    def __getattr__(self, name):
        return getattr(self.bench, name)


def observed(table, seed: int = 0, **options) -> nbi.Session:
    with nbi.Session(TASK, table, seed) as session, pytest.raises(nbi.BudgetExhausted):
        zero_cost.search(session, searcher_rng(TASK, seed), **options)
    return session


@pytest.fixture(scope="module")
def accuracy(bench: nbi.Benchmark) -> np.ndarray:
    return bench.array("accuracy_ptq_int8").astype(float)


def test_the_first_population_is_the_best_of_the_pool(bench, accuracy) -> None:
    """By the mean of ranks, so that a proxy's scale does not count."""
    one = WithProxies(bench, good=accuracy, half=np.arange(len(accuracy)) * 1e9)
    session = observed(one, pool=50, population=5)
    rng = searcher_rng(TASK, 0)
    drawn = [TASK.domain.random(rng) for _ in range(50)]
    values = np.array([list(one.proxies(design.arch).values.values()) for design in drawn])
    votes = (values[:, None] > values[None]).sum(axis=1).sum(axis=1)
    first = [drawn.index(seen.design) for seen in session.observations[:5]]
    assert sorted(votes[first], reverse=True) == sorted(votes, reverse=True)[:5]
    rescaled = WithProxies(bench, good=np.exp(accuracy / 10), half=np.arange(len(accuracy)) * 1.0)
    assert observed(rescaled, pool=50, population=5).observations == session.observations


def test_a_child_is_the_best_of_several_mutants(bench, accuracy) -> None:
    """With a proxy that tells all, more mutants are better, though nothing else differs."""
    table = WithProxies(bench, good=accuracy)
    few, many = (
        [np.mean([seen.values["accuracy"] for seen in observed(table, s, mutants=m).observations[10:]])
         for s in range(8)]
        for m in (1, 10)
    )  # fmt: skip
    assert wilcoxon(many, few, alternative="greater").pvalue < 0.05


def test_a_good_proxy_helps(bench, accuracy) -> None:
    """One that correlates at about 0.7 with accuracy, against one that tells nothing, over paired seeds."""
    noise = np.random.default_rng(0).normal(size=(2, len(accuracy)))
    ranks = np.argsort(np.argsort(accuracy)) / len(accuracy)
    regrets = {
        name: [
            np.mean(regret_curve(TASK, bench, observed(WithProxies(bench, it=column), seed).events()))
            for seed in range(12)
        ]
        for name, column in (("good", ranks + 0.3 * noise[0]), ("useless", noise[1]))
    }
    assert wilcoxon(regrets["good"], regrets["useless"], alternative="less").pvalue < 0.05


def test_what_it_is_for(monkeypatch) -> None:
    assert not zero_cost.suits(TASK)  # its table has no proxies
    monkeypatch.setattr(zero_cost, "load", lambda name: SimpleNamespace(proxy_names=("naswot",)))
    assert zero_cost.suits(TASK)
    assert not zero_cost.suits(nbi.task("nb201/sram-digital/M-energy"))
