"""The command: what it prints, and one line for each error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nasbench_imc as nbi
from nasbench_imc.runs import read_logs
from nasbench_imc.runs.log import write_log
from nasbench_imc.scoring import score

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|"
COMMAND = Path(sys.executable).with_name("nasbench-imc")
S = "nb201/sram-digital/S-accuracy"


Call = Callable[..., Any]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs of two methods on one task, made by the command itself."""
    out = tmp_path_factory.mktemp("logs") / "out"
    args = ["run", "--methods", "random_search,local_search", "--task", S, "--seeds", "2", "--jobs", "1"]
    done = subprocess.run([COMMAND, *args, "--out", out], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "4 runs made, 0 were there, 0 in trouble" in done.stdout
    return out


def test_help_lists_the_commands(call: Call) -> None:
    shown = call("--help")
    assert shown.status == 0
    for command in ("info", "query", "tasks", "methods", "run", "score", "leaderboard", "build"):
        assert f"\n  {command} " in shown.out
        assert call(command, "-h").status == 0
    assert call("--version").out == f"nasbench-imc, version {nbi.__version__}\n"


def test_info(call: Call, bench: nbi.Benchmark) -> None:
    shown = call("info", "--json")
    facts = json.loads(shown.out)
    assert (shown.status, shown.err) == (0, "")
    assert facts["architectures"] == 15_625
    assert facts["sha256"] == bench.sha256
    assert set(facts["metrics"]) == set(bench.metrics)
    assert facts["hardware"] == list(bench.hardware_ids)
    assert "sram-digital-r128" in call("info").out


def test_query(call: Call, bench: nbi.Benchmark) -> None:
    truth = bench.query(nbi.Design(CELL, "pcm-r512-adc8-mux4"), at="30d")
    shown = call("query", CELL, "--hardware", "pcm-r512-adc8-mux4", "--at", "30d", "--json")
    answer = json.loads(shown.out)
    assert answer["values"] == dict(truth)
    assert answer["units"]["energy"] == "uJ"
    assert answer["canonical"] == bench.canonical(CELL)
    one = call("query", CELL, "--hardware", "pcm-r512-adc8-mux4", "--metric", "energy")
    assert one.out.split() == ["energy", f"{truth['energy']:.6g}", "uJ"]


def test_query_without_accuracy_shows_the_costs(call: Call) -> None:
    shown = call("query", CELL, "--hardware", "rram-sliced-r64-adc8-mux16", "--json")
    assert "accuracy" not in json.loads(shown.out)["values"]
    assert "energy" in json.loads(shown.out)["values"]


def test_tasks(call: Call) -> None:
    listed = json.loads(call("tasks", "--json").out)
    assert [task["name"] for task in listed] == [task.name for task in nbi.tasks()]
    for task in listed:
        found = nbi.task(task["name"])
        assert (task["budget"], task["limits"]) == (found.budget, dict(found.limits))
        assert task["designs"] == len(found.domain)
    dev = json.loads(call("tasks", "--suite", "dev", "--json").out)
    assert [task["name"] for task in dev] == [task.name for task in nbi.tasks("dev")]
    assert "budget" in call("tasks").out


def test_methods(call: Call) -> None:
    listed = json.loads(call("methods", "--json").out)
    assert listed["tpe"] == "nasbench_imc_baselines.tpe:search"
    assert "regularized_evolution" in call("methods").out


def test_run_and_run_again(call: Call, logs: Path) -> None:
    assert len(list(read_logs(logs))) == 4
    args = ["run", "--methods", "random_search", "--methods", "local_search", "--task", S]
    again = call(*args, "--seeds", 2, "--quiet", "--out", logs)
    assert again.status == 0
    assert "0 runs made, 4 were there, 0 in trouble" in again.out


def test_run_in_trouble(call: Call, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def search(session, rng):\n    raise ValueError('no luck')\n")
    args = ["run", "--methods", f"{tmp_path}/bad.py:search,random_search", "--task", S, "--seeds", 1]
    shown = call(*args, "--jobs", 1, "--quiet", "--out", tmp_path / "out")
    assert shown.status == 1
    assert "1 runs made, 0 were there, 1 in trouble" in shown.out
    assert shown.err.splitlines() == [
        f"  bad on {S}, seed 0: failed: ValueError: no luck",
        "nasbench-imc: error: 1 runs are in trouble; whole errors stand in the last lines of their logs, "
        "and --retry-failed makes them again",
    ]


def test_score(call: Call, logs: Path) -> None:
    rows = json.loads(call("score", logs, "--json").out)
    expected = score(read_logs(logs)).by_task()
    assert [(row["method"], row["score"]) for row in rows] == list(
        zip(expected.method, expected.score, strict=True)
    )
    assert {row["runs"] for row in rows} == {2}
    assert "lower is better" in call("score", logs).out


FREE_ARGS = ["run", "--task", S, "--seeds", "1", "--quiet", "--out", "OUT"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["info", "nb202"], "unknown table 'nb202'; did you mean 'nb201'?"),
        (["query", "cell", "--hardware", "sram-digital-r128"], "malformed nb201 architecture 'cell'"),
        (["query", CELL, "--hardware", "sram-digital-r127"], "did you mean 'sram-digital-r128'"),
        (["query", CELL, "--hardware", "sram-digital-r64", "--metric", "enrgy"], "did you mean 'energy'"),
        (
            ["query", CELL, "--hardware", "rram-sliced-r64-adc8-mux16", "--metric", "accuracy"],
            "has no 'accuracy' on rram-sliced-r64-adc8-mux16",
        ),
        (["query", CELL, "--hardware", "sram-digital-r64", "--table", "x"], "unknown table 'x'"),
        (["run", "--task", "nb201/none", "--out", "OUT"], "unknown task 'nb201/none'"),
        ([*FREE_ARGS, "--methods", "randomsearch"], "did you mean 'random_search'"),
        ([*FREE_ARGS, "--methods", "none.py:search"], "there is no file"),
        ([*FREE_ARGS, "--methods", "no_such:search"], "which is not installed"),
        ([*FREE_ARGS, "--methods", "random_search", "--timeout", "inf"], "time limit"),
        ([*FREE_ARGS, "--methods", "random_search", "--out", "FILE/below"], "FILE/below"),
        (["score", "EMPTY"], "there are no run logs"),
        (["score", "DAMAGED"], "is not a whole gzip file"),
        ([*FREE_ARGS, "--methods", "random_search", "--out", "DAMAGED"], "is not a whole gzip file"),
    ],
)
def test_an_error_is_one_line(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("")
    (tmp_path / "EMPTY").mkdir()
    log = tmp_path / "DAMAGED" / S / "random_search" / "seed-0000.jsonl.gz"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"damaged")
    shown = call(*args)
    assert shown.status == 1
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("nasbench-imc: error: ")
    assert message in shown.err
    assert "Traceback" not in shown.out + shown.err


@pytest.mark.parametrize(
    "args",
    [
        ["nothing"],
        ["tasks", "--suite", "prod"],
        ["query", CELL, "--hardware", "sram-digital-r64", "--at", "1y"],
        ["run", "--out", "OUT"],
        ["run", "--suite", "dev"],
        ["run", "--suite", "dev", "--seeds", "0", "--out", "OUT"],
        ["run", "--suite", "dev", "--jobs", "0", "--out", "OUT"],
        ["score", "NONE"],
    ],
)
def test_wrong_use_is_explained(call: Call, args: list[str]) -> None:
    shown = call(*args)
    assert shown.status == 2
    assert "Usage:" in shown.err
    assert "Error:" in shown.err


def test_damaged_table_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "nb201.h5").write_bytes(b"no table")
    done = subprocess.run(
        [COMMAND, "info"],
        capture_output=True,
        text=True,
        env={**os.environ, "NASBENCH_IMC_DATA": str(tmp_path)},
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "nb201.h5" in done.stderr


def test_score_pairs(call: Call, logs: Path) -> None:
    rows = json.loads(call("score", logs, "--pairs", "--json").out)
    scores = score(read_logs(logs))
    (made,) = scores.comparisons(S)
    assert [(row["task"], row["first"], row["second"]) for row in rows] == [(S, made.first, made.second)]
    assert rows[0]["difference"] == made.difference
    assert (rows[0]["p"], rows[0]["verdict"]) == (None, "untested")
    shown = call("score", logs, "--pairs").out
    assert f"{made.difference:.3f}" in shown
    assert "untested: fewer than 6 common seeds" in shown
    assert "or of another sign than the sum of signed ranks" in shown


def test_commands_that_need_no_data_frame_import_none() -> None:
    code = "import sys; from nasbench_imc.cli import table, common; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr


def test_names_from_logs_reach_the_terminal_printable(call: Call, logs: Path, tmp_path: Path) -> None:
    for log in list(read_logs(logs))[:2]:
        write_log(replace(log, method="evil\x1b[2J"), tmp_path / f"{log.seed}.jsonl.gz")
    for options in ((), ("--pairs",)):
        shown = call("score", tmp_path, *options)
        assert shown.status == 0
        assert "\x1b" not in shown.out
    assert "evil" in call("score", tmp_path).out


def test_leaderboard(call: Call, logs: Path, tmp_path: Path) -> None:
    shown = call("leaderboard", logs, "--no-page", "--out", tmp_path / "board")
    assert (shown.status, shown.err) == (0, "")
    assert sorted(path.name for path in (tmp_path / "board").iterdir()) == [
        "leaderboard.csv",
        "leaderboard.md",
        "leaderboard.tex",
    ]
    best = score(read_logs(logs)).leaderboard().index[0]
    for path in (tmp_path / "board").iterdir():
        assert best.replace("_", "") in path.read_text().replace("\\", "").replace("_", "")
    assert "local_search" in shown.out


def test_a_pilot_is_packed_and_queried(
    call: Call, pilot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "tables" / "hybrid.h5"
    built = call("build", "hybrid", "--evaluated", pilot, "--out", out)
    assert built.status == 0, built.err
    assert f"{out}: {out.stat().st_size:,} bytes" in built.out
    monkeypatch.setenv("NASBENCH_IMC_DATA", str(out.parent))
    facts = json.loads(call("info", "hybrid", "--json").out)
    assert (facts["architectures"], facts["space"], facts["draws"]) == (7, 1_728, 8)
    assert {"weight_bits": 4, "sparsity": 0.5} in facts["compressions"]
    asked = ["query", "c16x1-c24x1-c32x1", "--table", "hybrid", "--hardware", "pcm-r256-adc8-mux4", "--json"]
    bench = nbi.load("hybrid")
    for bits, sparsity in ((8, 0.0), (4, 0.5)):
        shown = call(*asked, "--weight-bits", bits, "--sparsity", sparsity)
        values = json.loads(shown.out)["values"]
        design = nbi.Design("c16x1-c24x1-c32x1", "pcm-r256-adc8-mux4", bits, sparsity)
        assert values == dict(bench.query(design))
    absent = call("query", "c16x1-c24x1-c32x2", *asked[2:])
    assert absent.status == 1
    assert "7 of 1,728 networks: a pilot" in absent.err


def test_a_damaged_evaluation_is_named(call: Call, tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK")
    failed = call("build", "hybrid", "--evaluated", tmp_path, "--out", tmp_path / "hybrid.h5")
    assert failed.status == 1
    assert "bad.npz is damaged or not an evaluation" in failed.err
    assert not (tmp_path / "hybrid.h5").exists()
