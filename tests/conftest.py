"""Fixtures that every test may use."""

import pytest
from hypothesis import settings

import nasbench_imc as nbi

# A first call may import a library or read a column; no property is about time.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def bench():
    """The shipped NAS-Bench-201 table, loaded once."""
    return nbi.load("nb201")
