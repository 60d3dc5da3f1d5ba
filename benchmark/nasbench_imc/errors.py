"""Every error that the package raises on purpose; each message says what was wrong and what is valid."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class BenchmarkError(Exception):
    """Base of all errors of this package."""


class UnknownNameError(BenchmarkError, ValueError):
    """A name that the benchmark does not know: architecture, hardware, metric, task, method, ..."""


class UnavailableError(BenchmarkError, ValueError):
    """A known quantity that this table does not hold for the design asked for."""


class TableError(BenchmarkError):
    """A table that is missing, truncated, altered or of another schema."""


class MacroFileError(BenchmarkError, ValueError):
    """A file of published macros that cannot be read."""


class TaskError(BenchmarkError):
    """A task file that is malformed or does not belong to the table."""


class SearchError(BenchmarkError, ValueError):
    """A request to a search session that its rules do not allow."""


class BudgetExhausted(BenchmarkError):
    """The session's budget is spent. A searcher may let it pass: the harness catches it."""


class ProposalsExhausted(BudgetExhausted):
    """The session's proposals are spent before its budget: too many repeats, or looks at costs."""


class LogError(BenchmarkError):
    """A run log that is unreadable, incomplete or belongs to other data."""


class SubmissionError(BenchmarkError):
    """A submission that is incomplete, unsafe to read, or differs from what the table says."""


class ChipError(BenchmarkError, ValueError):
    """A chip file with a field that is unknown, missing, of another type or out of range."""


class LayerListError(BenchmarkError, ValueError):
    """A layer list, or a torch module, that does not describe a network of known layers."""


def unknown(kind: str, given: object, valid: Iterable[object], *, show: int = 6) -> UnknownNameError:
    """An :class:`UnknownNameError` that names the nearest valid choices, or the first ``show``.

    Parameters
    ----------
    kind : str
        What the name stands for, for example ``"metric"``.
    given : object
        What was asked for; anything, since NaN and None are asked for too.
    valid : iterable
    """
    names = list(valid)
    if isinstance(given, str):
        near = difflib.get_close_matches(given, map(str, names), n=3)
        if near:
            few = f" (valid: {_listed(names, show)})" if len(names) <= show else ""
            return UnknownNameError(f"unknown {kind} {given!r}; did you mean {_listed(near, 3)}?{few}")
    return UnknownNameError(f"unknown {kind} {_short(given)}; valid: {_listed(names, show)}")


def _listed(names: Sequence[object], show: int) -> str:
    shown = ", ".join(repr(name) for name in names[:show])
    return shown + (f", ... ({len(names)} in all)" if len(names) > show else "")


def _short(value: object, limit: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "..."
