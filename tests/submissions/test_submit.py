"""Packing and the commands: what a user types, what comes of it."""

from __future__ import annotations

import getpass
import json
import platform
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nasbench_imc as nbi
from nasbench_imc.runs import read_logs
from nasbench_imc.scoring import score
from nasbench_imc.submissions.manifest import MEMBER, Manifest
from nasbench_imc.submissions.pack import environment, pack
from nasbench_imc.submissions.replay import replay

from .conftest import FAILS_AT, METHOD, SAID, TASKS, Forge, contents, member, packed, unpacked

TOML = """
authors = ["A. Author", "Bé"]
description = "It draws, and looks at costs."
code = "https://example.org/code"

[tuning]
configurations = 4
tasks = ["a", "b"]
core_hours = 0.5
"""


Call = Callable[..., Any]


def test_same_runs_same_bytes(logs: Path, submission: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    pack(logs, METHOD, SAID, again)
    assert again.read_bytes() == submission.read_bytes()
    with zipfile.ZipFile(again) as archive:
        assert archive.namelist() == sorted(archive.namelist())
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_manifest(logs: Path, submission: Path) -> None:
    members = contents(submission)
    made = Manifest.from_json(members[MEMBER])
    assert (made.method, made.tasks, made.seeds, made.failures, made.suite) == (METHOD, TASKS, 3, 1, "")
    assert (made.authors, made.description, made.code, made.tuning) == (
        SAID.authors,
        SAID.description,
        SAID.code,
        SAID.tuning,
    )
    assert set(made.logs) == set(members) - {MEMBER} == set(made.expected())
    assert made.tables["nb201"][1] == nbi.load("nb201").sha256
    assert made.environment.distributions["numpy"] == sys.modules["numpy"].__version__
    for name in made.logs:
        assert members[name] == (logs / name.removeprefix("logs/")).read_bytes()


def test_environment_names_nobody() -> None:
    text = repr(environment())
    for private in (platform.node(), getpass.getuser(), str(Path.home()), sys.prefix):
        assert private not in text


def test_verdict(logs: Path, submission: Path) -> None:
    verdict = replay(submission)
    runs = score(read_logs(logs)).runs
    assert [(row["task"], row["method"]) for row in verdict.scores] == [(task, METHOD) for task in TASKS]
    for row in verdict.scores:
        assert row["score"] == pytest.approx(runs[runs.task == row["task"]].score.mean(), rel=1e-12)
    said = verdict.to_json()
    assert (said["accepted"], said["tier"]) == (True, "replayed")
    assert json.loads(json.dumps(said, allow_nan=False))["tasks"] == list(TASKS)


def test_suite_is_named(tmp_path: Path) -> None:
    from nasbench_imc.runs.execute import execute
    from nasbench_imc.runs.log import log_path, write_log

    def ask_once(session, rng):
        session.query(session.task.domain.random(rng))

    for task in nbi.tasks("dev"):
        write_log(execute(ask_once, "once", task, 0, 9.0), log_path(tmp_path, task.name, "once", 0))
    verdict = pack(tmp_path, "once", SAID, tmp_path / "s.zip")
    assert verdict.suite == "dev"
    assert Manifest.from_json(contents(tmp_path / "s.zip")[MEMBER]).suite == "dev"


def test_submit_with_a_file(call: Call, folder: Path, submission: Path, tmp_path: Path) -> None:
    about = tmp_path / "about.toml"
    about.write_text(TOML)
    out = tmp_path / "deep" / "mine.zip"
    done = call("submit", folder, "--method", METHOD, "--about", about, "--out", out)
    assert done.status == 0, done.err
    assert "6 runs of honest on 2 tasks, 1 failed; replayed without a difference" in done.out
    assert "enters no suite's leaderboard" in done.out
    assert out.read_bytes() == submission.read_bytes()
    shown = call("replay", out)
    assert shown.status == 0
    first, second = (nbi.task(name).budget for name in TASKS)
    assert f"replayed: {2 * first + FAILS_AT + 3 * second:,} queries of 6 runs, no difference" in shown.out


def test_submit_with_options(call: Call, folder: Path, submission: Path, tmp_path: Path) -> None:
    options = {
        "--description": SAID.description,
        "--code": SAID.code,
        "--tuned-configurations": 4,
        "--tuned-tasks": "a, b",
        "--tuned-core-hours": 0.5,
        "--out": tmp_path / "s.zip",
    }
    listed = [part for pair in options.items() for part in pair]
    authors = ["--author", SAID.authors[0], "--author", SAID.authors[1]]
    assert call("submit", folder, "--method", METHOD, *authors, *listed).status == 0
    assert (tmp_path / "s.zip").read_bytes() == submission.read_bytes()


def test_what_is_missing_is_said_and_never_guessed(call: Call, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.zip"
    done = call("submit", folder, "--method", METHOD, "--author", "A", "--tuned-core-hours", 0, "--out", out)
    assert done.status == 1
    assert "needs 4 more: description" in done.err
    for name in ("code", "tuning.configurations", "tuning.tasks"):
        assert f"{name} (" in done.err
    assert "core_hours" not in done.err
    assert not out.exists()


def test_what_is_missing_is_asked_for_at_a_terminal(
    call: Call, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["A. Author, Bé", SAID.description, SAID.code, "4", "a,b", "0.5"])
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda text: next(answers))
    assert call("submit", folder, "--method", METHOD, "--out", tmp_path / "s.zip").status == 0
    made = Manifest.from_json(contents(tmp_path / "s.zip")[MEMBER])
    assert (made.authors, made.tuning) == (SAID.authors, SAID.tuning)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("authors = [", "is not a TOML file"),
        ("colour = 3", "unknown key 'colour'"),
        ("[tuning]\nhours = 3", r"unknown key 'tuning.hours'"),
        ("tuning = 3", "tuning must be a table"),
        (TOML.replace("0.5", '"much"'), "tuning.core_hours must be a number"),
        (TOML.replace("https", "ftp"), "code must be the http"),
        (TOML.replace('["A. Author", "Bé"]', "[3]"), "authors must be"),
    ],
)
def test_wrong_about(call: Call, folder: Path, tmp_path: Path, text: str, reason: str) -> None:
    about, out = tmp_path / "about.toml", tmp_path / "s.zip"
    about.write_text(text)
    done = call("submit", folder, "--method", METHOD, "--about", about, "--out", out)
    assert (done.status, out.exists()) == (1, False)
    assert reason in done.err


def test_logs_that_would_be_refused_are_not_packed(call: Call, folder: Path, tmp_path: Path) -> None:
    about, out = tmp_path / "about.toml", tmp_path / "s.zip"
    about.write_text(TOML)

    def said(method: str = METHOD) -> str:
        done = call("submit", folder, "--method", method, "--about", about, "--out", out)
        assert (done.status, out.exists()) == (1, False)
        return done.err

    assert "holds no logs of 'other'; it holds honest" in said("other")
    path = folder / TASKS[0] / METHOD / "seed-0002.jsonl.gz"
    whole = path.read_bytes()
    path.unlink()
    assert "1 of 6 runs are missing" in said()
    lines = unpacked(whole)
    lines[5]["values"]["accuracy"] += 1
    path.write_bytes(packed(lines))
    assert "seed-0002.jsonl.gz, line 6, values.accuracy" in said()
    lines = unpacked(whole)
    lines[0]["searcher"] = "cd" * 32
    path.write_bytes(packed(lines))
    assert "of 2 versions of the searcher" in said()
    path.write_bytes(whole)
    (folder / "copy.jsonl.gz").write_bytes(whole)
    assert "are of one run" in said()
    lines = unpacked(whole)
    lines[0]["task"] = "mine/S"
    (folder / "copy.jsonl.gz").write_bytes(packed(lines))
    assert "mine/S: not of the benchmark; only runs on its tasks can be submitted" in said()


def test_replay_refuses_with_its_place(call: Call, forge: Forge, tmp_path: Path) -> None:
    path = forge({member(): lambda lines: lines[7]["values"].update(accuracy=99.0)})
    out = tmp_path / "verdict.json"
    done = call("replay", path, "--out", out)
    assert done.status == 1
    assert f"refused: {member()}, line 8, values.accuracy: logged 99.0, recomputed" in done.err
    verdict = json.loads(out.read_text())
    assert (verdict["accepted"], verdict["file"], verdict["line"]) == (False, member(), 8)
    assert (verdict["field"], verdict["logged"]) == ("values.accuracy", "99.0")
    shown = call("replay", path, "--json")
    assert (shown.status, json.loads(shown.out)) == (1, verdict)


def test_replay_of_a_folder_and_json(call: Call, folder: Path, submission: Path, tmp_path: Path) -> None:
    shown = json.loads(call("replay", folder, "--json").out)
    assert (shown["tier"], shown["runs"]) == ("self-check", 6)
    out = tmp_path / "verdict.json"
    assert call("replay", submission, "--out", out).status == 0
    verdict = json.loads(out.read_text())
    assert {**shown, "tier": "replayed", "sha256": verdict["sha256"]} == verdict


def test_control_characters_do_not_reach_the_terminal(call: Call, forge: Forge) -> None:
    path = forge({member(): lambda lines: lines[0].update(method="\x1b]0;owned\x07")})
    done = call("replay", path)
    assert done.status == 1
    assert "\x1b" not in done.err
    assert "\x07" not in done.err


def test_re_run(call: Call, tmp_path: Path) -> None:
    args = ["re-run", "random_search", "--task", TASKS[0], "--seeds", 1, "--jobs", 1, "--entropy", 5]
    done = call(*args, "--no-permuted", "--out", tmp_path / "a")
    assert done.status == 0, done.err
    assert "fewer than 10 runs a task: these intervals are narrower" in done.out
    assert "confined: " in done.out
    shown = json.loads(call(*args, "--json", "--no-permuted", "--out", tmp_path / "b").out)
    assert shown == json.loads((tmp_path / "a" / "rerun.json").read_text())
    assert shown["all"]["permuted"] is None
    assert call("re-run", "random_search", "--out", tmp_path / "c").status == 2
    assert "unknown method" in call(*["re-run", "randum_search", *args[2:]], "--out", tmp_path / "d").err
