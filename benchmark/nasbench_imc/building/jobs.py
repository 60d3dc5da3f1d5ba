"""Many independent jobs on Dask, each leaving one file: the jobs whose file is there are skipped.

A job writes its file whole or not at all, so a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from nasbench_imc.cluster import connected, ended, slots
from nasbench_imc.errors import BenchmarkError
from nasbench_imc.files import remove_leftovers
from nasbench_imc.progress import JobsBar

#: Fixed before torch is imported, so that results do not depend on the processor's newest instructions
#: or on how many cores are free. Fewer instructions cost 0 to 9 % of the speed here. Freed memory is kept
#: (up to 8 GiB, blocks up to 32 MiB), since page faults took up to 15 % of a training step. cuBLAS wants its
#: work space named for equal results.
ENVIRONMENT = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**25),  # the most that glibc takes
    "MALLOC_TRIM_THRESHOLD_": str(2**33),
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}

#: How long a dead worker's successor may take to start [s].
_PATIENCE = 60


class Job(Protocol):
    """A unit of work that can be sent to another process."""

    @property
    def path(self) -> Path:
        """The file that the job leaves."""

    def run(self) -> None:
        """Do the work and write :attr:`path`, whole or not at all."""


def run_jobs(jobs: Sequence[Job], *, workers: int = 1, scheduler: str | None = None) -> list[tuple[Job, str]]:
    """Run the jobs whose file is missing; a job that fails is named on stderr at once.

    A job whose worker died is tried again by Dask. A worker that dies takes the jobs beside it along, so one
    that was there each time is tried once more alone before it counts as failed. SIGTERM stops the run as
    Ctrl-C does.

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

    Raises
    ------
    BenchmarkError
        Where the scheduler does not answer or is lost, or its workers are none or not set up.
    """
    from distributed.scheduler import KilledWorker

    waiting = [job for job in jobs if not job.path.exists()]
    random.Random(0).shuffle(waiting)  # so that the first to finish tell how long the others take
    failed: list[tuple[Job, str]] = []
    suspects: list[Job] = []
    if not waiting:
        return failed
    with (
        _stopped_by_sigterm(),
        _client(workers, scheduler) as client,
        JobsBar("jobs", len(jobs), len(waiting), lambda: slots(client)) as bar,
    ):

        def settle(job: Job, error: str) -> None:
            bar.advance()
            if error:
                failed.append((job, error))
                bar.say(f"failed: {job.path}: {error}")

        for job, error in _ended(client, waiting):
            if isinstance(error, KilledWorker):
                suspects.append(job)
                bar.say(f"workers died at {job.path}; it is tried again at the end, alone")
            else:
                settle(job, _text(error))
        for suspect in suspects:
            for job, error in _ended(client, [suspect]):
                died = isinstance(error, KilledWorker)
                settle(job, "its worker died each time (killed, or out of memory?)" if died else _text(error))
    return failed


def missing_environment() -> dict[str, str]:
    """What of :data:`ENVIRONMENT` this process was not started with."""
    return {name: value for name, value in ENVIRONMENT.items() if os.environ.get(name) != value}


def _ended(client: Any, jobs: Sequence[Job]) -> Iterator[tuple[Job, BaseException | None]]:
    """Run jobs; each as it ends, with its error."""
    for job, future in ended(client.map(_run, jobs, pure=False), jobs):
        yield job, future.exception()


def _run(job: Job) -> None:
    lacking = missing_environment()
    if lacking:
        raise BenchmarkError(f"this worker was started without {_assignments(lacking)}")
    if not job.path.exists():
        remove_leftovers(job.path)
        job.run()


def _text(error: BaseException | None) -> str:
    return "" if error is None else f"{type(error).__name__}: {error}"


def _assignments(variables: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in variables.items())


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster

    if scheduler is not None:
        with _connected(scheduler) as client:
            yield client
        return
    settings = {
        # Dask would have its workers give freed memory back at once (MALLOC_TRIM_THRESHOLD_): training took
        # 2.2 times as long.
        "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
        "distributed.scheduler.worker-saturation": 1.0,  # no job waits at a worker that may die
        "distributed.scheduler.allowed-failures": 1,
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=":0", memory_limit=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
        # Closed while it replaces a dead worker, a cluster raises now and then: no process to join yet.
        with suppress(TimeoutError):
            client.wait_for_workers(workers, timeout=_PATIENCE)


@contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    """A client of a scheduler that answers and whose workers can run jobs."""
    with connected(scheduler) as client:
        for address, lacking in client.run(missing_environment, on_error="return").items():
            if isinstance(lacking, BaseException):
                raise BenchmarkError(f"the worker {address} cannot run jobs: {_text(lacking)}") from lacking
            if lacking:
                raise BenchmarkError(
                    f"the worker {address} was started without variables that results depend on; start it "
                    f"with {_assignments(lacking)}"
                )
        yield client


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM raises SystemExit in the block, so that workers are stopped; in the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
