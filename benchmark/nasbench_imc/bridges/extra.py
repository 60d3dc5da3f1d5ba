"""Libraries that a bridge needs and the core does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nasbench_imc.errors import BenchmarkError


@contextmanager
def imported_for_bridge(library: str) -> Iterator[None]:
    """Import a library in the block.

    Raises
    ------
    BenchmarkError
        Where it, or what it needs, is not installed; the message names the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise BenchmarkError(
            f"the bridge to {library} needs the module {error.name!r}, which is not installed: "
            'pip install "nasbench-imc[search]"'
        ) from error
