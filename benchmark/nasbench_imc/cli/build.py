"""``build``: make the tables and freeze the tasks again. For maintainers; a checkout is needed."""

from __future__ import annotations

from pathlib import Path

import click

import nasbench_imc
from nasbench_imc.errors import BenchmarkError

_PACKAGE = Path(nasbench_imc.__file__).parent


@click.command()
@click.argument("what", type=click.Choice(["nb201", "tasks"]))
def build(what: str) -> None:
    """Build a table, or freeze the tasks of the built tables.

    `build nb201` writes datasets/nb201.h5 and its hash; `build tasks` then computes limits, reference
    points and random search's regrets from it. Run the two in this order, from a checkout, with the
    extra [build] installed.
    """
    repository = _PACKAGE.parents[1]
    if not (repository / "pyproject.toml").is_file():
        raise BenchmarkError("tables are built in a checkout of the repository: pip install -e '.[build]'")
    if what == "nb201":
        from nasbench_imc.building import nb201
        from nasbench_imc.building.packing import update_manifest

        path = nb201.pack(repository / "datasets" / "nb201.h5", log=click.echo)
        release = update_manifest(_PACKAGE / "manifest.json", "nb201", path, nb201.VERSION)
        click.echo(
            f"{path}: {release.bytes:,} bytes, SHA-256 {release.sha256}; now run: nasbench-imc build tasks"
        )
    else:
        from nasbench_imc.building import tasks
        from nasbench_imc.tables import load
        from nasbench_imc.tables.files import releases

        for name in releases():
            tasks.freeze_all(load(name), _PACKAGE / "suites" / "data", log=click.echo)
