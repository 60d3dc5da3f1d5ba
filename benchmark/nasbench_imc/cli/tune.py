"""``tune``: hyperparameters of a method, under a stated effort."""

from __future__ import annotations

from pathlib import Path

import click

from nasbench_imc.cli.common import jobs_option, print_table, quiet_option, timeout_option
from nasbench_imc.files import replacing
from nasbench_imc.runs import find_method
from nasbench_imc.suites import tasks as all_tasks

_FORMATS = {"score": "{:.4f}", "seconds": "{:.1f}"}


@click.command()
@click.argument("method")
@click.option(
    "--configurations",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="How many are tried, the defaults among them.",
)
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="Seeds 0 to N - 1.")
@click.option(
    "--finalists",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="How many of them, the best, are tried with more seeds; the defaults besides.",
)
@click.option(
    "--final-seeds",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="Seeds 0 to N - 1 of the finalists.",
)
@jobs_option
@timeout_option
@quiet_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the logs; an interrupted command resumes. METHOD.csv beside them has all scores.",
)
def tune(
    method: str,
    configurations: int,
    seeds: int,
    finalists: int,
    final_seeds: int,
    jobs: int,
    timeout: float,
    quiet: bool,
    out: Path,
) -> None:
    """Try configurations of METHOD on the tasks of the suite dev; its module says in SPACE which.

    Random search over all combinations, the defaults first; the best few are run with more seeds, which
    decide. A lower score is better: 0 is the table's best, 1 what random search leaves.
    """
    from nasbench_imc.tuning import Effort
    from nasbench_imc.tuning import tune as tuned

    found = find_method(method)
    logs = out / found.name
    frame = tuned(
        found,
        all_tasks("dev"),
        Effort(configurations, seeds, finalists, final_seeds),
        logs,
        jobs=jobs,
        timeout=timeout,
        progress=not quiet,
    )
    path = out / f"{found.name}.csv"
    with replacing(path) as temporary:
        temporary.write_text(
            frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"), encoding="utf-8"
        )
    shown = [str(name) for name in frame.columns if "/" not in str(name)]
    print_table(
        shown,
        [[_FORMATS.get(name, "{}").format(row[name]) for name in shown] for row in frame.to_dict("records")],
    )
    click.echo(path)
