"""The command ``nasbench-imc``."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from nasbench_imc._version import __version__
from nasbench_imc.errors import BenchmarkError

#: Command -> the module that holds it; imported when the command is called, so that --help is quick.
_COMMANDS = {
    "info": "table",
    "query": "table",
    "validate": "validate",
    "tasks": "search",
    "methods": "search",
    "run": "search",
    "tune": "tune",
    "score": "board",
    "leaderboard": "board",
    "submit": "submit",
    "replay": "submit",
    "re-run": "submit",
    "cost": "cost",
    "build": "build",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(
            import_module(f"nasbench_imc.cli.{_COMMANDS[cmd_name]}"), cmd_name.replace("-", "_")
        )
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nasbench-imc")
def _group() -> None:
    """Hardware-aware architecture search on in-memory-computing hardware, benchmarked."""


def main() -> None:
    """Run the command; an expected error becomes one line on stderr and exit status 1."""
    try:
        _group()
    except (BenchmarkError, OSError) as error:
        print(f"nasbench-imc: error: {error}", file=sys.stderr)
        sys.exit(1)
