"""Runs on the workers of a Dask scheduler: the same logs as here, whatever dies in between."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

import nasbench_imc as nbi
from nasbench_imc import cluster
from nasbench_imc.runs import find_method, read_logs, run_all, runner
from nasbench_imc.runs.methods import Method
from nasbench_imc.tables import files

pytest.importorskip("distributed")

FILE = Path(__file__).with_name("searchers.py")
COMMAND = Path(sys.executable).with_name("nasbench-imc")
TASK = nbi.task("nb201/sram-digital/S-accuracy")
PATIENCE = 60  # for what must come, however busy the machine [s]


class External:
    """A scheduler and its workers, each a process, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._start("dask_scheduler", "--port", "0", "--no-dashboard")
        until(lambda: self.file.exists() and self.file.read_text().endswith("}"), "the scheduler's file")
        self.address: str = json.loads(self.file.read_text())["address"]

    def add_worker(self, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker of one thread, and wait until the scheduler has it."""
        count = self.workers()
        options = ("--nthreads", "1", "--no-dashboard", *options)
        worker = self._start("dask_worker", *options, **environment)
        until(lambda: self.workers() == count + 1, "a worker")
        return worker

    def workers(self) -> int:
        from distributed import Client

        with Client(self.address) as client:
            return len(client.nthreads())

    def _start(self, program: str, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", "--scheduler-file", str(self.file)]
        process = subprocess.Popen(
            [*command, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.file.parent,
            env={**os.environ, **environment},
        )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in self.processes:
            for child in psutil.Process(process.pid).children(recursive=True) if running(process) else []:
                child.kill()
            process.kill()
            process.wait()


def running(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.05)


def runners_of(worker: subprocess.Popen[bytes]) -> list[int]:
    """Processes below a worker that make runs."""
    found = []
    for process in psutil.Process(worker.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            if "runs.runner" in " ".join(process.cmdline()):
                found.append(process.pid)
    return found


@pytest.fixture
def external(tmp_path_factory: pytest.TempPathFactory) -> Iterator[External]:
    made = External(tmp_path_factory.mktemp("cluster"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[External]:
    """One cluster for the tests that leave it whole; its worker is below a nanny, as by default."""
    made = External(tmp_path_factory.mktemp("cluster"))
    made.add_worker("--nanny")
    yield made
    made.stop()


def searcher(name: str) -> Method:
    return find_method(f"{FILE}:{name}")


def unpacked(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All logs below a folder, without what was measured."""
    found = {}
    for path in folder.rglob("*.gz"):
        lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
        lines[-1].pop("seconds")
        found[str(path.relative_to(folder))] = lines
    return found


def test_same_logs_as_here(shared: External, tmp_path: Path) -> None:
    """Tracebacks, and what depends on hashes, included."""
    methods = [
        find_method("random_search"),
        *map(searcher, ("relies_on_hidden_state", "raises", "leaves")),
    ]
    tasks = [TASK, nbi.task("nb201/pcm-1d/M-energy")]
    here = run_all(methods, tasks, [0], tmp_path / "here", progress=False)
    there = run_all(methods, tasks, [0], tmp_path / "there", scheduler=shared.address, progress=False)
    assert (there.done, there.troubled, there.short) == (here.done, here.troubled, here.short)
    assert len(unpacked(tmp_path / "there")) == 8
    assert unpacked(tmp_path / "there") == unpacked(tmp_path / "here")
    assert runners_of(shared.processes[1]) == []


def test_time_limit_and_a_searcher_that_ignores_it(
    shared: External, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = [*map(searcher, ("sleeps", "kills_itself", "leaves_quietly", "returns"))]
    report = run_all(methods, [TASK], [0], tmp_path, scheduler=shared.address, timeout=1.0, progress=False)
    ends = {log.method.removeprefix("searchers."): (log.end, log.error) for log in read_logs(tmp_path)}
    assert ends == {
        "sleeps": ("timeout", "stopped after 1 s"),
        "kills_itself": ("failed", "the run's process died (SIGKILL)"),
        "leaves_quietly": ("failed", "the run's process died (exit code 0)"),
        "returns": ("finished", ""),
    }
    assert report.done == 1
    assert shared.workers() == 1


def test_a_file_that_no_worker_has(shared: External) -> None:
    from distributed import Client

    from nasbench_imc.runs.cluster import make_on_cluster

    code = b"def search(session, rng):\n    session.query(session.task.domain.random(rng))\n    1 / 0\n"
    method = Method("mine", "/nowhere/mine.py:search")
    sent = runner.Sent(method, code, runner.sha256(code).hexdigest())
    order = runner.Order(sent, runner.Posed.of(TASK), 0, 60.0)
    with Client(shared.address) as client:
        ((key, made),) = make_on_cluster(client, {"one": order}, "test")
    assert (key, made.end, made.charged) == ("one", "failed", 1)
    assert 'File "/nowhere/mine.py", line 3, in search\n    1 / 0\n' in made.error


def test_a_module_that_no_worker_has(
    shared: External, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def search(session, rng):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    method = find_method("only_here:search")
    out = tmp_path / "out"
    with pytest.raises(
        nbi.BenchmarkError, match=r"worker tcp://\S+ cannot make runs: .* no only_here:search"
    ):
        run_all([method], [TASK], [0], out, scheduler=shared.address, progress=False)
    assert not list(out.rglob("*.gz"))


def test_another_version_of_the_package(
    shared: External, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nasbench_imc.runs import cluster as runs_cluster

    monkeypatch.setattr(runs_cluster, "__version__", "0.0.7")
    with pytest.raises(nbi.BenchmarkError, match=f"it has nasbench-imc {nbi.__version__}, not 0.0.7"):
        run_all([searcher("returns")], [TASK], [0], tmp_path, scheduler=shared.address, progress=False)


def test_a_killed_command_is_resumed(shared: External, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [COMMAND, "run", "--methods", f"{FILE}:slow", "--task", TASK.name, "--seeds", "16"]
    command += ["--quiet", "--out", out, "--scheduler", shared.address]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    until(lambda: len(list(out.rglob("*.jsonl.gz"))) >= 3 or not running(first), "three logs")
    first.kill()
    first.communicate()
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("*.jsonl.gz")}
    assert 3 <= len(kept) < 16
    second = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert second.returncode == 0, second.stderr
    assert f"{16 - len(kept)} runs made, {len(kept)} were there, 0 in trouble" in second.stdout
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert sorted(log.seed for log in read_logs(out)) == list(range(16))
    assert runners_of(shared.processes[1]) == []  # those of the killed command neither


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_ends_in_the_middle(external: External, tmp_path: Path, number: signal.Signals) -> None:
    """The other one makes its runs again; nobody takes them for the searcher's failure."""
    first, _ = external.add_worker("--no-nanny"), external.add_worker("--no-nanny")
    methods, out = [searcher("slow"), searcher("dawdles")], tmp_path / "there"
    lost: list[int] = []

    def end_one() -> None:
        until(lambda: len(list(out.rglob("*.gz"))) >= 4 and bool(runners_of(first)), "four logs")
        lost.extend(runners_of(first))
        first.send_signal(number)

    thread = threading.Thread(target=end_one)
    thread.start()
    report = run_all(methods, [TASK], range(5), out, scheduler=external.address, progress=False)
    thread.join()
    first.wait(PATIENCE)
    assert (report.done, report.troubled) == (10, ())
    run_all(methods, [TASK], range(5), tmp_path / "here", jobs=2, progress=False)
    assert unpacked(out) == unpacked(tmp_path / "here")
    until(lambda: not any(map(psutil.pid_exists, lost)), "its processes end with it")


def test_a_worker_with_another_table(external: External, tmp_path: Path) -> None:
    table = files.find("nb201").path
    other = tmp_path / "tables" / table.name
    other.parent.mkdir()
    shutil.copy(table, other)
    with other.open("ab") as file:
        file.write(b"\0")
    external.add_worker("--no-nanny", NASBENCH_IMC_DATA=str(other.parent))
    methods = [searcher("returns")]
    with pytest.raises(
        nbi.BenchmarkError, match=r"worker tcp://\S+ cannot make runs: .* another table 'nb201'"
    ):
        run_all(methods, [TASK], [0], tmp_path / "out", scheduler=external.address, progress=False)


def test_a_worker_that_joins_late_and_is_unfit(external: External, tmp_path: Path) -> None:
    """One clear error; the logs made so far stay."""
    (tmp_path / "empty").mkdir()
    external.add_worker("--no-nanny")
    methods, out = [searcher("slow")], tmp_path / "out"

    def join() -> None:
        until(lambda: len(list(out.rglob("*.gz"))) >= 2, "two logs")
        external.add_worker("--no-nanny", NASBENCH_IMC_DATA=str(tmp_path / "empty"))

    thread = threading.Thread(target=join)
    thread.start()
    with pytest.raises(
        nbi.BenchmarkError, match=r"worker tcp://\S+ cannot make runs: .*there is no .*nb201.h5"
    ):
        run_all(methods, [TASK], range(300), out, scheduler=external.address, progress=False)
    thread.join()
    assert len(list(read_logs(out))) >= 2


def test_a_lost_scheduler(external: External, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 5)
    external.add_worker("--no-nanny")

    def end() -> None:
        until(lambda: len(list(tmp_path.rglob("*.gz"))) >= 2, "two logs")
        external.stop()

    thread = threading.Thread(target=end)
    thread.start()
    with pytest.raises(nbi.BenchmarkError, match="scheduler was lost; run the command again to go on"):
        run_all([searcher("slow")], [TASK], range(99), tmp_path, scheduler=external.address, progress=False)
    thread.join()
    assert 2 <= len(list(read_logs(tmp_path))) < 99


def test_a_run_on_a_worker_that_is_going_is_made_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import Reschedule

    from nasbench_imc.runs import cluster as runs_cluster

    maker = runs_cluster._Maker([runner.Sent.of(searcher("sleeps"))], [runner.Posed.of(TASK)])
    maker.runners = runner.Runners(1)
    monkeypatch.setattr(runs_cluster, "get_worker", lambda: SimpleNamespace(plugins={"x": maker}, address=""))

    def close() -> None:
        until(lambda: any("runs.runner" in " ".join(p.cmdline()) for p in here.children()), "a run")
        maker.runners.close()

    here, thread = psutil.Process(), threading.Thread(target=close)
    thread.start()
    for _ in range(2):  # while it is made, and afterwards
        with pytest.raises(Reschedule):
            runs_cluster._make((0, 0, 0, 600.0), maker="x")
    thread.join()


def test_no_workers(external: External, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    with pytest.raises(nbi.BenchmarkError, match="has no workers"):
        run_all([searcher("returns")], [TASK], [0], tmp_path, scheduler=external.address, progress=False)


def test_no_scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(nbi.BenchmarkError, match="no Dask scheduler answers"):
            run_all([searcher("returns")], [TASK], [0], tmp_path, scheduler=address, progress=False)


def test_no_dask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(nbi.BenchmarkError, match=r'pip install "nasbench-imc\[cluster\]"'):
        run_all([searcher("returns")], [TASK], [0], tmp_path, scheduler="tcp://127.0.0.1:1", progress=False)
