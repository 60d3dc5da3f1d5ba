"""Many runs: none is lost to another, to a killed command or to a full disk."""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

import nasbench_imc as nbi
from nasbench_imc.runs import Method, find_method, read_log, read_logs, run_all, runner
from nasbench_imc.runs.log import log_path, write_log

FILE = Path(__file__).with_name("searchers.py")
COMMAND = Path(sys.executable).with_name("nasbench-imc")
TASK = nbi.task("nb201/sram-digital/S-accuracy")


def searcher(name: str) -> Method:
    return find_method(f"{FILE}:{name}")


def made_logs(folder: Path) -> dict[str, Any]:
    return {f"{log.task}/{log.method}/{log.seed}": log for log in read_logs(folder)}


def unpacked(path: Path) -> list[dict[str, Any]]:
    """A log's lines without what was measured."""
    found = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    found[-1].pop("seconds")
    return found


ENDING = {
    "raises": ("failed", "RuntimeError: on purpose"),
    "raises_an_error_that_cannot_be_pickled": ("failed", "Local"),
    "exits": ("failed", "SystemExit"),
    "leaves": ("failed", "the run's process died"),
    "kills_itself": ("failed", "the run's process died"),
    "terminates_itself": ("failed", "the run's process died"),
    "repeats": ("proposals", ""),
    "returns": ("finished", ""),
    "asks_for_nan": ("failed", "expected a Design"),
}
ENDLESS = {
    "loops": ("timeout", "stopped after 1 s"),
    "swallows": ("timeout", "stopped after 1 s"),
    "swallows_everything": ("timeout", "ended from outside after 2.5 s"),
    "sleeps": ("timeout", "stopped after 1 s"),
    "waits_for_a_lock": ("timeout", "stopped after 1 s"),
}


@pytest.mark.parametrize(("expected", "timeout"), [(ENDING, 60.0), (ENDLESS, 1.0)], ids=["ending", "endless"])
def test_hostile_searchers_cost_no_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: dict[str, tuple[str, str]], timeout: float
) -> None:
    """The runs before and after them, in the same processes, are made as ever."""
    monkeypatch.setattr(runner, "GRACE", 1.5)
    methods = [searcher("returns_early"), *map(searcher, expected), searcher("returns_late")]
    report = run_all(methods, [TASK], [0], tmp_path, jobs=2, timeout=timeout, progress=False)
    logs = {log.method.removeprefix("searchers."): log for log in read_logs(tmp_path)}
    assert {log.task_sha256 for log in logs.values()} == {TASK.sha256}  # of lost runs too
    assert set(logs) == {*expected, "returns_early", "returns_late"}
    for name, (end, error) in expected.items():
        assert (name, logs[name].end) == (name, end)
        assert error in logs[name].error
    assert logs["returns_early"].end == logs["returns_late"].end == "finished"
    troubled = {name for name, (end, _) in expected.items() if end in ("failed", "timeout")}
    assert {outcome.job.method.name.removeprefix("searchers.") for outcome in report.troubled} == troubled
    assert (report.done, report.skipped) == (len(methods) - len(troubled), 0)
    again = run_all(methods, [TASK], [0], tmp_path, jobs=2, timeout=timeout, progress=False)
    assert (again.done, again.skipped) == (0, len(methods))
    assert {o.job.method.name for o in again.troubled} == {o.job.method.name for o in report.troubled}


def test_process_that_leaves_without_an_error_is_noticed_at_once(tmp_path: Path) -> None:
    methods = [searcher("leaves_quietly"), searcher("returns")]
    start = time.monotonic()
    report = run_all(methods, [TASK], range(2), tmp_path, timeout=600.0, progress=False)
    assert time.monotonic() - start < 60
    assert report.done == 2
    died = ("failed", "the run's process died (exit code 0)")
    assert [(outcome.end, outcome.error) for outcome in report.troubled] == [died] * 2
    assert len(made_logs(tmp_path)) == 4


def test_what_a_run_leaves_behind_does_not_reach_the_next(tmp_path: Path) -> None:
    methods = [searcher("leaves_a_thread"), searcher("slow")]
    report = run_all(methods, [TASK], range(6), tmp_path, progress=False)
    assert (report.done, report.troubled) == (12, ())


def test_a_run_knows_nothing_of_those_before_it(tmp_path: Path) -> None:
    methods = [searcher("remembers"), searcher("breaks_sessions"), searcher("slow")]
    report = run_all(methods, [TASK], range(3), tmp_path, progress=False)
    assert (report.done, report.troubled) == (9, ())
    assert {log.charged for log in read_logs(tmp_path) if log.method != "searchers.breaks_sessions"} == {1}


def test_a_searcher_that_starts_threads_when_it_is_imported(tmp_path: Path) -> None:
    """Which a forked process would lack: its runs have a fresh one each."""
    path = tmp_path / "threads.py"
    path.write_text(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
        "POOL = ThreadPoolExecutor(1)\nPOOL.submit(int).result()\nSEEN = []\n"
        "def search(session, rng):\n"
        "    SEEN.append(POOL.submit(session.task.domain.random, rng).result())\n"
        "    for design in SEEN:\n        session.query(design)\n"
    )
    methods = [find_method(f"{path}:search"), searcher("slow")]
    report = run_all(methods, [TASK], range(3), tmp_path / "out", timeout=30.0, progress=False)
    assert (report.done, report.troubled) == (6, ())
    assert {log.charged for log in read_logs(tmp_path / "out")} == {1}


def test_a_process_that_ended_between_two_runs_is_not_the_next_ones_fault() -> None:
    runners = runner.Runners(1)
    method = searcher("returns")
    order = runner.Order(runner.Sent.of(method), runner.Posed.of(TASK), 0, 60.0)
    assert runners.make(order).end == "finished"
    (child,) = (p for p in psutil.Process().children() if "runs.runner" in " ".join(p.cmdline()))
    child.kill()
    child.wait()
    assert runners.make(order).end == "finished"
    runners.close()


def test_what_runs_print_is_printed_once(tmp_path: Path) -> None:
    path = tmp_path / "talks.py"
    path.write_text("print('imported')\ndef search(session, rng):\n    print('run', session.seed)\n")
    command = [COMMAND, "run", "--methods", f"{path}:search", "--task", TASK.name, "--seeds", "5"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [*command, "--jobs", "1", "--quiet", "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    said = done.stdout.splitlines()
    assert [said.count(f"run {seed}") for seed in range(5)] == [1] * 5
    assert (
        said.count("imported") <= 4
    )  # thrice in the command, which asks what it is for, once in its process


def test_torch_draws_anew_in_each_run(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "draws.py"
    path.write_text("import torch\n" + FILE.read_text().replace("from __future__ import annotations\n", ""))
    method = find_method(f"{path}:uses_torch")
    run_all([method], [TASK], range(3), tmp_path / "out", progress=False)
    assert len({str(log.events) for log in read_logs(tmp_path / "out")}) == 3


def test_a_lost_run_took_the_time_that_it_took(tmp_path: Path) -> None:
    """Not its time limit: the median of these is shown as a method's overhead."""
    run_all([searcher("leaves")], [TASK], [0], tmp_path, timeout=500.0, progress=False)
    (log,) = read_logs(tmp_path)
    assert (log.end, log.charged) == ("failed", 0)
    assert 0 < log.seconds < 60


def test_a_run_that_met_the_end_of_its_clock_is_not_short(tmp_path: Path) -> None:
    """What is left of core-seconds is less than the next step."""
    task = nbi.task("hybrid/pcm-1d/F-accuracy")
    report = run_all([find_method("random_search")], [task], range(2), tmp_path, progress=False)
    logs = list(read_logs(tmp_path))
    assert {log.end for log in logs} == {"budget"}
    assert all(0 < log.charged < task.budget for log in logs)
    assert report.short == ()


def test_interrupted_command_ends_its_processes(tmp_path: Path) -> None:
    command = [COMMAND, "run", "--methods", f"{FILE}:sleeps", "--task", TASK.name, "--seeds", "9"]
    parent = subprocess.Popen([*command, "--jobs", "2", "--out", tmp_path], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while len(children := psutil.Process(parent.pid).children()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(1.0)  # so that they are within a run
    parent.send_signal(signal.SIGINT)
    assert parent.wait(30) == 1
    assert not any(psutil.pid_exists(child.pid) for child in children)
    assert not list(tmp_path.rglob("*.gz"))


def test_same_bytes_however_many_processes(tmp_path: Path) -> None:
    methods = [searcher("relies_on_hidden_state"), find_method("random_search"), find_method("local_search")]
    tasks = [TASK, nbi.task("nb201/pcm-t0/C-energy")]
    for jobs in (1, 2):
        run_all(methods, tasks, range(2), tmp_path / str(jobs), jobs=jobs, progress=False)
    names = [path.relative_to(tmp_path / "1") for path in sorted((tmp_path / "1").rglob("*.gz"))]
    assert len(names) == 12
    for name in names:
        assert unpacked(tmp_path / "1" / name) == unpacked(tmp_path / "2" / name)


def test_killed_command_is_resumed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    names = f"{FILE}:slow,random_search"
    command = [COMMAND, "run", "--methods", names, "--task", TASK.name, "--seeds", "12", "--jobs", "2"]
    command += ["--quiet", "--out", out]
    first = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 90
    while len(list(out.rglob("*.jsonl.gz"))) < 4:
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("*.jsonl.gz")}
    assert 4 <= len(kept) < 24
    for path in kept:
        read_log(path)
    torn = next(iter(kept)).parent / ".seed-0011.jsonl.gz.torn.tmp"  # as if killed within a write
    torn.write_bytes(b"\x1f\x8b half")

    second = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert second.returncode == 0, second.stderr
    assert f"{24 - len(kept)} runs made, {len(kept)} were there, 0 in trouble" in second.stdout
    assert len(made_logs(out)) == 24
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_killed_parent_leaves_no_process(tmp_path: Path) -> None:
    """Not even one whose searcher never ends."""
    names = f"{FILE}:returns,{FILE}:swallows_everything"
    command = [COMMAND, "run", "--methods", names, "--task", TASK.name, "--seeds", "1", "--timeout", "999"]
    command += ["--jobs", "1", "--quiet", "--out", tmp_path]
    parent = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while not list(tmp_path.rglob("*.jsonl.gz")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (child,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "a process outlived its parent"
        time.sleep(0.05)


def test_full_disk(tmp_path: Path) -> None:
    """The system refuses to let files grow beyond 1,000 bytes: the log of one query fits, that of 200 not."""
    out = tmp_path / "out"
    task = "nb201/sram-digital/M-energy"
    command = [COMMAND, "run", "--methods", f"{FILE}:slow,random_search", "--task", task]
    command += ["--seeds", "2", "--jobs", "1", "--quiet", "--out", out]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY))

    first = subprocess.run(command, capture_output=True, text=True, timeout=120, preexec_fn=limit)
    assert first.returncode == 1
    assert "2 runs made, 0 were there, 2 in trouble" in first.stdout
    assert first.stderr.count("no log: its log could not be written: [Errno 27] File too large") == 2
    assert [(log.method, log.seed) for log in read_logs(out)] == [
        ("searchers.slow", 0),
        ("searchers.slow", 1),
    ]
    assert not list(out.rglob("*.tmp"))
    again = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert "2 runs made, 2 were there, 0 in trouble" in again.stdout


def test_no_room_for_the_log_of_a_lost_run(tmp_path: Path) -> None:
    (tmp_path / TASK.name).mkdir(parents=True)
    (tmp_path / TASK.name / "searchers.leaves").touch()  # where its folder would be
    report = run_all([searcher("leaves"), searcher("returns")], [TASK], [0], tmp_path, progress=False)
    assert report.done == 1
    (lost,) = report.troubled
    assert lost.end == ""
    assert "process died" in lost.error
    assert "its log could not be written: [Errno 17] File exists" in lost.error


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        run_all([searcher("returns")], [TASK], [0], tmp_path / "file", progress=False)
    with pytest.raises(OSError, match="file"):
        run_all([searcher("returns")], [TASK], [0], tmp_path / "file" / "below", progress=False)


def test_a_folder_that_may_not_be_written_costs_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**options: Any) -> None:
        raise PermissionError(13, "Permission denied", str(options["dir"]))

    monkeypatch.setattr("nasbench_imc.runs.harness.tempfile.TemporaryFile", refuse)
    monkeypatch.setattr("nasbench_imc.runs.harness.Runners", None)
    with pytest.raises(PermissionError, match="Permission denied"):
        run_all([searcher("returns")], [TASK], range(3), tmp_path / "out", progress=False)
    monkeypatch.undo()
    run_all([searcher("returns")], [TASK], range(3), tmp_path / "out", progress=False)
    monkeypatch.setattr("nasbench_imc.runs.harness.tempfile.TemporaryFile", refuse)
    assert run_all([searcher("returns")], [TASK], range(3), tmp_path / "out", progress=False).skipped == 3


def test_place_of_one_log_is_taken(tmp_path: Path) -> None:
    taken = log_path(tmp_path, TASK.name, "searchers.returns", 0).parent
    taken.parent.mkdir(parents=True)
    taken.write_text("a file where the method's folder should be")
    report = run_all(
        [searcher("returns"), searcher("repeats")], [TASK], [0], tmp_path, jobs=1, progress=False
    )
    assert report.done == 1
    (lost,) = report.troubled
    assert (lost.job.method.name, lost.end) == ("searchers.returns", "")
    assert "could not be written" in lost.error


def test_retry_failed(tmp_path: Path) -> None:
    methods = [searcher("raises"), searcher("returns")]
    run_all(methods, [TASK], range(2), tmp_path, progress=False)
    stopped = log_path(tmp_path, TASK.name, "searchers.returns", 1)
    write_log(replace(read_log(stopped), end="timeout"), stopped)
    kept = log_path(tmp_path, TASK.name, "searchers.returns", 0)
    before = kept.stat().st_mtime_ns
    plain = run_all(methods, [TASK], range(2), tmp_path, progress=False)
    assert (plain.done, plain.skipped) == (0, 4)
    assert sorted(o.end for o in plain.troubled) == ["failed", "failed", "timeout"]  # said again
    again = run_all(methods, [TASK], range(2), tmp_path, retry_failed=True, progress=False)
    assert (again.done, again.skipped, len(again.troubled)) == (1, 1, 2)
    assert read_log(stopped).end == "finished"
    assert kept.stat().st_mtime_ns == before


def test_a_mended_searcher_makes_its_failed_runs_again(tmp_path: Path) -> None:
    path = tmp_path / "mended.py"
    path.write_text("def search(session, rng):\n    1 / 0\n")
    run_all([find_method(f"{path}:search")], [TASK], range(2), tmp_path / "out", progress=False)
    path.write_text("def search(session, rng):\n    pass\n")
    method = find_method(f"{path}:search")
    with pytest.raises(nbi.LogError, match="another version of mended"):
        run_all([method], [TASK], range(2), tmp_path / "out", progress=False)
    report = run_all([method], [TASK], range(2), tmp_path / "out", retry_failed=True, progress=False)
    assert (report.done, report.troubled) == (2, ())


def test_relative_folder_and_a_searcher_that_changes_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = run_all([searcher("changes_folder")], [TASK], range(2), Path("out"), progress=False)
    assert report.done == 2
    assert len(made_logs(tmp_path / "out")) == 2


def test_logs_of_another_table_are_not_mixed(tmp_path: Path) -> None:
    run_all([searcher("returns")], [TASK], range(1), tmp_path, progress=False)
    path = log_path(tmp_path, TASK.name, "searchers.returns", 0)
    write_log(replace(read_log(path), table_sha256="0" * 64), path)
    with pytest.raises(nbi.LogError, match=r"was made with table .* give another --out, or delete it"):
        run_all([searcher("returns")], [TASK], range(2), tmp_path, progress=False)
    path.write_bytes(b"damaged")
    with pytest.raises(nbi.LogError, match="delete it and run again"):
        run_all([searcher("returns")], [TASK], range(2), tmp_path, progress=False)


def test_logs_of_another_version_of_the_task_are_not_mixed(tmp_path: Path) -> None:
    """As after the benchmark's tasks were frozen anew on the same table."""
    run_all([searcher("returns")], [TASK], range(1), tmp_path, progress=False)
    path = log_path(tmp_path, TASK.name, "searchers.returns", 0)
    older = replace(TASK, budget=TASK.budget + 1)
    write_log(replace(read_log(path), task_sha256=older.sha256), path)
    with pytest.raises(nbi.LogError, match=r"another version of task .*S-accuracy.* give another --out"):
        run_all([searcher("returns")], [TASK], range(2), tmp_path, progress=False)
    assert len(made_logs(tmp_path)) == 1


def test_two_of_one_name_would_share_their_logs(tmp_path: Path) -> None:
    one = searcher("returns")
    with pytest.raises(nbi.BenchmarkError, match=r"two methods are called 'searchers\.returns'"):
        run_all([one, replace(one, source=f"{FILE}:raises")], [TASK], [0], tmp_path, progress=False)
    with pytest.raises(nbi.BenchmarkError, match="two tasks are called"):
        run_all([one], [TASK, replace(TASK, at="t0")], [0], tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf")])
def test_time_limit_is_a_positive_number(tmp_path: Path, timeout: float) -> None:
    with pytest.raises(nbi.BenchmarkError, match="time limit"):
        run_all([searcher("returns")], [TASK], [0], tmp_path, timeout=timeout, progress=False)


def test_method_that_cannot_be_loaded_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(nbi.UnknownNameError, match="has no function 'nothing'"):
        run_all([Method("x", f"{FILE}:nothing")], [TASK], range(30), tmp_path, progress=False)


def test_nothing_to_run(tmp_path: Path) -> None:
    report = run_all([], [TASK], range(3), tmp_path, progress=False)
    assert (report.done, report.skipped, report.troubled) == (0, 0, ())


def test_a_changed_searcher_needs_another_folder(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def search(session, rng):\n    session.query(session.task.domain.random(rng))\n")
    method = find_method(f"{path}:search")
    first = run_all([method], [TASK], [0], tmp_path / "out", progress=False)
    assert [(o.end, o.charged) for o in first.short] == [("finished", 1)]
    assert run_all([method], [TASK], [0], tmp_path / "out", progress=False).skipped == 1
    path.write_text(path.read_text() + "    session.query(session.task.domain.random(rng))\n")
    with pytest.raises(nbi.LogError, match=r"another version of mine .*give another --out"):
        run_all([method], [TASK], [0], tmp_path / "out", progress=False)
    assert run_all([method], [TASK], [0], tmp_path / "other", progress=False).short[0].charged == 2


SUITING = '''
"""For all tracks but S, and slow."""

SLOW = True


def suits(task):
    return task.track != "S"


def search(session, rng):
    while True:
        session.query(session.task.domain.random(rng))
'''


def test_a_method_makes_the_runs_that_it_is_for(tmp_path: Path) -> None:
    """A slow one 14 seeds, and no task of more than a hundred queries; others all."""
    path = tmp_path / "careful.py"
    path.write_text(SUITING)
    careful, other = find_method(f"{path}:search"), searcher("returns")
    names = ["nb201/sram-digital/S-accuracy", "nb201/sram-digital/M-energy", "nb201/pcm-t0/C-energy"]
    tasks = [nbi.task(name) for name in names]
    assert [task.budget > 100 for task in tasks] == [False, True, False]
    report = run_all([careful, other], tasks, range(15), tmp_path / "out", progress=False)
    assert report.left_out == {"careful": 15 + 15 + 1}
    made = {(log.method, log.task, log.seed) for log in read_logs(tmp_path / "out")}
    assert made == {("careful", names[2], seed) for seed in range(14)} | {
        ("searchers.returns", name, seed) for name in names for seed in range(15)
    }
    with pytest.raises(nbi.SearchError, match="careful: none of these runs is for them"):
        run_all([careful], tasks[:2], range(15), tmp_path / "none", progress=False)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "text",
    [
        "from functools import partial\ndef _search(session, rng, k): pass\nsearch = partial(_search, k=3)\n",
        "class Search:\n    def __call__(self, session, rng): pass\nsearch = Search()\n",
    ],
    ids=["partial", "instance"],
)
def test_what_is_called_need_not_be_a_function(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.py"
    path.write_text("SLOW = True\n" + text)
    assert find_method(f"{path}:search").reach().slow


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("SLOW = True", "SLOW = 3", "SLOW is 3; it is True"),
        ("def suits", "suits = 'S'\ndef no", "suits is 'S'"),
    ],
)
def test_what_a_method_is_for_must_be_said_rightly(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(SUITING.replace(old, new))
    with pytest.raises(nbi.SearchError, match=message):
        run_all([find_method(f"{path}:search")], [TASK], [0], tmp_path / "out", progress=False)
