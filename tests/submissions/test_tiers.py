"""What grants a trust tier, and what does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nasbench_imc as nbi
from nasbench_imc.errors import SubmissionError
from nasbench_imc.leaderboard import as_csv
from nasbench_imc.runs import find_method, run_all
from nasbench_imc.scoring import Scores, score_folder
from nasbench_imc.submissions.tiers import tiers

TASK = nbi.task("nb201/sram-digital/S-accuracy")


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    out = tmp_path_factory.mktemp("logs")
    run_all(
        [find_method(n) for n in ("random_search", "local_search")], [TASK], range(2), out, progress=False
    )
    return score_folder(out)


def replayed(scores: Scores) -> dict[str, Any]:
    rows = scores.by_task()
    rows = rows[rows.method == "random_search"]
    stated = [
        {"task": r.task, "method": r.method, "score": r.score, "runs": r.runs} for r in rows.itertuples()
    ]
    return {
        "accepted": True,
        "tier": "replayed",
        "methods": ["random_search"],
        "scores": stated,
    }


def written(folder: Path, verdict: Any, name: str = "verdict.json") -> Path:
    (folder / name).write_text(json.dumps(verdict))
    return folder / name


def test_tiers_reach_the_leaderboard(tmp_path: Path, scores: Scores) -> None:
    first = written(tmp_path, replayed(scores))
    rerun = written(tmp_path, {"tier": "re-run", "method": "local_search"}, "rerun.json")
    found = tiers([first, rerun], scores)
    assert found == {"random_search": "replayed", "local_search": "re-run"}
    shown = as_csv(scores, tiers=found)
    assert "random_search,replayed" in shown
    assert "local_search,re-run" in shown
    assert "random_search,self-reported" in as_csv(scores)
    better = written(tmp_path, {"tier": "re-run", "method": "random_search"}, "again.json")
    assert tiers([better, first], scores)["random_search"] == "re-run"
    assert tiers([], scores) == {}


def test_a_verdict_of_other_runs_is_refused(tmp_path: Path, scores: Scores) -> None:
    verdict = replayed(scores)
    verdict["scores"][0]["score"] -= 0.01
    with pytest.raises(SubmissionError, match="is of other runs"):
        tiers([written(tmp_path, verdict)], scores)
    with pytest.raises(SubmissionError, match="is of other runs"):
        tiers([written(tmp_path, {**replayed(scores), "scores": []})], scores)


@pytest.mark.parametrize(
    ("verdict", "message"),
    [
        ([], "holds no object"),
        ({}, "grants no trust tier"),
        ({"tier": "self-check", "accepted": True}, "grants no trust tier"),
        ({"accepted": False, "tier": None, "reason": "inflated"}, "refuses the submission: inflated"),
        ({"tier": "re-run"}, "names no method"),
        ({"tier": "replayed", "accepted": True, "methods": "random_search"}, "names no method"),
        ({"tier": "replayed", "accepted": True, "methods": ["random_search"]}, "malformed scores"),
    ],
)
def test_what_is_no_verdict(tmp_path: Path, scores: Scores, verdict: Any, message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        tiers([written(tmp_path, verdict)], scores)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(SubmissionError, match=r"broken.json is no verdict"):
        tiers([tmp_path / "broken.json"], scores)
