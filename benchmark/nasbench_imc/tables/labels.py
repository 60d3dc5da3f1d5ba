"""Accuracy labels: what is scored, and what a search sees in its place.

:class:`SyntheticLabels` serves tables of published accuracies, to which a label seed adds noise;
:class:`MeasuredLabels` tables of accuracies measured here, draw by draw of the device noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np

from nasbench_imc.errors import UnavailableError
from nasbench_imc.tables import layout

Kind = Literal["score", "search"]
Read = Callable[[str], np.ndarray]  # path of a dataset -> its values


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of the values of a design are asked for.

    Attributes
    ----------
    at : str
        Time since programming.
    labels : {"score", "search"}
    seed : int or None
        Label seed.
    draws : int or None
        How many noise draws to average; None: all.
    training : int
        Position of the training seed.
    compression : int
        Position of the compression.
    """

    at: str
    labels: Kind
    seed: int | None
    draws: int | None
    training: int
    compression: int


class Labels(Protocol):
    """What a table needs of its accuracy labels. ``H`` configurations, ``X`` columns of labels."""

    #: Noise draws of each label; 0 where labels are not made of draws.
    draws: int

    def cells(self, at: str, compression: int) -> np.ndarray:
        """Column of labels that serves each configuration, (H,); -1 where there is none."""

    def values(self, selection: Selection) -> np.ndarray:
        """Accuracies [%] of every canonical class, (K, X), float32."""

    def noise(self, at: str, compression: int) -> np.ndarray:
        """Standard deviation of search labels [%], (X,)."""


class SyntheticLabels:
    """Score labels, and noise of a stated size on them.

    Parameters
    ----------
    read : callable
        Reads a dataset of the table.
    classes : ndarray, shape (H,)
        Accuracy class of each configuration, -1 for none.
    times : sequence of str
    """

    draws = 0

    def __init__(self, read: Read, classes: np.ndarray, times: Sequence[str]) -> None:
        self._read, self._classes, self._times = read, classes, tuple(times)

    @cached_property
    def _score(self) -> np.ndarray:
        return self._read("score/accuracy")

    @cached_property
    def _noise_sd(self) -> np.ndarray:
        return self._read("search/noise_sd")

    def cells(self, at: str, compression: int) -> np.ndarray:
        return self._classes

    def values(self, selection: Selection) -> np.ndarray:
        time = self._times.index(selection.at)
        score = self._score[:, :, time]
        if selection.labels == "score" or selection.seed is None:
            return score
        noise = standard_normal(int(selection.seed), len(score))
        return (score + self._noise_sd[:, time] * noise[:, None]).astype(np.float32)

    def noise(self, at: str, compression: int) -> np.ndarray:
        return self._noise_sd[:, self._times.index(at)]


class MeasuredLabels:
    """Means over noise draws, each on images of its own, in the cells that the table declares.

    Parameters
    ----------
    read : callable
        Reads a dataset of the table.
    classes : ndarray, shape (H,)
        Accuracy class of each configuration, -1 for none.
    draws : int
    """

    def __init__(self, read: Read, classes: np.ndarray, draws: int) -> None:
        self._read, self._classes, self.draws = read, classes, draws
        self._cell_compression, self._cell_class = read("cell/compression"), read("cell/accuracy_class")
        self._cell_time = [time.decode("ascii") for time in read("cell/time").tolist()]
        self._drawn: dict[str, np.ndarray] = {}
        self._means: dict[tuple[str, int, int, int], np.ndarray] = {}

    def _of_draws(self, labels: str) -> np.ndarray:
        """Labels [%], (training seed, architecture, cell, draw), float32."""
        if labels not in self._drawn:
            self._drawn[labels] = self._read(f"{labels}/accuracy")
        return self._drawn[labels]

    @property
    def declared(self) -> int:
        """How many cells there are."""
        return len(self._cell_time)

    def times(self, accuracy_class: int, compression: int) -> list[str]:
        """Times at which a class has an accuracy, in order; all where it does not drift."""
        declared = {
            time
            for time, cell, kind in zip(
                self._cell_time, self._cell_compression, self._cell_class, strict=True
            )
            if (cell, kind) == (compression, accuracy_class)
        }
        return [time for time in layout.TIMES if time in declared or "" in declared]

    def cells(self, at: str, compression: int) -> np.ndarray:
        of_class = {
            int(kind): cell
            for cell, (time, kind) in enumerate(zip(self._cell_time, self._cell_class, strict=True))
            if time in (at, "") and self._cell_compression[cell] == compression
        }
        return np.array([of_class.get(int(kind), -1) for kind in self._classes])

    def values(self, selection: Selection) -> np.ndarray:
        count = self.draws if selection.draws is None else selection.draws
        if not 1 <= count <= self.draws:
            raise UnavailableError(f"draws must be from 1 to {self.draws}, not {count}")
        # With all draws the label is one number, whatever the seed.
        first = 0 if selection.seed is None or count == self.draws else int(selection.seed) % self.draws
        key = selection.labels, selection.training, first, count
        if key not in self._means:
            chosen = (first + np.arange(count)) % self.draws
            drawn = self._of_draws(selection.labels)[selection.training][:, :, chosen]
            self._means[key] = drawn.mean(axis=-1, dtype=np.float64).astype(np.float32)
        return self._means[key]

    def noise(self, at: str, compression: int) -> np.ndarray:
        drawn = self._of_draws("search")[0].astype(np.float64)  # every network has the first training seed
        if self.draws < 2:
            raise UnavailableError("the noise of one draw is not known")
        return np.sqrt(drawn.var(axis=-1, ddof=1).mean(axis=0) / self.draws)


def standard_normal(seed: int, size: int) -> np.ndarray:
    """Standard normal numbers that depend on ``seed`` alone.

    The bits come from Philox, whose stream NumPy keeps fixed between versions (NEP 19), and go through
    the inverse normal distribution; ``Generator.normal`` has no such promise.

    Parameters
    ----------
    seed : int
        Label seed, at least 0.
    size : int
        How many numbers.

    Returns
    -------
    numpy.ndarray, shape (size,), float64
    """
    from scipy.special import ndtri  # here, because importing it costs more than loading a table

    bits = np.random.Philox(key=seed).random_raw(size)
    uniform = ((bits >> np.uint64(11)) + 0.5) * 2.0**-53
    return ndtri(np.minimum(uniform, 1 - 2.0**-53))  # the largest word would round to 1
