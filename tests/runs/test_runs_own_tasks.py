"""Tasks of one's own: a data file and nothing else, run, scored and shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import nasbench_imc as nbi
from nasbench_imc.leaderboard import as_markdown
from nasbench_imc.runs import find_method, run_all
from nasbench_imc.runs.own_tasks import keep_own_tasks, own_tasks
from nasbench_imc.scoring import score_folder

SHIPPED = nbi.task("nb201/sram-digital/S-accuracy")
OWN = replace(SHIPPED, name="mine/S")


def test_a_task_file_needs_no_code(tmp_path: Path) -> None:
    file, out = tmp_path / "mine.json", tmp_path / "logs"
    file.write_text(OWN.to_json())
    tasks = [nbi.task(str(file)), SHIPPED]
    report = run_all([find_method("random_search")], tasks, range(2), out, progress=False)
    assert report.done == 4
    file.unlink()  # the logs' folder is enough
    scores = score_folder(out)
    assert [task.name for task in scores.tasks] == ["mine/S", SHIPPED.name]
    rows = scores.by_task().set_index("task")
    assert rows.loc["mine/S", "runs"] == 2
    assert "Not tasks of the benchmark: mine/S." in as_markdown(scores)
    assert not (out / SHIPPED.name / "task.json").exists()
    again = run_all([find_method("random_search")], tasks, range(2), out, progress=False)
    assert (again.done, again.skipped) == (0, 4)


def test_a_task_edited_after_its_runs_does_not_move_their_scores(tmp_path: Path) -> None:
    method = find_method("random_search")
    run_all([method], [OWN], range(1), tmp_path, progress=False)
    frozen = replace(OWN.frozen, random_regret=tuple(10 * r for r in OWN.frozen.random_regret))
    edited = replace(OWN, frozen=frozen)
    kept = tmp_path / OWN.name / "task.json"
    kept.write_text(edited.to_json())
    with pytest.raises(nbi.LogError, match=r"was made with another version of task 'mine/S'.* run it again"):
        score_folder(tmp_path)
    with pytest.raises(nbi.LogError, match=r"made with another version of task 'mine/S'.* another --out"):
        run_all([method], [edited], range(2), tmp_path, progress=False)
    kept.write_text(OWN.to_json())
    assert len(score_folder(tmp_path).runs) == 1


def test_a_copy_of_the_benchmarks_task_is_the_benchmarks_task(tmp_path: Path) -> None:
    """However it writes its numbers."""
    data = json.loads(SHIPPED.to_json())
    assert data["frozen"]["best_hypervolume"] == 0.0
    data["frozen"]["best_hypervolume"] = 0
    file, out = tmp_path / "copy.json", tmp_path / "logs"
    file.write_text(json.dumps(data))
    copy = nbi.task(str(file))
    assert copy.sha256 != SHIPPED.sha256
    run_all([find_method("random_search")], [copy], range(1), out, progress=False)
    assert score_folder(out).tasks == (SHIPPED,)
    assert not (out / SHIPPED.name / "task.json").exists()


def test_another_task_of_the_same_name_is_refused(tmp_path: Path) -> None:
    keep_own_tasks([OWN], tmp_path)
    keep_own_tasks([OWN], tmp_path)
    with pytest.raises(nbi.TaskError, match=r"mine/S/task.json is another task of this name"):
        keep_own_tasks([replace(OWN, suite="dev")], tmp_path)
    with pytest.raises(nbi.TaskError, match=r"S-accuracy' is the name of a task of the benchmark"):
        keep_own_tasks([replace(SHIPPED, suite="dev")], tmp_path)
    assert own_tasks(tmp_path) == {"mine/S": OWN}
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "task.json").write_text(replace(OWN, suite="dev").to_json())
    with pytest.raises(nbi.TaskError, match="differs from another task 'mine/S'"):
        own_tasks(tmp_path)


@pytest.mark.parametrize("change", [{"name": SHIPPED.name, "suite": "dev"}, {"track": "X"}])
def test_a_forged_task_below_the_logs_is_refused(tmp_path: Path, change: dict[str, str]) -> None:
    data = json.loads(OWN.to_json()) | change
    (tmp_path / "task.json").write_text(json.dumps(data))
    with pytest.raises(nbi.TaskError):
        own_tasks(tmp_path)
