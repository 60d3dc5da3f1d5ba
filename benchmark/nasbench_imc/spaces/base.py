"""Spaces of categorical choices, and what a search space adds to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from functools import cached_property
from itertools import product
from typing import Any, Generic, TypeVar

import numpy as np

from nasbench_imc.errors import BenchmarkError
from nasbench_imc.networks import Network

T = TypeVar("T")


class Choices(ABC, Generic[T]):
    """A finite set of points, each one choice of every categorical variable.

    A subclass states the variables and how a point is made of choices and taken apart; enumeration,
    sampling, neighbourhood, mutation, crossover and encoding follow.
    """

    @property
    @abstractmethod
    def variables(self) -> Mapping[str, tuple[Any, ...]]:
        """Variable name -> its choices, in order."""

    @abstractmethod
    def from_values(self, values: Mapping[str, Any]) -> T:
        """The point that takes these choices, one for every name in :attr:`variables`.

        Raises
        ------
        UnknownNameError
            Where a variable is missing or a choice is not among the valid ones.
        """

    @abstractmethod
    def values(self, point: T) -> dict[str, Any]:
        """The choices that a point takes; inverse of :meth:`from_values`.

        Raises
        ------
        UnknownNameError
            Where the point is malformed or not in the space; the message says what is expected.
        """

    def __len__(self) -> int:
        return int(np.prod([len(choices) for choices in self.variables.values()]))

    @cached_property
    def points(self) -> tuple[T, ...]:
        """All points, in the order of the Cartesian product of the variables' choices."""
        names = list(self.variables)
        return tuple(
            self.from_values(dict(zip(names, choice, strict=True)))
            for choice in product(*self.variables.values())
        )

    def random(self, rng: np.random.Generator) -> T:
        """A point drawn uniformly from the space."""
        return self.from_values(
            {name: choices[rng.integers(len(choices))] for name, choices in self.variables.items()}
        )

    def neighbors(self, point: T) -> list[T]:
        """All points that differ from ``point`` in exactly one variable."""
        values = self.values(point)
        return [
            self.from_values({**values, name: choice})
            for name, choices in self.variables.items()
            for choice in choices
            if choice != values[name]
        ]

    def mutate(self, point: T, rng: np.random.Generator) -> T:
        """A point that differs from ``point`` in one variable, drawn uniformly, as is its new choice."""
        values = self.values(point)
        names = [name for name, choices in self.variables.items() if len(choices) > 1]
        name = names[rng.integers(len(names))]
        others = [choice for choice in self.variables[name] if choice != values[name]]
        return self.from_values({**values, name: others[rng.integers(len(others))]})

    def crossover(self, a: T, b: T, rng: np.random.Generator) -> T:
        """A child that takes each variable from ``a`` or ``b`` with equal chance."""
        from_a, from_b = self.values(a), self.values(b)
        takes_a = rng.random(len(self.variables)) < 0.5
        return self.from_values(
            {
                name: (from_a if first else from_b)[name]
                for name, first in zip(self.variables, takes_a, strict=True)
            }
        )

    def encode(self, point: T) -> np.ndarray:
        """One-hot encoding.

        Returns
        -------
        numpy.ndarray, shape (sum of the numbers of choices,), float64
        """
        values = self.values(point)
        return np.concatenate(
            [
                np.array([choice == values[name] for choice in choices], dtype=float)
                for name, choices in self.variables.items()
            ]
        )

    def configspace(self) -> Any:
        """The space as a ``ConfigSpace.ConfigurationSpace`` of categorical hyperparameters.

        ``dict(configuration)`` goes into :meth:`from_values`. Needs the extra ``[search]``.
        """
        try:
            from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace
        except ModuleNotFoundError as error:
            raise BenchmarkError(
                'configspace() needs the extra: pip install "nasbench-imc[search]"'
            ) from error

        space = ConfigurationSpace()
        space.add([CategoricalHyperparameter(name, choices) for name, choices in self.variables.items()])
        return space


class Space(Choices[str]):
    """A search space: its points are architecture codes, and each stands for a network."""

    #: Name of the space and of its table.
    name: str

    @property
    def architectures(self) -> tuple[str, ...]:
        """All codes."""
        return self.points

    @abstractmethod
    def canonical_form(self, code: str) -> Hashable:
        """A value equal for two codes exactly where they are the same network under other names."""

    @abstractmethod
    def network(self, code: str) -> Network:
        """The layers that a code stands for, without those that cannot influence the output."""
