"""Many independent jobs on Dask, each leaving one file: the jobs whose file is there are skipped.

A job writes its file whole or not at all, so a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

#: Fixed before torch is imported, so that results do not depend on the processor's newest instructions
#: or on how many cores are free. Fewer instructions cost 0 to 9 % of the speed here. Freed memory is kept
#: (up to 8 GiB, blocks up to 32 MiB), since page faults took up to 15 % of a training step.
ENVIRONMENT = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**25),  # the most that glibc takes
    "MALLOC_TRIM_THRESHOLD_": str(2**33),
}


class Job(Protocol):
    """A unit of work that can be sent to another process."""

    @property
    def path(self) -> Path:
        """The file that the job leaves."""

    def run(self) -> None:
        """Do the work and write :attr:`path`, whole or not at all."""


def run_jobs(jobs: Sequence[Job], *, workers: int = 1, scheduler: str | None = None) -> list[tuple[Job, str]]:
    """Run the jobs whose file is missing.

    Parameters
    ----------
    jobs : sequence of Job
    workers : int
        Processes of the local cluster, one thread each.
    scheduler : str, optional
        Address of a Dask scheduler to use in its place. Its workers must see the same files and have
        :data:`ENVIRONMENT` set.

    Returns
    -------
    list of (Job, str)
        The jobs that failed, each with its error; the others are done.
    """
    from distributed import as_completed

    waiting = [job for job in jobs if not job.path.exists()]
    failed: list[tuple[Job, str]] = []
    with _client(workers, scheduler) as client, _bar() as bar:
        row = bar.add_task("jobs", total=len(jobs), completed=len(jobs) - len(waiting))
        futures = {client.submit(_run, job, pure=False, retries=2): job for job in waiting}
        for future in as_completed(list(futures)):
            if future.status != "finished":
                failed.append((futures[future], repr(future.exception())))
            bar.advance(row)
            future.release()
    return failed


def _run(job: Job) -> None:
    if not job.path.exists():
        job.run()


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster

    if scheduler is not None:
        with Client(scheduler) as client:
            yield client
        return
    # Dask would have its workers give freed memory back at once (MALLOC_TRIM_THRESHOLD_): training took
    # 2.2 times as long.
    environment = {"distributed.nanny.pre-spawn-environ": ENVIRONMENT}
    os.environ.update(ENVIRONMENT)  # inherited by the workers
    with (
        dask.config.set(environment),
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=":0", memory_limit=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
