"""``build``: make the tables and freeze the tasks again. For maintainers; a checkout is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

import nasbench_imc
from nasbench_imc.errors import BenchmarkError, unknown

if TYPE_CHECKING:
    from nasbench_imc.building.jobs import Job

_PACKAGE = Path(nasbench_imc.__file__).parent


@click.group()
def build() -> None:
    """Build tables (`nb201`, `hybrid`) and freeze `tasks` again. Needs a checkout and the extra [build]."""


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
@click.option(
    "--evaluated",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of evaluations, one *.npz a network and training seed.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The table to write; hybrid.h5 is the name that is looked for.",
)
def hybrid(evaluated: Path, out: Path) -> None:
    """Pack evaluated networks and their costs; fewer than the space has make a pilot."""
    from nasbench_imc.building import hybrid as table
    from nasbench_imc.tables.files import DATA_VARIABLE, file_sha256

    path = table.pack(evaluated, out, log=click.echo)
    click.echo(
        f"{path}: {path.stat().st_size:,} bytes, SHA-256 {file_sha256(path)}; "
        f"{DATA_VARIABLE}={path.resolve().parent} makes it the table 'hybrid'"
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


def _where(command: Callable[..., None]) -> Callable[..., None]:
    """Options of all commands that compute: where the images are, where results go, and on what to run."""
    folder = click.Path(file_okay=False, path_type=Path)
    options = (
        click.option(
            "--images",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="CIFAR-10 as an image folder, train/CLASS/* and test/CLASS/*. Default: fetch the archive.",
        ),
        click.option(
            "--cache",
            type=folder,
            default=".cache",
            show_default=True,
            help="Where decoded images are kept.",
        ),
        click.option(
            "--out",
            type=folder,
            default="datasets/raw/training",
            show_default=True,
            help="Folder of results; those found there are kept.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(1),
            default=2,
            show_default=True,
            help="Processes of the local cluster, one thread each.",
        ),
        click.option(
            "--scheduler", metavar="ADDRESS", help="Dask scheduler to use in place of a local cluster."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@build.command()
@click.option("--recipe", default="reference", show_default=True, help="Name of a training recipe.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--first", type=click.IntRange(1), help="Only so many networks of the audit list.")
@_where
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
    from nasbench_imc.building.train_jobs import RECIPES, TrainJob, audit_list

    if recipe not in RECIPES:
        raise unknown("recipe", recipe, RECIPES)
    _run(
        [
            TrainJob(code, seed, recipe, out.resolve(), images and images.resolve(), cache.resolve())
            for code in audit_list()[:first]
        ],
        workers,
        scheduler,
    )


@build.command()
@click.option("--recipe", default="uniform-100", show_default=True, help="Name of a super-network's recipe.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@_where
def supernet(
    recipe: str,
    seed: int,
    images: Path | None,
    cache: Path,
    out: Path,
    workers: int,
    scheduler: str | None,
) -> None:
    """Train a super-network."""
    from nasbench_imc.building.train_jobs import SHARED_RECIPES, SharedTrainJob

    if recipe not in SHARED_RECIPES:
        raise unknown("recipe", recipe, SHARED_RECIPES)
    job = SharedTrainJob(seed, recipe, out.resolve(), images and images.resolve(), cache.resolve())
    _run([job], workers, scheduler)


def _run(jobs: Sequence[Job], workers: int, scheduler: str | None) -> None:
    from nasbench_imc.building.jobs import run_jobs

    failed = run_jobs(jobs, workers=min(workers, len(jobs)), scheduler=scheduler)
    for job, error in failed:
        click.echo(f"{job.path}: {error}", err=True)
    if failed:
        raise BenchmarkError(f"{len(failed)} of {len(jobs)} jobs failed; run the command again to retry them")


def _repository() -> Path:
    repository = _PACKAGE.parents[1]
    if not (repository / "pyproject.toml").is_file():
        raise BenchmarkError("tables are built in a checkout of the repository: pip install -e '.[build]'")
    return repository
