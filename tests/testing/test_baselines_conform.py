"""The shipped searchers keep what every searcher is asked to keep."""

from nasbench_imc.testing import SearcherSuite
from nasbench_imc_baselines import (
    analognas,
    asha,
    bananas,
    gibbon,
    hyperband,
    joint_ga,
    local_search,
    moead,
    nsga2,
    random_search,
    regularized_evolution,
    reinforce,
    sms_emoa,
    successive_halving,
    tpe,
    transfer,
)


class TestAnalogNAS(SearcherSuite):
    searcher = staticmethod(analognas.search)


class TestASHA(SearcherSuite):
    searcher = staticmethod(asha.search)


class TestBANANAS(SearcherSuite):
    searcher = staticmethod(bananas.search)


class TestGibbon(SearcherSuite):
    searcher = staticmethod(gibbon.search)


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


class TestRandomSearch(SearcherSuite):
    searcher = staticmethod(random_search.search)


class TestRegularizedEvolution(SearcherSuite):
    searcher = staticmethod(regularized_evolution.search)


class TestReinforce(SearcherSuite):
    searcher = staticmethod(reinforce.search)


class TestSMSEMOA(SearcherSuite):
    searcher = staticmethod(sms_emoa.search)


class TestSuccessiveHalving(SearcherSuite):
    searcher = staticmethod(successive_halving.search)


class TestTPE(SearcherSuite):
    searcher = staticmethod(tpe.search)


class TestTransfer(SearcherSuite):
    searcher = staticmethod(transfer.search)
