"""``score`` and ``leaderboard``: from logs to tables and a page."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nasbench_imc.cli.common import json_option, places_argument, print_json, print_table
from nasbench_imc.files import replacing

if TYPE_CHECKING:
    from nasbench_imc.scoring import Scores


_jobs = click.option(
    "--jobs",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    show_default="all cores",
    help="Processes that read logs, where there are many.",
)


@click.command()
@places_argument
@click.option("--pairs", is_flag=True, help="Compare methods pair by pair on each task instead.")
@_jobs
@json_option
def score(logs: tuple[Path, ...], pairs: bool, jobs: int, as_json: bool) -> None:
    """Score the runs in LOGS, folders of logs or submissions: every method on every task."""
    from nasbench_imc.submissions.collect import score_places

    scores = score_places(logs, jobs)
    if pairs:
        _compare(scores, as_json)
        return
    frame = scores.by_task()
    if as_json:
        print_json(frame.to_dict(orient="records"))
        return
    print_table(
        ("task", "method", "score", "95 % interval", "runs", "failed", "seconds a run"),
        [
            (
                str(row.task),
                str(row.method),
                f"{row.score:.3f}",
                f"{row.low:.3f} to {row.high:.3f}",
                str(row.runs),
                str(row.failed),
                f"{row.seconds:.2f}",
            )
            for row in frame.sort_values(["task", "score"]).itertuples(index=False)
        ],
    )
    click.echo("score: regret in units of random search's; 0 is the table's best, lower is better")


def _compare(scores: Scores, as_json: bool) -> None:
    from nasbench_imc.scoring.compare import MIN_PAIRS

    made = [(task.name, pair) for task in scores.tasks for pair in scores.comparisons(task.name)]
    if as_json:
        rows = [{"task": task, **asdict(pair)} for task, pair in made]
        # JSON has no NaN, which a difference is without a common seed.
        print_json([{name: None if value != value else value for name, value in row.items()} for row in rows])
        return
    print_table(
        ("task", "first", "second", "difference", "95 % interval", "seeds", "p", "p, Holm", "first is"),
        [
            (
                task,
                pair.first,
                pair.second,
                f"{pair.difference:.3f}" if pair.pairs else "-",
                f"{pair.low:.3f} to {pair.high:.3f}" if pair.pairs else "-",
                str(pair.pairs),
                "-" if pair.p is None else f"{pair.p:.2g}",
                "-" if pair.p_holm is None else f"{pair.p_holm:.2g}",
                pair.verdict,
            )
            for task, pair in made
        ],
    )
    click.echo(
        "difference: of scores over common seeds, below 0 where the first is better; tie: not significant "
        "(Wilcoxon, Holm, 5 %), under the task's noise floor, or of another sign than the sum of signed "
        f"ranks (better in most runs, worse on average); untested: fewer than {MIN_PAIRS} common seeds"
    )


@click.command()
@places_argument
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the files; by default the first folder of LOGS.",
)
@click.option("--no-page", is_flag=True, help="Leave out the HTML page, which needs the extra [search].")
@click.option(
    "--verdict",
    "verdicts",
    multiple=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="What `replay --out` or `re-run` wrote: it grants its method a trust tier; may be repeated.",
)
@_jobs
def leaderboard(
    logs: tuple[Path, ...], out: Path | None, no_page: bool, verdicts: tuple[Path, ...], jobs: int
) -> None:
    """Rank the methods: a table here, and leaderboard.md, .csv, .tex and .html in a folder.

    LOGS are folders of logs or submissions, and submissions (.zip), all of which rank together.

    The main table is of the benchmark's tasks and the first seeds that most methods have run. Methods that
    lack some of these rank in tables of their own, on the runs that they have; so do all methods on tasks
    that are not the benchmark's.
    """
    from rich.console import Console

    from nasbench_imc.leaderboard import as_csv, as_latex, as_markdown, as_terminal, write_page
    from nasbench_imc.submissions.collect import score_places
    from nasbench_imc.submissions.tiers import tiers

    folder = out or next((place for place in logs if place.is_dir()), None)
    if folder is None:
        raise click.UsageError("LOGS holds no folder for the files: name one by --out")
    scores = score_places(logs, jobs)
    trust = tiers(verdicts, scores)
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, render in ((".md", as_markdown), (".csv", as_csv), (".tex", as_latex)):
        with replacing(folder / f"leaderboard{suffix}") as temporary:
            temporary.write_text(render(scores, tiers=trust), encoding="utf-8")
    Console().print(as_terminal(scores, tiers=trust))
    if not no_page:
        write_page(scores, folder / "leaderboard.html", tiers=trust)
    page = "" if no_page else f"; open {(folder / 'leaderboard.html').resolve()} in a browser"
    click.echo(f"written: leaderboard.md, .csv, .tex{'' if no_page else ', .html'} in {folder}{page}")
