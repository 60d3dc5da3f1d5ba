"""``score`` and ``leaderboard``: from logs to tables and a page."""

from __future__ import annotations

from pathlib import Path

import click

from nasbench_imc.cli.common import json_option, print_json, print_table
from nasbench_imc.files import replacing

_logs = click.argument("logs", type=click.Path(file_okay=False, exists=True, path_type=Path))


@click.command()
@_logs
@json_option
def score(logs: Path, as_json: bool) -> None:
    """Score the runs whose logs lie below the folder LOGS: every method on every task."""
    from nasbench_imc.runs import read_logs
    from nasbench_imc.scoring import score as score_logs

    frame = score_logs(read_logs(logs)).by_task()
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


@click.command()
@_logs
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the files; LOGS by default."
)
@click.option("--no-page", is_flag=True, help="Leave out the HTML page, which needs the extra [search].")
def leaderboard(logs: Path, out: Path | None, no_page: bool) -> None:
    """Rank the methods: a table here, and leaderboard.md, .csv, .tex and .html in a folder."""
    from rich.console import Console

    from nasbench_imc.leaderboard import (
        as_csv,
        as_latex,
        as_markdown,
        as_terminal,
        recommendations,
        write_page,
    )
    from nasbench_imc.runs import read_logs
    from nasbench_imc.scoring import score as score_logs

    read = list(read_logs(logs))
    scores = score_logs(read)
    folder = out or logs
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, render in ((".md", as_markdown), (".csv", as_csv), (".tex", as_latex)):
        with replacing(folder / f"leaderboard{suffix}") as temporary:
            temporary.write_text(render(scores), encoding="utf-8")
    Console().print(as_terminal(scores))
    if not no_page:
        write_page(scores, folder / "leaderboard.html", recommendations(read))
    page = "" if no_page else f"; open {(folder / 'leaderboard.html').resolve()} in a browser"
    click.echo(f"written: leaderboard.md, .csv, .tex{'' if no_page else ', .html'} in {folder}{page}")
