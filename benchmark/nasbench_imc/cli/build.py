"""``build``: make the tables and freeze the tasks again. For maintainers; a checkout is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import nasbench_imc
from nasbench_imc.cli.common import places_argument
from nasbench_imc.errors import BenchmarkError, unknown

if TYPE_CHECKING:
    from nasbench_imc.building.evaluate_jobs import EvaluateJob
    from nasbench_imc.building.jobs import Job
    from nasbench_imc.building.serial_audit import AuditJob
    from nasbench_imc.building.train_jobs import Folders

#: Where the reference searchers are.
_REFERENCE = "nasbench_imc_baselines."

_PACKAGE = Path(nasbench_imc.__file__).parent


@click.group()
def build() -> None:
    """Build tables (`nb201`, `hybrid`), freeze `tasks` again: it needs a checkout and the extra [build].

    `task` freezes one of your own, and needs neither.
    """


@build.command()
def nb201() -> None:
    """Write datasets/nb201.h5 and its hash, from AnalogNAS-Bench and the cost model."""
    from nasbench_imc.building import nb201 as table
    from nasbench_imc.building.packing import update_manifest

    path = table.pack(_repository() / "datasets" / "nb201.h5", log=click.echo)
    release = update_manifest(_PACKAGE / "manifest.json", "nb201", path, table.VERSION)
    click.echo(
        f"{path}: {release.bytes:,} bytes, SHA-256 {release.sha256}; now run: nasbench-imc build tasks, "
        "and nasbench-imc build croissant nb201"
    )


@build.command()
@click.argument("table")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write.  [default: TABLE.croissant.json beside the table]",
)
def croissant(table: str, out: Path | None) -> None:
    """Write Croissant metadata of TABLE (`nb201`, say), for data catalogues; again after any change to it."""
    from nasbench_imc.building.croissant import write_croissant
    from nasbench_imc.tables.files import find

    repository, path = _repository(), find(table).path
    datasheet = repository / "datasets" / f"{table}.md"
    out = out or path.with_suffix(".croissant.json")
    click.echo(write_croissant(path, repository / "CITATION.cff", datasheet, out))


@build.command("layers")
def layers_command() -> None:
    """Write the layer lists that ship with the cost model again."""
    from nasbench_imc.building.layer_lists import write_all

    for path in write_all(_PACKAGE / "hardware" / "layers"):
        click.echo(path)


@build.command("zigzag")
@click.option(
    "--reuse", is_flag=True, help="Compare with the measurements that are there; do not run ZigZag."
)
def zigzag_command(reuse: bool) -> None:
    """Compare the cost model with ZigZag, layer by layer: results/validation/zigzag.md and CSV files."""
    from nasbench_imc.building import zigzag_study

    folder = _repository() / "results" / "validation"
    folder.mkdir(parents=True, exist_ok=True)
    if not reuse:
        click.echo(zigzag_study.measure(folder, log=click.echo))
    click.echo(zigzag_study.write_page(folder))


@build.command()
@click.option(
    "--evaluated",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of evaluations, one *.npz a network and training seed, or shards of them.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The table to write; hybrid.h5 is the name that is looked for.",
)
@click.option(
    "--log",
    type=click.Path(dir_okay=False, path_type=Path),
    default="datasets/raw/training/runs.jsonl.gz",
    show_default=True,
    help="File of all training runs: super-networks' seconds are read from it.",
)
@click.option(
    "--proxies",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Zero-cost proxies, as `build proxies` keeps them. Default: the table has none.",
)
@click.option(
    "--clock",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Seconds on an idle machine, as `build clock` keeps them. Default: those that the runs took.",
)
@click.option("--release", is_flag=True, help="Refuse what is not whole; record it as the released table.")
def hybrid(
    evaluated: Path, out: Path, log: Path, proxies: Path | None, clock: Path | None, release: bool
) -> None:
    """Pack evaluated networks and their costs; what is no release is a pilot."""
    from nasbench_imc.building import hybrid as table
    from nasbench_imc.building.packing import update_manifest
    from nasbench_imc.building.training_log import read_log
    from nasbench_imc.tables.files import DATA_VARIABLE, file_sha256

    runs = read_log(log) if log.exists() else []
    path = table.pack(
        evaluated, out, runs=runs, proxies=proxies, clock=clock, release=release, log=click.echo
    )
    if release:
        update_manifest(_PACKAGE / "manifest.json", "hybrid", path, table.VERSION)
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


@build.command()
@click.argument("plan", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The task file.")
def task(plan: Path, out: Path) -> None:
    """Make a task of your own: from PLAN, a short TOML file, and its table, a task file for `run --task`."""
    from nasbench_imc.building.tasks import freeze, read_plan
    from nasbench_imc.files import replacing
    from nasbench_imc.tables import load

    table, described = read_plan(plan)
    made = freeze(described, load(table))
    with replacing(out) as temporary:
        temporary.write_text(made.to_json(), encoding="utf-8")
    click.echo(
        f"{out}: {made.name}, {len(made.domain):,} designs, limits {dict(made.limits)}, "
        f"random search ends {made.frozen.random_regret[-1]:.3g} from the best"
    )


@build.command()
@places_argument
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results/tasks"),
    show_default=True,
)
def difficulty(logs: tuple[Path, ...], out: Path) -> None:
    """Write how hard each task is, by the runs in LOGS, folders of logs or submissions."""
    from nasbench_imc.building.difficulty import as_markdown, difficulties
    from nasbench_imc.files import replacing
    from nasbench_imc.submissions.collect import score_places

    scores = score_places(logs)
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "README.md") as temporary:
        temporary.write_text(as_markdown(difficulties(scores), scores.methods), encoding="utf-8")
    click.echo(f"written: {out / 'README.md'}")


@build.command()
@click.argument("logs", type=click.Path(file_okay=False, exists=True, path_type=Path))
@click.option(
    "--tuning",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results/tuning"),
    show_default=True,
    help="Folder of what `tune` wrote, METHOD.csv.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
def submissions(logs: Path, tuning: Path, out: Path) -> None:
    """Pack the reference searchers' runs below LOGS as submissions, OUT/METHOD.zip."""
    from nasbench_imc.building.publication import publish
    from nasbench_imc.runs import methods

    own = {name: each for name, each in methods().items() if each.source.startswith(_REFERENCE)}
    for name, verdict in publish(own, logs, tuning, out).items():
        click.echo(f"{out / name}.zip: {verdict.runs} runs, {verdict.failures} failed; replayed")


@build.command()
@places_argument
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results/comparison"),
    show_default=True,
)
def comparison(logs: tuple[Path, ...], out: Path) -> None:
    """Write what the runs in LOGS teach: which methods win on which track, hardware and budget."""
    from nasbench_imc.building.comparison_page import write_comparison
    from nasbench_imc.submissions.collect import score_places

    for path in write_comparison(score_places(logs).boards(), out):
        click.echo(f"written: {path}")


@dataclass(frozen=True)
class _Computing:
    """The options of commands that compute: where files are, and on what to run."""

    folders: Folders
    workers: int
    scheduler: str | None

    def run(self, jobs: Sequence[Job]) -> None:
        from nasbench_imc.building.jobs import run_jobs

        failed = run_jobs(jobs, workers=min(self.workers, len(jobs)), scheduler=self.scheduler)
        for job, error in failed:
            click.echo(f"{job.path}: {error}", err=True)
        if failed:
            raise BenchmarkError(
                f"{len(failed)} of {len(jobs)} jobs failed; run the command again to retry them"
            )

    def run_parts(self, jobs: Sequence[Job], file: Path) -> None:
        """Run jobs of some networks each, and join their files into one."""
        from nasbench_imc.building import parts

        self.run(jobs)
        parts.join([job.path for job in jobs], file)
        click.echo(f"{file}: {file.stat().st_size:,} bytes")


def _computes(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of :class:`_Computing` to a command, which takes them as one ``computing``."""
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

    @wraps(command)
    def wrapped(
        images: Path | None, cache: Path, out: Path, workers: int, scheduler: str | None, **others: Any
    ) -> None:
        from nasbench_imc.building.train_jobs import Folders

        folders = Folders(out.resolve(), images and images.resolve(), cache.resolve())
        command(computing=_Computing(folders, workers, scheduler), **others)

    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


_NETWORKS = click.option(
    "--networks",
    default="audit",
    show_default=True,
    help="study (24 networks), audit (40), pilot (48), repeated (100), all (1,728), or codes and commas.",
)

_DEVICE = click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where to compute; a GPU rounds otherwise, and orders some noise otherwise. Its workers share it.",
)


@build.command()
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    default=["reference"],
    show_default=True,
    help="Names of training recipes: separated by commas, or the option repeated.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@_NETWORKS
@click.option(
    "--skip-logged",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="LOG",
    help="Leave out runs that this log has; their accuracies are there, their weights are not.",
)
@_DEVICE
@_computes
def train(
    recipes: Sequence[str],
    seed: int,
    networks: str,
    skip_logged: Path | None,
    device: str,
    computing: _Computing,
) -> None:
    """Train networks; stopped, it goes on where it was."""
    from nasbench_imc.building import audit
    from nasbench_imc.building.train_jobs import TrainJob
    from nasbench_imc.building.training_log import read_log

    names = list(dict.fromkeys(name for listed in recipes for name in listed.split(",")))
    for name in names:
        _check_recipe(name)
    logged = {run.key for run in read_log(skip_logged)} if skip_logged else set()
    codes = audit.networks(networks)
    jobs = [
        TrainJob(code, seed, name, computing.folders, device)
        for name in names
        for code in codes
        if (name, seed, code) not in logged
    ]
    _check_supernets(job.supernet for job in jobs)
    computing.run(jobs)


def _check_supernets(paths: Iterable[Path | None]) -> None:
    missing = {path for path in paths if path is not None and not path.is_file()}
    if missing:
        raise BenchmarkError(
            f"these super-networks are missing: {', '.join(sorted(map(str, missing)))}; "
            "train them first: nasbench-imc build supernet --recipe NAME --seed S"
        )


@build.command()
@click.option("--recipe", default="uniform-100", show_default=True, help="Name of a super-network's recipe.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@_NETWORKS
@_DEVICE
@_computes
def supernet(recipe: str, seed: int, networks: str, device: str, computing: _Computing) -> None:
    """Train a super-network; where its recipe branches, those branches that the networks need."""
    from nasbench_imc.building import audit
    from nasbench_imc.building.train_jobs import SHARED_RECIPES, shared_jobs

    if recipe not in SHARED_RECIPES:
        raise unknown("recipe", recipe, SHARED_RECIPES)
    jobs = shared_jobs(recipe, seed, computing.folders, audit.networks(networks), device)
    _check_supernets(job.parent for job in jobs)
    computing.run(jobs)


_TRAINED = click.option("--recipe", required=True, help="Name of the recipe that trained the networks.")


@build.command()
@_TRAINED
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@_NETWORKS
@_DEVICE
@_computes
def evaluate(recipe: str, seed: int, networks: str, device: str, computing: _Computing) -> None:
    """Evaluate trained networks on all hardware; stopped, it goes on where it was."""
    from nasbench_imc.building import audit
    from nasbench_imc.building.evaluate_jobs import EvaluateJob, made_otherwise

    codes = audit.networks(networks)
    jobs = [EvaluateJob(code, seed, recipe, computing.folders, device) for code in codes]
    _check_trained(jobs, recipe, f"--seed {seed} --networks {networks}")
    if stale := made_otherwise(jobs):
        raise BenchmarkError(
            f"{len(stale)} evaluations were made by another version of the evaluator or of other weights, "
            f"{stale[0]} among them; move them away, and they are made again"
        )
    computing.run(jobs)


@build.command()
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    default="datasets/raw/proxies.npz",
    show_default=True,
    help="Where the proxies of all networks are kept in the end.",
)
@_computes
def proxies(seed: int, file: Path, computing: _Computing) -> None:
    """Compute zero-cost proxies of all 1,728 networks; stopped, it goes on where it was."""
    from nasbench_imc.building import audit
    from nasbench_imc.building.proxy_jobs import proxy_jobs

    computing.run_parts(proxy_jobs(audit.networks("all"), seed, computing.folders), file)


@build.command()
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    default="datasets/raw/clock.npz",
    show_default=True,
    help="Where the seconds are kept in the end.",
)
@click.option(
    "--networks",
    default="all",
    show_default=True,
    help="Networks to time, as in `train`; a super-network's epoch is taken to cost their mean.",
)
@_computes
def clock(file: Path, networks: str, computing: _Computing) -> None:
    """Time training and evaluation of each network; to be run with --workers 1 on an idle machine."""
    from nasbench_imc.building import audit
    from nasbench_imc.building.clock_jobs import clock_jobs

    computing.run_parts(clock_jobs(audit.networks(networks), computing.folders), file)


_PAGE = click.option(
    "--page",
    type=click.Path(file_okay=False, path_type=Path),
    default="results/crossbar",
    show_default=True,
    help="Folder of the table and the page.",
)


@build.command("serial-audit")
@_TRAINED
@_NETWORKS
@_PAGE
@_computes
def serial_audit(recipe: str, networks: str, page: Path, computing: _Computing) -> None:
    """Hold the surrogate of bit-serial arrays beside their exact simulation."""
    from nasbench_imc.building import audit
    from nasbench_imc.building.serial_audit import AuditJob, write_audit

    jobs = [AuditJob(code, 0, recipe, computing.folders) for code in audit.networks(networks)]
    _check_trained(jobs, recipe, f"--networks {networks}")
    computing.run(jobs)
    for path in write_audit([job.path for job in jobs], page):
        click.echo(path)


@build.command("weight-noise")
@click.argument("with_noise", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("without_noise", type=click.Path(exists=True, file_okay=False, path_type=Path))
@_PAGE
def weight_noise(with_noise: Path, without_noise: Path, page: Path) -> None:
    """Compare networks trained with weight noise and without it: two folders of evaluations."""
    from nasbench_imc.building.weight_noise import gain, write_page

    for path in write_page(gain(with_noise, without_noise), page):
        click.echo(path)


_SEED = click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
_DATASETS = click.option(
    "--datasets",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default="datasets",
    show_default=True,
    help="Where weights/ and raw/evaluation/ are.",
)


def _results(exists: bool) -> Callable[[Any], Any]:
    return click.option(
        "--results",
        type=click.Path(exists=exists, file_okay=False, path_type=Path),
        default="datasets/raw/training",
        show_default=True,
        help="Folder of results of `train` and `evaluate`.",
    )


def _kept(recipe: str, seed: int, results: Path, datasets: Path) -> tuple[tuple[Path, Path], ...]:
    """Folders of results, each with that of its shards: weights and evaluations."""
    _check_recipe(recipe)
    return (
        (results / recipe / f"seed-{seed}", datasets / "weights"),
        (results / "evaluation" / recipe / f"seed-{seed}", datasets / "raw" / "evaluation"),
    )


@build.command()
@_TRAINED
@_SEED
@_NETWORKS
@_results(exists=True)
@_DATASETS
def shards(recipe: str, seed: int, networks: str, results: Path, datasets: Path) -> None:
    """Keep finished networks, weights and evaluations: 216 a file, and one of what is left."""
    from nasbench_imc.building import audit
    from nasbench_imc.building.shards import keep

    codes = audit.networks(networks)
    for source, out in _kept(recipe, seed, results, datasets):
        for path in keep(source, out, recipe, seed, networks, codes):
            click.echo(f"{path}: {path.stat().st_size:,} bytes")


@build.command()
@_TRAINED
@_SEED
@_results(exists=False)
@_DATASETS
def restore(recipe: str, seed: int, results: Path, datasets: Path) -> None:
    """Unpack shards into the folder of results: `train` and `evaluate` go on from there."""
    from nasbench_imc.building.shards import restore as unpack

    for out, source in _kept(recipe, seed, results, datasets):
        click.echo(f"{out}: {unpack(source, out, recipe, seed)} files from {source}")


def _check_recipe(recipe: str) -> None:
    from nasbench_imc.building.train_jobs import RECIPES

    if recipe not in RECIPES:
        raise unknown("recipe", recipe, RECIPES)


def _check_trained(jobs: Sequence[EvaluateJob | AuditJob], recipe: str, options: str) -> None:
    _check_recipe(recipe)
    missing = [job for job in jobs if not job.path.exists() and not job.trained.is_file()]
    if missing:
        raise BenchmarkError(
            f"{len(missing)} of {len(jobs)} networks are not trained yet, {missing[0].code} among them; "
            f"first run: nasbench-imc build train --recipe {recipe} {options}"
        )


_LOG = click.option(
    "--log",
    type=click.Path(dir_okay=False, path_type=Path),
    default="datasets/raw/training/runs.jsonl.gz",
    show_default=True,
    help="File of all training runs, without weights.",
)


@build.command()
@click.option(
    "--results",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default="datasets/raw/training",
    show_default=True,
    help="Folder of results of `train` and `supernet`.",
)
@_LOG
def gather(results: Path, log: Path) -> None:
    """Add finished training runs to the log, without their weights."""
    from nasbench_imc.building.training_log import merged, read_folder, read_log, write_log

    there = read_log(log) if log.exists() else []
    runs = merged(there, read_folder(results))
    write_log(log, runs)
    click.echo(f"{log}: {len(runs)} runs, {len(runs) - len(there)} of them new")


@build.command()
@_LOG
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="results/protocol",
    show_default=True,
    help="Folder of the page.",
)
def study(log: Path, out: Path) -> None:
    """Compare the training recipes in the log with the reference: tables, figures and a page."""
    from nasbench_imc.building import study as comparing
    from nasbench_imc.building.audit import networks
    from nasbench_imc.building.study_page import write_page
    from nasbench_imc.building.training_log import read_log

    runs, chosen_by = read_log(log), networks("study")
    others = [code for code in networks("audit") if code not in chosen_by]
    trained = any(run.recipe == comparing.REFERENCE and run.code in others for run in runs)
    unseen = comparing.study(runs, others) if trained else None
    for path in write_page(comparing.study(runs, chosen_by), out, unseen):
        click.echo(path)


@build.command()
@click.option("--table", default="hybrid", show_default=True, help="A table of measured accuracies.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="results/hybrid",
    show_default=True,
    help="Folder of the page.",
)
def facts(table: str, out: Path) -> None:
    """Say what a table holds: six questions answered by tables, figures and a page."""
    from nasbench_imc.building import facts as asking
    from nasbench_imc.building.facts_page import write_page
    from nasbench_imc.tables import load

    for path in write_page(asking.facts(load(table)), out):
        click.echo(path)


@build.command()
def calibration() -> None:
    """Fit the calibrated constants to the calibration half of the published macros, and print them."""
    from nasbench_imc.building.calibration import calibrate
    from nasbench_imc.hardware.macros import shipped_macros

    fit = calibrate(shipped_macros())
    for name, value in fit.values.items():
        click.echo(f"{name} {value:g}")
    click.echo(f"median factor over {fit.chips} chips: {fit.before:.2f} without, {fit.after:.2f} with them")


@build.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="results/validation",
    show_default=True,
    help="Folder of the page.",
)
def validation(out: Path) -> None:
    """Compare the cost model with published macros and its rankings with others: figures and a page."""
    from nasbench_imc.building import validation_page as page

    for path in page.write_page(page.validation(log=click.echo), out):
        click.echo(path)


def _repository() -> Path:
    repository = _PACKAGE.parents[1]
    if not (repository / "pyproject.toml").is_file():
        raise BenchmarkError("tables are built in a checkout of the repository: pip install -e '.[build]'")
    return repository
