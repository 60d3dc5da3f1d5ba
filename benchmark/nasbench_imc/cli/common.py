"""What several commands share."""

from __future__ import annotations

import json
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def print_json(value: Any) -> None:
    """Print a value as indented JSON; NaN is refused, since JSON has none."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))
