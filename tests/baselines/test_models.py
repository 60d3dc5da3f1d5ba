"""What searchers with models share: scores turned into accuracies, what a candidate adds to a front."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import nasbench_imc as nbi
from nasbench_imc_baselines import fronts
from nasbench_imc_baselines.common import begin, draws, imagined
from nasbench_imc_baselines.surrogates import matched

FRONT = nbi.task("nb201/sram-digital/M-energy")
VALUES = st.integers(-1_000, 1_000).map(lambda n: n / 8)


@given(
    arrays(float, 12, elements=VALUES, unique=True),
    arrays(float, 12, elements=VALUES, unique=True),
)
def test_matched_scores_follow_the_order_of_what_was_observed(scores: np.ndarray, values: np.ndarray) -> None:
    found = matched(scores, scores, values)
    assert found[np.argsort(scores)] == pytest.approx(np.sort(values))
    asked = np.linspace(scores.min() - 50, scores.max() + 50, 101)
    assert (np.diff(matched(asked, scores, values)) >= -1e-9).all()


def test_matched_scores_go_on_beyond_the_ends() -> None:
    observed, values = np.array([0.0, 1.0, 2.0, 4.0]), np.array([10.0, 20.0, 40.0, 80.0])
    assert matched(np.array([-1.0, 0.5, 6.0]), observed, values).tolist() == [-5.0, 15.0, 120.0]
    assert matched(np.array([1.0, 3.0]), np.ones(3), np.full(3, 7.0)).tolist() == [7.0, 9.0]


def test_gain_is_the_hypervolume_that_a_design_adds() -> None:
    """By inclusion and exclusion over boxes, in two objectives."""
    with FRONT.session(0) as session:
        seen = begin(session, draws(session, 12, np.random.default_rng(0)))
        gain = fronts.gain(session, seen)
        assert all(gain(each) == pytest.approx(0, abs=1e-12) for each in seen)
        best = min(seen, key=lambda each: each.objectives[0])
        better, worse = (
            imagined(session, best.design, best.values, best.values["accuracy"] + step) for step in (1, -1)
        )
        assert gain(better) < 0
        assert gain(worse) == pytest.approx(0, abs=1e-12)
        points = np.array([fronts.logged(session.task, each) for each in seen])
        points = points[points[:, 0] <= points[:, 0].min() + fronts.WINDOW]
        front = points[[not any((q <= p).all() and (q < p).any() for q in points) for p in points]]
        low, span = front.min(axis=0), np.ptp(front, axis=0)
        before = area((front - low) / span)
        after = area(np.vstack([(front - low) / span, (fronts.logged(session.task, better) - low) / span]))
        assert -gain(better) == pytest.approx(after - before)


def test_a_batch_is_chosen_one_after_another() -> None:
    """Twins add to a front once."""
    with FRONT.session(0) as session:
        seen = begin(session, draws(session, 12, np.random.default_rng(0)))
        best = min(seen, key=lambda each: each.objectives[0]).design
        cheap = min(seen, key=lambda each: each.objectives[1]).design
        high = max(each.values["accuracy"] for each in seen)
        foreseen = high + np.array([2.0, 2.0, -1.0])
        chosen = fronts.promising(session, [best, best, cheap], foreseen, lambda _: 0.0, 2)
        assert cheap in chosen
        assert len(chosen) == 2


def area(points: np.ndarray) -> float:
    """Area below 1.1 in both axes that points dominate: a grid of all their coordinates, cell by cell."""
    xs, ys = (np.unique([*points[:, k][points[:, k] < 1.1], 1.1]) for k in (0, 1))
    total = 0.0
    for (x, right), (y, top) in itertools.product(itertools.pairwise(xs), itertools.pairwise(ys)):
        if ((points[:, 0] <= x) & (points[:, 1] <= y)).any():
            total += (right - x) * (top - y)
    return total


def test_costs_are_looked_at_where_the_task_asks_for_them() -> None:
    plain, edap = nbi.task("nb201/sram-digital/S-accuracy"), nbi.task("nb201/joint/J-edap")
    for task, looks in ((plain, 0), (edap, 3)):
        with task.session(0) as session:
            begin(session, draws(session, 2, np.random.default_rng(0)))
            designs = list(draws(session, 3, np.random.default_rng(1)))
            before = session.proposals
            found = fronts.promising(
                session, designs, np.array([90.0, 92.0, 91.0]), lambda seen: -seen.values["accuracy"], 2
            )
            assert found == [designs[1], designs[2]]
            assert session.proposals - before == looks


@pytest.mark.parametrize("budget", [5, 12, 15])
def test_half_of_the_budget_is_left_to_search_with(budget: int) -> None:
    from nasbench_imc.testing.tasks import shrunk

    task = shrunk(nbi.task("nb201/pcm-t0/S-accuracy"), budget)
    with task.session(0) as session:
        seen = begin(session, draws(session, 100, np.random.default_rng(0)))
        assert len(seen) == session.charged == -(-task.budget // 2)
        form = task.domain.canonical_form
        assert len({form(each.design) for each in seen}) == len(seen)
