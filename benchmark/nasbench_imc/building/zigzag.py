"""The cost model beside ZigZag (zigzag-dse 3.9.1), layer by layer, on SRAM configurations.

ZigZag (Mei et al., IEEE TC 2021; its IMC extension: Sun et al., arXiv:2304.10288 and later) searches for the
loop order and memory allocation of a layer on one core. To describe the chip that our model describes, a
layer's core has as many macros as the layer takes arrays (two further dimensions of the operational array,
for row and column blocks), weights in the cells, one level of SRAM of our tile buffer's energy a bit, wide
enough for every macro, and an outer memory that costs nothing. ZigZag does not pack depthwise filters
block-diagonally: there it has a macro a filter. It knows no shared ADCs, so that compared configurations
have one a column and combine bit columns after it.

ZigZag is a heavy dependency: it is the extra ``[zigzag]``, imported here and nowhere else.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_imc.errors import BenchmarkError
from nasbench_imc.hardware import HardwareConfig, load_constants, mapping
from nasbench_imc.hardware.components import Scaler
from nasbench_imc.networks import Layer

VERSION = "3.9.1"
LPF_LIMIT = 4  # loop prime factors of a temporal mapping that ZigZag permutes
WEIGHT_BITS = 8

_PARTIAL_SUM_BITS = 24
_OUTER = "outer"  # the memory behind the chip


def require() -> None:
    """Check that ZigZag is there, in the version that the comparison names.

    Raises
    ------
    BenchmarkError
        If it is not.
    """
    from importlib import metadata

    try:
        found = metadata.version("zigzag-dse")
    except metadata.PackageNotFoundError:
        found = "none"
    if found != VERSION:
        raise BenchmarkError(
            f"zigzag-dse {VERSION} is needed, found {found}: pip install zigzag-dse=={VERSION} six"
        )


def _digital(rows: int, columns: int) -> HardwareConfig:
    return HardwareConfig(
        id=f"digital-r{rows}-c{columns}",
        family="sram-digital",
        rows=rows,
        columns=columns,
        cell_bits=1,
        differential=False,
        combine="digital",
        input_mode="serial",
        dac_bits=1,
        active_rows=rows,
    )


def _analog(rows: int, columns: int, adc_bits: int, dac_bits: int) -> HardwareConfig:
    return HardwareConfig(
        id=f"analog-r{rows}-c{columns}-adc{adc_bits}-dac{dac_bits}",
        family="sram-analog",
        rows=rows,
        columns=columns,
        cell_bits=1,
        differential=False,
        combine="digital",
        input_mode="serial" if dac_bits == 1 else "multibit",
        dac_bits=dac_bits,
        adc_bits=adc_bits,
        columns_per_adc=1,
        active_rows=rows,
    )


def configurations() -> tuple[HardwareConfig, ...]:
    """The SRAM configurations that are compared: digital and analog, square and not."""
    return (
        _digital(64, 64),
        _digital(128, 128),
        _digital(256, 256),
        _digital(64, 256),
        _digital(256, 64),
        _analog(64, 64, 6, 1),
        _analog(64, 64, 6, 4),
        _analog(128, 128, 6, 2),
        _analog(128, 128, 8, 8),
        _analog(256, 256, 8, 4),
        _analog(256, 256, 8, 1),
        _analog(256, 64, 6, 8),
    )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What ZigZag says of one layer on one configuration.

    Attributes
    ----------
    energy : mapping of str to float
        By component, under our names: array, adc, dac, accumulation, buffer [pJ].
    latency : float
        [ns]
    compute_latency : float
        The part in which the macros compute, without loading, stalls and draining [ns].
    mapping : str
        The spatial mapping that it chose.
    """

    energy: dict[str, float]
    latency: float
    compute_latency: float
    mapping: str


def kernel_of(layer: Layer) -> tuple[int, int]:
    """Kernel side and stride of a convolution on square maps; a linear layer is a 1 x 1 convolution.

    The smallest pair that fits the shape. A kernel as large as its stride reads every element once, like
    the 1 x 1 convolution with which it is then confused.

    Raises
    ------
    ValueError
        If no kernel up to 7 fits.
    """
    side = math.isqrt(layer.pixels)
    for kernel in range(1, 8):
        channels, rest = divmod(layer.fan_in * layer.groups, kernel**2)
        if rest or layer.input_elements % channels:
            continue
        strides, rest = divmod(math.isqrt(layer.input_elements // channels), side)
        if not rest and strides and channels * (side * strides) ** 2 == layer.input_elements:
            return kernel, strides
    raise ValueError(f"{layer} is no convolution on a square map")


def evaluate(layer: Layer, config: HardwareConfig, lpf_limit: int = LPF_LIMIT) -> Evaluation:
    """Run ZigZag on one layer with stationary weights.

    Raises
    ------
    BenchmarkError
        If ZigZag is missing.
    """
    require()
    import yaml

    accelerator, hints = _accelerator(layer, config)
    links = {"O": "O", "W": "I2", "I": "I1"}
    workload_mapping = [{"name": "default", "memory_operand_links": links, "spatial_mapping_hint": hints}]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        paths = {name: Path(folder, f"{name}.yaml") for name in ("accelerator", "mapping")}
        paths["accelerator"].write_text(yaml.safe_dump(accelerator, sort_keys=False), encoding="utf-8")
        paths["mapping"].write_text(yaml.safe_dump(workload_mapping, sort_keys=False), encoding="utf-8")
        best = _run([_workload(layer)], paths, lpf_limit)
    cycles, period = best.latency_total2, best.tclk
    circuit = best.operational_array.energy_breakdown
    return Evaluation(
        energy={
            "array": circuit["mults"] + circuit["analog_bl_addition"] + circuit["local_bl_precharging"],
            "adc": circuit["adcs"],
            "dac": circuit["dacs"],
            "accumulation": circuit["adders_regular"] + circuit["adders_pv"] + circuit["accumulators"],
            "buffer": float(best.mem_energy),
        },
        latency=float(cycles) * period,
        compute_latency=float(best.ideal_temporal_cycle) * period,
        mapping=str(best.spatial_mapping),
    )


def _run(workload: list[dict[str, Any]], paths: dict[str, Path], lpf_limit: int) -> Any:
    """ZigZag's search for one layer; its best evaluation.

    The stages and settings of its own ``get_hardware_performance_zigzag_imc``, without those that save and
    draw: drawing fails on layers that macros compute in one go.
    """
    from zigzag.mapping.temporal_mapping import TemporalMappingType
    from zigzag.stages.evaluation.cost_model_evaluation import CostModelStage
    from zigzag.stages.exploit_data_locality_stages import (
        ExploitInterLayerDataLocalityStage,
        SearchInterLayerDataLocalityStage,
    )
    from zigzag.stages.main import MainStage
    from zigzag.stages.mapping.spatial_mapping_generation import SpatialMappingGeneratorStage
    from zigzag.stages.mapping.temporal_mapping_generator_stage import TemporalMappingGeneratorStage
    from zigzag.stages.parser.accelerator_parser import AcceleratorParserStage
    from zigzag.stages.parser.workload_parser import WorkloadParserStage
    from zigzag.stages.results.reduce_stages import MinimalEDPStage, SumStage
    from zigzag.stages.workload_iterator import WorkloadStage

    search = MainStage(
        list_of_callables=[
            WorkloadParserStage,
            AcceleratorParserStage,
            SumStage,
            SearchInterLayerDataLocalityStage,
            WorkloadStage,
            ExploitInterLayerDataLocalityStage,
            MinimalEDPStage,
            SpatialMappingGeneratorStage,
            MinimalEDPStage,
            TemporalMappingGeneratorStage,
            CostModelStage,
        ],
        accelerator=str(paths["accelerator"]),
        workload=workload,
        mapping=str(paths["mapping"]),
        loma_lpf_limit=lpf_limit,
        loma_show_progress_bar=False,
        nb_mappings_generated=3,
        enable_mix_spatial_mapping_generation=True,
        access_same_data_considered_as_no_access=True,
        temporal_mapping_type=TemporalMappingType("uneven"),
    )
    return search.run()[0][1][0][0]


@contextlib.contextmanager
def _quiet() -> Any:
    """ZigZag logs every layer at level INFO and sets up the root logger; keep both away."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)


def _workload(layer: Layer) -> dict[str, Any]:
    """The layer as ZigZag's loops; depthwise ones run over groups G instead of outputs K."""
    kernel, stride = kernel_of(layer)
    side = math.isqrt(layer.pixels)
    depthwise = layer.groups > 1
    channel = "g" if depthwise else "k"
    reads = "[g]" if depthwise else "[c]"
    weights = "[g]" if depthwise else "[k][c]"
    outer = {"G": layer.groups} if depthwise else {"K": layer.outputs, "C": layer.fan_in // kernel**2}
    loops = {**outer, "OY": side, "OX": side, "FY": kernel, "FX": kernel}
    return {
        "id": 0,
        "name": "layer",
        "operator_type": "Conv",
        "equation": f"O[{channel}][oy][ox]+=W{weights}[fy][fx]*I{reads}[iy][ix]",
        "dimension_relations": [f"ix={stride}*ox+1*fx", f"iy={stride}*oy+1*fy"],
        "loop_dims": list(loops),
        "loop_sizes": list(loops.values()),
        "operand_precision": {"W": WEIGHT_BITS, "I": 8, "O": _PARTIAL_SUM_BITS, "O_final": 8},
        "operand_source": {"I": 0, "W": 0},
    }


def _accelerator(layer: Layer, config: HardwareConfig) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The chip as ZigZag's core for this layer, and what its dimensions may unroll.

    D1: weights of a row, D2: rows, D3: row blocks (depthwise: filters), D4: column blocks.
    """
    shape, hw = mapping.layer_arrays([layer]), mapping.config_arrays([config], WEIGHT_BITS)
    words, rows = config.columns // config.slices(WEIGHT_BITS), config.rows
    sums = ["C", "FX", "FY"]
    if layer.groups > 1:
        if layer.groups != layer.outputs:
            raise ValueError(f"{layer} is grouped but not depthwise")
        blocks, hints = (layer.groups, 1), {"D1": ["K"], "D2": ["FX", "FY"], "D3": ["G"], "D4": ["K"]}
    else:
        blocks = (int(mapping.row_blocks(shape, hw)[0, 0]), int(mapping.column_blocks(shape, hw)[0, 0]))
        hints = {"D1": ["K"], "D2": sums, "D3": sums, "D4": ["K"]}
    scale = Scaler(load_constants(), hw)
    port = scale.value("buffer_port")
    read = float(scale.energy("buffer_read_energy")[0] / port)
    write = float(scale.energy("buffer_write_energy")[0] / port)
    # All macros read a word a row and write a partial sum a column in a cycle.
    width = max(rows * blocks[0] * 8, words * blocks[1] * _PARTIAL_SUM_BITS * blocks[0])
    everything = ["D1", "D2", "D3", "D4"]
    array: dict[str, Any] = {
        "is_imc": True,
        "imc_type": "analog" if config.adc_bits else "digital",
        "input_precision": [config.input_bits, WEIGHT_BITS],
        "bit_serial_precision": config.dac_bits,
        "dimensions": everything,
        "sizes": [words, rows, *blocks],
    }
    if config.adc_bits:
        array["adc_resolution"] = config.adc_bits
    memories = {
        "cells": _memory(["I2"], 8, {"rw_port_1": ["I2, fh", "I2, tl"]}, 8, []),
        "input_register": _memory(
            ["I1"], 8, {"r_port_1": ["I1, tl"], "w_port_1": ["I1, fh"]}, 8, ["D1", "D4"]
        ),
        "output_register": _memory(
            ["O"],
            _PARTIAL_SUM_BITS,
            {"r_port_1": ["O, tl"], "r_port_2": ["O, th"], "w_port_1": ["O, fh"], "w_port_2": ["O, fl"]},
            _PARTIAL_SUM_BITS,
            ["D2"] if layer.groups > 1 else ["D2", "D3"],  # filters do not add up
        ),
        "buffer": _memory(
            ["I1", "O"],
            2**30,
            {"r_port_1": ["I1, tl", "O, tl", "O, th"], "w_port_1": ["I1, fh", "O, fh", "O, fl"]},
            width,
            everything,
            read * width,
            write * width,
        ),
        _OUTER: _memory(
            ["I1", "I2", "O"],
            10**12,
            {
                "rw_port_1": [
                    f"{operand}, {way}"
                    for operand, ways in (
                        ("I1", ("fh", "tl")),
                        ("I2", ("fh", "tl")),
                        ("O", ("fh", "tl", "fl", "th")),
                    )
                    for way in ways
                ]
            },
            10**9,
            everything,
        ),
    }
    memories["cells"]["latency"] = 0
    return {"name": "chip", "memories": memories, "operational_array": array}, hints


def _memory(
    operands: Sequence[str],
    bits: int,
    ports: dict[str, list[str]],
    width: int,
    served: Sequence[str],
    read: float = 0.0,
    write: float = 0.0,
) -> dict[str, Any]:
    kinds = {"r": "read", "w": "write", "rw": "read_write"}
    return {
        "size": bits,
        "r_cost": read,
        "w_cost": write,
        "area": 0.0,
        "latency": 1,
        "operands": list(operands),
        "ports": [
            {
                "name": name,
                "type": kinds[name.split("_")[0]],
                "bandwidth_min": min(width, 8),
                "bandwidth_max": width,
                "allocation": allocation,
            }
            for name, allocation in ports.items()
        ],
        "served_dimensions": list(served),
    }


def layers_of(networks: Sequence[Any]) -> list[Layer]:
    """The distinct layers with stationary weights of networks, in their order."""
    return [
        layer for layer in dict.fromkeys(x for net in networks for x in net.layers) if layer.kind == "mvm"
    ]


def seconds_per_layer(layers: Sequence[Layer], config: HardwareConfig) -> float:
    """CPU time that ZigZag takes for a layer on one configuration, the mean over layers [s]."""
    import time

    begin = time.process_time()
    for layer in layers:
        evaluate(layer, config)
    return float(np.divide(time.process_time() - begin, len(layers)))
