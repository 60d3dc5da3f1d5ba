"""Runs from folders and submissions score together."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nasbench_imc as nbi
from nasbench_imc.runs.execute import execute
from nasbench_imc.runs.log import log_path, read_log, write_log
from nasbench_imc.scoring import score_folder
from nasbench_imc.submissions.collect import score_places

from .conftest import METHOD, SEEDS, TASKS, honest


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """Logs of another method on the same tasks."""
    folder = tmp_path / "others"
    for name in TASKS:
        log = execute(honest, "other", nbi.task(name), 0, 60.0)
        write_log(log, log_path(folder, name, "other", 0))
    return folder


def test_a_submission_scores_as_its_logs_do(logs: Path, submission: Path) -> None:
    packed, plain = score_places([submission]), score_folder(logs)
    assert packed.by_task().equals(plain.by_task())
    assert packed.tasks == plain.tasks


def test_places_rank_together(others: Path, submission: Path, tmp_path: Path) -> None:
    folder = tmp_path / "submissions"
    folder.mkdir()
    shutil.copy(submission, folder)
    for place in (submission, folder):
        found = score_places([others, place])
        assert found.methods == (METHOD, "other")
        assert len(found.runs) == len(TASKS) * (SEEDS + 1)


def test_a_submission_beside_its_logs_counts_once(logs: Path, submission: Path, tmp_path: Path) -> None:
    folder = tmp_path / "both"
    shutil.copytree(logs, folder)
    shutil.copy(submission, folder / "honest.zip")
    assert score_places([folder]).by_task().equals(score_folder(logs).by_task())
    assert score_places([folder, submission]).by_task().equals(score_folder(logs).by_task())


def test_two_runs_of_one_name_are_told(logs: Path, submission: Path, tmp_path: Path) -> None:
    path = next(logs.rglob("*.gz"))
    log = read_log(path)
    write_log(replace(log, searcher="0" * 64), tmp_path / path.relative_to(logs))
    with pytest.raises(nbi.LogError, match=f"two logs of {METHOD} .* two versions .* leave out a place"):
        score_places([tmp_path, submission])


def test_places_without_runs_are_named(logs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for places in ([tmp_path / "empty"], [logs, tmp_path / "empty"]):
        with pytest.raises(nbi.LogError, match=r"no run logs|neither run logs .* nor submissions"):
            score_places(places)
    text = tmp_path / "text.zip"
    text.write_text("This is no archive, and long enough not to be called too short.")
    with pytest.raises(nbi.BenchmarkError, match="not a zip archive"):
        score_places([text])


def test_the_leaderboard_takes_several_places(
    others: Path, submission: Path, call: Callable[..., Any]
) -> None:
    assert call("leaderboard", others, submission, "--no-page").status == 0
    assert METHOD in (others / "leaderboard.md").read_text()  # in the first folder
    done = call("leaderboard", submission, "--no-page")
    assert done.status == 2
    assert "name one by --out" in done.err
    done = call("score", submission)
    assert done.status == 0
    assert METHOD in done.out
