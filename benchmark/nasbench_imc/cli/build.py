"""``build``: make the tables and freeze the tasks again. For maintainers; a checkout is needed."""

from __future__ import annotations

from pathlib import Path

import click

import nasbench_imc
from nasbench_imc.errors import BenchmarkError

_PACKAGE = Path(nasbench_imc.__file__).parent


@click.group()
def build() -> None:
    """Build tables and freeze tasks again: `nb201`, then `tasks`. Needs a checkout and the extra [build]."""


@build.command()
def nb201() -> None:
    """Write datasets/nb201.h5 and its hash, from AnalogNAS-Bench and the cost model."""
    from nasbench_imc.building import nb201 as table
    from nasbench_imc.building.packing import update_manifest

    path = table.pack(_repository() / "datasets" / "nb201.h5", log=click.echo)
    release = update_manifest(_PACKAGE / "manifest.json", "nb201", path, table.VERSION)
    click.echo(
        f"{path}: {release.bytes:,} bytes, SHA-256 {release.sha256}; now run: nasbench-imc build tasks"
    )


@build.command()
def tasks() -> None:
    """Compute limits, reference points and random search's regrets of all tasks from the built tables."""
    from nasbench_imc.building import tasks as freezing
    from nasbench_imc.tables import load
    from nasbench_imc.tables.files import releases

    _repository()
    for name in releases():
        freezing.freeze_all(load(name), _PACKAGE / "suites" / "data", log=click.echo)


@build.command()
@click.option("--recipe", default="reference", show_default=True, help="Name of a training recipe.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--first", type=click.IntRange(1), help="Only so many networks of the audit list.")
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="CIFAR-10 as an image folder, train/CLASS/* and test/CLASS/*. Default: fetch the archive.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".cache"),
    show_default=True,
    help="Where decoded images are kept.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("datasets/raw/training"),
    show_default=True,
    help="Folder of results; those found there are kept.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Processes of the local cluster, one thread each.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler to use in place of a local cluster.")
def train(
    recipe: str,
    seed: int,
    first: int | None,
    images: Path | None,
    cache: Path,
    out: Path,
    workers: int,
    scheduler: str | None,
) -> None:
    """Train the networks of the audit list; stopped, it goes on where it was."""
    from nasbench_imc.building.jobs import run_jobs
    from nasbench_imc.building.train_jobs import RECIPES, TrainJob, audit_list
    from nasbench_imc.errors import unknown

    if recipe not in RECIPES:
        raise unknown("recipe", recipe, RECIPES)
    jobs = [
        TrainJob(code, seed, recipe, out.resolve(), images.resolve() if images else None, cache.resolve())
        for code in audit_list()[:first]
    ]
    failed = run_jobs(jobs, workers=workers, scheduler=scheduler)
    for job, error in failed:
        click.echo(f"{job.path}: {error}", err=True)
    if failed:
        raise BenchmarkError(f"{len(failed)} of {len(jobs)} jobs failed; run the command again to retry them")


def _repository() -> Path:
    repository = _PACKAGE.parents[1]
    if not (repository / "pyproject.toml").is_file():
        raise BenchmarkError("tables are built in a checkout of the repository: pip install -e '.[build]'")
    return repository
