"""A progress bar of independent jobs, with the time until the last one ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

#: Time between two estimates [s].
INTERVAL = 1.0


def remaining(elapsed: float, done: int, left: int, workers: int) -> float:
    """Estimate the time until the last job ends, at the moment when one ended.

    Jobs that run meanwhile count as half done.

    Parameters
    ----------
    elapsed : float
        Since the first job began [s].
    done, left : int
        Jobs that ended since, and jobs that did not.
    workers : int
        Jobs that run at a time.

    Returns
    -------
    float
        [s]
    """
    under_way = min(workers - 1, left) / 2
    return elapsed * (left - under_way) / (done + under_way)


class JobsBar:
    """On stderr, in a ``with`` block.

    Parameters
    ----------
    name : str
        What the jobs are.
    total, waiting : int
        All jobs, and those of them that are still to be done.
    workers : callable
        How many jobs run at a time.
    shown : bool
    """

    def __init__(
        self, name: str, total: int, waiting: int, workers: Callable[[], int], *, shown: bool = True
    ) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            _RemainingColumn(),
            console=Console(stderr=True),
            disable=not shown,
        )
        self._row = self._bar.add_task(name, total=total, completed=total - waiting, end=None)
        self._waiting, self._left, self._workers = waiting, waiting, workers
        self._start = self._next = time.monotonic()

    def __enter__(self) -> JobsBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self) -> None:
        """One job more has ended."""
        self._left -= 1
        self._bar.advance(self._row)
        now = time.monotonic()
        if not self._bar.disable and now >= self._next:  # asking a scheduler for its workers takes a while
            self._next = now + INTERVAL
            more = remaining(now - self._start, self._waiting - self._left, self._left, self._workers())
            self._bar.update(self._row, end=now + more)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)


class _RemainingColumn(ProgressColumn):
    """Time until the expected end; rich's own forgets all that is older than half a minute."""

    def render(self, task: Task) -> Text:
        end = task.fields["end"]
        if end is None:
            return Text("-:--:--", style="progress.remaining")
        left = 0 if task.finished else max(0, round(end - time.monotonic()))
        return Text(str(timedelta(seconds=left)), style="progress.remaining")
