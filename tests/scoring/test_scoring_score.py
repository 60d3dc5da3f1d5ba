"""Scores of runs and methods, above all that random search scores 1."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nasbench_imc as nbi
from nasbench_imc.runs import RunLog
from nasbench_imc.runs.log import log_path, write_log
from nasbench_imc.scoring import regret_curve, score, score_folder, standing
from nasbench_imc.scoring.bootstrap import mean_interval
from nasbench_imc_baselines import random_search

S, M = "nb201/sram-digital/S-accuracy", "nb201/sram-digital/M-energy"


def random_run(task: nbi.Task, bench: nbi.Benchmark, label_seed: int, rng: Any) -> list[dict[str, Any]]:
    with task.session(label_seed, bench) as s, contextlib.suppress(nbi.BudgetExhausted):
        random_search.search(s, rng)
    return s.events()


def log(name: str, method: str, seed: int, events: list[dict[str, Any]], **fields: Any) -> RunLog:
    bench = nbi.task(name).load_table()
    made = RunLog(
        method=method,
        task=name,
        task_sha256=nbi.task(name).sha256,
        seed=seed,
        table=bench.version,
        table_sha256=bench.sha256,
        official=True,
        events=tuple(events),
        end="budget",
        error="",
        charged=200,
        proposals=200,
        seconds=1.0,
    )
    return replace(made, **fields)


@pytest.fixture(scope="module")
def logs(bench: nbi.Benchmark) -> list[RunLog]:
    """Three methods, two tasks, three seeds; ``early`` stops after one query."""
    made = []
    for name in (S, M):
        for seed in range(3):
            for k, method in enumerate(("first", "second", "early")):
                events = random_run(nbi.task(name), bench, seed, np.random.default_rng([k, seed]))
                made.append(log(name, method, seed, events[:1] if method == "early" else events))
    return made


@pytest.mark.parametrize("name", [task.name for task in nbi.tasks()])
def test_random_search_scores_one(name: str) -> None:
    """Runs of every label seed: the mean score is 1, and each checkpoint's regret the frozen one."""
    task = nbi.task(name)
    bench = task.load_table()
    each = 210 // task.label_seeds
    seeds = np.repeat(np.arange(task.label_seeds), each)
    curves = np.stack(
        [
            regret_curve(task, bench, random_run(task, bench, int(seed), np.random.default_rng([4, k])))
            for k, seed in enumerate(seeds)
        ]
    )
    # The seeds are not drawn but all used, so only the spread within a seed makes the mean uncertain.
    scores = curves.sum(axis=1) / np.sum(task.frozen.random_regret)
    within = scores.reshape(task.label_seeds, each).std(axis=1, ddof=1)
    error = np.sqrt((within**2).mean() / len(scores))
    assert error < 0.12  # regrets of three queries have long tails
    assert scores.mean() == pytest.approx(1, abs=3 * error)
    spread = curves.reshape(task.label_seeds, each, -1).var(axis=1, ddof=1).mean(axis=0)
    off = np.abs(curves.mean(axis=0) - task.frozen.random_regret)
    assert (off <= 4 * np.sqrt(spread / len(curves)) + 1e-9).all()  # on track T the first has no spread


def test_score_of_a_run_is_the_ratio_of_sums(bench: nbi.Benchmark, logs: list[RunLog]) -> None:
    runs = score(logs).runs
    assert len(runs) == len(logs) == 18
    for made in logs:
        task = nbi.task(made.task)
        row = runs[(runs.task == made.task) & (runs.method == made.method) & (runs.seed == made.seed)]
        curve = regret_curve(task, bench, made.events)
        assert row.score.item() == pytest.approx(curve.sum() / sum(task.frozen.random_regret))
        assert row.regret.item().tolist() == curve.tolist()


def test_by_task_and_leaderboard(logs: list[RunLog]) -> None:
    scores = score(logs)
    cells = scores.by_task()
    assert len(cells) == 6
    assert (cells.runs == 3).all()
    for row in cells.itertuples():
        own = scores.runs[(scores.runs.task == row.task) & (scores.runs.method == row.method)]
        assert row.score == pytest.approx(own.score.mean())
        assert own.score.min() - 1e-9 <= row.low <= row.score <= row.high <= own.score.max() + 1e-9
        assert row.regret == pytest.approx(np.mean([curve[-1] for curve in own.regret]))
    board = scores.leaderboard()
    assert list(board["rank"]) == sorted(board["rank"])
    assert board.index[-1] == "early"
    assert board.loc["early", "mean_rank"] == 3
    for method in scores.methods:
        assert board.loc[method, "score"] == pytest.approx(np.mean([board.loc[method, t] for t in (S, M)]))
        assert board.loc[method, "low"] <= board.loc[method, "score"] <= board.loc[method, "high"]
        assert scores.regrets(S, method).shape == (3, 7)


def test_equal_methods_share_a_rank(logs: list[RunLog]) -> None:
    twins = [made for made in logs if made.method != "second"]
    twins += [replace(made, method="twin") for made in logs if made.method == "first"]
    board = score(twins).leaderboard()
    assert board.loc["first", "rank"] == board.loc["twin", "rank"] == 1
    assert board.loc["first", "mean_rank"] == board.loc["twin", "mean_rank"] == 1.5
    assert board.loc["early", "rank"] == 3


def test_adding_a_method_changes_no_other_score(logs: list[RunLog]) -> None:
    few, all_ = score(made for made in logs if made.method != "early"), score(logs)
    few_board, board = few.leaderboard(), all_.leaderboard()
    columns = ["score", "low", "high", S, M]
    for method in few.methods:
        assert few_board.loc[method, columns].tolist() == board.loc[method, columns].tolist()


def test_order_of_the_logs_does_not_matter(logs: list[RunLog]) -> None:
    one, other = score(logs), score(reversed(logs))
    assert one.by_task().equals(other.by_task())
    assert one.leaderboard().equals(other.leaderboard())


def test_bootstrap_is_deterministic_and_covers() -> None:
    values = np.random.default_rng(0).normal(size=30)
    low, high = mean_interval(values)
    assert mean_interval(values) == (low, high)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(30), rel=0.1)
    assert mean_interval(np.array([0.5])) == (0.5, 0.5)


def test_failed_runs_are_counted_and_scored(logs: list[RunLog]) -> None:
    lost = [log(S, "lost", seed, [], end="failed", error="died", charged=0) for seed in range(3)]
    cells = score([*logs, *lost]).by_task().set_index(["task", "method"])
    task = nbi.task(S)
    assert cells.loc[(S, "lost"), "failed"] == 3
    worst = 7 * (task.frozen.best - task.frozen.worst) / sum(task.frozen.random_regret)
    assert cells.loc[(S, "lost"), "score"] == pytest.approx(worst)


def test_what_stands_at_the_end_is_kept(bench: nbi.Benchmark, logs: list[RunLog]) -> None:
    scores = score(logs)
    for made in logs:
        expected = tuple(standing(nbi.task(made.task), made.events)[-1])
        assert scores.recommended(made.task, made.method)[made.seed] == expected
    assert len(scores.recommended(S, "first")) == 3
    assert scores.recommended(S, "nobody") == []


def test_the_median_run_is_neither_the_best_nor_the_worst(logs: list[RunLog]) -> None:
    scores = score(logs)
    runs = scores.runs.query("task == @S and method == 'first'").sort_values("score", kind="stable")
    assert len(runs) == 3
    assert scores.median_run(S, "first") == runs.recommended.iloc[1]
    pair = scores.restricted(scores.runs.index.isin(runs.index[1:]))
    assert pair.median_run(S, "first") == runs.recommended.iloc[1]  # the better one
    assert scores.median_run(S, "nobody") == ()


def test_a_folder_is_scored_by_any_number_of_processes(
    logs: list[RunLog], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for made in logs:
        write_log(made, log_path(tmp_path, made.task, made.method, made.seed))
    module = sys.modules["nasbench_imc.scoring.score"]  # the package's name of it is the function's
    monkeypatch.setattr(module, "_FEW", 2)
    monkeypatch.setattr(module, "_CHUNK", 5)
    expected = score(logs)
    for jobs in (1, 2):
        found = score_folder(tmp_path, jobs)
        assert (found.tasks, found.methods) == (expected.tasks, expected.methods)
        pd.testing.assert_frame_equal(found.runs, expected.runs)
    write_log(replace(logs[0], table_sha256="0" * 64), tmp_path / "other.jsonl.gz")
    with pytest.raises(nbi.LogError, match="was made with table 000000000000"):
        score_folder(tmp_path, 2)
    (tmp_path / "none").mkdir()
    with pytest.raises(nbi.LogError, match="there are no run logs"):
        score_folder(tmp_path / "none")


def test_logs_are_scored_as_they_come(logs: list[RunLog]) -> None:
    """None is held once the next one is asked for."""
    alive: list[weakref.ref[RunLog]] = []

    def reading() -> Iterator[RunLog]:
        for made in logs:
            assert sum(reference() is not None for reference in alive) <= 1
            copy = replace(made)
            alive.append(weakref.ref(copy))
            yield copy
            del copy

    assert len(score(reading()).runs) == len(logs)


def test_ratings_follow_the_scores(logs: list[RunLog]) -> None:
    scores = score(
        [*logs, *(replace(made, method="random_search") for made in logs if made.method == "first")]
    )
    board = scores.leaderboard()
    rank = board.mean_rank
    assert rank["random_search"] == rank["first"] < rank["early"]
    unknown = ["mean_rank_low", "mean_rank_high", "elo", "elo_low", "elo_high"]
    assert board[unknown].isna().all(axis=None)  # two tasks


def test_no_logs() -> None:
    with pytest.raises(nbi.LogError, match="no run logs"):
        score([])


def test_duplicate_logs(logs: list[RunLog]) -> None:
    """A copy counts once, whatever time it took; what differs is refused."""
    assert score([*logs, replace(logs[0], seconds=99.0)]).by_task().equals(score(logs).by_task())
    with pytest.raises(nbi.LogError, match=r"two logs of first on .* with seed 0, and they differ"):
        score([*logs, replace(logs[0], events=logs[0].events[:3])])


def test_log_of_another_table(logs: list[RunLog]) -> None:
    with pytest.raises(nbi.LogError, match=r"was made with table 000000000000"):
        score([replace(logs[0], table_sha256="0" * 64)])


def test_log_of_another_version_of_its_task(logs: list[RunLog]) -> None:
    older = replace(nbi.task(logs[0].task), budget=7)
    with pytest.raises(nbi.LogError, match=r"another version of task 'nb201/.*; run it again"):
        score([replace(logs[0], task_sha256=older.sha256)])


def test_log_of_an_unknown_task(logs: list[RunLog]) -> None:
    with pytest.raises(nbi.UnknownNameError, match="unknown task"):
        score([replace(logs[0], task="nb201/none")])


def test_a_log_opens_no_file(logs: list[RunLog], tmp_path: Path) -> None:
    """A task file that a log names by its path would be a yardstick of the log's own."""
    evil = replace(nbi.task(logs[0].task), name="evil/S")
    path = tmp_path / "evil.json"
    for content in (evil.to_json(), "no task file, which is found out where it is opened"):
        path.write_text(content)
        with pytest.raises(nbi.UnknownNameError, match="unknown task"):
            score([replace(logs[0], task=str(path), task_sha256=evil.sha256)])


def test_runs_name_their_searcher(logs: list[RunLog]) -> None:
    assert set(score([logs[0], replace(logs[1], searcher="ab" * 32)]).runs.searcher) == {"", "ab" * 32}


@pytest.mark.parametrize(
    "event",
    [
        {"query": {"arch": "cell"}, "values": {"accuracy": 99.0}, "proposals": 1},
        {"query": {}, "values": {"accuracy": 99.0}, "proposals": 1},
        {"query": {"arch": "cell"}, "values": {}, "proposals": 1},
        {"query": {"arch": "cell", "colour": "red"}, "values": {"accuracy": 99.0}, "proposals": 1},
        {"recommend": [{"arch": None}]},
        {"recommend": [{"arch": "cell", "hardware": "chip"}]},
    ],
)
def test_log_that_does_not_fit_its_task(event: dict[str, Any]) -> None:
    with pytest.raises(nbi.LogError, match=r"the log of m on .*, seed 4, does not fit the task"):
        score([log(S, "m", 4, [event])])


def test_leaderboard_refuses_gaps(logs: list[RunLog]) -> None:
    scores = score(made for made in logs if (made.method, made.task) != ("second", M))
    assert len(scores.by_task()) == 5
    with pytest.raises(nbi.LogError, match=f"second on {M}"):
        scores.leaderboard()
