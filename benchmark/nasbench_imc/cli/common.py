"""What several commands share."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from nasbench_imc.printable import printable

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

#: Where runs are: folders of logs or submissions, and submissions.
places_argument = click.argument(
    "logs", nargs=-1, required=True, metavar="LOGS...", type=click.Path(exists=True, path_type=Path)
)

jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    show_default="all cores",
    help="Parallel processes on this machine.",
)
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=600.0,
    show_default=True,
    help="Longest time a run may take [s].",
)
quiet_option = click.option("--quiet", is_flag=True, help="No progress bar.")


def print_json(value: Any) -> None:
    """Print a value as indented JSON; NaN is refused, since JSON has none."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns, never shortened: names are there to be copied into the next command."""
    rows = [[printable(cell) for cell in row] for row in rows]  # names come from strangers' logs too
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, ["-" * width for width in widths], *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
