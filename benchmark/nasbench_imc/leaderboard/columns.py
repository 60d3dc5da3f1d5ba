"""What a leaderboard shows of a method: one ordered list of columns, which all formats share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nasbench_imc.errors import unknown
from nasbench_imc.scoring import Scores
from nasbench_imc.submissions.tiers import TIERS

if TYPE_CHECKING:
    from nasbench_imc.suites import Task

#: Decimals of a score; scores that agree to them are shown as equal, also where the best is in bold.
DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval; NaN ends where none can be given."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """The numbers of one method.

    Attributes
    ----------
    rank : int
    method : str
    tier : str
        One of :data:`TIERS`.
    mean_rank, elo, score : Estimate
    tasks : tuple of float
        Score on each task, in the order of ``Scores.tasks``.
    best : tuple of bool
        Whether that score is the task's best, to the decimals shown.
    runs, failed : int
    seconds : float
        Median of a run [s].
    official : bool
        Whether all runs were made on a released table.
    """

    rank: int
    method: str
    tier: str
    mean_rank: Estimate
    elo: Estimate
    score: Estimate
    tasks: tuple[float, ...]
    best: tuple[bool, ...]
    runs: int
    failed: int
    seconds: float
    official: bool


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes
    ----------
    name : str
        Its head, with the unit in brackets where it has one.
    shown : callable
        Line -> what a reader sees.
    interval : callable, optional
        Line -> the interval that belongs to it.
    exact : mapping of str to callable
        Columns of a CSV file -> their values; in full precision, ``[1]`` marking what has no unit.
    task : int, optional
        The place of the task whose score it shows.
    droppable : int
        In a terminal that is too narrow, columns with the highest number go first; 0 stays.
    """

    name: str
    shown: Callable[[Line], str]
    exact: Mapping[str, Callable[[Line], object]]
    interval: Callable[[Line], str] | None = None
    task: int | None = None
    droppable: int = 0

    @property
    def is_method(self) -> bool:
        """Whether it holds names, which others wrote."""
        return self.task is None and self.name == "method"


_FIRST = (
    Column("rank", lambda line: str(line.rank), {"rank": lambda line: line.rank}),
    Column("method", lambda line: line.method, {"method": lambda line: line.method}),
    Column("trust", lambda line: line.tier, {"trust": lambda line: line.tier}, droppable=2),
    Column(
        "mean rank",
        lambda line: f"{line.mean_rank.value:.2f}",
        {
            "mean_rank": lambda line: line.mean_rank.value,
            "mean_rank_low_95": lambda line: line.mean_rank.low,
            "mean_rank_high_95": lambda line: line.mean_rank.high,
        },
        lambda line: _range(line.mean_rank, 2),
    ),
    Column(
        "Elo",
        lambda line: "-" if math.isnan(line.elo.value) else f"{line.elo.value:.0f}",
        {
            "elo": lambda line: line.elo.value,
            "elo_low_95": lambda line: line.elo.low,
            "elo_high_95": lambda line: line.elo.high,
        },
        lambda line: _range(line.elo, 0),
    ),
    Column(
        "score",
        lambda line: fixed(line.score.value),
        {
            "score [1]": lambda line: line.score.value,
            "score_low_95 [1]": lambda line: line.score.low,
            "score_high_95 [1]": lambda line: line.score.high,
        },
        lambda line: _range(line.score, DECIMALS),
    ),
)
_LAST = (
    Column("runs", lambda line: str(line.runs), {"runs": lambda line: line.runs}, droppable=1),
    Column("failed runs", lambda line: str(line.failed), {"failed_runs": lambda line: line.failed}),
    Column(
        "overhead [s]",
        lambda line: seconds(line.seconds),
        {"overhead [s]": lambda line: line.seconds},
        droppable=1,
    ),
)


def columns(tasks: Sequence[Task]) -> list[Column]:
    """All columns in their order, those of tasks included."""
    middle = [_of_task(k, tasks[k], short) for k, short in enumerate(short_names(tasks))]
    return [*_FIRST, *middle, *_LAST]


def _of_task(place: int, task: Task, short: str) -> Column:
    return Column(
        short,
        lambda line: fixed(line.tasks[place]),
        {f"score {task.name} [1]": lambda line: line.tasks[place]},
        task=place,
        droppable=3,
    )


def lines(scores: Scores, tiers: Mapping[str, str] | None = None) -> list[Line]:
    """The leaderboard's rows, best method first.

    Parameters
    ----------
    scores : Scores
    tiers : mapping of str to str, optional
        Method -> its tier; ``self-reported`` where a method is not named.

    Raises
    ------
    LogError
        Where a method lacks a task that another has.
    UnknownNameError
        Where a tier is none of :data:`TIERS`.
    """
    tiers = {} if tiers is None else tiers
    for tier in tiers.values():
        if tier not in TIERS:
            raise unknown("trust tier", tier, TIERS)
    board = scores.leaderboard()
    # By position, since a task may share its name with another column.
    by_task = board.iloc[:, board.shape[1] - len(scores.tasks) :].to_numpy(dtype=float)
    shown = by_task.round(DECIMALS)
    best = shown == shown.min(axis=0)
    unofficial = set(scores.runs.method[~scores.runs.official.astype(bool)])
    result = []
    for k, (method, line) in enumerate(board.iterrows()):
        name = str(method)
        result.append(
            Line(
                rank=int(line["rank"]),
                method=name,
                tier=tiers.get(name, TIERS[0]),
                mean_rank=Estimate(*(float(line[f"mean_rank{end}"]) for end in ("", "_low", "_high"))),
                elo=Estimate(*(float(line[f"elo{end}"]) for end in ("", "_low", "_high"))),
                score=Estimate(*(float(line[column]) for column in ("score", "low", "high"))),
                tasks=tuple(float(value) for value in by_task[k]),
                best=tuple(bool(value) for value in best[k]),
                runs=int(line["runs"]),
                failed=int(line["failed"]),
                seconds=float(line["seconds"]),
                official=name not in unofficial,
            )
        )
    return result


def short_names(tasks: Sequence[Task]) -> list[str]:
    """Names of tasks without the first part where all share it: ``pcm-1d/M-energy``."""
    parts = [task.name.split("/") for task in tasks]
    shared = len({part[0] for part in parts}) == 1 and all(len(part) > 1 for part in parts)
    return ["/".join(part[1:] if shared else part) for part in parts]


def fixed(value: float, decimals: int = DECIMALS) -> str:
    """A number with the decimals that are shown, and no minus sign at 0."""
    return f"{round(float(value), decimals) + 0.0:.{decimals}f}"


def seconds(value: float) -> str:
    """A time [s] to two or three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def _range(estimate: Estimate, decimals: int) -> str:
    if math.isnan(estimate.low):
        return ""
    return f"{fixed(estimate.low, decimals)} to {fixed(estimate.high, decimals)}"


def exact(value: object) -> str:
    """A value in a CSV file: a float in full precision, empty where it is NaN."""
    if isinstance(value, (float, np.floating)):
        return "" if math.isnan(value) else repr(float(value))
    return str(value).lower() if isinstance(value, bool) else str(value)
