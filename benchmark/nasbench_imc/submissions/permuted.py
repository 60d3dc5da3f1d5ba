"""Permuting category labels, to see whether a searcher knows this table or searches it.

A searcher that carries the names of good architectures finds that they name others. It is a diagnostic: one
that rightly knows, say, that convolutions beat pooling or which cells are isomorphic loses too, and one that
costs every architecture by itself, with the public cost model, can undo it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nasbench_imc.design import Design
from nasbench_imc.spaces import Space

RESAMPLES = 2_000
LEVEL = 0.95


class Relabelling:
    """A one-to-one map of designs that permutes the choices of each of the space's variables.

    Designs that differ in one variable still do, so neighbourhoods, mutation and crossover keep their
    meaning. Hardware, weight bits and sparsity keep their names, which say what they are.

    Parameters
    ----------
    space : Space
    rng : numpy.random.Generator
    """

    def __init__(self, space: Space, rng: np.random.Generator) -> None:
        self._space = space
        self._maps = {}
        for name, choices in space.variables.items():
            order = rng.permutation(len(choices))
            self._maps[name] = {choice: choices[k] for choice, k in zip(choices, order, strict=True)}

    def __call__(self, design: Design) -> Design:
        """The design that stands for ``design``, which the searcher named."""
        values = self._space.values(design.arch)
        arch = self._space.from_values({name: self._maps[name][value] for name, value in values.items()})
        return replace(design, arch=arch)


def interval_of_mean(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """95 % percentile-bootstrap interval of a mean over tasks of means over runs.

    Parameters
    ----------
    values : sequence of ndarray, shape (runs,)
        Scores, or paired differences of them, one array a task.

    Returns
    -------
    tuple of float
        Equal ends where every task has one run.
    """
    rng = np.random.default_rng(0)
    means = np.mean([v[rng.integers(len(v), size=(RESAMPLES, len(v)))].mean(axis=1) for v in values], axis=0)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
