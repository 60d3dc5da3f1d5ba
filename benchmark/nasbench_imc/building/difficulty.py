"""How hard the tasks are: what random search leaves, and how often the best method is at the optimum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from nasbench_imc.scoring import Scores
from nasbench_imc.suites import Task

#: Share of runs at the optimum, at full budget, from which on a task is trivial.
TRIVIAL = 0.5

#: A look into the table, and no method.
REFERENCE = "exhaustive"
_RANDOM = "random_search"

_UNITS = {"accuracy": "points", "front": "hypervolume", "cost": "decades"}


@dataclass(frozen=True, slots=True)
class Difficulty:
    """One task.

    Attributes
    ----------
    task : Task
    best : str
        Method with the lowest mean regret at full budget.
    regret : float
        That regret, in the unit of the task's regrets.
    at_optimum : float
        Share of its runs that end within the noise floor of the reachable regret.
    most_often, largest : str, float
        The method with the largest such share, which may be another, and the share.
    runs : int
        Of ``best``.
    """

    task: Task
    best: str
    regret: float
    at_optimum: float
    most_often: str
    largest: float
    runs: int

    @property
    def is_trivial(self) -> bool:
        return self.at_optimum >= TRIVIAL

    @property
    def is_hopeless(self) -> bool:
        """Whether nothing leaves less than random search, in these runs or as expected."""
        return self.best == _RANDOM or self.regret >= self.task.frozen.random_regret[-1]


def difficulties(scores: Scores) -> list[Difficulty]:
    """The difficulty of every task that was run.

    Parameters
    ----------
    scores : Scores
        Of as many methods as there are.
    """
    found = []
    for task in scores.tasks:
        last = {
            method: curves[:, -1]
            for method in scores.methods
            if method != REFERENCE and (curves := scores.regrets(task.name, method)).size
        }
        if not last:
            continue
        best = min(last, key=lambda method: last[method].mean())
        optimum = task.frozen.optimum
        shares = {method: float(np.mean(regrets <= optimum)) for method, regrets in last.items()}
        often = max([best, *shares], key=lambda method: shares[method])  # of equal ones the best
        found.append(
            Difficulty(
                task,
                best,
                float(last[best].mean()),
                shares[best],
                often,
                shares[often],
                len(last[best]),
            )
        )
    return found


def as_markdown(found: Sequence[Difficulty], methods: Iterable[str]) -> str:
    """A page with one row a task."""
    rows = []
    for each in found:
        task, frozen = each.task, each.task.frozen
        by = "" if each.most_often == each.best else f" ({each.largest:.0%} `{each.most_often}`)"
        remark = "trivial" if each.is_trivial else "hopeless" if each.is_hopeless else ""
        rows.append(
            f"| `{task.name}` | {task.suite} | {len(task.domain):,} | {task.budget:,} {task.unit} | "
            f"{_UNITS[task.goal]} | {frozen.random_regret[-1]:.3g} | {each.regret:.3g} (`{each.best}`) | "
            f"{frozen.reachable_regret:.3g} | {frozen.noise_floor:.3g} | {each.at_optimum:.0%}{by} | "
            f"{frozen.random_regret[0] / sum(frozen.random_regret):.0%} | {remark} |"
        )
    seeds = sorted({each.runs for each in found})
    return "\n".join(
        [
            "# How hard the tasks are",
            "",
            "Regret at full budget: what random search is expected to leave, the best mean of any",
            "searcher, and what choosing by search labels would leave if every design were queried. The",
            "share is that of the best searcher's runs that end within the noise floor of the last: at the",
            "optimum, as far as the labels can tell; where another is there more often, its share follows.",
            f"If it is {TRIVIAL:.0%} or more a task is trivial; one in which nothing is better than random",
            "search is hopeless. The last share is the first checkpoint's of random search's summed",
            "regret: how much of a score is decided there.",
            "",
            "| task | suite | designs | budget | regret in | random search | best searcher | reachable | "
            "noise floor | at the optimum | first checkpoint | |",
            "|---|---|---:|---:|---|---:|---:|---:|---:|---:|---:|---|",
            *rows,
            "",
            f"Searchers: {', '.join(f'`{name}`' for name in sorted(set(methods) - {REFERENCE}))}; "
            f"{' or '.join(map(str, seeds))} seeds. Made by `nasbench-imc build difficulty LOGS`.",
            "",
        ]
    )
