"""Which conclusions stand when the cost model's assumptions do not: rankings and fronts of ``nb201``.

Every distinct network is costed again on every configuration under another ADC model, other constants and
other nodes, and its rankings are compared with the model's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from nasbench_imc.hardware import HardwareConfig, network_costs, with_values
from nasbench_imc.hardware.components import AdcModel
from nasbench_imc.hardware.constants import FloatArray, load_constants, published_constants
from nasbench_imc.networks import Network

STEP = 0.3
"""Relative change of each constant, up and down."""

METRICS = ("energy", "latency", "area")

#: What is varied -> the constants that stand for it and are changed together.
CONSTANTS: Mapping[str, tuple[str, ...]] = {
    "ADC energy": ("adc_energy_calibration",),
    "ADC area": ("adc_area_intercept",),
    "ADC time": ("adc_time_row", "adc_time_fixed"),
    "DAC energy": ("dac_energy_bit",),
    "adder energy": ("adder_energy_calibration",),
    "analog SRAM cell and line": ("cell_energy_calibration",),
    "RRAM read path": ("rram_read_calibration",),
    "PCM read path": ("pcm_read_calibration",),
    "pulse step": ("pwm_step",),
    "one-bit NVM read time": ("nvm_read_time",),
    "activity": ("activity",),
    "mean weight of a pair": ("mean_weight",),
    "buffer energy": ("buffer_read_energy", "buffer_write_energy"),
    "router energy": ("router_energy",),
    "off-chip energy": ("dram_energy",),
    "scale, bias and activation": ("mac_energy",),
    "logic delay": ("t_nd2", "t_xor2"),
    "logic area": ("area_nd2", "area_xor2", "area_dff"),
    "SRAM cell area": ("sram_bit_area",),
    "NVM cell area": ("rram_cell_area", "pcm_cell_area"),
    "buffer area": ("buffer_area",),
    "leakage": ("sram_bit_leakage", "buffer_leakage", "logic_leakage_density"),
}

#: Node [nm] -> supply [V] at which all configurations are costed again.
NODES: Mapping[float, float] = {65.0: 1.2, 40.0: 1.1, 22.0: 0.8, 14.0: 0.8, 7.0: 0.75}


@dataclass(frozen=True, slots=True)
class Variant:
    """One changed assumption.

    Attributes
    ----------
    group : str
        What is varied.
    change : str
        How, for example ``"-30 %"``.
    values : dict of str to float
        Constants that differ.
    adc_model : {"zigzag", "survey"}
    node_nm, supply_v : float or None
        Of all configurations, where they differ.
    published : bool
        Whether every calibrated constant is 1.
    """

    group: str
    change: str
    values: dict[str, float] = field(default_factory=dict)
    adc_model: AdcModel = "zigzag"
    node_nm: float | None = None
    supply_v: float | None = None
    published: bool = False

    def costs(self, networks: Sequence[Network], configs: Sequence[HardwareConfig]) -> dict[str, FloatArray]:
        """:data:`METRICS` of networks on configurations under this assumption; each (A, H)."""
        if self.node_nm is not None and self.supply_v is not None:
            configs = [replace(c, node_nm=self.node_nm, supply_v=self.supply_v) for c in configs]
        base = published_constants() if self.published else load_constants()
        metrics = network_costs(
            networks, configs, constants=with_values(base, self.values), adc_model=self.adc_model
        )
        return {name: metrics[name] for name in METRICS}


def variants() -> list[Variant]:
    """All variants: the other ADC model, no calibration, constants up and down, activities, nodes.

    Leakage is also multiplied by 58, which the Aladdin adder has above what is assumed (constants.csv).
    """
    constants = load_constants()
    found = [
        Variant("ADC model", "survey", adc_model="survey"),
        Variant("calibration", "none", published=True),
    ]
    for group, names in CONSTANTS.items():
        for factor in (1.0 - STEP, 1.0 + STEP):
            values = {name: _changed(name, constants[name].value, factor) for name in names}
            found.append(Variant(group, f"{factor - 1.0:+.0%}".replace("%", " %"), values))
    leakage = {name: 58.0 * constants[name].value for name in CONSTANTS["leakage"]}
    found.append(Variant("leakage", "x 58", leakage))
    found += [Variant("activity", f"= {value:g}", {"activity": value}) for value in (0.1, 0.9)]
    found += [
        Variant("node", f"{node:g} nm, {supply:g} V", node_nm=node, supply_v=supply)
        for node, supply in NODES.items()
    ]
    return found


def _changed(name: str, value: float, factor: float) -> float:
    """A constant multiplied, or shifted where it is a logarithm."""
    return value + math.log10(factor) if name == "adc_area_intercept" else value * factor


def non_dominated(costs: FloatArray) -> np.ndarray:
    """Which rows of ``costs`` (n, m), all minimised, no other row dominates; (n,) bool. Ties all stay."""
    distinct, where = np.unique(costs, axis=0, return_inverse=True)
    # In order of the sum no later row can dominate an earlier one.
    order = np.argsort(distinct.sum(axis=1), kind="stable")
    kept: list[int] = []
    for i in order:
        if not any((distinct[j] <= distinct[i]).all() for j in kept):
            kept.append(int(i))
    front = np.zeros(len(distinct), dtype=bool)
    front[kept] = True
    return front[where.ravel()]


def share_kept(before: np.ndarray, after: np.ndarray) -> float:
    """Share of the designs of one front that are on the other as well; both (n,) bool."""
    return float((before & after).sum() / before.sum())


@dataclass(frozen=True, slots=True)
class Space:
    """What is ranked.

    Attributes
    ----------
    networks : sequence of Network, length A
    accuracy : ndarray (A,)
        [%]
    configs : sequence of HardwareConfig, length H
    sample : ndarray of int
        Networks for which configurations are ranked; networks are ranked on every configuration.
    """

    networks: Sequence[Network]
    accuracy: FloatArray
    configs: Sequence[HardwareConfig]
    sample: np.ndarray


def sensitivity(space: Space, *, log: Callable[[str], None] = lambda text: None) -> pd.DataFrame:
    """Agreement of every variant with the model's own rankings.

    Returns
    -------
    pandas.DataFrame
        One row a variant. ``tau_networks_<metric>``: Kendall tau-b over networks, median over
        configurations, and ``..._min``; ``tau_configs_<metric>``: over configurations, median over the
        sampled networks, and its minimum; ``front_networks``: share kept of the designs that no other network
        of the same configuration beats in accuracy and energy, median over configurations and minimum;
        ``front_configs``: share kept of the configurations not dominated in energy, latency and area,
        median over the sampled networks and minimum; ``factor_<metric>``: median factor on the metric.
    """
    own = Variant("model", "as it is").costs(space.networks, space.configs)
    fronts = _network_fronts(space, own), _config_fronts(space, own)
    rows = []
    for variant in variants():
        log(f"{variant.group} {variant.change}")
        other = variant.costs(space.networks, space.configs)
        row: dict[str, object] = {"group": variant.group, "change": variant.change}
        for name in METRICS:
            row[f"factor_{name}"] = float(np.median(other[name] / own[name]))
            over_networks = _taus(own[name].T, other[name].T)
            over_configs = _taus(own[name][space.sample], other[name][space.sample])
            _add(row, f"tau_networks_{name}", over_networks)
            _add(row, f"tau_configs_{name}", over_configs)
        changed = _network_fronts(space, other), _config_fronts(space, other)
        for name, before, after in zip(("front_networks", "front_configs"), fronts, changed, strict=True):
            _add(row, name, [share_kept(b, a) for b, a in zip(before, after, strict=True)])
        rows.append(row)
    return pd.DataFrame(rows)


def _add(row: dict[str, object], name: str, values: Sequence[float]) -> None:
    row[name], row[f"{name}_min"] = float(np.median(values)), float(np.min(values))


def _taus(before: FloatArray, after: FloatArray) -> list[float]:
    """Kendall tau-b between rows; 1 where nothing changed but a factor."""
    return [
        1.0 if np.allclose(a * (b[0] / a[0]), b, rtol=1e-12, atol=0.0) else float(kendalltau(a, b).statistic)
        for a, b in zip(before, after, strict=True)
    ]


def _network_fronts(space: Space, costs: Mapping[str, FloatArray]) -> list[np.ndarray]:
    fronts = []
    for energy in costs["energy"].T:
        # Two objectives: in order of energy, a design stays if it beats the best accuracy so far.
        order = np.lexsort((-space.accuracy, energy))
        ranked = space.accuracy[order]
        best = np.maximum.accumulate(np.concatenate(([-np.inf], ranked[:-1])))
        front = np.zeros(len(order), dtype=bool)
        front[order[ranked > best]] = True
        fronts.append(front)
    return fronts


def _config_fronts(space: Space, costs: Mapping[str, FloatArray]) -> list[np.ndarray]:
    stacked = np.stack([costs[name][space.sample] for name in METRICS], axis=-1)
    return [non_dominated(rows) for rows in stacked]


def nb201_space(sampled: int = 100, seed: int = 0) -> Space:
    """The distinct networks of ``nb201`` with their 8-bit accuracy, and the configurations of its table."""
    from nasbench_imc.building.nb201 import canonical_classes, class_means
    from nasbench_imc.hardware import grid
    from nasbench_imc.spaces.nb201 import NB201
    from nasbench_imc.tables import load

    cells = NB201()
    class_of, representatives = canonical_classes(cells)
    published = np.asarray(load("nb201").array(["accuracy_ptq_int8"]), dtype=np.float64).ravel()
    sample = np.random.default_rng(seed).choice(len(representatives), sampled, replace=False)
    return Space(
        networks=[cells.network(cells.architectures[row]) for row in representatives],
        accuracy=class_means(published, class_of),
        configs=grid(),
        sample=np.sort(sample),
    )
