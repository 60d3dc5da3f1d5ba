"""How hard tasks are, from runs whose regrets are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import nasbench_imc as nbi
from nasbench_imc.building.difficulty import as_markdown, difficulties
from nasbench_imc.scoring import Scores

TASK = nbi.task("nb201/sram-digital/S-accuracy")
EDGE = TASK.frozen.reachable_regret + TASK.frozen.noise_floor


def scores(**last: list[float]) -> Scores:
    """Scores of methods by the regrets at the end of their runs."""
    rows = [
        {"task": TASK.name, "method": method, "seed": seed, "regret": np.array([9.0] * 6 + [regret])}
        for method, regrets in last.items()
        for seed, regret in enumerate(regrets)
    ]
    return Scores((TASK,), tuple(sorted(last)), pd.DataFrame(rows))


def test_the_best_by_mean_and_its_share_at_the_optimum() -> None:
    (found,) = difficulties(
        scores(
            good=[EDGE - 0.01, EDGE + 0.01, EDGE + 0.01, EDGE + 0.01],
            poor=[0.0, 9, 9, 9],
            exhaustive=[0.0] * 4,
        )
    )
    assert (found.best, found.at_optimum, found.runs) == ("good", 0.25, 4)
    assert found.regret == pytest.approx(EDGE + 0.005)
    assert (found.is_trivial, found.is_hopeless) == (False, False)


def test_trivial_and_hopeless() -> None:
    (trivial,) = difficulties(scores(good=[0.0, 9.0]))
    assert trivial.is_trivial
    first = f"{TASK.frozen.random_regret[0] / sum(TASK.frozen.random_regret):.0%}"
    assert f"50% | {first} | trivial |" in as_markdown([trivial], ["good", "exhaustive"])
    (hopeless,) = difficulties(scores(good=[TASK.frozen.random_regret[-1]] * 2))
    assert hopeless.is_hopeless
    page = as_markdown([hopeless], ["good", "exhaustive"])
    assert f"0% | {first} | hopeless |" in page
    (random_first,) = difficulties(scores(random_search=[EDGE + 0.1] * 2, good=[EDGE + 0.2] * 2))
    assert random_first.is_hopeless
    assert "Searchers: `good`; 2 seeds." in page
    assert difficulties(scores(exhaustive=[0.0])) == []


def test_another_method_may_be_at_the_optimum_more_often() -> None:
    (found,) = difficulties(scores(steady=[EDGE + 0.01] * 4, bold=[0.0, 0.0, 9.0, 9.0]))
    assert (found.best, found.at_optimum, found.most_often, found.largest) == ("steady", 0.0, "bold", 0.5)
    assert "| 0% (50% `bold`) |" in as_markdown([found], ["steady", "bold"])
