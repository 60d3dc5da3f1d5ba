"""IMC configurations and the analytic model of what networks cost on them."""

from __future__ import annotations

from nasbench_imc.hardware.config import FAMILIES, FAMILY_TIMES, HardwareConfig, grid
from nasbench_imc.hardware.constants import Constant, load_constants, with_values
from nasbench_imc.hardware.cost import LayerCosts, deployment_costs, derive, layer_costs, network_costs
from nasbench_imc.hardware.metrics import METRICS, Metric

__all__ = [
    "FAMILIES",
    "FAMILY_TIMES",
    "METRICS",
    "Constant",
    "HardwareConfig",
    "LayerCosts",
    "Metric",
    "deployment_costs",
    "derive",
    "grid",
    "layer_costs",
    "load_constants",
    "network_costs",
    "with_values",
]
