"""``tasks``, ``methods`` and ``run``: what can be run, and running it."""

from __future__ import annotations

from pathlib import Path

import click

from nasbench_imc.cli.common import (
    jobs_option,
    json_option,
    print_json,
    print_table,
    quiet_option,
    timeout_option,
)
from nasbench_imc.errors import BenchmarkError
from nasbench_imc.runs import find_method, run_all
from nasbench_imc.runs import methods as installed_methods
from nasbench_imc.suites import task as find_task
from nasbench_imc.suites import tasks as all_tasks
from nasbench_imc.suites.rules import SUITES, TRACKS


@click.command()
@click.option("--suite", type=click.Choice(SUITES), help="Only this suite.")
@json_option
def tasks(suite: str | None, as_json: bool) -> None:
    """The tasks that a method can be run on."""
    found = all_tasks(suite)
    if as_json:
        print_json(
            [
                {
                    "name": task.name,
                    "track": task.track,
                    "suite": task.suite,
                    "hardware": list(task.hardware),
                    "at": task.at,
                    "objectives": list(task.objectives),
                    "limits": dict(task.limits),
                    "least": dict(task.least),
                    "sources": list(task.sources),
                    "budget": task.budget,
                    "unit": task.unit,
                    "designs": len(task.domain),
                }
                for task in found
            ]
        )
        return
    print_table(
        ("task", "suite", "budget", "designs", "seeks", "within"),
        [
            (
                task.name,
                task.suite,
                f"{task.budget} {task.unit}",
                f"{len(task.domain):,}",
                ", ".join(task.objectives),
                ", ".join(
                    [f"{name} <= {limit:g}" for name, limit in task.limits.items()]
                    + [f"{name} >= {least:g}" for name, least in task.least.items()]
                ),
            )
            for task in found
        ],
    )
    click.echo("tracks: " + "; ".join(f"{track} {what}" for track, what in TRACKS.items()))


@click.command()
@json_option
def methods(as_json: bool) -> None:
    """The installed searchers."""
    found = installed_methods()
    if as_json:
        print_json({name: method.source for name, method in found.items()})
        return
    for name, method in found.items():
        click.echo(f"{name:<24} {method.source}")


@click.command()
@click.option(
    "--methods",
    "names",
    multiple=True,
    metavar="NAME",
    help="Method by name, module:function or file.py:function; may be repeated. Default: all installed.",
)
@click.option("--suite", type=click.Choice(SUITES), help="Run the tasks of this suite, and those of --task.")
@click.option("--task", "task_names", multiple=True, metavar="NAME", help="Run this task; may be repeated.")
@click.option("--seeds", type=click.IntRange(1), default=30, show_default=True, help="Seeds 0 to N - 1.")
@jobs_option
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Have the workers of this Dask scheduler make the runs, one a thread (extra: cluster). A method "
    "that is a file is sent to them; other methods, this package and its tables must be installed there.",
)
@timeout_option
@click.option("--retry-failed", is_flag=True, help="Make failed and stopped runs again.")
@quiet_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the logs. Runs found there are kept, so an interrupted command resumes.",
)
def run(
    names: tuple[str, ...],
    suite: str | None,
    task_names: tuple[str, ...],
    seeds: int,
    jobs: int,
    scheduler: str | None,
    timeout: float,
    retry_failed: bool,
    quiet: bool,
    out: Path,
) -> None:
    """Run methods on tasks, one log a run.

    A method makes the runs that it is for. Its module may hold a function suits(task); or SLOW = True, which
    leaves it the first 14 seeds and the tasks of at most 100 queries.
    """
    if not suite and not task_names:
        raise click.UsageError("name the tasks: --suite dev, --suite test, or --task NAME")
    chosen = [find_task(name) for name in task_names] + (all_tasks(suite) if suite else [])
    listed = [part.strip() for name in names for part in name.split(",")] or list(installed_methods())
    report = run_all(
        [find_method(name) for name in dict.fromkeys(listed)],
        list(dict.fromkeys(chosen)),
        range(seeds),
        out,
        jobs=jobs,
        scheduler=scheduler,
        timeout=timeout,
        retry_failed=retry_failed,
        progress=not quiet,
    )
    click.echo(
        f"{report.done} runs made, {report.skipped} were there, {len(report.troubled)} in trouble; "
        f"logs in {out}"
    )
    if report.left_out:
        runs = ", ".join(f"{count} of {name}" for name, count in sorted(report.left_out.items()))
        click.echo(f"left out, since the methods say that they are not for them: {runs}")
    if report.short:
        least = min(report.short, key=lambda outcome: outcome.charged)
        click.echo(
            f"{len(report.short)} runs ended before their budget was spent: {least.job.method.name} on "
            f"{least.job.task.name}, seed {least.job.seed}, spent {least.charged:g} of "
            f"{least.job.task.budget} {least.job.task.unit}"
            + (" and all its proposals" if least.end == "proposals" else "")
        )
    for outcome in report.troubled[:10]:
        job = outcome.job
        reason = outcome.error.strip().splitlines()[-1] if outcome.error else ""
        click.echo(
            f"  {job.method.name} on {job.task.name}, seed {job.seed}: {outcome.end or 'no log'}: {reason}",
            err=True,
        )
    if report.troubled:
        raise BenchmarkError(
            f"{len(report.troubled)} runs are in trouble; whole errors stand in the last lines of their "
            "logs, and --retry-failed makes them again"
        )
