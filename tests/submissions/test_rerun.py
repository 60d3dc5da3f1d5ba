"""Running strangers' searchers: what they can reach, what becomes of them, and what permuted labels show."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import nasbench_imc as nbi
from nasbench_imc.runs.execute import execute
from nasbench_imc.runs.log import RunLog, log_path, read_logs, write_log
from nasbench_imc.runs.methods import find_method, parse_method
from nasbench_imc.submissions import replay
from nasbench_imc.submissions.child import PipedSession
from nasbench_imc.submissions.pack import pack
from nasbench_imc.submissions.permuted import Relabelling, interval_of_mean
from nasbench_imc.submissions.rerun import Seeds, draw_seeds, rerun, run_confined
from nasbench_imc.submissions.sandbox import _around, _holes, sandbox, withheld
from nasbench_imc.suites import Domain
from nasbench_imc.tables.files import find

from .conftest import SAID

FILE = Path(__file__).with_name("strangers.py")
TASK = nbi.task("nb201/sram-digital/S-accuracy")
SEEDS = Seeds(5_000_000, 7, 8)

Run = Callable[..., tuple[RunLog, dict[str, str]]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a function of a copy of ``strangers.py`` that was told what a test wants it to know."""

    def made(
        name: str, timeout: float = 60.0, *, task: nbi.Task = TASK, permuted: bool = False, **told: Any
    ) -> tuple[RunLog, dict[str, str]]:
        copy = tmp_path_factory.mktemp("stranger") / "stranger.py"
        copy.write_text(FILE.read_text() + "".join(f"{key} = {value!r}\n" for key, value in told.items()))
        with sandbox(parse_method(f"{copy}:{name}")) as box:
            return run_confined(box, task, SEEDS, timeout, permuted=permuted)

    return made


@pytest.fixture
def server() -> Iterator[int]:
    """A port of this machine at which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def found(log: RunLog) -> Any:
    assert log.end == "failed"
    assert "FOUND " in log.error, log.error
    return json.loads(log.error.rsplit("FOUND ", 1)[1])


def has_landlock() -> bool:
    code = "from nasbench_imc.submissions.confine import confine; print(confine({'read': ['/']})['files'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return "Landlock" in done.stdout


landlock = pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock")


@landlock
def test_no_way_to_the_table(run: Run, server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = TASK.load_table()
    path = str(Path(find("nb201").path).resolve())
    assert Path(path).read_bytes()  # here it can be read
    monkeypatch.setenv("STRANGER_HINT", path)
    log, confinement = run("hunts", HINT=path, RUNNER=(os.getpid(),), PORT=server)
    seen = found(log)
    assert seen["worked"] == {}
    assert seen["tried"] >= 40
    assert (seen["objects"], seen["environment"], seen["files"]) == (0, [], [])
    assert not any("h5" in name or "/" in name for name in seen["descriptors"])
    assert seen["seed"] == SEEDS.searcher != SEEDS.label
    assert log.charged == 0
    assert confinement["files"].startswith("only those granted (Landlock")
    assert table.official


@landlock
def test_the_hunt_finds_a_table_that_is_not_hidden(tmp_path: Path) -> None:
    """So that finding nothing above means something."""
    path = str(Path(find("nb201").path).resolve())
    copy = tmp_path / "stranger.py"
    copy.write_text(FILE.read_text() + f"HINT = {path!r}\nRUNNER = ()\n")
    with sandbox(parse_method(f"{copy}:hunts")) as box:
        open_box = replace(box, hidden=(), grants={**box.grants, "read": ["/"]})
        log, _ = run_confined(open_box, TASK, SEEDS, 60.0)
    ways = {
        "load from the environment",
        "open",
        "h5py",
        "through the root of this process",
        "native open",
        "fork",
    }
    assert set(found(log)["worked"]) >= ways


def test_confinement_is_named(run: Run) -> None:
    _, confinement = run("claims_the_budget")
    assert set(confinement) == {"files", "network", "processes", "privileges"}


@pytest.mark.parametrize("name", ["works_with_files", "uses_the_interface"])
def test_honest_searchers_work(run: Run, name: str) -> None:
    log, _ = run(name)
    assert (log.end, log.error) == (("finished" if name == "works_with_files" else "budget"), "")
    replay.replay_log(TASK, log, "log")


@pytest.mark.parametrize("permuted", [False, True])
def test_free_labels_of_a_source(run: Run, permuted: bool) -> None:
    task = next(task for task in nbi.tasks() if task.track == "T")
    log, _ = run("transfers", task=task, permuted=permuted)
    assert (log.end, log.error, log.charged) == ("budget", "", task.budget)
    assert "recommend" in log.events[0]
    replay.replay_log(task, log, "log")


@pytest.mark.parametrize("permuted", [False, True])
def test_hardware_to_choose(run: Run, permuted: bool) -> None:
    task = next(task for task in nbi.tasks() if task.track == "J")
    log, _ = run("uses_the_interface", task=task, permuted=permuted)
    assert (log.end, log.error) == ("budget", "")
    replay.replay_log(task, log, "log")


def test_labels_are_those_of_the_fresh_seed(run: Run) -> None:
    log, _ = run("works_with_files")
    event = log.events[0]
    label = TASK.load_table().query(
        TASK.domain.design(event["query"]), TASK.at, labels="search", seed=TASK.label_seed(SEEDS.label)
    )
    assert event["values"] == {"accuracy": label["accuracy"]}
    assert log.seed == SEEDS.label


@pytest.mark.parametrize(
    ("name", "end", "error"),
    [
        ("repeats", "proposals", ""),
        ("claims_the_budget", "failed", "said that it ended by 'budget', which it did not"),
        ("dies", "failed", "its process ended"),
        ("talks_nonsense", "failed", "a message of 4,294,967,295 bytes"),
        ("sends_what_is_no_request", "failed", "what is no request"),
        ("floods", "timeout", "stopped after 3 s"),
    ],
)
def test_how_it_ends(run: Run, name: str, end: str, error: str) -> None:
    log, _ = run(name, timeout=3.0)
    assert log.end == end
    assert error in log.error
    replay.replay_log(TASK, log, "log")


def test_stopped_with_all_that_it_started(run: Run) -> None:
    before = {process.pid for process in psutil.process_iter()}
    log, confinement = run("sleeps", timeout=1.0)
    if confinement["processes"] != "own namespace":
        pytest.skip("this kernel gives no process namespace; one that leaves its session outlives its run")
    assert (log.end, log.charged) == ("timeout", 1)
    for _ in range(50):
        left = [
            process.pid
            for process in psutil.process_iter(["cmdline"])
            if process.pid not in before
            and "nasbench_imc.submissions.child" in (process.info["cmdline"] or [])
        ]
        if not left:
            break
        time.sleep(0.1)
    assert left == []


def test_interrupted_at_once(tmp_path: Path) -> None:
    """Ctrl-C ends the runs at work, which would sleep for their ten minutes."""
    command = ["re-run", f"{FILE}:sleeps", "--task", TASK.name, "--jobs", "2", "--out", str(tmp_path / "out")]
    code = "from nasbench_imc.cli import main; main()"
    runner = psutil.Popen([sys.executable, "-c", code, *command], stderr=subprocess.PIPE)

    def searchers() -> list[psutil.Process]:
        return [p for p in runner.children(recursive=True) if "nasbench_imc.submissions.child" in p.cmdline()]

    for _ in range(600):
        if len(searchers()) >= 4:  # two, each with the process that it forks
            break
        time.sleep(0.1)
    left = searchers()
    assert len(left) >= 4
    runner.send_signal(signal.SIGINT)
    start = time.monotonic()
    runner.communicate(timeout=60)
    assert time.monotonic() - start < 20
    assert runner.returncode != 0
    _, alive = psutil.wait_procs(left, timeout=10)
    assert alive == []


def test_requests_that_no_searcher_makes(run: Run) -> None:
    log, _ = run("asks_for_what_is_not_there")
    assert len(found(log)) == 10
    assert set(found(log)) <= {"SearchError", "UnknownNameError"}
    assert log.events == ()


def test_a_request_nested_too_deep_is_refused(run: Run) -> None:
    """One that is no longer JSON ends the run; a shallower one used to end all of them."""
    log, _ = run("nests")
    assert log.end == "failed"
    assert "its process ended: a message that is not JSON" in log.error
    assert log.events == ()


def test_as_many_threads_as_when_it_was_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums in BLAS depend on them, and so does whether a run comes out as its log says."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert found(run("tells_its_threads")[0]) == ["1", "1", "0"]


def test_a_time_limit_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(nbi.BenchmarkError, match="positive number of seconds, not nan"):
        rerun(f"{FILE}:dies", [TASK], 1, tmp_path / "out", timeout=float("nan"))


def test_searcher_that_cannot_be_loaded(tmp_path: Path) -> None:
    file = tmp_path / "s.py"
    file.write_text("import a_module_that_is_not_there\n")
    with (
        pytest.raises(nbi.BenchmarkError, match=r"cannot be loaded where it is confined.*a_module_that_is"),
        sandbox(parse_method(f"{file}:search")) as box,
    ):
        run_confined(box, TASK, SEEDS, 9.0)
    with (
        pytest.raises(nbi.BenchmarkError, match="cannot be read"),
        sandbox(parse_method("/none/s.py:search")),
    ):
        pass


def test_nothing_of_it_runs_here(tmp_path: Path) -> None:
    """The runner never imports the searcher, nor the package that holds it."""
    package = tmp_path / "stranger_package"
    package.mkdir()
    mark = tmp_path / "mark"
    package.joinpath("__init__.py").write_text(f"open({str(mark)!r}, 'w').write('ran')\n")
    package.joinpath("inner.py").write_text("def search(session, rng):\n    session.query(1)\n")
    tmp_path.joinpath("sitecustomize.py").write_text(f"open({str(mark)!r}, 'w').write('early')\n")
    sys.path.append(str(tmp_path))
    try:
        method = parse_method("stranger_package.inner:search")
        assert len(method.fingerprint()) == 64
        with sandbox(method, [tmp_path]) as box, pytest.raises(nbi.BenchmarkError, match="Permission denied"):
            run_confined(box, TASK, SEEDS, 9.0)
    finally:
        sys.path.remove(str(tmp_path))
    assert not mark.exists()
    package.joinpath("__init__.py").write_text("")
    with sandbox(method, [tmp_path]) as box:
        log, _ = run_confined(box, TASK, SEEDS, 9.0)
    assert "expected a Design, not int" in log.error
    assert not mark.exists()


def test_a_folder_with_a_table_is_not_granted(tmp_path: Path) -> None:
    tmp_path.joinpath("deep").mkdir()
    tmp_path.joinpath("deep", "nb201.h5").write_bytes(b"x")
    with (
        pytest.raises(nbi.BenchmarkError, match=r"holds .*nb201\.h5"),
        sandbox(parse_method("a:b"), [tmp_path]),
    ):
        pass


def test_grants_go_round_an_installed_package(tmp_path: Path) -> None:
    """As a wheel installs it: the table lies among the libraries, and links lead to it."""
    root = tmp_path / "site-packages"
    for name in ("nasbench_imc/data/nb201.h5", "numpy/core.py", "deep/er/nb201.h5", "deep/er/x.py", "six.py"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (root / "link").symlink_to(root / "nasbench_imc")
    holes = set(_holes(root, {"nb201.h5"}))
    assert holes == {root / "nasbench_imc", root / "deep" / "er" / "nb201.h5"}
    granted = [(kind, path.relative_to(root).as_posix()) for kind, path in _around(root, holes)]
    assert sorted(granted) == [
        ("list", "."),
        ("list", "deep"),
        ("list", "deep/er"),
        ("read", "deep/er/x.py"),
        ("read", "numpy"),
        ("read", "six.py"),
    ]


def test_the_view_holds_no_data() -> None:
    with sandbox(parse_method("random_search")) as box:
        kinds = {path.suffix for path in box.view.rglob("*") if path.is_file()}
        assert kinds == {".py", ".json", ".csv", ".toml"}
        assert (box.view / "nasbench_imc_baselines" / "random_search.py").is_file()
        assert not (box.view / "nasbench_imc" / "building").exists()
        assert sum(path.stat().st_size for path in box.view.rglob("*")) < 3_000_000
        view = box.view
    assert not view.exists()


def test_hook_where_there_is_no_landlock(tmp_path: Path) -> None:
    """It holds Python's own ways, and says that it holds no others."""
    (tmp_path / "secret").write_text("s")
    (tmp_path / "mine").write_text("m")
    code = f"""
import os, sys
from nasbench_imc.submissions import confine
confine._hook({{"read": [{str(tmp_path / "mine")!r}, sys.prefix, sys.base_prefix]}})
assert open({str(tmp_path / "mine")!r}).read() == "m"
for way in (
    lambda: open({str(tmp_path / "secret")!r}),
    lambda: os.open({str(tmp_path / "secret")!r}, 0),
    lambda: os.listdir({str(tmp_path)!r}),
    lambda: os.system("true"),
    lambda: __import__("subprocess").run(["true"]),
    lambda: (sys.modules.pop("h5py"), __import__("h5py")),
    lambda: confine.ctypes.CDLL(None),
    os.fork,
):
    try:
        way()
    except PermissionError:
        continue
    raise SystemExit("a way was open")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_honest_searchers_work_under_the_hook(tmp_path: Path) -> None:
    """The same grants, and what a searcher imports."""
    with sandbox(parse_method("random_search")) as box:
        code = f"""
from nasbench_imc.submissions import confine
confine._hook({ {**box.grants, "write": [str(tmp_path)]}!r})
import numpy, scipy.stats, nasbench_imc, nasbench_imc.submissions.child, nasbench_imc.suites
assert confine.readable({list(map(str, box.hidden))!r}) == []
from nasbench_imc_baselines.random_search import search
open({str(tmp_path / "notes")!r}, "w").write("mine")
"""
        environment = {**os.environ, "PYTHONPATH": str(box.view)}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment
        )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "notes").read_text() == "mine"


def test_no_confinement_with_threads() -> None:
    code = """
import threading, time
from nasbench_imc.submissions.confine import confine
threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
confine({})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "several threads" in done.stderr


def test_a_confinement_that_does_not_hold_is_noticed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(parse_method(f"{FILE}:hunts")) as box:
        box.grants["read"].append("/")  # type: ignore[attr-defined]
        with pytest.raises(nbi.BenchmarkError, match="confinement does not hold here"):
            run_confined(box, TASK, SEEDS, 9.0)


def test_seeds() -> None:
    seeds = draw_seeds(1, 50)
    assert seeds == draw_seeds(1, 50) != draw_seeds(2, 50)
    assert len({seed.label for seed in seeds}) == 50
    assert min(seed.label for seed in seeds) > 10_000


def test_relabelling_is_one_to_one_and_keeps_neighbours() -> None:
    for task in nbi.tasks():
        relabel = Relabelling(task.domain.space, np.random.default_rng(3))
        points = task.domain.points[::601]
        assert len({relabel(point) for point in points}) == len(points)
        assert [relabel(point) for point in points] != list(points)
        for point in points[:10]:
            near = {relabel(other) for other in task.domain.neighbors(point)}
            assert near == set(task.domain.neighbors(relabel(point)))


def test_relabelling_keeps_what_names_say() -> None:
    domain = Domain(nbi.spaces.get("hybrid"), ("pcm-r256-adc8-mux4", "sram-digital-r128"), (4, 8), (0.0, 0.5))
    relabel = Relabelling(domain.space, np.random.default_rng(3))
    for point in domain.points[::501]:
        other = relabel(point)
        assert (other.hardware, other.weight_bits, other.sparsity) == (
            point.hardware,
            point.weight_bits,
            point.sparsity,
        )


def test_interval_of_mean() -> None:
    assert interval_of_mean([np.array([0.25]), np.array([0.75])]) == (0.5, 0.5)
    low, high = interval_of_mean([np.random.default_rng(0).normal(1, 0.1, 40)])
    assert 0.9 < low < 1 < high < 1.1


def test_memory_is_told_from_search(tmp_path: Path, bench: nbi.Benchmark) -> None:
    """A searcher that knows the best architecture loses it with permuted labels; another loses nothing."""
    best = bench.architectures[int(np.argmax(bench.table("accuracy", TASK.hardware[0]).to_numpy()))]
    copy = tmp_path / "stranger.py"
    copy.write_text(FILE.read_text() + f"KNOWN = {best!r}\n")
    out = tmp_path / "out"
    result = rerun(f"{copy}:remembers", [TASK], 4, out, entropy=11, jobs=2)
    assert result == json.loads((out / "rerun.json").read_text())
    assert result["tier"] == "re-run"
    assert result["tables"] == {"nb201": bench.sha256}
    row = result["all"]
    assert row["score"] < 0.3
    assert row["permuted"]["low"] > 0.3
    assert row["permuted"]["difference"] == pytest.approx(row["permuted"]["score"] - row["score"])
    logs = list(read_logs(out / "logs"))
    assert {log.seed for log in logs} == {seed.label for seed in draw_seeds(11, 4)}
    assert result["label_seeds"] == [seed.label for seed in draw_seeds(11, 4)]
    for log in [*logs, *read_logs(out / "permuted")]:
        assert log.charged == TASK.budget
        replay.replay_log(TASK, log, "log")
    honest = rerun("random_search", [TASK], 4, tmp_path / "honest", entropy=11, jobs=2)["all"]
    assert honest["permuted"]["low"] < 0.1
    with pytest.raises(nbi.BenchmarkError, match="is not empty"):
        rerun("random_search", [TASK], 1, out)


def test_permuted_errors_do_not_tell_the_permutation(run: Run) -> None:
    """The recommendation of a design that was not queried is refused without naming what stands for it."""
    log, _ = run("uses_the_interface", permuted=True)
    assert (log.end, log.error) == ("budget", "")


def test_of_a_submission(tmp_path: Path) -> None:
    """Running it again shows what replaying cannot: rows in another order, with their counts put right."""
    method = find_method("random_search")
    for seed in range(2):
        log = execute(method.load(), method.name, TASK, seed, 60.0, fingerprint=method.fingerprint())
        if seed == 1:
            events = [dict(event) for event in log.events]
            events[4]["query"], events[9]["query"] = events[9]["query"], events[4]["query"]
            events[4]["values"], events[9]["values"] = events[9]["values"], events[4]["values"]
            log = replace(log, events=tuple(events))
        write_log(log, log_path(tmp_path / "logs", TASK.name, method.name, seed))
    path = tmp_path / "s.zip"
    submitted = pack(tmp_path / "logs", method.name, SAID, path)  # replayed without a difference
    result = rerun("random_search", [TASK], 1, tmp_path / "out", permuted=False, submission=path)
    assert result["submission"] == {
        "sha256": submitted.sha256,
        "scores": {TASK.name: submitted.scores[0]["score"]},
        "runs_again": 2,
        "differ": [{"file": f"logs/{TASK.name}/random_search/seed-0001.jsonl.gz", "line": 6}],
    }
    for name, reason in (
        ("stranger", "is of 'random_search', not of 'stranger'"),
        ("random_search", "another version"),
    ):
        file = tmp_path / f"{name}.py"
        file.write_text("def search(session, rng):\n    pass\n")
        with pytest.raises(nbi.SubmissionError, match=reason):
            rerun(f"{file}:search", [TASK], 1, tmp_path / "no", submission=path)
    assert not (tmp_path / "no").exists()


def test_only_tasks_of_the_benchmark_are_run_again(tmp_path: Path) -> None:
    """Refused before a run is made, as what they give could not be scored."""
    with pytest.raises(nbi.BenchmarkError, match="'mine/S' is not a task of the benchmark"):
        rerun("random_search", [replace(TASK, name="mine/S")], 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tpe", "nsga2", "local_search", "regularized_evolution"])
def test_reference_searchers_run_confined(name: str, tmp_path: Path) -> None:
    task = nbi.task("nb201/sram-digital/C-memory")
    result = rerun(name, [task], 1, tmp_path / "out", entropy=3)
    assert result["all"]["failures"] == 0
    (log,) = read_logs(tmp_path / "out" / "logs")
    assert log.charged == task.budget


def test_a_piped_session_offers_what_a_session_does() -> None:
    with TASK.session(0) as session:
        offered = {name for name in dir(session) if not name.startswith("_")} - {"events"}  # the runner's
    piped: Any = None  # a channel that nothing is sent through
    assert offered <= set(dir(PipedSession(piped, TASK, 0)))


@pytest.mark.parametrize("task", nbi.tasks(), ids=lambda task: task.name)
def test_the_task_that_is_told_holds_nothing_frozen(task: nbi.Task) -> None:
    shown = json.loads(withheld(task).to_json())
    mine = json.loads(task.to_json())
    assert {name for name in mine if mine[name] != shown[name]} == {"frozen"}
    for name, value in mine["frozen"].items():
        nothing = value in (0.0, {}) or (isinstance(value, list) and not any(value))
        assert (shown["frozen"][name] == value) == (name == "margin" or nothing), name
    assert nbi.Task.from_json(json.dumps(shown), "here").domain.variables == task.domain.variables


def test_the_package_that_a_searcher_sees_tells_nothing_frozen() -> None:
    with sandbox(parse_method("random_search")) as box:
        files = sorted((box.view / "nasbench_imc/suites/data").glob("*.json"))
        assert {json.loads(path.read_text())["name"] for path in files} == {task.name for task in nbi.tasks()}
        for path in files:
            seen = nbi.Task.from_json(path.read_text(), path.name)
            assert seen == withheld(nbi.task(seen.name))
