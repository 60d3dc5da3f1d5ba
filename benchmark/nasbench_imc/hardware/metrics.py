"""Names, units, directions and meanings of the hardware metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

Direction = Literal["minimise", "maximise", "none"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes
    ----------
    name : str
    unit : str
    direction : {"minimise", "maximise", "none"}
        ``none``: neither is better in itself.
    description : str
    """

    name: str
    unit: str
    direction: Direction
    description: str


@dataclass(frozen=True, slots=True)
class DerivedMetric:
    """A metric computed from stored ones when read.

    Attributes
    ----------
    metric : Metric
    inputs : tuple of str
        Names of the stored metrics that it needs.
    function : callable
        Takes the inputs in their order, floats or arrays of one shape, and returns the metric likewise.
    """

    metric: Metric
    inputs: tuple[str, ...]
    function: Callable[..., Any]


_ENERGY = {
    "array": "cells, bitlines and wordlines (and writing reloaded weights)",
    "adc": "analog-to-digital conversion",
    "dac": "row drivers",
    "accumulation": "adder trees, shift-and-add, partial sums, scale, bias and activation",
    "buffer": "tile buffers",
    "interconnect": "the network on chip",
    "attention": "the digital unit: attention products, pooling, additions",
    "off_chip": "external memory: the network's input and output, reloaded weights",
    "leakage": "leakage during one inference",
}
_AREA = {
    "array": "cells with their periphery",
    "adc": "analog-to-digital converters",
    "dac": "row drivers",
    "accumulation": "adder trees, accumulators and output processing",
    "buffer": "tile buffers",
    "interconnect": "routers",
    "attention": "the digital unit",
}


def _by_name(metrics: Iterable[Metric]) -> Mapping[str, Metric]:
    return MappingProxyType({metric.name: metric for metric in metrics})


PRIMARY: Mapping[str, Metric] = _by_name(
    (
        Metric("energy", "uJ", "minimise", "Energy of one inference, batch 1"),
        Metric("latency", "us", "minimise", "Time of one inference, batch 1, along the critical path"),
        Metric("throughput", "inferences/s", "maximise", "Inferences a second in a layer pipeline"),
        Metric("area", "mm2", "minimise", "Area of the chip"),
        Metric("utilisation", "%", "maximise", "Cells that hold weights, of all cells of the arrays in use"),
        Metric("arrays", "count", "minimise", "Arrays that the network's weights take"),
        Metric("leakage_power", "mW", "minimise", "Leakage power of the chip"),
        Metric("programming_energy", "uJ", "minimise", "Energy of writing all weights once"),
        Metric("weight_memory", "KiB", "minimise", "Stationary weights at their precision"),
        Metric("activation_memory", "KiB", "minimise", "Largest sum of tensors alive at once"),
        Metric("macs", "MAC", "none", "Multiply-accumulates of one inference; 1 MAC = 2 operations"),
        *(
            Metric(f"energy_{name}", "uJ", "minimise", f"Energy of one inference: {text}")
            for name, text in _ENERGY.items()
        ),
        *(Metric(f"area_{name}", "mm2", "minimise", f"Area of {text}") for name, text in _AREA.items()),
    )
)
"""Metrics that tables store, by name and in order."""


def _edp(energy: Any, latency: Any) -> Any:
    return energy * latency


def _edap(energy: Any, latency: Any, area: Any) -> Any:
    return energy * latency * area


def _tops_per_w(macs: Any, energy: Any) -> Any:
    return 2.0 * macs / (energy * 1e6)  # operations over 1e-6 J, in 1e12


def _tops_per_mm2(macs: Any, throughput: Any, area: Any) -> Any:
    return 2.0 * macs * throughput / (area * 1e12)


_DERIVED = (
    DerivedMetric(Metric("edp", "uJ*us", "minimise", "Energy x latency"), ("energy", "latency"), _edp),
    DerivedMetric(
        Metric("edap", "uJ*us*mm2", "minimise", "Energy x latency x area"),
        ("energy", "latency", "area"),
        _edap,
    ),
    DerivedMetric(
        Metric("tops_per_w", "TOPS/W", "maximise", "Operations a joule; 1 MAC = 2 operations"),
        ("macs", "energy"),
        _tops_per_w,
    ),
    DerivedMetric(
        Metric("tops_per_mm2", "TOPS/mm2", "maximise", "Operations a second, pipelined, by chip area"),
        ("macs", "throughput", "area"),
        _tops_per_mm2,
    ),
)

DERIVED: Mapping[str, DerivedMetric] = MappingProxyType({rule.metric.name: rule for rule in _DERIVED})
"""Metrics computed from the stored ones when read, by name and in order."""

METRICS: Mapping[str, Metric] = _by_name((*PRIMARY.values(), *(rule.metric for rule in _DERIVED)))
"""All hardware metrics by name, in order."""

#: Units of a configuration's numbers, by field of :class:`~nasbench_imc.hardware.config.HardwareConfig`.
FIELD_UNITS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("rows", "columns", "active_rows", "attention_rows", "attention_columns"), "cells"),
        **dict.fromkeys(("cell_bits", "input_bits", "dac_bits", "adc_bits"), "bit"),
        **dict.fromkeys(("columns_per_adc", "arrays_per_tile", "tiles", "attention_arrays"), "count"),
        "replication": "1",
        "node_nm": "nm",
        "supply_v": "V",
        "adc_energy": "pJ",
        "adc_time": "ns",
        "adc_area": "um2",
    }
)
