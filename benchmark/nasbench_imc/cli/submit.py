"""``submit``, ``replay`` and ``re-run``: what makes a result that others can trust."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from nasbench_imc.cli.common import (
    jobs_option,
    json_option,
    print_json,
    print_table,
    quiet_option,
    timeout_option,
)
from nasbench_imc.errors import LogError, SubmissionError
from nasbench_imc.files import replacing
from nasbench_imc.printable import printable
from nasbench_imc.suites.rules import SUITES

#: Runs below which a bootstrap's interval of their mean is too narrow to be relied on.
_FEW = 10


@click.command()
@click.argument("logs", type=click.Path(file_okay=False, exists=True, path_type=Path))
@click.option("--method", required=True, metavar="NAME", help="Whose logs to pack.")
@click.option(
    "--about",
    "about_file",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="TOML file with authors, description, code, paper, and a table [tuning].",
)
@click.option("--author", "authors", multiple=True, metavar="NAME", help="May be repeated.")
@click.option("--description", metavar="TEXT", help="What the method does.")
@click.option("--code", metavar="URL", help="Address of its source code.")
@click.option("--paper", metavar="URL", help="Address of a paper, where there is one.")
@click.option(
    "--tuned-configurations", type=click.IntRange(0), help="Settings of the method tried, 0 if none."
)
@click.option(
    "--tuned-tasks", metavar="NAMES", help='Tasks that they were tried on, with commas; "" if none.'
)
@click.option(
    "--tuned-core-hours", type=click.FloatRange(0), help="Processor time of that, 0 if none [core-h]."
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Archive to write."
)
def submit(
    logs: Path,
    method: str,
    about_file: Path | None,
    authors: tuple[str, ...],
    description: str | None,
    code: str | None,
    paper: str | None,
    tuned_configurations: int | None,
    tuned_tasks: str | None,
    tuned_core_hours: float | None,
    out: Path,
) -> None:
    """Pack a method's runs below LOGS as a submission, and replay it."""
    from nasbench_imc.submissions.pack import QUESTIONS, about, pack, read_about

    options = {
        "authors": authors or None,
        "description": description,
        "code": code,
        "paper": paper,
        "tuning.configurations": tuned_configurations,
        "tuning.tasks": None if tuned_tasks is None else _names(tuned_tasks),
        "tuning.core_hours": tuned_core_hours,
    }
    given = read_about(about_file) if about_file else {}
    given |= {name: value for name, value in options.items() if value is not None}
    if sys.stdin.isatty():
        given |= {name: _asked(name, text) for name, text in QUESTIONS.items() if name not in given}
    verdict = pack(logs, method, about(given), out)
    click.echo(
        f"{out}: {verdict.runs} runs of {method} on {len(verdict.tasks)} tasks, {verdict.failures} failed; "
        f"replayed without a difference"
    )
    if not verdict.suite:
        click.echo("these are not all the tasks of a suite, so it enters no suite's leaderboard")


@click.command()
@click.argument("submission", type=click.Path(exists=True, path_type=Path))
@json_option
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File for the verdict, as JSON.")
def replay(submission: Path, as_json: bool, out: Path | None) -> None:
    """Recompute all of a submission, or of a folder of logs, from the table; name the first difference."""
    from nasbench_imc.submissions import replay as replaying

    error: SubmissionError | LogError | None = None
    try:
        found = replaying.replay(submission).to_json()
    except (SubmissionError, LogError) as problem:
        error, found = problem, replaying.refusal(problem)
    if out:
        _write_json(found, out)
    if as_json:
        print_json(found)
    elif not error:
        print_table(
            ("task", "method", "score", "runs", "failed"),
            [
                (
                    row["task"],
                    printable(row["method"]),
                    f"{row['score']:.3f}",
                    str(row["runs"]),
                    str(row["failures"]),
                )
                for row in found["scores"]
            ],
        )
        for note in found["notes"]:
            click.echo(f"note: {printable(note)}")
        click.echo(f"{found['tier']}: {found['queries']:,} queries of {found['runs']} runs, no difference")
    if error:
        raise SubmissionError(f"refused: {printable(str(error))}")


@click.command("re-run")
@click.argument("method")
@click.option("--suite", type=click.Choice(SUITES), help="Run the tasks of this suite.")
@click.option("--task", "task_names", multiple=True, metavar="NAME", help="Run this task; may be repeated.")
@click.option(
    "--seeds", type=click.IntRange(1), default=30, show_default=True, help="Fresh label seeds to draw."
)
@jobs_option
@timeout_option
@click.option(
    "--entropy", type=click.IntRange(0), help="Draw the seeds from this, to compare methods on equal ones."
)
@click.option("--no-permuted", is_flag=True, help="Leave out the runs with permuted labels.")
@click.option(
    "--readable",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="A further file or folder that the searcher may read; may be repeated.",
)
@click.option(
    "--of",
    "submission",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The searcher's submission, to be compared with.",
)
@quiet_option
@json_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="A new folder.")
def re_run(
    method: str,
    suite: str | None,
    task_names: tuple[str, ...],
    seeds: int,
    jobs: int,
    timeout: float,
    entropy: int | None,
    no_permuted: bool,
    readable: tuple[Path, ...],
    submission: Path | None,
    quiet: bool,
    as_json: bool,
    out: Path,
) -> None:
    """Run METHOD where it cannot read the table, on fresh label seeds.

    METHOD is FILE.py:function, module:function or an installed one.
    """
    from nasbench_imc.submissions.rerun import rerun
    from nasbench_imc.suites import task as find_task
    from nasbench_imc.suites import tasks as all_tasks

    if not suite and not task_names:
        raise click.UsageError("name the tasks: --suite dev, --suite test, or --task NAME")
    chosen = [find_task(name) for name in task_names] + (all_tasks(suite) if suite else [])
    found = rerun(
        method,
        list(dict.fromkeys(chosen)),
        seeds,
        out,
        entropy=entropy,
        jobs=jobs,
        timeout=timeout,
        permuted=not no_permuted,
        readable=readable,
        submission=submission,
        progress=not quiet,
    )
    if as_json:
        print_json(found)
        return
    print_table(
        ("task", "score", "labels permuted", "difference", "95 % interval", "runs", "failed"),
        [
            (
                row["task"],
                f"{row['score']:.3f}",
                *(
                    ("-", "-", "-")
                    if row["permuted"] is None
                    else (
                        f"{row['permuted']['score']:.3f}",
                        f"{row['permuted']['difference']:+.3f}",
                        f"{row['permuted']['low']:+.3f} to {row['permuted']['high']:+.3f}",
                    )
                ),
                str(row["runs"]),
                str(row["failures"]),
            )
            for row in [*found["tasks"], found["all"]]
        ],
    )
    if min(row["runs"] for row in found["tasks"]) < _FEW:
        click.echo(f"fewer than {_FEW} runs a task: these intervals are narrower than they ought to be")
    compared = found["submission"]
    if compared:
        for task, score in compared["scores"].items():
            click.echo(f"submitted: {score:.3f} on {task}")
        differ, again = compared["differ"], compared["runs_again"]
        click.echo(f"{again - len(differ)} of {again} submitted runs came out as their logs say")
        for place in differ:
            click.echo(f"  not {place['file']}, from line {place['line']} on")
    click.echo("confined: " + "; ".join(f"{name}: {text}" for name, text in found["confinement"].items()))
    click.echo(f"logs in {out / 'logs'}; seeds and confinement in {out / 'rerun.json'}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _asked(name: str, text: str) -> Any:
    if name == "tuning.configurations":
        return click.prompt(text, type=click.IntRange(0))
    if name == "tuning.core_hours":
        return click.prompt(text, type=click.FloatRange(0))
    if name in ("authors", "tuning.tasks"):
        return _names(click.prompt(f"{text}, with commas", default="", show_default=False))
    return click.prompt(text)


def _write_json(value: Mapping[str, Any], path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")
