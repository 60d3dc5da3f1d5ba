"""What grants a trust tier, and what does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nasbench_imc as nbi
from nasbench_imc.errors import SubmissionError
from nasbench_imc.leaderboard import as_csv
from nasbench_imc.runs import find_method, run_all
from nasbench_imc.scoring import Scores, score_folder
from nasbench_imc.submissions.pack import pack
from nasbench_imc.submissions.replay import replay
from nasbench_imc.submissions.rerun import rerun
from nasbench_imc.submissions.tiers import tiers

from .conftest import SAID

TASK = nbi.task("nb201/sram-digital/S-accuracy")
METHOD = "random_search"

Verdict = dict[str, Any]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("logs")
    run_all([find_method(n) for n in (METHOD, "local_search")], [TASK], range(2), out, progress=False)
    return out


@pytest.fixture(scope="module")
def scores(logs: Path) -> Scores:
    return score_folder(logs)


@pytest.fixture(scope="module")
def submission(logs: Path) -> Path:
    pack(logs, METHOD, SAID, logs / "s.zip")
    return logs / "s.zip"


@pytest.fixture
def replayed(submission: Path) -> Verdict:
    return json.loads(json.dumps(replay(submission).to_json()))


@pytest.fixture(scope="module")
def made_again(submission: Path, tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    return rerun(
        METHOD, [TASK], 1, tmp_path_factory.mktemp("again"), permuted=False, submission=submission, jobs=1
    )


@pytest.fixture
def reran(made_again: Verdict) -> Verdict:
    return deepcopy(made_again)


def written(folder: Path, verdict: Any, name: str = "verdict.json") -> Path:
    (folder / name).write_text(json.dumps(verdict))
    return folder / name


def refused(folder: Path, verdict: Any, scores: Scores, reason: str) -> None:
    with pytest.raises(SubmissionError, match=reason):
        tiers([written(folder, verdict)], scores)


def test_tiers_reach_the_leaderboard(
    tmp_path: Path, scores: Scores, replayed: Verdict, reran: Verdict
) -> None:
    first, again = written(tmp_path, replayed), written(tmp_path, reran, "rerun.json")
    found = tiers([first], scores)
    assert found == {METHOD: "replayed"}
    shown = as_csv(scores, tiers=found)
    assert "random_search,replayed" in shown
    assert "local_search,self-reported" in shown
    found = tiers([again, first], scores)
    assert found == tiers([first, again], scores) == {METHOD: "re-run"}
    assert "random_search,re-run" in as_csv(scores, tiers=found)
    assert "random_search,self-reported" in as_csv(scores)
    assert tiers([], scores) == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda verdict: verdict["scores"][0].update(score=verdict["scores"][0]["score"] - 0.01),
        lambda verdict: verdict["scores"][0].update(score="0.5"),
        lambda verdict: verdict["scores"][0].update(score=None),
        lambda verdict: verdict["scores"][0].update(runs=3),
        lambda verdict: verdict["scores"][0].update(runs=None),
        lambda verdict: verdict.update(scores=[]),
        lambda verdict: verdict["tables"].update(nb201="12" * 32),
        lambda verdict: verdict["tables"].clear(),
    ],
)
def test_a_verdict_of_other_runs_is_refused(
    tmp_path: Path, scores: Scores, replayed: Verdict, change: Callable[[Verdict], object]
) -> None:
    change(replayed)
    refused(tmp_path, replayed, scores, "is of other runs")


def test_re_run_of_another_searcher_is_refused(tmp_path: Path, scores: Scores, reran: Verdict) -> None:
    """All runs shown must be of the one that was run again."""
    refused(tmp_path, {**reran, "searcher": "deadbeef"}, scores, r"another searcher: SHA-256 deadbeef\.\.\.")
    for other, said in (("ab" * 32, r"were made by abababababab\.\.\."), ("", "name no file of theirs")):
        runs = scores.runs.copy()
        runs.loc[runs.index[runs.method == METHOD][-1], "searcher"] = other
        refused(tmp_path, reran, replace(scores, runs=runs), rf"another searcher.* {said}")
        runs.searcher = other
        refused(tmp_path, {**reran, "searcher": ""}, replace(scores, runs=runs), "does not state the SHA-256")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda verdict: verdict.update(submission=None), "do it with `nasbench-imc re-run --of"),
        (lambda verdict: verdict.pop("submission"), "not compared .* re-run --of SUBMISSION"),
        (lambda verdict: verdict.pop("searcher"), "does not state the SHA-256"),
        (
            lambda verdict: verdict.update(tasks=[]),
            "lacks 1 of the tasks .* first nb201/sram-digital/S-accur",
        ),
        (lambda verdict: verdict["tasks"][0].update(task="nb201/other"), "lacks 1 of the tasks"),
        (lambda verdict: verdict["tasks"][0].update(task=[]), "lacks 1 of the tasks"),
        (lambda verdict: verdict.update(tasks=[METHOD]), "malformed tasks"),
        (
            lambda verdict: verdict.update(tables={"nb201": "12" * 32}),
            r"names table nb201 121212121212\.\.\.",
        ),
        (lambda verdict: verdict.update(tables={}), "is of other runs: it names table nb201 None"),
        (lambda verdict: verdict.pop("tables"), "names no tables"),
        (lambda verdict: verdict.update(method="regularized_evolution"), "of which no runs are shown"),
        (lambda verdict: verdict.update(method="local_search"), "another searcher"),
        (
            lambda verdict: verdict["submission"]["differ"].append({"file": "f", "line": 2}),
            "1 of 2 runs made again differ",
        ),
        (lambda verdict: verdict["submission"].update(differ=None), "some of 2 runs made again differ"),
        (lambda verdict: verdict["submission"].pop("differ"), "malformed submission"),
        (lambda verdict: verdict.update(submission=[]), "malformed submission"),
        (lambda verdict: verdict["submission"].update(scores=["none"]), "malformed submission"),
        (lambda verdict: verdict["submission"].update(runs_again="2"), "malformed submission"),
        (lambda verdict: verdict["submission"].update(runs_again=0), "had a submitted run made again"),
        (lambda verdict: verdict["submission"].update(scores={}), "states no score for random_search"),
        (lambda verdict: verdict["submission"]["scores"].update({TASK.name: 0.1}), "states 0.1 for random_s"),
        (lambda verdict: verdict["submission"]["scores"].update({TASK.name: "0"}), "is of other runs"),
    ],
)
def test_re_run_of_other_runs_is_refused(
    tmp_path: Path, scores: Scores, reran: Verdict, change: Callable[[Verdict], object], reason: str
) -> None:
    assert tiers([written(tmp_path, reran)], scores) == {METHOD: "re-run"}
    change(reran)
    refused(tmp_path, reran, scores, reason)


def test_re_run_without_the_submission_grants_no_tier(tmp_path: Path, scores: Scores) -> None:
    rerun(METHOD, [TASK], 1, tmp_path / "out", permuted=False)
    with pytest.raises(SubmissionError, match=r"rerun\.json grants no tier.* `nasbench-imc re-run --of"):
        tiers([tmp_path / "out" / "rerun.json"], scores)


@pytest.mark.parametrize(
    ("verdict", "message"),
    [
        ([], "holds no object"),
        ({}, "grants no trust tier"),
        ({"tier": "self-check", "accepted": True}, "grants no trust tier"),
        ({"accepted": False, "tier": None, "reason": "inflated"}, "refuses the submission: inflated"),
        ({"tier": "re-run"}, "names no method"),
        ({"tier": "re-run", "method": METHOD}, "does not state the SHA-256"),
        ({"tier": "replayed", "accepted": True, "methods": METHOD}, "names no method"),
        ({"tier": "replayed", "accepted": True, "methods": [METHOD]}, "malformed scores"),
    ],
)
def test_what_is_no_verdict(tmp_path: Path, scores: Scores, verdict: Any, message: str) -> None:
    refused(tmp_path, verdict, scores, message)
    for content in ("{", '{"tier": "re-run", "tier": "replayed"}', '{"tier": NaN}'):
        (tmp_path / "broken.json").write_text(content)
        with pytest.raises(SubmissionError, match=r"broken.json is no verdict"):
            tiers([tmp_path / "broken.json"], scores)
