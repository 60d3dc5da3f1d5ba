"""A leaderboard as one HTML file that loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_imc._version import __version__
from nasbench_imc.design import Design
from nasbench_imc.errors import BenchmarkError
from nasbench_imc.files import replacing
from nasbench_imc.leaderboard import text
from nasbench_imc.runs.log import RunLog
from nasbench_imc.scoring import Scores, standing
from nasbench_imc.suites import Task
from nasbench_imc.suites import task as find_task
from nasbench_imc.suites.rules import TRACKS

if TYPE_CHECKING:
    from nasbench_imc.leaderboard.figures import Look

#: (task, method) -> the designs that stood at the end of its runs.
Recommended = Mapping[tuple[str, str], Sequence[Design]]

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


def recommendations(logs: Iterable[RunLog]) -> dict[tuple[str, str], list[Design]]:
    """The designs that stand at full budget, by task and method, one run's after another's.

    A design that several runs recommend is named once for each.

    Parameters
    ----------
    logs : iterable of RunLog

    Raises
    ------
    UnknownNameError
        Where a log's task is not known.
    """
    result: dict[tuple[str, str], list[Design]] = {}
    for log in logs:
        final = standing(find_task(log.task), log.events)[-1]
        result.setdefault((log.task, log.method), []).extend(final)
    return result


def write_page(scores: Scores, path: Path, recommended: Recommended | None = None) -> None:
    """Write a leaderboard page: the table, and for each task regret curves and a Pareto plot.

    Equal arguments give equal bytes.

    Parameters
    ----------
    scores : Scores
    path : pathlib.Path
        The HTML file to write, whole or not at all; its folder must exist.
    recommended : mapping of (str, str) to sequence of Design, optional
        From :func:`recommendations`; without it the Pareto plots show no method.

    Raises
    ------
    BenchmarkError
        Where matplotlib or jinja2 is not installed.
    LogError
        Where a method lacks a task that another has.
    TableError
        Where a task's table is missing.
    """
    page = _render(scores, {} if recommended is None else recommended)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(page.encode("utf-8"))


def _render(scores: Scores, recommended: Recommended) -> str:
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
    rows = text.rows(scores)
    # The longest bar is the worst score, or random search where all are better.
    full_bar = max(1.0, *(float(score) for row in rows for score in (row.score, *row.tasks)))
    return environment.from_string(
        template.read_text(encoding="utf-8")
    ).render(
        title=text.TITLE,
        official=text.is_official(scores),
        notes=text.notes(scores),
        headers=text.headers(scores.tasks),
        rows=rows,
        full_bar=text.fixed(full_bar),
        bar=lambda score: f"{max(0.0, 100 * float(score) / full_bar):.1f}",  # [% of the cell]
        glyphs={method: _safe(figures.glyph(look[method])) for method in scores.methods},
        sections=_sections(scores, [row.method for row in rows], look, recommended),
        failures=_failures(scores)[:MAX_ERRORS],
        failed=len(_failures(scores)),
        tables=sorted(
            {task.table: task.load_table() for task in scores.tasks}.values(), key=lambda bench: bench.name
        ),
        package=__version__,
        printable=text.printable,
    )


def _safe(svg: str) -> Any:
    """Mark-up that the package itself made, to be put into the page as it is."""
    from markupsafe import Markup

    return Markup(svg)


def _sections(
    scores: Scores, methods: Sequence[str], look: Mapping[str, Look], recommended: Recommended
) -> list[dict[str, Any]]:
    """What the page says of each task; methods in the order given."""
    from nasbench_imc.leaderboard import figures

    cells = {(cell["task"], cell["method"]): cell for cell in scores.by_task().to_dict(orient="records")}
    sections = []
    for task, short in zip(scores.tasks, text.short_names(scores.tasks), strict=True):
        regret = figures.regret_plot(task, {m: scores.regrets(task.name, m) for m in methods}, look)
        named = {m: recommended.get((task.name, m), ()) for m in methods}
        bench = task.load_table()
        pareto = figures.pareto_plot(task, bench, named, look)
        lines = []
        for method in sorted(methods, key=lambda m: cells[task.name, m]["score"]):
            cell = cells[task.name, method]
            lines.append(
                {
                    "method": method,
                    "score": text.fixed(cell["score"]),
                    "interval": f"{text.fixed(cell['low'])} to {text.fixed(cell['high'])}",
                    "regret": f"{cell['regret']:.3g}",
                    "runs": int(cell["runs"]),
                    "failed": int(cell["failed"]),
                    "seconds": text.seconds(cell["seconds"]),
                }
            )
        sections.append(
            {
                "name": task.name,
                "short": short,
                "facts": _facts(task),
                "lines": lines,
                "regret_unit": "hypervolume" if task.track == "M" else "points of accuracy",
                "regret": _safe(regret.svg),
                "regret_remarks": regret.remarks,
                "pareto": _safe(pareto.svg),
                "pareto_remarks": pareto.remarks,
                "cost": figures.shown_cost(task).replace("_", " "),
                "limited": figures.shown_cost(task) in task.limits,
                "front_only": task.track == "M",
                "noise_floor": f"{task.frozen.noise_floor:.3g}",
                "reachable": f"{task.frozen.reachable_regret:.3g}",
                "designs": f"{len(bench.architectures) * len(task.hardware):,}",
            }
        )
    return sections


def _facts(task: Task) -> list[str]:
    """A task in a few phrases."""
    from nasbench_imc.leaderboard.figures import unit_sign

    units = task.load_table().units
    hardware = task.hardware[0] if len(task.hardware) == 1 else f"{len(task.hardware)} configurations"
    limits = [f"{name} ≤ {limit:g} {unit_sign(units[name])}" for name, limit in task.limits.items()]
    costs = [name for name in task.objectives if name != "accuracy"]
    goal = f"accuracy against {' and '.join(costs)}" if costs else TRACKS[task.track]
    return [
        f"track {task.track}: {goal}",
        *limits,
        f"hardware {hardware}",
        f"at {task.at} after programming",
        f"budget {task.budget:,} queries",
        f"suite {_SUITES[task.suite]}",
    ]


def _failures(scores: Scores) -> list[_Failure]:
    """Runs that raised or were stopped."""
    bad = scores.runs[~scores.runs.end.isin(("finished", "budget"))]
    return [
        _Failure(run["task"], run["method"], run["seed"], run["end"], _shortened(run["error"]))
        for run in bad.to_dict(orient="records")
    ]


def _shortened(error: str) -> str:
    """The end of an error's text, where its message is, without control characters."""
    lines = "\n".join(text.printable(line) for line in error.strip().splitlines())
    return lines if len(lines) <= MAX_ERROR_LENGTH else "... " + lines[-MAX_ERROR_LENGTH:]
