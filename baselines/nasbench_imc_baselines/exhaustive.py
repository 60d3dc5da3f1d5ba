"""Exhaustive search by search labels: not a method, but how far any method could get.

    look up the search label of every design in the table itself, which no session would show
    query the best, and recommend it

With several objectives it names twenty designs spread along the front by search labels, once it has queried
all of them: its regrets at smaller budgets mean nothing. It is no oracle of score labels: what their noise
hides is hidden from it as well. How far one could get is frozen in each task, as the reachable regret.
"""

from __future__ import annotations

from itertools import product

import moocore
import numpy as np

import nasbench_imc as nbi
from nasbench_imc import Design, Session


def search(session: Session, rng: np.random.Generator) -> None:
    task, bench = session.task, nbi.load(session.task.table)
    points, designs = [], []
    for hardware, bits, sparsity in product(task.hardware, task.weight_bits, task.sparsity):
        columns = {
            name: bench.array(
                name,
                hardware=hardware,
                at=task.at,
                labels="search",
                seed=task.label_seed(session.seed),
                weight_bits=bits,
                sparsity=sparsity,
            ).ravel()
            for name in task.metrics
        }
        kept = np.ones(len(bench.architectures), dtype=bool)
        for name, limit in task.limits.items():
            kept &= columns[name] <= limit
        for name, least in task.least.items():
            kept &= columns[name] >= least + task.frozen.margin
        minimised = [
            -columns[name] if name == "accuracy" else np.log(columns[name]) for name in task.objectives
        ]
        points.append(np.column_stack(minimised)[kept])
        designs += [
            Design(bench.architectures[row], hardware, bits, sparsity) for row in np.flatnonzero(kept)
        ]
    stacked = np.concatenate(points)
    best = np.flatnonzero(moocore.is_nondominated(stacked))
    best = best[np.argsort(stacked[best, 0])]
    spread = np.linspace(0, len(best) - 1, min(len(best), task.max_recommended))
    chosen = list(dict.fromkeys(designs[best[round(float(k))]] for k in spread))
    if task.sources:
        session.recommend(chosen[len(chosen) // 2])  # one, before anything is charged
    for design in chosen:
        session.query(design)
    session.recommend(chosen)
