"""A leaderboard as text: for a terminal, Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nasbench_imc.scoring import Scores

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from nasbench_imc.suites import Task

TITLE = "NAS-Bench-IMC leaderboard"

#: Decimals of a score; scores that agree to them are shown as equal, also where the best is in bold.
DECIMALS = 3

#: Tasks beyond which the LaTeX table is scaled to the width of the text.
MAX_LATEX_TASKS = 3

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


@dataclass(frozen=True, slots=True)
class Row:
    """One method of a leaderboard, as it is shown.

    Attributes
    ----------
    rank : int
    method : str
    mean_rank, score, interval : str
    tasks : tuple of str
        Score on each task, in the order of ``Scores.tasks``.
    best : tuple of bool
        Whether that score is the task's best, to the decimals shown.
    runs, failed : int
    seconds : str
        Median of a run [s].
    """

    rank: int
    method: str
    mean_rank: str
    score: str
    interval: str
    tasks: tuple[str, ...]
    best: tuple[bool, ...]
    runs: int
    failed: int
    seconds: str

    def cells(self, name: Callable[[str], str], bold: Callable[[str], str]) -> list[str]:
        """The cells in the order of :func:`headers`, names and best scores written as told."""
        scores = [bold(text) if best else text for text, best in zip(self.tasks, self.best, strict=True)]
        return [
            str(self.rank),
            name(self.method),
            self.mean_rank,
            self.score,
            self.interval,
            *scores,
            str(self.runs),
            str(self.failed),
            self.seconds,
        ]


def headers(tasks: Sequence[Task]) -> list[str]:
    """What each column of :meth:`Row.cells` holds."""
    return [
        "rank",
        "method",
        "mean rank",
        "score",
        "95 % interval",
        *short_names(tasks),
        "runs",
        "failed runs",
        "median time [s]",
    ]


def rows(scores: Scores) -> list[Row]:
    """The leaderboard's rows, best method first.

    Raises
    ------
    LogError
        Where a method lacks a task that another has.
    """
    board = scores.leaderboard()
    shown = _task_scores(board, scores.tasks).round(DECIMALS)
    best = shown == shown.min(axis=0)
    return [
        Row(
            rank=int(line["rank"]),
            method=str(method),
            mean_rank=f"{line['mean_rank']:.2f}",
            score=fixed(line["score"]),
            interval=f"{fixed(line['low'])} to {fixed(line['high'])}",
            tasks=tuple(fixed(value) for value in shown[k]),
            best=tuple(bool(value) for value in best[k]),
            runs=int(line["runs"]),
            failed=int(line["failed"]),
            seconds=seconds(line["seconds"]),
        )
        for k, (method, line) in enumerate(board.iterrows())
    ]


def short_names(tasks: Sequence[Task]) -> list[str]:
    """Names of tasks without the first part where all share it: ``pcm-1d/M-energy``."""
    parts = [task.name.split("/") for task in tasks]
    shared = len({part[0] for part in parts}) == 1 and all(len(part) > 1 for part in parts)
    return ["/".join(part[1:] if shared else part) for part in parts]


def is_official(scores: Scores) -> bool:
    """Whether every run was made on a released table."""
    return bool(scores.runs.official.all())


def table_versions(scores: Scores) -> list[str]:
    """The tables that the tasks were frozen with, for example ``nb201 1.0.0``."""
    return sorted({f"{task.table} {task.table_version}" for task in scores.tasks})


def notes(scores: Scores) -> list[str]:
    """What a reader must know of the scores, as sentences without mark-up.

    The one on the table comes first where a run was made on another than the released one.
    """
    return [
        *_unofficial(scores),
        "Score: normalised regret, summed over the checkpoints of the budget; 0 is the best of the table, "
        "1 what random search is expected to reach; lower is better. "
        "Mean over the tasks, with a 95 % bootstrap interval over runs.",
        f"Mean rank: over the tasks, among {_listed(printable(name) for name in scores.methods)} only; "
        "it changes when a method is added, scores do not.",
        f"{_tables(scores)}. {_count(len(scores.tasks), 'task')}, {_count(len(scores.runs), 'run')} "
        f"({_runs_each(scores)}).",
    ]


def as_terminal(scores: Scores, width: int | None = None) -> Table:
    """A leaderboard to print with ``rich``.

    Parameters
    ----------
    scores : Scores
    width : int, optional
        Characters a line; by default those of the terminal. Where they are too few for a column a task,
        these columns are left out, and a note says so.

    Raises
    ------
    LogError
        Where a method lacks a task that another has.
    """
    from rich.console import Console

    width = Console().width if width is None else width
    table = _terminal_table(scores, with_tasks=True)
    if Console(width=10_000).measure(table).maximum > width:
        return _terminal_table(scores, with_tasks=False)
    return table


def _terminal_table(scores: Scores, with_tasks: bool) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    names = headers(scores.tasks)
    first = names.index("95 % interval") + 1
    tasks = range(first, first + len(scores.tasks))
    shown = [k for k in range(len(names)) if with_tasks or k not in tasks]
    lines = notes(scores)
    if not with_tasks:
        lines.append("Scores of single tasks: in a wider terminal, or in the other formats.")
    # Texts throughout, since rich would read brackets in a plain string as its mark-up.
    table = Table(
        title=_title(scores),
        caption=Text("\n".join(lines), style="dim", overflow="fold"),
        box=box.SIMPLE_HEAD,
        caption_justify="left",
        padding=(0, 1, 0, 0),
    )
    for k in shown:
        heading = Text("\n".join(_broken(names[k])))
        if names[k] == "method":
            table.add_column(heading, overflow="fold", max_width=32)
        else:
            table.add_column(heading, justify="right", no_wrap=True)
    for row in rows(scores):
        cells = row.cells(name=printable, bold=str)
        bold = {k for k, best in zip(tasks, row.best, strict=True) if best}
        table.add_row(*(Text(cells[k], style="bold" if k in bold else "") for k in shown))
    return table


def as_markdown(scores: Scores) -> str:
    """A leaderboard in GitHub's Markdown, with notes below it.

    Raises
    ------
    LogError
        Where a method lacks a task that another has.
    """
    names = headers(scores.tasks)
    lines = [
        [escape_markdown(name) for name in names],
        [":---" if name == "method" else "---:" for name in names],
        *(row.cells(name=escape_markdown, bold=lambda text: f"**{text}**") for row in rows(scores)),
    ]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    listed = "\n".join("- " + escape_markdown(note) for note in notes(scores))
    return f"# {_title(scores)}\n\n{table}\n\n{listed}\n- In bold: the best score of each task.\n"


def as_csv(scores: Scores) -> str:
    """A leaderboard as CSV, numbers in full precision; ``[1]`` marks what has no unit.

    ``official`` says whether all runs of the method were made on a released table.

    Raises
    ------
    LogError
        Where a method lacks a task that another has.
    """
    board = scores.leaderboard()
    unofficial = set(scores.runs.method[~scores.runs.official.astype(bool)])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "rank",
            "method",
            "mean_rank",
            "score [1]",
            "score_low_95 [1]",
            "score_high_95 [1]",
            *(f"score {task.name} [1]" for task in scores.tasks),
            "runs",
            "failed_runs",
            "median_run_time [s]",
            "official",
            "tables",
        ]
    )
    for k, (method, line) in enumerate(board.iterrows()):
        writer.writerow(
            [
                int(line["rank"]),
                method,
                *(repr(float(line[name])) for name in ("mean_rank", "score", "low", "high")),
                *(repr(float(value)) for value in _task_scores(board, scores.tasks)[k]),
                int(line["runs"]),
                int(line["failed"]),
                repr(float(line["seconds"])),
                "false" if method in unofficial else "true",
                "; ".join(table_versions(scores)),
            ]
        )
    return text.getvalue()


def as_latex(scores: Scores) -> str:
    """A leaderboard as a LaTeX table; it needs the package booktabs, for many tasks also graphicx.

    Raises
    ------
    LogError
        Where a method lacks a task that another has.
    """
    names = headers(scores.tasks)
    columns = "".join("l" if name == "method" else "r" for name in names)
    head = " & ".join(_stacked(name) for name in names)
    body = [
        " & ".join(row.cells(name=escape_latex, bold=lambda text: rf"\textbf{{{text}}}")) + r" \\"
        for row in rows(scores)
    ]
    caption = " ".join(escape_latex(note) for note in [*notes(scores), "Bold: best score of each task."])
    wide = len(scores.tasks) > MAX_LATEX_TASKS
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}" + (" and \\usepackage{graphicx}" if wide else ""),
            r"\begin{table*}",
            r"\centering",
            rf"\caption{{{_title(scores)}. {caption}}}",
            r"\label{tab:nasbench-imc}",
            r"\scriptsize",
            r"\setlength{\tabcolsep}{3.5pt}",
            *([r"\resizebox{\textwidth}{!}{%"] if wide else []),
            rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
            r"\toprule",
            head + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}" + ("}" if wide else ""),
            r"\end{table*}",
            "",
        ]
    )


def fixed(value: float) -> str:
    """A score with the decimals that are shown, and no minus sign at 0."""
    return f"{round(float(value), DECIMALS) + 0.0:.{DECIMALS}f}"


def seconds(value: float) -> str:
    """A time [s] to two or three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def printable(text: str) -> str:
    """A name or message on one line, without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


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


def _task_scores(board: pd.DataFrame, tasks: Sequence[Task]) -> np.ndarray:
    """(methods, tasks); by position, since a task may share its name with another column."""
    return board.iloc[:, -len(tasks) :].to_numpy(dtype=float)


def _title(scores: Scores) -> str:
    return TITLE if is_official(scores) else f"{TITLE} (unofficial)"


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
    failed = int((~scores.runs.end.isin(("finished", "budget"))).sum())
    return f"{each} a method and task; {failed or 'none'} failed"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
