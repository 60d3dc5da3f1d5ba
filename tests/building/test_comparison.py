"""What the comparison teaches, from runs whose scores are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import nasbench_imc as nbi
from nasbench_imc.building import comparison
from nasbench_imc.building.comparison_page import write_comparison
from nasbench_imc.runs import methods
from nasbench_imc.scoring import Scores

JOINT, SINGLE, OTHER = map(
    nbi.task,
    ("nb201/joint/J-front", "nb201/sram-digital/S-accuracy", "nb201/pcm-t0/S-accuracy"),
)
SEEDS = 10


def made(wanted: dict[str, dict[str, np.ndarray]]) -> Scores:
    """Scores by task and method, one a seed; regrets that follow from them."""
    tasks = {task.name: task for task in (JOINT, SINGLE, OTHER)}
    rows = [
        {
            "task": task,
            "method": method,
            "seed": seed,
            "end": "budget",
            "seconds": 0.1,
            "score": value,
            "regret": value * np.array(tasks[task].frozen.random_regret),
            "recommended": (),
        }
        for task, of_task in wanted.items()
        for method, values in of_task.items()
        for seed, value in enumerate(values)
    ]
    runs = pd.DataFrame(rows).sort_values(["task", "method", "seed"], ignore_index=True)
    return Scores(tuple(tasks[name] for name in sorted(wanted)), tuple(sorted(set(runs.method))), runs)


@pytest.fixture
def scores() -> Scores:
    """Local search 0.2 better than random search, seed by seed, though runs scatter far more."""
    rng = np.random.default_rng(0)
    luck = {task: rng.normal(0, 1, SEEDS) for task in (JOINT.name, SINGLE.name, OTHER.name)}
    steady = {task: rng.normal(0, 0.01, SEEDS) for task in luck}
    return made(
        {
            task: {
                "random_search": 1.0 + luck[task],
                "local_search": 0.8 + luck[task] + steady[task],
                "gibbon": 0.8 + luck[task],
                **({"two_stage": 1.5 + luck[task] + steady[task]} if task == JOINT.name else {}),
            }
            for task in luck
        }
    )


def test_standings_are_paired(scores: Scores) -> None:
    rows = comparison.standings(scores, comparison.by_track)
    assert [row.group for row in rows] == ["J"] * 4 + ["S"] * 3
    single = {row.method: row for row in rows if row.group == "S"}
    assert single["gibbon"].tasks == 2
    of_random = scores.runs[(scores.runs.method == "random_search") & (scores.runs.task != JOINT.name)]
    assert single["random_search"].score == pytest.approx(of_random.groupby("task").score.mean().mean())
    assert single["random_search"].low < 0.8 < single["random_search"].high  # unpaired, nothing could be told
    assert single["gibbon"].leads
    assert single["local_search"].leads
    assert not single["random_search"].leads
    assert single["random_search"].behind == pytest.approx(0.2, abs=0.02)
    assert single["random_search"].behind_low == pytest.approx(0.2, abs=0.02)
    assert min(single.values(), key=lambda row: row.score).behind == 0


def test_a_method_without_all_tasks_of_a_group_is_left_out(scores: Scores) -> None:
    kept = ~((scores.runs.method == "gibbon") & (scores.runs.task == OTHER.name))
    rows = comparison.standings(scores.restricted(kept.to_numpy()), comparison.by_track)
    assert {row.method for row in rows if row.group == "S"} == {"random_search", "local_search"}


def test_hardware_groups() -> None:
    assert comparison.by_hardware(JOINT) == "nb201 pcm sram-digital"
    assert comparison.by_hardware(OTHER) == "nb201 pcm"


def test_shares_along_the_budget(scores: Scores) -> None:
    """Regrets here are random search's times the score, at each checkpoint."""
    frame = comparison.by_budget(scores)
    runs = scores.runs
    expected = runs[(runs.method == "gibbon") & (runs.task == JOINT.name)].score.mean()
    found = frame[(frame.track == "J") & (frame.method == "gibbon")]
    assert list(found.stage) == ["first", "middle", "last"]
    assert found.share.to_numpy() == pytest.approx(np.full(3, expected))


def test_hardware_after_the_network_is_told_from_joint_search(scores: Scores) -> None:
    frame = comparison.sequential(scores).set_index("method")
    assert set(frame.index) == {"random_search", "local_search", "gibbon"}
    assert set(frame.task) == {JOINT.name}
    assert frame.difference.to_dict() == pytest.approx(
        {"random_search": 0.5, "local_search": 0.7, "gibbon": 0.7}, abs=0.02
    )
    assert (frame.low <= frame.difference).all()
    assert (frame.difference <= frame.high).all()
    assert set(frame.verdict) == {"worse"}
    assert comparison.sequential(scores.restricted((scores.runs.method != "two_stage").to_numpy())).empty


def test_the_page(scores: Scores, tmp_path) -> None:
    (tmp_path / "reading.md").write_text("Mind the noise.")
    files = write_comparison(scores.boards(), tmp_path)
    assert {path.name for path in files} == {
        "README.md", "standings.csv", "budgets.csv", "sequential.csv", "tracks.png", "budgets.png",
    }  # fmt: skip
    page = (tmp_path / "README.md").read_text()
    assert "Mind the noise." in page
    assert "## Board `subset 1`" in page  # where two_stage is, which has no other task
    rows = pd.read_csv(tmp_path / "standings.csv")
    assert set(rows.by) == {"track", "hardware"}
    assert rows.loc[rows.method == "gibbon", "family"].unique().tolist() == ["evolution"]
    line = next(line for line in page.splitlines() if line.startswith("| `random_search`"))
    assert "**" not in line


def test_every_reference_searcher_has_a_family() -> None:
    own = {name for name, method in methods().items() if method.source.startswith("nasbench_imc_baselines.")}
    assert own == set(comparison.FAMILIES)


def test_the_best_of_a_budget_are_all_that_are_level() -> None:
    from nasbench_imc.building.comparison_page import _budget_table

    shares = {"first": (1.0, 1.0, 1.0), "middle": (0.8, 0.8, 0.9), "last": (0.9, 0.7, 0.8)}
    frame = pd.DataFrame(
        [
            ("S", stage, name, share)
            for stage, of in shares.items()
            for name, share in zip("abc", of, strict=True)
        ],
        columns=["track", "stage", "method", "share"],
    )
    assert _budget_table(frame).splitlines()[-1] == "| S | all 1.00 | `a`, `b` 0.80 | `b` 0.70 |"
