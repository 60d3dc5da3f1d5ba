"""The shipped searchers keep what every searcher is asked to keep."""

from nasbench_imc.testing import SearcherSuite
from nasbench_imc_baselines import local_search, nsga2, random_search, regularized_evolution, tpe


class TestLocalSearch(SearcherSuite):
    searcher = staticmethod(local_search.search)


class TestNSGA2(SearcherSuite):
    searcher = staticmethod(nsga2.search)


class TestRandomSearch(SearcherSuite):
    searcher = staticmethod(random_search.search)


class TestRegularizedEvolution(SearcherSuite):
    searcher = staticmethod(regularized_evolution.search)


class TestTPE(SearcherSuite):
    searcher = staticmethod(tpe.search)
