"""Tests that a searcher inherits: whatever it searches by, these must hold for its scores to mean something.

    # test_my_method.py, run by pytest
    from nasbench_imc.testing import SearcherSuite
    from my_method import search

    class TestMyMethod(SearcherSuite):
        searcher = staticmethod(search)

Needs pytest. Sessions are as large as :attr:`SearcherSuite.budget` says, so that all of it takes seconds.
"""

from __future__ import annotations

from nasbench_imc.errors import BenchmarkError

try:
    from nasbench_imc.testing.suite import SearcherSuite
except ModuleNotFoundError as error:
    if error.name != "pytest":
        raise
    raise BenchmarkError("nasbench_imc.testing needs pytest: pip install pytest") from error

__all__ = ["SearcherSuite"]
