"""The physical constants of the cost model, each with its source, and how they scale.

Energies scale with node by the ratio of switching energies of Stillmaker and Baas (Integration 58, 2017,
Table 5, at 0.9 V) and with supply by its square; delays scale linearly with node, and with supply by the
alpha-power law of Sakurai and Newton (IEEE JSSC 25, 1990); areas scale with the square of the node.
At 28 nm and 0.9 V, where every grid configuration stands, only the buffer and the router are scaled.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench_imc.errors import unknown

FloatArray = NDArray[np.float64]
Constants = Mapping[str, "Constant"]

_FACTOR_PREFIX, _FACTOR_SUFFIX = "energy_factor_", "nm"


@dataclass(frozen=True, slots=True)
class Constant:
    """One constant and where it comes from.

    Attributes
    ----------
    name : str
    value : float
    unit : str
    node_nm : float or None
        Node at which the value holds [nm]; None where it does not scale.
    supply_v : float or None
        Supply at which it holds [V]; None where that is the constant ``reference_supply``.
    source : str
        Publication or repository, or ``"assumption"``.
    license : str
        Licence of the source; "" for an assumption.
    notes : str
        What it is used for; for an assumption, its reasoning.
    """

    name: str
    value: float
    unit: str
    node_nm: float | None
    supply_v: float | None
    source: str
    license: str
    notes: str


@lru_cache(maxsize=1)
def load_constants() -> Constants:
    """The shipped constants by name, read-only."""
    text = files(__package__).joinpath("constants.csv").read_text(encoding="utf-8")
    records = (
        Constant(
            name=row["name"],
            value=float(row["value"]),
            unit=row["unit"],
            node_nm=float(row["node_nm"]) if row["node_nm"] else None,
            supply_v=float(row["supply_v"]) if row["supply_v"] else None,
            source=row["source"],
            license=row["license"],
            notes=row["notes"],
        )
        for row in csv.DictReader(text.splitlines())
    )
    return MappingProxyType({record.name: record for record in records})


def with_values(constants: Constants, values: Mapping[str, float]) -> Constants:
    """A copy with other values, for a sensitivity study; their source says so.

    Raises
    ------
    UnknownNameError
        If a name is not that of a constant.
    """
    for name in values:
        if name not in constants:
            raise unknown("constant", name, constants)
    changed = {
        name: replace(constants[name], value=float(value), source="assumption", notes="set by the caller")
        for name, value in values.items()
    }
    return MappingProxyType({**constants, **changed})


def is_calibrated(constant: Constant) -> bool:
    """Whether a constant was fitted to published macros (1 stands for the sources as published)."""
    return constant.source.startswith("calibrated on")


def published_constants() -> Constants:
    """The constants as their sources have them: every calibrated one at 1."""
    constants = load_constants()
    return with_values(constants, {name: 1.0 for name, c in constants.items() if is_calibrated(c)})


def energy_factor(constants: Constants, node_nm: ArrayLike) -> FloatArray:
    """Relative switching energy at a node, at 0.9 V; linear between the published nodes.

    Beyond them it is proportional to the node, as a capacitance is.

    Parameters
    ----------
    constants : Mapping of str to Constant
    node_nm : array_like
        Nodes [nm], any shape.

    Returns
    -------
    ndarray of the same shape
    """
    points = sorted(
        (record.node_nm, record.value)
        for name, record in constants.items()
        if name.startswith(_FACTOR_PREFIX) and name.endswith(_FACTOR_SUFFIX) and record.node_nm is not None
    )
    nodes, factors = zip(*points, strict=True)
    node = np.asarray(node_nm, dtype=np.float64)
    beyond = node / np.clip(node, nodes[0], nodes[-1])
    return np.asarray(np.interp(node, nodes, factors) * beyond, dtype=np.float64)


def energy_scale(
    constants: Constants,
    from_nm: float | None,
    node_nm: FloatArray,
    supply_v: FloatArray,
    from_v: float | None = None,
) -> FloatArray:
    """Factor that takes an energy from ``from_nm`` and ``from_v`` to a node and supply.

    ``from_v`` is the reference supply where it is None. Stillmaker and Baas (2017) for the node,
    to a calibrated power, since wires and converters shrink less than gates; V^2 for the supply; 1 where
    ``from_nm`` is None.
    """
    if from_nm is None:
        return np.ones_like(node_nm)
    by_node = energy_factor(constants, node_nm) / energy_factor(constants, from_nm)
    by_node = by_node ** constants["energy_node_exponent"].value
    return by_node * (supply_v / _held_at(constants, from_v)) ** 2


def delay_scale(
    constants: Constants,
    from_nm: float | None,
    node_nm: FloatArray,
    supply_v: FloatArray,
    from_v: float | None = None,
) -> FloatArray:
    """Factor for a delay: linear in the node; V / (V - V_t)^alpha in the supply (Sakurai, Newton 1990).

    ``from_v`` is the reference supply where it is None.
    """
    if from_nm is None:
        return np.ones_like(node_nm)
    threshold, alpha = constants["threshold_voltage"].value, constants["alpha_power"].value
    reference = _held_at(constants, from_v)
    by_supply = (supply_v / reference) * ((reference - threshold) / (supply_v - threshold)) ** alpha
    return node_nm / from_nm * by_supply


def _held_at(constants: Constants, supply_v: float | None) -> float:
    return constants["reference_supply"].value if supply_v is None else supply_v


def area_scale(from_nm: float | None, node_nm: FloatArray) -> FloatArray:
    """Factor for an area: the square of the node; 1 where ``from_nm`` is None."""
    return np.ones_like(node_nm) if from_nm is None else (node_nm / from_nm) ** 2
