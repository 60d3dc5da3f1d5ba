"""The shipped searchers keep what every searcher is asked to keep."""

import pytest

from nasbench_imc.testing import SearcherSuite
from nasbench_imc_baselines import (
    analognas,
    asha,
    bananas,
    gibbon,
    gp,
    hyperband,
    joint_ga,
    local_search,
    moead,
    nsga2,
    qnehvi,
    random_search,
    regularized_evolution,
    reinforce,
    smac,
    sms_emoa,
    successive_halving,
    tpe,
    transfer,
    two_stage,
    zero_cost,
)


class TestAnalogNAS(SearcherSuite):
    searcher = staticmethod(analognas.search)


class TestASHA(SearcherSuite):
    searcher = staticmethod(asha.search)


class TestBANANAS(SearcherSuite):
    searcher = staticmethod(bananas.search)


class TestGibbon(SearcherSuite):
    searcher = staticmethod(gibbon.search)


class TestGP(SearcherSuite):
    searcher = staticmethod(gp.search)
    tracks = ("C", "M")  # limits, and several objectives: each step takes half a second
    budget = 12


@pytest.mark.slow
class TestGPOnEveryTrack(SearcherSuite):
    searcher = staticmethod(gp.search)
    budget = 12


class TestHyperband(SearcherSuite):
    searcher = staticmethod(hyperband.search)


class TestJointGA(SearcherSuite):
    searcher = staticmethod(joint_ga.search)


class TestLocalSearch(SearcherSuite):
    searcher = staticmethod(local_search.search)


class TestMOEAD(SearcherSuite):
    searcher = staticmethod(moead.search)


class TestNSGA2(SearcherSuite):
    searcher = staticmethod(nsga2.search)


class TestQNEHVI(SearcherSuite):
    searcher = staticmethod(qnehvi.search)
    tracks = ("C", "M")
    budget = 12


@pytest.mark.slow
class TestQNEHVIOnEveryTrack(SearcherSuite):
    searcher = staticmethod(qnehvi.search)
    budget = 12


class TestRandomSearch(SearcherSuite):
    searcher = staticmethod(random_search.search)


class TestRegularizedEvolution(SearcherSuite):
    searcher = staticmethod(regularized_evolution.search)


class TestReinforce(SearcherSuite):
    searcher = staticmethod(reinforce.search)


class TestSMAC(SearcherSuite):
    searcher = staticmethod(smac.search)
    tracks = ("C", "J", "M")
    budget = 12


class TestSMSEMOA(SearcherSuite):
    searcher = staticmethod(sms_emoa.search)


class TestSuccessiveHalving(SearcherSuite):
    searcher = staticmethod(successive_halving.search)


class TestTPE(SearcherSuite):
    searcher = staticmethod(tpe.search)


class TestTransfer(SearcherSuite):
    searcher = staticmethod(transfer.search)
    tracks = ("T",)  # elsewhere there are no free labels


class TestTwoStage(SearcherSuite):
    searcher = staticmethod(two_stage.search)
    tracks = ("J",)


class TestZeroCost(SearcherSuite):
    searcher = staticmethod(zero_cost.search)
