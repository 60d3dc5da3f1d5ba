"""What goes wrong on a cluster: killed runs, dying workers, full disks, absent schedulers."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("distributed")

from nasbench_imc import cluster
from nasbench_imc.building import jobs as running
from nasbench_imc.building.jobs import ENVIRONMENT, run_jobs
from nasbench_imc.errors import BenchmarkError
from nasbench_imc.progress import remaining

HERE = Path(__file__).parent
PATIENCE = 60  # for what must come, however busy the machine [s]


@pytest.fixture(scope="module")
def Faulty():
    """The class, from a module that workers can import."""
    paths, sys.path = sys.path, [str(HERE), *sys.path]
    try:
        import faulty_jobs
    finally:
        sys.path = paths
    return faulty_jobs.Faulty


@pytest.fixture
def importable(monkeypatch):
    """Workers find the jobs' module; afterwards the variables that Dask sets here are gone."""
    monkeypatch.syspath_prepend(HERE)
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def start(workers: int, jobs, **options) -> subprocess.Popen:
    """Run jobs in a process group of their own."""
    arguments = [f"{job.kind}:{job.number}:{job.folder}" for job in jobs]
    return subprocess.Popen(
        [sys.executable, str(HERE / "faulty_jobs.py"), str(workers), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])},
        **options,
    )


def until(condition, what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def workers_of(folder: Path, count: int) -> list[int]:
    """Processes in which patient jobs wait."""

    def pids() -> list[int]:
        return [int(text) for path in folder.glob("*.pid") if (text := path.read_text())]

    until(lambda: len(pids()) == count, f"{count} patient jobs")
    return pids()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# Dask hands out all jobs at once where they are at most two a worker.
@pytest.mark.parametrize(("workers", "count"), [(1, 3), (2, 1)])
def test_what_kills_its_worker_or_raises_costs_no_other_job(
    Faulty, importable, tmp_path, capfd, workers, count
):
    good = [Faulty("good", number, tmp_path) for number in range(count)]
    bad = [Faulty("killer", 1, tmp_path), Faulty("raising", 13, tmp_path)]
    once = Faulty("once", 7, tmp_path)
    failed = dict(run_jobs([*bad, once, *good], workers=workers))
    assert set(failed) == set(bad)
    assert "worker died" in failed[bad[0]]
    assert failed[bad[1]] == "ValueError: 13 has no square here"
    # What a killed job leaves is taken away by its next run, so that of the killer's last run remains.
    leftovers = {name for name in names(tmp_path) if name.endswith(".tmp")}
    assert len(leftovers) == 1
    assert leftovers.pop().startswith(".killer-1.txt.")
    assert {path.name for path in tmp_path.glob("*.txt")} == {job.path.name for job in [*good, once]}
    assert once.path.read_text() == "49"
    # Named when they fail, with the whole path in one line.
    lines = capfd.readouterr().err.splitlines()
    for job in bad:
        assert any(line.startswith(f"failed: {job.path}: ") for line in lines)


def test_no_cluster_is_closed_while_it_replaces_a_worker(Faulty, importable, tmp_path, monkeypatch):
    # Dask now and then fails when it stops a process that it has not started yet.
    from distributed import LocalCluster

    workers = []
    leave = LocalCluster.__exit__

    def recorded(cluster, *error):
        workers.append(len(cluster.scheduler.workers))
        leave(cluster, *error)

    monkeypatch.setattr(LocalCluster, "__exit__", recorded)
    killer = Faulty("killer", 1, tmp_path)
    assert [job for job, _ in run_jobs([killer], workers=1)] == [killer]
    assert workers == [1]


def test_a_run_killed_in_the_middle_goes_on_and_leaves_what_is_finished_alone(Faulty, importable, tmp_path):
    good = [Faulty("good", number, tmp_path) for number in range(3)]
    late = [Faulty("patient", number, tmp_path) for number in range(4)]
    run = start(2, [*good, *late])
    pids = workers_of(tmp_path, 2)
    done = [job for job in good if job.path.exists()]
    before = {job: (job.path.stat().st_mtime_ns, job.path.stat().st_ino) for job in done}
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    until(lambda: not any(map(alive, pids)), "workers end with the process that started them")
    assert not any(job.path.exists() for job in late)
    (tmp_path / "go").touch()
    assert run_jobs([*good, *late], workers=1) == []
    assert [job.path.read_text() for job in good] == ["0", "1", "4"]
    assert [job.path.read_text() for job in late] == ["0", "1", "4", "9"]
    assert {job: (job.path.stat().st_mtime_ns, job.path.stat().st_ino) for job in done} == before


@pytest.mark.parametrize(("number", "group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_a_run_that_is_told_to_stop_takes_its_workers_along(Faulty, tmp_path, number, group):
    run = start(2, [Faulty("patient", k, tmp_path) for k in range(4)])
    pids = workers_of(tmp_path, 2)
    if group:  # as the terminal does
        os.killpg(run.pid, number)
    else:
        os.kill(run.pid, number)
    _, errors = run.communicate(timeout=PATIENCE)
    assert run.returncode == (-number if number == signal.SIGINT else 128 + number), errors
    until(lambda: not any(map(alive, pids)), "workers end")
    assert not list(tmp_path.glob("*.txt"))
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_leaves_nothing_half_written(Faulty, importable, tmp_path):
    """The system refuses to let files grow, as on a full disk."""
    jobs = [Faulty("large", 1, tmp_path), Faulty("good", 2, tmp_path)]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))

    run = start(1, jobs, preexec_fn=limit)
    output, errors = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, errors
    assert output == "large-1.txt: OSError: [Errno 27] File too large\n"
    assert names(tmp_path) == {"good-2.txt"}
    assert run_jobs(jobs, workers=1) == []
    assert jobs[0].path.stat().st_size == 300_000


class External:
    """A scheduler and its workers, each a process."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self.processes: list[subprocess.Popen] = []
        self._start("dask_scheduler", "--port", "0", "--no-dashboard", environment={})
        until(self.file.exists, "the scheduler's file")

    @property
    def address(self) -> str:
        return json.loads(self.file.read_text())["address"]

    def add_worker(self, environment: dict[str, str]) -> subprocess.Popen:
        return self._start(
            "dask_worker", "--nthreads", "1", "--no-nanny", "--no-dashboard", environment=environment
        )

    def _start(self, program: str, *options: str, environment: dict[str, str]) -> subprocess.Popen:
        clean = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                f"distributed.cli.{program}",
                "--scheduler-file",
                str(self.file),
                *options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.file.parent,
            env={**clean, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]), **environment},
        )
        self.processes.append(process)
        return process

    def wait_for(self, count: int) -> None:
        from distributed import Client

        with Client(self.address) as client:
            client.wait_for_workers(count, timeout=PATIENCE)

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


@pytest.fixture
def external(tmp_path_factory):
    cluster = External(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.stop()


def test_a_scheduler_elsewhere_serves_if_its_workers_are_set_up(Faulty, external, tmp_path, monkeypatch):
    jobs = [Faulty("where", number, tmp_path) for number in range(12)]
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    with pytest.raises(BenchmarkError, match="has no workers"):
        run_jobs(jobs, scheduler=external.address)
    first, second = (external.add_worker(ENVIRONMENT) for _ in range(2))
    external.wait_for(2)
    assert run_jobs(jobs, scheduler=external.address) == []
    assert {int(job.path.read_text()) for job in jobs} == {first.pid, second.pid}

    external.add_worker({**ENVIRONMENT, "OMP_NUM_THREADS": "2"})
    external.wait_for(3)
    more = [Faulty("good", 1, tmp_path)]
    with pytest.raises(BenchmarkError, match=r"worker tcp://\S+ .* start it with OMP_NUM_THREADS=1$"):
        run_jobs(more, scheduler=external.address)
    assert not more[0].path.exists()


def test_a_scheduler_that_is_lost_ends_the_run_with_an_error(Faulty, external, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 5)
    external.add_worker(ENVIRONMENT)
    external.wait_for(1)
    jobs = [Faulty("patient", number, tmp_path) for number in range(3)]

    def end() -> None:
        workers_of(tmp_path, 1)
        external.stop()

    thread = threading.Thread(target=end)
    thread.start()
    with pytest.raises(BenchmarkError, match="scheduler was lost"):
        run_jobs(jobs, scheduler=external.address)
    thread.join()


def test_a_result_lost_with_its_worker_is_worked_out_again(Faulty, external, tmp_path):
    # The moment between a job's end and the look at its result, held open: the worker dies in it.
    from distributed import Client

    worker = external.add_worker(ENVIRONMENT)
    jobs = [Faulty("good", 1, tmp_path), Faulty("good", 2, tmp_path), Faulty("patient", 3, tmp_path)]
    with Client(external.address) as client:
        work = running._ended(client, jobs)
        first = next(work)
        workers_of(tmp_path, 1)
        until(lambda: states(client).count("finished") == 2, "the second job is known to have ended")
        worker.kill()
        until(lambda: states(client).count("lost") == 2, "the results are known to be lost")
        (tmp_path / "go").touch()
        external.add_worker(ENVIRONMENT)
        rest = list(work)
    assert {job for job, error in [first, *rest] if error is None} == set(jobs)
    assert len(rest) == 2


def states(client) -> list[str]:
    return [state.status for state in client.futures.values()]


def test_a_job_refuses_a_worker_that_joined_without_the_environment(Faulty, tmp_path, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ATEN_CPU_CAPABILITY")
    job = Faulty("good", 2, tmp_path)
    with pytest.raises(BenchmarkError, match=r"started without ATEN_CPU_CAPABILITY=avx2$"):
        running._run(job)
    assert not job.path.exists()
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    running._run(job)
    assert job.path.read_text() == "4"


@pytest.mark.parametrize("kind", ["closed port", "no address", "port too large", "unknown protocol"])
def test_a_scheduler_that_does_not_answer_is_one_clear_error(Faulty, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        address = {
            "closed port": f"tcp://127.0.0.1:{taken.getsockname()[1]}",
            "no address": "nonsense",
            "port too large": "tcp://127.0.0.1:99999",
            "unknown protocol": "carrier-pigeon://127.0.0.1:80",
        }[kind]
        start = time.monotonic()
        with pytest.raises(BenchmarkError, match="no Dask scheduler answers at") as caught:
            run_jobs([Faulty("good", 1, tmp_path)], scheduler=address)
    assert address in str(caught.value)
    assert time.monotonic() - start < 20


def test_nothing_is_started_where_nothing_waits(Faulty, tmp_path):
    job = Faulty("good", 1, tmp_path)
    job.path.write_text("1")
    assert run_jobs([job], scheduler="tcp://127.0.0.1:1") == []


@pytest.mark.parametrize("workers", [1, 4, 32])
def test_the_remaining_time_is_near_however_jobs_differ(workers):
    """Simulated runs of jobs whose lengths differ tenfold, as those of the space do."""
    ratios = []
    for seed in range(50):
        lengths = np.random.default_rng(seed).uniform(20, 200, size=400)
        free, ends = np.zeros(workers), []
        for length in lengths:
            first = int(np.argmin(free))
            free[first] += length
            ends.append(free[first])
        ends = np.sort(ends)
        for done in (4 * workers, 200):
            now = ends[done - 1]
            ratios.append(remaining(now, done, 400 - done, workers) / (ends[-1] - now))
    assert np.percentile(ratios, [5, 95]) == pytest.approx([1, 1], abs=0.6 if workers == 1 else 0.3)
    assert np.mean(ratios) == pytest.approx(1, abs=0.2)  # many workers wait for the last job


def test_the_remaining_time_of_the_last_job_is_nothing():
    assert remaining(100.0, 5, 0, 8) == 0
    assert remaining(100.0, 1, 1, 2) == pytest.approx(100 / 3)
