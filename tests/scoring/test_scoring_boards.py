"""Which methods rank together, and that none changes another one's score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nasbench_imc as nbi
from nasbench_imc.scoring import Scores
from nasbench_imc.scoring.boards import split
from nasbench_imc.scoring.score import cluster

TASKS = tuple(sorted((task.name for task in nbi.tasks()), key=str))[:4]

#: A method's runs: for each task its number of seeds.
COVERAGE = st.tuples(*[st.integers(0, 4)] * len(TASKS)).filter(any)


def runs(**made: tuple[int, ...] | dict[str, range]) -> pd.DataFrame:
    """Runs of methods; each run's regret depends on its method, task and seed alone."""
    rows = []
    for method, coverage in made.items():
        seeds = (
            coverage if isinstance(coverage, dict) else dict(zip(TASKS, map(range, coverage), strict=True))
        )
        for task, of_task in seeds.items():
            for seed in of_task:
                rng = np.random.default_rng([*method.encode(), *task.encode(), seed])
                random = np.array(nbi.task(task).frozen.random_regret)
                regret = random * rng.uniform(0, 1.5)
                rows.append(
                    {
                        "task": task,
                        "method": method,
                        "seed": seed,
                        "end": "budget",
                        "error": "",
                        "charged": 200,
                        "proposals": 200,
                        "seconds": float(rng.uniform(1, 2)),
                        "official": True,
                        "score": regret.sum() / random.sum(),
                        "regret": regret,
                        "recommended": (),
                    }
                )
    return pd.DataFrame(rows)


def scores(frame: pd.DataFrame) -> Scores:
    tasks = tuple(nbi.task(name) for name in sorted(set(frame.task)))
    return Scores(tasks, tuple(sorted(set(frame.method))), frame)


def members(frame: pd.DataFrame) -> dict[str, set[str]]:
    return {name: set(frame.method[kept]) for name, kept in split(frame).items()}


def test_methods_with_all_runs_are_on_the_main_board() -> None:
    frame = runs(a=(3, 3, 3, 3), b=(3, 3, 3, 3), few_tasks=(3, 3, 0, 0), few_seeds=(2, 2, 2, 2))
    assert members(frame) == {
        "main": {"a", "b"},
        "subset 1": {"a", "b", "few_seeds"},
        "subset 2": {"a", "b", "few_tasks"},
    }
    kept = frame[split(frame)["subset 2"]]
    assert set(zip(kept.task, kept.seed, strict=True)) == {(t, k) for t in TASKS[:2] for k in range(3)}


def test_slow_methods_on_one_subset_share_a_board() -> None:
    fast = dict.fromkeys("abc", (3,) * 4)
    frame = runs(**fast, slow=(2, 2, 0, 0), slower=(2, 2, 0, 0), slowest=(1, 1, 0, 0))
    assert members(frame) == {
        "main": {*fast},
        "subset 1": {*fast, "slow", "slower"},
        "subset 2": {*fast, "slow", "slower", "slowest"},
    }


def test_the_main_board_is_of_the_tasks_that_half_of_the_methods_have() -> None:
    frame = runs(all_tasks=(3,) * 4, b=(3, 3, 3, 0), c=(3, 3, 3, 0), few=(3, 0, 0, 0))
    assert members(frame) == {"main": {"all_tasks", "b", "c"}, "subset 1": {"all_tasks", "b", "c", "few"}}
    assert on(frame, "main") == {(t, k) for t in TASKS[:3] for k in range(3)}


def on(frame: pd.DataFrame, board: str) -> set[tuple[str, int]]:
    """The tasks and seeds of a board."""
    kept = frame[split(frame)[board]]
    return set(zip(kept.task, kept.seed, strict=True))


def test_one_task_more_of_one_method_leaves_the_others_on_the_main_board() -> None:
    frame = runs(a=(3, 3, 3, 0), b=(3, 3, 3, 0), more=(3,) * 4)
    assert members(frame) == {"main": {"a", "b", "more"}}
    assert on(frame, "main") == {(t, k) for t in TASKS[:3] for k in range(3)}


def test_a_run_on_one_more_task_does_not_make_it_a_task_of_the_board() -> None:
    frame = runs(a=(3, 3, 3, 0), stray=(3, 3, 3, 1))
    assert members(frame) == {"main": {"a", "stray"}}


def test_seeds_beyond_the_usual_ones_do_not_count() -> None:
    """Neither where one of two methods has more than 30, nor for the method's own mean."""
    frame = runs(a=(30, 0, 0, 0), more=(31, 0, 0, 0))
    assert members(frame) == {"main": {"a", "more"}}
    assert on(frame, "main") == {(TASKS[0], k) for k in range(30)}
    frame.loc[(frame.method == "more") & (frame.seed == 30), "score"] = -1e6
    (board,) = scores(frame).boards()
    of_thirty = frame[(frame.method == "more") & (frame.seed < 30)].score.mean()
    assert board.scores.leaderboard().loc["more", "score"] == pytest.approx(of_thirty)
    assert board.left_out == {"more": 1}


def test_seeds_that_one_method_chose_do_not_count() -> None:
    """Its first ones do, also where it left some out."""
    chosen = {task: [0, 1, 2, 7, 9] for task in TASKS}
    frame = runs(a=(3,) * 4, b=(3,) * 4, chosen=chosen)
    assert members(frame) == {"main": {"a", "b", "chosen"}}
    assert on(frame, "main") == {(t, k) for t in TASKS for k in range(3)}


@pytest.mark.parametrize(
    "coverage",
    [
        (3, 0, 0, 0),
        (4, 2, 1, 0),
        (32, 0, 0, 0),
        {TASKS[1]: range(5, 8)},
        {TASKS[0]: [0, 2, 40], TASKS[2]: [1]},
    ],
)
def test_what_all_methods_ran_is_the_main_board(coverage: object) -> None:
    frame = runs(a=coverage, b=coverage, c=coverage)  # type: ignore[arg-type]
    (kept,) = split(frame).values()
    assert kept.all()
    assert list(split(frame)) == ["main"]


def test_seeds_that_most_methods_chose_are_those_of_the_board() -> None:
    late = {TASKS[0]: range(5, 8)}
    assert members(runs(a=late, b=late, more={TASKS[0]: range(4, 9)})) == {"main": {"a", "b", "more"}}


@given(COVERAGE, COVERAGE)
def test_no_method_drives_two_alike_from_the_main_board(
    alike: tuple[int, ...], any_: tuple[int, ...]
) -> None:
    assert members(runs(a=alike, b=alike, other=any_))["main"] >= {"a", "b"}


def test_own_tasks_are_on_a_board_of_their_own() -> None:
    frame = runs(a=(3, 3, 0, 3), b=(3, 3, 0, 0), c=(3, 3, 0, 2))
    frame["task"] = frame.task.replace(TASKS[3], "mine")
    found = {name: frame[kept] for name, kept in split(frame, {"mine"}).items()}
    assert {name: set(board.method) for name, board in found.items()} == {
        "main": {"a", "b", "c"},
        "own tasks": {"a"},
        "own tasks subset 1": {"a", "c"},
    }
    assert set(found["main"].task) == set(TASKS[:2])
    assert set(found["own tasks"].task) == {"mine"}
    assert found["own tasks subset 1"].groupby("method").size().to_dict() == {"a": 2, "c": 2}


def test_boards_say_which_runs_they_leave_out() -> None:
    """Those of tasks of one's own are not left out: they have a board."""
    frame = runs(a=(3, 3, 0, 3), b=(3, 3, 0, 3), more=(4, 4, 3, 0), few=(2, 0, 0, 0))
    frame["task"] = frame.task.replace(TASKS[3], "mine")
    tasks = (*(nbi.task(name) for name in TASKS[:3]), replace(nbi.task(TASKS[3]), name="mine"))
    boards = Scores(tasks, tuple(sorted(set(frame.method))), frame).boards()
    assert [(board.name, dict(board.left_out)) for board in boards] == [
        ("main", {"more": 5}),
        ("subset 1", {"a": 4, "b": 4, "more": 9}),
        ("own tasks", {}),
    ]


def test_a_method_with_more_seeds_than_most_is_complete_and_leaves_the_others_so() -> None:
    assert members(runs(a=(3,) * 4, b=(3,) * 4, more=(4,) * 4)) == {"main": {"a", "b", "more"}}


def test_of_equally_usual_seeds_the_most_are_needed() -> None:
    assert members(runs(fast=(4,) * 4, slow=(2,) * 4)) == {"main": {"fast"}, "subset 1": {"fast", "slow"}}


def test_without_a_complete_method_there_is_no_main_board() -> None:
    frame = runs(a=(3, 3, 0, 0), b=(0, 3, 3, 0))
    assert members(frame) == {"subset 1": {"a"}, "subset 2": {"b"}}


def test_other_seeds_are_another_subset() -> None:
    frame = runs(a=(3,) * 4, b=(3,) * 4, c={task: range(5, 7) for task in TASKS})
    assert members(frame) == {"main": {"a", "b"}, "subset 1": {"c"}}


@given(st.lists(COVERAGE, min_size=1, max_size=4))
def test_every_method_ranks_on_all_that_it_ran_or_on_the_main_board(drawn: list[tuple[int, ...]]) -> None:
    frame = runs(**{f"m{k}": coverage for k, coverage in enumerate(drawn)})
    found = split(frame)
    alike = len(set(drawn)) == 1
    for kept in found.values():
        board = frame[kept]
        sizes = board.groupby(["method", "task"]).size().unstack()
        assert not sizes.isna().any(axis=None)  # each method on each task of the board
        assert sizes.nunique().max() == 1  # and on as many seeds
        if kept is found.get("main") and not alike:
            assert sizes.nunique(axis=1).max() == 1  # on every task
    main = set(frame.method[found["main"]]) if "main" in found else set()
    for method in set(frame.method) - main:
        assert any(
            (frame[kept].method == method).sum() == (frame.method == method).sum() for kept in found.values()
        )


@settings(max_examples=30)
@given(st.lists(COVERAGE, min_size=1, max_size=3), COVERAGE)
def test_adding_a_method_never_changes_another_methods_score(
    drawn: list[tuple[int, ...]], added: tuple[int, ...]
) -> None:
    before = {f"m{k}": coverage for k, coverage in enumerate(drawn)}
    few, many = scores(runs(**before)), scores(runs(**before, added=added))
    old = few.by_task().set_index(["task", "method"])
    new = many.by_task().set_index(["task", "method"])
    pd.testing.assert_frame_equal(new.loc[old.index], old)
    # A board of the same runs shows the same scores, whoever else is on it.
    boards = {_runs(board.scores): board.scores.leaderboard() for board in many.boards()}
    columns = ["score", "low", "high"]
    for board in few.boards():
        shown = boards.get(_runs(board.scores))
        if shown is not None:
            mine = [method for method in board.scores.methods if method in shown.index]
            expected = board.scores.leaderboard()
            assert shown.loc[mine, columns].equals(expected.loc[mine, columns])


def _runs(board: Scores) -> frozenset[tuple[str, int]]:
    return frozenset(zip(board.runs.task, board.runs.seed, strict=True))


def test_a_pair_is_compared_alike_whatever_else_is() -> None:
    two = scores(runs(a=(9,) * 4, b=(9,) * 4))
    three = scores(runs(a=(9,) * 4, b=(9,) * 4, c=(9,) * 4))
    for task in TASKS:
        (alone,) = two.comparisons(task)
        beside = next(made for made in three.comparisons(task) if (made.first, made.second) == ("a", "b"))
        same = ("pairs", "difference", "low", "high", "p", "floor")
        assert [getattr(alone, name) for name in same] == [getattr(beside, name) for name in same]
        floor = nbi.task(task).frozen.noise_floor / np.mean(nbi.task(task).frozen.random_regret)
        assert alone.floor == pytest.approx(floor)


def test_clusters_are_of_table_and_hardware_family() -> None:
    def found(name: str) -> tuple[str, ...]:
        return cluster(nbi.task(f"nb201/{name}"))

    assert found("pcm-1d/M-energy") == found("pcm-t0/S-accuracy") == ("nb201", "pcm")
    assert found("sram-digital/S-accuracy") == found("pcm-to-sram/T-energy") == ("nb201", "sram-digital")
    assert found("joint/J-front") == ("nb201", "pcm", "sram-digital")
