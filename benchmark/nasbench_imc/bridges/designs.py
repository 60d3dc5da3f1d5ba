"""A design as other libraries write it: a mapping of choices, or a vector of their indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nasbench_imc.design import Design
from nasbench_imc.errors import UnknownNameError, unknown
from nasbench_imc.suites.domain import Domain

Point = Design | Mapping[str, Any] | Sequence[float] | np.ndarray


def to_design(domain: Domain, x: Point) -> Design:
    """The design that ``x`` stands for.

    Parameters
    ----------
    domain : Domain
        ``session.task.domain``.
    x : Design, mapping of str to choice, or array_like of shape (variables,)
        A mapping has one choice for every name in ``domain.variables``; the choices may be NumPy scalars
        that equal the domain's own. A vector has an index for each, in that order; it is rounded, so
        that methods over real numbers may search between -0.5 and the number of choices - 0.5.

    Raises
    ------
    UnknownNameError
        Where ``x`` is none of these, or stands for no design of the domain.
    """
    if isinstance(x, Design):
        domain.check(x)
        return x
    if isinstance(x, Mapping):
        chosen = {name: _own(name, x.get(name), choices) for name, choices in domain.variables.items()}
        return domain.from_values(chosen)
    return domain.from_values(
        {
            name: choices[k]
            for (name, choices), k in zip(domain.variables.items(), _indices(domain, x), strict=True)
        }
    )


def to_indices(domain: Domain, design: Design) -> np.ndarray:
    """The choices of a design as indices; :func:`to_design` is the inverse.

    Returns
    -------
    numpy.ndarray, shape (variables,), int64
    """
    values = domain.values(design)
    return np.array(
        [choices.index(values[name]) for name, choices in domain.variables.items()], dtype=np.int64
    )


def _own(name: str, value: Any, choices: Sequence[Any]) -> Any:
    """The domain's own object: a NumPy scalar that equals it could not be written into a log."""
    try:
        return choices[list(choices).index(value)]
    except ValueError:  # also for an array, which equals nothing
        raise unknown(f"choice of {name}", value, choices) from None


def _indices(domain: Domain, x: Any) -> np.ndarray:
    sizes = np.array([len(choices) for choices in domain.variables.values()])
    try:
        vector = np.asarray(x, dtype=float)
    except (TypeError, ValueError):
        vector = np.empty(0)
    if vector.shape != sizes.shape:
        raise UnknownNameError(
            f"a point is a Design, a mapping of {list(domain.variables)} to choices, or their "
            f"{len(sizes)} indices, not {x!r:.120}"
        )
    if not np.all((vector >= -0.5) & (vector <= sizes - 0.5)):  # NaN keeps neither
        raise UnknownNameError(
            f"indices {vector.tolist()} are out of range; each is at least 0 and below {sizes.tolist()}"
        )
    return np.clip(np.rint(vector), 0, sizes - 1).astype(int)
