"""A leaderboard as one HTML file that loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_imc._version import __version__
from nasbench_imc.errors import BenchmarkError
from nasbench_imc.files import replacing
from nasbench_imc.leaderboard import text
from nasbench_imc.leaderboard.columns import fixed, lines, seconds, short_names
from nasbench_imc.printable import printable
from nasbench_imc.runs.log import TROUBLE
from nasbench_imc.scoring import Board, Scores
from nasbench_imc.scoring.compare import shared_ranks
from nasbench_imc.scoring.ratings import critical_difference, least_tasks
from nasbench_imc.scoring.score import cluster
from nasbench_imc.suites import Task
from nasbench_imc.suites.rules import TRACKS

if TYPE_CHECKING:
    from nasbench_imc.leaderboard.figures import Look

#: Pairs of methods up to which a page lists each comparison of each task.
MAX_PAIRS = 66

#: Failed runs whose errors a page lists, and the length to which it cuts each; a page stays small.
MAX_ERRORS = 100
MAX_ERROR_LENGTH = 2_000

_SUITES = {"dev": "dev (to tune a method on)", "test": "test (to publish)"}


@dataclass(frozen=True, slots=True)
class _Failure:
    """A run that did not end well."""

    task: str
    method: str
    seed: int
    end: str
    error: str


def write_page(scores: Scores, path: Path, tiers: Mapping[str, str] | None = None) -> None:
    """Write a leaderboard page: the boards, who beats whom, and for each task curves, fronts and tests.

    Equal arguments give equal bytes.

    Parameters
    ----------
    scores : Scores
    path : pathlib.Path
        The HTML file to write, whole or not at all; its folder must exist.
    tiers : mapping of str to str, optional
        Method -> one of ``nasbench_imc.leaderboard.TIERS``.

    Raises
    ------
    BenchmarkError
        Where matplotlib or jinja2 is not installed.
    UnknownNameError
        Where a tier is unknown.
    TableError
        Where a task's table is missing.
    """
    page = _render(scores, tiers)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(page.encode("utf-8"))


def _render(scores: Scores, tiers: Mapping[str, str] | None) -> str:
    try:
        import jinja2

        from nasbench_imc.leaderboard import figures
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("jinja2", "matplotlib"):
            raise
        raise BenchmarkError(
            f"the leaderboard page needs {error.name}, which is not installed: "
            'pip install "nasbench-imc[search]"'
        ) from error
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = resources.files("nasbench_imc.leaderboard").joinpath("page.html.j2")
    look = figures.looks(scores.methods)
    split = scores.boards()
    ranked = list(dict.fromkeys(m for board in split for m in board.scores.leaderboard().index))
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        title=text.TITLE,
        official=text.is_official(scores),
        warning=text.notes(scores)[0],
        boards=[_board(board, tiers, first=k == 0) for k, board in enumerate(split)],
        duels=_duels(split[0].scores),
        diagram=_diagram(split[0].scores, look),
        glyphs={method: _safe(figures.glyph(look[method])) for method in scores.methods},
        sections=_sections(scores, split, ranked, look),
        failures=_failures(scores)[:MAX_ERRORS],
        failed=len(_failures(scores)),
        tables=sorted(
            {task.table: task.load_table() for task in scores.tasks}.values(), key=lambda bench: bench.name
        ),
        package=__version__,
        printable=printable,
    )


def _board(board: Board, tiers: Mapping[str, str] | None, first: bool) -> dict[str, Any]:
    """A board's table: heads, and rows of cells; a bar is in % of its cell. The first explains itself."""
    shown = text.few_tasks(board.scores)
    made = lines(board.scores, tiers)
    # The longest bar is the worst score, or random search where all are better.
    with_tasks = any(column.task is not None for column in shown)
    bars = [score for line in made for score in (line.score.value, *(line.tasks if with_tasks else ()))]
    full_bar = max(1.0, *bars)
    rows = []
    for line in made:
        cells = []
        for column in shown:
            score = line.score.value if column.name == "score" and column.task is None else None
            score = line.tasks[column.task] if column.task is not None else score
            cells.append(
                {
                    "text": column.shown(line),
                    "interval": column.interval(line) if column.interval is not None else "",
                    "is_method": column.is_method,
                    "best": column.task is not None and line.best[column.task],
                    "failed": column.name == "failed runs" and column.task is None and line.failed > 0,
                    "bar": None if score is None else f"{max(0.0, 100 * score / full_bar):.1f}",
                }
            )
        rows.append({"method": line.method, "cells": cells})
    return {
        "title": "" if board.is_main else text.heading(board).removeprefix(text.TITLE).lstrip(", "),
        "notes": text.notes(board.scores, explained=not first, left_out=board.left_out),
        "heads": [(column.name, column.is_method) for column in shown],
        "with_tasks": with_tasks,
        "rows": rows,
        "full_bar": fixed(full_bar),
    }


def _duels(scores: Scores) -> dict[str, Any]:
    """How often each method is better than, ties with and is worse than each other, over the tasks."""
    methods = [str(method) for method in scores.leaderboard().index]
    signs = {"better": 0, "tie": 1, "worse": 2, "untested": 3}
    mirrored = {"better": "worse", "worse": "better"}
    counts = {(a, b): [0, 0, 0, 0] for a in methods for b in methods if a != b}
    for task in scores.tasks:
        for made in scores.comparisons(task.name):
            counts[made.first, made.second][signs[made.verdict]] += 1
            counts[made.second, made.first][signs[mirrored.get(made.verdict, made.verdict)]] += 1
    rows = []
    for a in methods:
        cells = []
        for b in methods:
            won, tied, lost, untested = counts.get((a, b), (0, 0, 0, 0))
            cells.append(
                {
                    "text": ""
                    if a == b
                    else f"{won} / {tied} / {lost}" + (f" / {untested}?" if untested else ""),
                    "tone": "won" if won > lost else "lost" if lost > won else "",
                }
            )
        rows.append({"method": a, "cells": cells})
    untested = any(count[3] for count in counts.values())
    return {"methods": methods, "rows": rows, "tasks": len(scores.tasks), "untested": untested}


def _diagram(scores: Scores, look: Mapping[str, Look]) -> dict[str, Any]:
    """The critical-difference diagram, or why there is none."""
    from nasbench_imc.leaderboard import figures

    count = len(scores.methods)
    if count < 3:
        return {"reason": "Of fewer than three methods there is no critical-difference diagram."}
    if count > figures.MAX_DIAGRAM:
        return {
            "reason": f"No critical-difference diagram: of {count} methods it would not be legible "
            f"({figures.MAX_DIAGRAM} at most)."
        }
    found = critical_difference(scores.grid())
    if found is None:
        return {
            "reason": f"No critical-difference diagram: to tell ranks of {count} methods apart takes at "
            f"least {least_tasks(count)} tasks; these are {len(scores.tasks)}."
        }
    return {
        "reason": "",
        "svg": _safe(figures.critical_difference_plot(found, scores.methods, look).svg),
        "test": f"Friedman's chi-square {found.statistic:.2f}, p = {found.p:.2g}",
        "rough": len(scores.tasks) < 10,
        "caveat": _dependence(scores.tasks),
        "tasks": len(scores.tasks),
    }


def _dependence(tasks: Sequence[Task]) -> str:
    """What the tests over tasks take for granted, and whether these tasks keep to it."""
    clusters = len({cluster(task) for task in tasks})
    said = "Both tests count tasks as independent, which tasks of one table and hardware family are not"
    if clusters == len(tasks):
        return f"{said}; of these no two share both."
    kinds = "one such pair" if clusters == 1 else f"{clusters} such pairs"
    return f"{said}: these {len(tasks)} are of {kinds}, so methods may be apart less than CD makes it look."


def _safe(svg: str) -> Any:
    """Mark-up that the package itself made, to be put into the page as it is."""
    from markupsafe import Markup

    return Markup(svg)


def _sections(
    scores: Scores, split: Sequence[Board], methods: Sequence[str], look: Mapping[str, Look]
) -> list[dict[str, Any]]:
    """What the page says of each task; methods in the order given.

    Tests are among the methods of the first board that has the task, and numbers and figures of these
    methods of the runs that are on it; those of others are of all their runs.
    """
    from nasbench_imc.leaderboard import figures

    boards = {task.name: board.scores for board in reversed(split) for task in board.scores.tasks}
    sections = []
    for task, short in zip(scores.tasks, short_names(scores.tasks), strict=True):
        board = boards.get(task.name, scores)
        tested = task.name in boards
        cells = {cell["method"]: cell for cell in _cells(scores, task) + _cells(board, task)}
        here = [method for method in methods if method in cells]
        shown = {m: board if m in board.methods else scores for m in here}
        regret = figures.regret_plot(task, {m: shown[m].regrets(task.name, m) for m in here}, look)
        runs = {m: shown[m].recommended(task.name, m) for m in here}
        if task.goal == "front":  # dozens of designs a run: those of all runs hide each other
            named = {m: shown[m].median_run(task.name, m) for m in here}
        else:
            named = {m: tuple(design for run in made for design in run) for m, made in runs.items()}
        bench = task.load_table()
        pareto = figures.pareto_plot(task, bench, named, look)
        attained = figures.attainment_plot(task, bench, runs, look) if len(task.objectives) == 2 else None
        pairs = board.comparisons(task.name) if tested else []
        places = shared_ranks(board.methods, pairs) if pairs else {}
        lines = []
        for method in sorted(here, key=lambda m: cells[m]["score"]):
            cell = cells[method]
            lines.append(
                {
                    "method": method,
                    "place": str(places.get(method, "")),
                    "score": fixed(cell["score"]),
                    "interval": f"{fixed(cell['low'])} to {fixed(cell['high'])}",
                    "regret": f"{cell['regret']:.3g}",
                    "runs": int(cell["runs"]),
                    "failed": int(cell["failed"]),
                    "seconds": seconds(cell["seconds"]),
                }
            )
        sections.append(
            {
                "name": task.name,
                "short": short,
                "facts": _facts(task),
                "methods": here,
                "lines": lines,
                "pairs": [
                    {
                        "first": made.first,
                        "second": made.second,
                        "difference": fixed(made.difference) if made.pairs else "",
                        "interval": f"{fixed(made.low)} to {fixed(made.high)}" if made.pairs else "",
                        "seeds": made.pairs,
                        "p": "too few seeds" if made.p is None else f"{made.p:.2g}",
                        "p_holm": "" if made.p_holm is None else f"{made.p_holm:.2g}",
                        "verdict": made.verdict,
                    }
                    for made in (pairs if len(pairs) <= MAX_PAIRS else [])
                ],
                "pair_count": len(pairs),
                "floor": fixed(pairs[0].floor) if pairs else "",
                "regret_unit": figures.regret_unit(task),
                "regret": _safe(regret.svg),
                "regret_remarks": regret.remarks,
                "pareto": _safe(pareto.svg),
                "pareto_remarks": pareto.remarks,
                "attained": None if attained is None else _safe(attained.svg),
                "objectives": len(task.objectives),
                "cost": figures.spoken(figures.shown_cost(task)),
                "limited": figures.shown_cost(task) in task.limits or bool(task.least),
                "front": task.goal == "front",
                "noise_floor": f"{task.frozen.noise_floor:.3g}",
                "reachable": f"{task.frozen.reachable_regret:.3g}",
                "designs": f"{len(task.domain):,}",
            }
        )
    return sections


def _cells(scores: Scores, task: Task) -> list[dict[Hashable, Any]]:
    """The numbers of each method on a task."""
    by_task = scores.by_task()
    return by_task[by_task.task == task.name].to_dict(orient="records")


def _facts(task: Task) -> list[str]:
    """A task in a few phrases."""
    from nasbench_imc.leaderboard.figures import unit_sign

    units = task.load_table().units
    hardware = task.hardware[0] if len(task.hardware) == 1 else f"{len(task.hardware)} configurations"
    limits = [f"{name} ≤ {limit:g} {unit_sign(units[name])}" for name, limit in task.limits.items()]
    limits += [f"{name} ≥ {least:g} {unit_sign(units[name])}" for name, least in task.least.items()]
    costs = " and ".join(name for name in task.objectives if name != "accuracy")
    goal = {"accuracy": [], "front": [f"accuracy against {costs}"], "cost": [f"least {costs}"]}[task.goal]
    facts = [f"track {task.track}: {TRACKS[task.track]}", *goal, *limits, f"hardware {hardware}"]
    if len(task.weight_bits) * len(task.sparsity) > 1:
        facts.append(f"{len(task.weight_bits) * len(task.sparsity)} compressions")
    if task.sources:
        facts.append(f"labels of {', '.join(task.sources)} are free")
    return [
        *facts,
        f"at {task.at} after programming",
        f"budget {task.budget:,} {task.unit}",
        f"suite {_SUITES[task.suite]}",
    ]


def _failures(scores: Scores) -> list[_Failure]:
    """Runs that raised or were stopped."""
    bad = scores.runs[scores.runs.end.isin(TROUBLE)]
    return [
        _Failure(run["task"], run["method"], run["seed"], run["end"], _shortened(run["error"]))
        for run in bad.to_dict(orient="records")
    ]


def _shortened(error: str) -> str:
    """The end of an error's text, where its message is, without control characters."""
    lines = "\n".join(printable(line) for line in error.strip().splitlines())
    return lines if len(lines) <= MAX_ERROR_LENGTH else "... " + lines[-MAX_ERROR_LENGTH:]
