"""A leaderboard as text: for a terminal, Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from nasbench_imc.leaderboard.columns import Column, Line, columns, exact, lines
from nasbench_imc.printable import printable
from nasbench_imc.runs.log import TROUBLE
from nasbench_imc.scoring import Board, Scores
from nasbench_imc.scoring.compare import least_pairs
from nasbench_imc.scoring.ratings import (
    ANCHOR,
    ANCHOR_RATING,
    MIN_CLUSTERS,
    MIN_TASKS,
    PRIOR_GAMES,
    method_set,
)
from nasbench_imc.scoring.score import cluster
from nasbench_imc.submissions.tiers import TIERS
from nasbench_imc.suites.definition import is_shipped

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

TITLE = "NAS-Bench-IMC leaderboard"

#: Tasks beyond which a table has no column for each: the CSV file and the page's sections have them.
MAX_TASK_COLUMNS = 8

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # after a line's end it would begin a length
} | {character: "\\" + character for character in "{}$&#_%"}


def is_official(scores: Scores) -> bool:
    """Whether every run was made on a released table."""
    return bool(scores.runs.official.all())


def _own(scores: Scores) -> list[str]:
    """A sentence on tasks that are not the benchmark's."""
    names = [printable(task.name) for task in scores.tasks if not is_shipped(task)]
    return [f"Not tasks of the benchmark: {_listed(names)}."] if names else []


def table_versions(scores: Scores) -> list[str]:
    """The tables that the tasks were frozen with, for example ``nb201 1.0.0``."""
    return sorted({f"{task.table} {task.table_version}" for task in scores.tasks})


def notes(
    scores: Scores, explained: bool = False, left_out: Mapping[str, int] = MappingProxyType({})
) -> list[str]:
    """What a reader must know of a board, as sentences without mark-up.

    The one on the table comes first where a run was made on another than the released one. Where columns
    were ``explained`` before, only what differs from board to board is said. ``left_out`` is that of a
    :class:`nasbench_imc.scoring.Board`.
    """
    said = [*_unofficial(scores), *_own(scores)]
    if not explained:
        said += [
            "Score: normalised regret, summed over the checkpoints of the budget; 0 is the best of the "
            "table, 1 what random search is expected to reach over many seeds; lower is better. Methods "
            "share their seeds, so that luck moves all scores of a task together: compare with the row of "
            f"{ANCHOR}, where there is one. Mean over the tasks, with a 95 % bootstrap interval over runs.",
            "Elo: Bradley-Terry strengths from which method's mean score is lower on each task, 400 points "
            f"for odds of 10 to 1, {ANCHOR if ANCHOR in scores.methods else 'their mean'} at "
            f"{ANCHOR_RATING:.0f}; with {PRIOR_GAMES:g} tied game of each method against an average one, "
            "which bounds the rating of one that always wins.",
            f"Trust: {TIERS[0]}, from logs as they were sent in; {TIERS[1]}, recomputed from them against "
            f"the table; {TIERS[2]}, of runs made again without access to the table. Overhead: the median "
            "time of a run.",
        ]
    return [
        *said,
        f"Mean rank and Elo hold among the methods of {stamp(scores)} only; they change when a method is "
        f"added, scores on these runs do not. {_spread(scores)}",
        *_power(scores),
        f"{_tables(scores)}. {_count(len(scores.tasks), 'task')}, {_count(len(scores.runs), 'run')} "
        f"({_runs_each(scores)}).",
        *_left_out(left_out),
    ]


def stamp(scores: Scores) -> str:
    """The set of methods that ranks and Elo are relative to: its hash and its list."""
    names = _listed(printable(name) for name in scores.methods)
    return f"method set {method_set(scores.methods)} ({names})"


def _spread(scores: Scores) -> str:
    """What the intervals of mean rank and Elo are over."""
    tasks, clusters = len(scores.tasks), len({cluster(task) for task in scores.tasks})
    described = f"{_count(clusters, 'cluster')} of tasks (table x hardware family)"
    lacking = []
    if tasks < MIN_TASKS:
        lacking.append(f"{_count(tasks, 'task')}, and it takes {MIN_TASKS}")
    if clusters < MIN_CLUSTERS:
        lacking.append(f"{described}, and it takes {MIN_CLUSTERS}")
    if lacking:
        no = "No Elo, and no intervals" if tasks < MIN_TASKS else "No intervals of them"
        return f"{no}: {'; '.join(lacking)}."
    return f"Their intervals: 95 % bootstrap over {described}, then tasks."


def _left_out(runs: Mapping[str, int]) -> list[str]:
    """A sentence on the runs that a board's methods made beyond it, methods with as many together."""
    by_number: dict[int, list[str]] = {}
    for method, number in runs.items():
        by_number.setdefault(number, []).append(printable(method))
    parts = [
        f"{_count(number, 'run')}{' each' if len(methods) > 1 else ''} of {_listed(methods)}"
        for number, methods in sorted(by_number.items())
    ]
    return [f"Left out, as not on the tasks and seeds of this board: {'; '.join(parts)}."] if parts else []


def _power(scores: Scores) -> list[str]:
    """A sentence where too few seeds make every difference within a task insignificant."""
    tests = len(scores.methods) * (len(scores.methods) - 1) // 2
    seeds = int(scores.runs.groupby(["task", "method"]).size().max())
    least = least_pairs(tests)
    if tests == 0 or seeds >= least:
        return []
    return [
        f"With {_count(seeds, 'seed')} no difference within a task can be significant: "
        f"{_count(tests, 'pair')} of methods, corrected by Holm, need at least {least}."
    ]


def heading(board: Board) -> str:
    """The title of a board; one of a subset says what of the whole it is of."""
    title = TITLE if is_official(board.scores) else f"{TITLE} (unofficial)"
    if board.is_main:
        return title
    seeds = board.scores.runs.groupby(["method", "task"]).size()
    return (
        f"{title}, {board.name}: {_count(len(board.scores.tasks), 'task')}, "
        f"{_count(int(seeds.max()), 'seed')}"
    )


def few_tasks(scores: Scores) -> list[Column]:
    """The columns of a table that has room for some tasks, but not for dozens."""
    many = len(scores.tasks) > MAX_TASK_COLUMNS
    return [column for column in columns(scores.tasks) if column.task is None or not many]


def _cell(column: Column, line: Line, name: Callable[[str], str], bold: Callable[[str], str]) -> str:
    """A cell without its interval; names and the best scores of tasks are written as told."""
    text = column.shown(line)
    if column.is_method:
        return name(text)
    return bold(text) if column.task is not None and line.best[column.task] else text


def as_terminal(scores: Scores, width: int | None = None, tiers: Mapping[str, str] | None = None) -> Group:
    """A leaderboard to print with ``rich``, one table a board.

    Parameters
    ----------
    scores : Scores
    width : int, optional
        Characters a line; by default those of the terminal. Where they are too few, columns of tasks, then
        trust and runs are left out, and a note says so.
    tiers : mapping of str to str, optional
        Method -> one of ``nasbench_imc.leaderboard.TIERS``.

    Raises
    ------
    UnknownNameError
        Where a tier is unknown.
    """
    from rich.console import Console, Group

    width = Console().width if width is None else width
    tables = [_fitting_table(board, width, tiers, explained=k > 0) for k, board in enumerate(scores.boards())]
    return Group(*tables)


def _fitting_table(board: Board, width: int, tiers: Mapping[str, str] | None, explained: bool) -> Table:
    from rich.console import Console

    made = lines(board.scores, tiers)
    shown = few_tasks(board.scores)
    for stage in range(max(column.droppable for column in shown), -1, -1):
        table = _terminal_table(board, made, shown, explained)
        if Console(width=10_000).measure(table).maximum <= width:
            break
        shown = [column for column in shown if column.droppable < max(stage, 1)]
    return table


def _terminal_table(board: Board, made: Sequence[Line], shown: Sequence[Column], explained: bool) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    there = {(column.name, column.task) for column in shown}
    missing = [c for c in columns(board.scores.tasks) if (c.name, c.task) not in there]
    out = [column.name for column in missing if column.task is None]
    out += ["scores of single tasks"] * any(column.task is not None for column in missing)
    said = notes(board.scores, explained, board.left_out)
    if out:
        said.append(f"In a wider terminal, or in the other formats: {_listed(out)}.")
    # Texts throughout, since rich would read brackets in a plain string as its mark-up.
    table = Table(
        title=heading(board),
        caption=Text("\n".join(said), style="dim", overflow="fold"),
        box=box.SIMPLE_HEAD,
        caption_justify="left",
        padding=(0, 1, 0, 0),
    )
    for column in shown:
        head = Text("\n".join(_broken(column.name)))
        if column.is_method:
            table.add_column(head, overflow="fold", max_width=32)
        else:
            table.add_column(head, justify="right", no_wrap=True)
    for line in made:
        cells = []
        for column in shown:
            best = column.task is not None and line.best[column.task]
            text = Text(_cell(column, line, name=printable, bold=str), style="bold" if best else "")
            if column.interval is not None and column.interval(line):
                text.append("\n" + column.interval(line).replace(" to ", "–"), style="dim")
            cells.append(text)
        table.add_row(*cells)
    return table


def as_markdown(scores: Scores, tiers: Mapping[str, str] | None = None) -> str:
    """A leaderboard in GitHub's Markdown, with notes below each board.

    Parameters
    ----------
    scores : Scores
    tiers : mapping of str to str, optional
        Method -> one of ``nasbench_imc.leaderboard.TIERS``.

    Raises
    ------
    UnknownNameError
        Where a tier is unknown.
    """
    return "\n".join(
        _markdown_table(board, tiers, explained=k > 0) for k, board in enumerate(scores.boards())
    )


def _markdown_table(board: Board, tiers: Mapping[str, str] | None, explained: bool) -> str:
    def bold(text: str) -> str:
        return f"**{text}**"

    shown = few_tasks(board.scores)
    table = [
        [escape_markdown(column.name) for column in shown],
        [":---" if column.is_method else "---:" for column in shown],
    ]
    for line in lines(board.scores, tiers):
        table.append([_beside(_cell(c, line, escape_markdown, bold), c, line) for c in shown])
    said = [escape_markdown(note) for note in notes(board.scores, explained, board.left_out)]
    if any(column.task is not None for column in shown):
        said.append("In bold: the best score of each task.")
    rows = "\n".join("| " + " | ".join(row) + " |" for row in table)
    listed = "\n".join("- " + note for note in said)
    return f"{'#' if board.is_main else '##'} {heading(board)}\n\n{rows}\n\n{listed}\n"


def _beside(text: str, column: Column, line: Line) -> str:
    """A cell with its interval behind it."""
    interval = column.interval(line) if column.interval is not None else ""
    return f"{text} ({interval})" if interval else text


def as_csv(scores: Scores, tiers: Mapping[str, str] | None = None) -> str:
    """A leaderboard as CSV, numbers in full precision; ``[1]`` marks what has no unit.

    ``board`` names the board that a row is of, ``official`` says whether all runs of the method were made on
    a released table, ``method_set`` and ``methods`` what mean rank and Elo are relative to. A cell is
    empty where there is no such number: an interval of too few tasks, a task that is not of the board.

    Parameters
    ----------
    scores : Scores
    tiers : mapping of str to str, optional
        Method -> one of ``nasbench_imc.leaderboard.TIERS``.

    Raises
    ------
    UnknownNameError
        Where a tier is unknown.
    """
    names = ["board", *(name for column in columns(scores.tasks) for name in column.exact)]
    text = io.StringIO()
    writer = csv.DictWriter(
        text, [*names, "official", "tables", "method_set", "methods"], restval="", lineterminator="\n"
    )
    writer.writeheader()
    for board in scores.boards():
        for line in lines(board.scores, tiers):
            row = {
                name: exact(value(line))
                for column in columns(board.scores.tasks)
                for name, value in column.exact.items()
            }
            row |= {
                "board": board.name,
                "official": exact(line.official),
                "tables": "; ".join(table_versions(board.scores)),
                "method_set": method_set(board.scores.methods),
                "methods": "; ".join(board.scores.methods),
            }
            writer.writerow(row)
    return text.getvalue()


def as_latex(scores: Scores, tiers: Mapping[str, str] | None = None) -> str:
    """A leaderboard as LaTeX tables, one a board; they need the packages booktabs and graphicx.

    Parameters
    ----------
    scores : Scores
    tiers : mapping of str to str, optional
        Method -> one of ``nasbench_imc.leaderboard.TIERS``.

    Raises
    ------
    UnknownNameError
        Where a tier is unknown.
    """
    tables = [_latex_table(board, tiers) for board in scores.boards()]
    return "\n".join(["% needs \\usepackage{booktabs} and \\usepackage{graphicx}", *tables])


def _latex_table(board: Board, tiers: Mapping[str, str] | None) -> str:
    def bold(text: str) -> str:
        return rf"\textbf{{{text}}}"

    shown = few_tasks(board.scores)
    layout = "".join("l" if column.is_method else "r" for column in shown)
    body = [
        " & ".join(_beside(_cell(c, line, escape_latex, bold), c, line) for c in shown) + r" \\"
        for line in lines(board.scores, tiers)
    ]
    said = notes(board.scores, left_out=board.left_out)
    if any(column.task is not None for column in shown):
        said.append("Bold: best score of each task.")
    label = "tab:nasbench-imc" + ("" if board.is_main else "-" + board.name.replace(" ", "-"))
    return "\n".join(
        [
            r"\begin{table*}",
            r"\centering",
            rf"\caption{{{escape_latex(heading(board))}. {' '.join(escape_latex(note) for note in said)}}}",
            rf"\label{{{label}}}",
            r"\scriptsize",
            r"\setlength{\tabcolsep}{3.5pt}",
            r"\resizebox{\textwidth}{!}{%",
            rf"\begin{{tabular}}{{@{{}}{layout}@{{}}}}",
            r"\toprule",
            " & ".join(_stacked(column.name) for column in shown) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table*}",
            "",
        ]
    )


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is. Underscores within a word need no escape, and get none."""
    text = re.sub(r"([\\`*\[\]<>|&#~$])", r"\\\1", printable(text))
    return re.sub(r"(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])", r"\\_", text)


def escape_latex(text: str) -> str:
    """Text that LaTeX sets as it is."""
    return "".join(_LATEX.get(character, character) for character in printable(text))


def _stacked(name: str) -> str:
    """A column's head in LaTeX, broken into short lines, since the table is wide."""
    lines = [escape_latex(line) for line in _broken(name)]
    stack = r" \\ ".join(lines)
    return lines[0] if len(lines) == 1 else rf"\shortstack[r]{{{stack}}}"


def _broken(name: str) -> list[str]:
    """A column's head in short lines: a task's name at its slashes and longer dashes, others at spaces."""
    if "/" not in name:
        return re.split(r" (?=[a-z]+$|\[)", name)
    return [
        line for part in name.split("/") for line in (re.split("(?<=-)", part) if len(part) > 10 else [part])
    ]


def _unofficial(scores: Scores) -> list[str]:
    count = int((~scores.runs.official.astype(bool)).sum())
    if not count:
        return []
    return [
        f"Unofficial: {count} of {_count(len(scores.runs), 'run')} used a table other than the released one."
    ]


def _tables(scores: Scores) -> str:
    names = table_versions(scores)
    return ("Table " if len(names) == 1 else "Tables ") + _listed(names)


def _runs_each(scores: Scores) -> str:
    sizes = scores.runs.groupby(["method", "task"]).size()
    each = f"{sizes.min()}" if sizes.min() == sizes.max() else f"{sizes.min()} to {sizes.max()}"
    failed = int(scores.runs.end.isin(TROUBLE).sum())
    return f"{each} a method and task; {failed or 'none'} failed"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
