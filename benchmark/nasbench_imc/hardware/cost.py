"""Energy, latency and area of layers and networks on IMC configurations.

:func:`layer_costs` prices layers, :func:`network_costs` whole networks: every distinct layer once, then
sums over each network, its critical path and its live tensors. All quantities are for one inference,
batch 1, weights in place. Seven factors are fitted to silicon (building/calibration.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nasbench_imc.hardware import components, mapping
from nasbench_imc.hardware.components import AdcModel, Scaler
from nasbench_imc.hardware.config import HardwareConfig
from nasbench_imc.hardware.constants import Constants, FloatArray, load_constants
from nasbench_imc.hardware.mapping import BoolArray, ConfigArrays, LayerArrays
from nasbench_imc.hardware.metrics import DERIVED
from nasbench_imc.hardware.schedule import critical_paths, layer_counts, schedule, slowest_stage
from nasbench_imc.networks import Layer, Network

ENERGY_COMPONENTS = (
    "array",
    "adc",
    "dac",
    "accumulation",
    "buffer",
    "interconnect",
    "attention",
    "off_chip",
    "leakage",
)
# Off-chip memory is not on the chip and leakage has no area: neither would ever differ from zero.
AREA_COMPONENTS = ("array", "adc", "dac", "accumulation", "buffer", "interconnect", "attention")

_LAYER_COMPONENTS = ENERGY_COMPONENTS[:7]


@dataclass(frozen=True, slots=True)
class LayerCosts:
    """Costs of one inference of each layer on each configuration; every array has shape (L, H).

    Attributes
    ----------
    energy : mapping of str to ndarray
        Dynamic energy by component [pJ]: array, adc, dac, accumulation, buffer, interconnect, attention.
        ``interconnect`` is at one hop; a network's tiles decide how many there are.
    latency : ndarray
        Time from the layer's first input to its last output [ns].
    arrays : ndarray
        Arrays that hold the layer's weights.
    used_cells : ndarray
        Cells that hold weights.
    utilisation : ndarray
        Share of the arrays' cells that hold weights [1].
    conversions : ndarray
        ADC conversions.
    programming_energy : ndarray
        Energy of writing the layer's weights once [pJ].
    network_bits : ndarray
        Bits that cross the chip: the layer's input [bit].
    neighbour_bits : ndarray
        Bits of partial sums that move to the next tile [bit].
    """

    energy: Mapping[str, FloatArray]
    latency: FloatArray
    arrays: FloatArray
    used_cells: FloatArray
    utilisation: FloatArray
    conversions: FloatArray
    programming_energy: FloatArray
    network_bits: FloatArray
    neighbour_bits: FloatArray


def layer_costs(
    layers: Sequence[Layer],
    configs: Sequence[HardwareConfig],
    weight_bits: int = 8,
    *,
    constants: Constants | None = None,
    adc_model: AdcModel = "zigzag",
) -> LayerCosts:
    """Costs of layers on configurations.

    Parameters
    ----------
    layers : sequence of Layer, length L
    configs : sequence of HardwareConfig, length H
    weight_bits : int
        Bits of a weight, 1 to 8. The macro is laid out for them.
    constants : mapping of str to Constant, optional
        Other constants, from :func:`~nasbench_imc.hardware.constants.with_values`.
    adc_model : {"zigzag", "survey"}
        See :func:`~nasbench_imc.hardware.components.adc_energy`.

    Returns
    -------
    LayerCosts
        Arrays of shape (L, H).

    Raises
    ------
    ValueError
        If ``weight_bits`` or ``adc_model`` is not valid.
    """
    hw = mapping.config_arrays(configs, weight_bits)
    scale = Scaler(load_constants() if constants is None else constants, hw)
    return _layer_costs(mapping.layer_arrays(layers), scale, adc_model)


def _layer_costs(layer: LayerArrays, scale: Scaler, adc_model: AdcModel) -> LayerCosts:
    hw = scale.hw
    shape = (layer.fan_in.shape[0], hw.rows.shape[0])
    conversions = mapping.conversions(layer, hw)
    neighbour_bits = mapping.tile_crossings(layer, hw) * mapping.accumulator_bits(hw)
    network_bits = layer.input_elements * hw.input_bits
    energy = {
        "array": _array_energy(layer, scale),
        "adc": conversions * components.conversion_energy(scale, adc_model),
        "dac": mapping.row_drives(layer, hw) * components.dac_energy(scale),
        "accumulation": _accumulation_energy(layer, scale, conversions),
        "buffer": _buffer_energy(layer, scale),
        "interconnect": (network_bits + neighbour_bits) * _hop_energy(scale),
        "attention": _digital_unit_energy(layer, scale),
    }
    latency = _layer_latency(layer, scale)
    if not np.isnan(hw.attention_arrays).all():
        written = _on_attention_arrays(layer, hw)
        attention, buffer, time = _attention_array_costs(layer, scale)
        energy["attention"] = np.where(written, attention, energy["attention"])
        energy["buffer"] = np.where(written, buffer, energy["buffer"])
        latency = np.where(written, time, latency)
    used = mapping.used_cells(layer, hw)
    return LayerCosts(
        energy={name: _full(energy[name], shape) for name in _LAYER_COMPONENTS},
        latency=_full(latency, shape),
        arrays=_full(mapping.arrays(layer, hw), shape),
        used_cells=_full(used, shape),
        utilisation=_full(mapping.utilisation(layer, hw), shape),
        conversions=_full(conversions, shape),
        programming_energy=_full(used * components.write_energy(scale), shape),
        network_bits=_full(network_bits, shape),
        neighbour_bits=_full(neighbour_bits, shape),
    )


def _full(values: FloatArray, shape: tuple[int, int]) -> FloatArray:
    return np.array(np.broadcast_to(values, shape), dtype=np.float64)


def _array_energy(layer: LayerArrays, scale: Scaler) -> FloatArray:
    """P T K N S cell actions, and the lines of the columns that are read [pJ]; (L, H).

    Cells without weights stay silent, but a line is charged along all R cells (ZigZag-IMC).
    """
    hw = scale.hw
    actions = layer.pixels * mapping.input_steps(hw) * mapping.used_cells(layer, hw)
    lines = mapping.column_readings(layer, hw) * hw.rows
    devices = components.device_energy(scale, components.array_time(scale))
    return actions * devices + lines * components.line_energy(scale)


def _accumulation_energy(layer: LayerArrays, scale: Scaler, conversions: FloatArray) -> FloatArray:
    """Adder trees, shift-and-add, partial sums and post-processing [pJ]; (L, H), 0 unless an mvm.

    n readings of one output take n - 1 additions, of which those across row blocks are mapping rule 3.
    Digital SRAM has no readings but adder trees (rule 9) and one accumulation a tree and input step.
    Scale, bias and activation are one MAC(16,8) an output.
    """
    hw = scale.hw
    outputs = layer.pixels * layer.outputs
    addition = components.accumulation_energy(scale)
    full, passing = mapping.tree_adders(layer, hw)
    adder = components.full_adder_energy(scale) * scale.value("activity")
    # In passing only the two XORs of an adder switch (ZigZag-IMC).
    half_adder = 2.0 * scale.charge("c_xor2") * scale.value("activity")
    steps = outputs * mapping.input_steps(hw)
    trees = steps * (full * adder + passing * half_adder + mapping.row_blocks(layer, hw) * addition)
    digital = trees + mapping.partial_sums(layer, hw) * addition
    analog = (conversions - outputs) * addition
    total = np.where(hw.has_adc, analog, digital) + outputs * scale.energy("mac_energy")
    return np.where(layer.is_mvm, total, 0.0)


def _buffer_energy(layer: LayerArrays, scale: Scaler) -> FloatArray:
    """Traffic of the tile buffers [pJ]; (L, H).

    A product reads its K G inputs for every pixel (im2col, row blocks each their own rows; column blocks
    share a broadcast) and writes its outputs; partial sums are written and read back at accumulator
    width. Attention reads two operands a MAC, each ``attention_reuse`` times used; element-wise layers
    read their input once.
    """
    hw = scale.hw
    read = scale.energy("buffer_read_energy") / scale.value("buffer_port")
    write = scale.energy("buffer_write_energy") / scale.value("buffer_port")
    products = layer.pixels * layer.fan_in * layer.groups
    operands = 2.0 * layer.fan_in * layer.outputs * layer.pixels / scale.value("attention_reuse")
    elements = np.where(layer.is_mvm, products, np.where(layer.is_matmul, operands, layer.input_elements))
    sums = mapping.partial_sums(layer, hw) * mapping.accumulator_bits(hw) * (read + write)
    outputs = layer.pixels * layer.outputs
    return hw.input_bits * (elements * read + outputs * write) + sums


def _hop_energy(scale: Scaler) -> FloatArray:
    """Energy of one bit over one hop [pJ/bit]; (H,)."""
    return scale.energy("router_energy") / scale.value("router_port")


def _digital_unit_energy(layer: LayerArrays, scale: Scaler) -> FloatArray:
    """Attention as MAC(16,8), element-wise layers as 32-bit additions [pJ]; (L, H), 0 for an mvm."""
    operations = layer.fan_in * layer.outputs * layer.pixels
    energy = np.where(layer.is_matmul, scale.energy("mac_energy"), scale.energy("adder32_energy"))
    return np.where(layer.is_mvm, 0.0, operations * energy)


def _layer_latency(layer: LayerArrays, scale: Scaler) -> FloatArray:
    """Time of a layer [ns]; (L, H): P t_MVM, or operations over the lanes of the digital unit.

    All arrays of a layer work at once; buffers are wide enough to feed them.
    """
    product = layer.pixels * mapping.mvm_time(
        layer, scale.hw, components.array_time(scale), components.conversion_time(scale)
    )
    operations = layer.fan_in * layer.outputs * layer.pixels
    digital = operations / scale.value("digital_lanes") * scale.time("digital_cycle")
    return np.where(layer.is_mvm, product, digital)


def _on_attention_arrays(layer: LayerArrays, hw: ConfigArrays) -> BoolArray:
    """Where a layer runs on the digital SRAM arrays that hold activations (mapping rule 7); (L, H)."""
    return layer.is_matmul & ~np.isnan(hw.attention_arrays)


def _attention_array_costs(layer: LayerArrays, scale: Scaler) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Energy [pJ], buffer energy [pJ] and time [ns] of products of activations on SRAM arrays; (L, H).

    The K x N operand is read from a buffer and written into the cells; then P vectors pass, as in a layer
    with stationary weights of ``input_bits`` bits. Operands that exceed the arrays take turns. A round
    writes its arrays at once, row by row, those of all heads that share an array.
    """
    macros = replace(scale, hw=mapping.attention_macros(scale.hw))
    products = replace(layer, is_mvm=layer.is_matmul, is_matmul=np.zeros_like(layer.is_matmul))
    operand = layer.fan_in * layer.outputs * scale.hw.input_bits
    silent = np.zeros_like(operand)
    energy = _array_energy(products, macros) + _accumulation_energy(products, macros, silent)
    energy = energy + operand * components.write_energy(macros)
    read = scale.energy("buffer_read_energy") / scale.value("buffer_port")
    buffer = _buffer_energy(products, macros) + operand * read
    rounds = np.ceil(mapping.arrays(products, macros.hw) / scale.hw.attention_arrays)
    rows = np.minimum(layer.fan_in * mapping.packed_groups(products, macros.hw), macros.hw.rows)
    writing = rows * components.write_time(macros)
    return energy, buffer, rounds * (writing + _layer_latency(products, macros))


def network_costs(
    networks: Sequence[Network],
    configs: Sequence[HardwareConfig],
    weight_bits: int = 8,
    *,
    constants: Constants | None = None,
    adc_model: AdcModel = "zigzag",
) -> dict[str, FloatArray]:
    """The stored hardware metrics of networks on configurations.

    Parameters
    ----------
    networks : sequence of Network, length A
    configs : sequence of HardwareConfig, length H
    weight_bits : int
        Bits of a weight, 1 to 8.
    constants, adc_model
        As for :func:`layer_costs`.

    Returns
    -------
    dict of str to ndarray (A, H)
        ``energy`` and ``energy_<component>`` [uJ], ``area`` and ``area_<component>`` [mm2], ``latency``
        [us], ``throughput`` [inferences/s], ``utilisation`` [%], ``arrays`` [count], ``leakage_power``
        [mW], ``programming_energy`` [uJ], ``weight_memory`` and ``activation_memory`` [KiB], ``macs``.
        :mod:`~nasbench_imc.hardware.metrics` describes them.

    Raises
    ------
    ValueError
        If ``weight_bits`` or ``adc_model`` is not valid, or a network has no layers.
    """
    if any(not net.layers for net in networks):
        raise ValueError("a network without layers has no costs")
    hw = mapping.config_arrays(configs, weight_bits)
    scale = Scaler(load_constants() if constants is None else constants, hw)
    layer, members = _distinct_layers(networks)
    costs = _layer_costs(layer, scale, adc_model)
    plan = schedule(networks, members, layer, costs.latency, costs.arrays, hw)
    counts = plan.counts

    one_copy = counts @ costs.arrays
    array_count = plan.total(costs.arrays)
    tiles = mapping.tiles_needed(array_count, hw)
    weights = _per_network(networks, lambda net: net.weights)
    programming = plan.total(costs.programming_energy)
    reload_bits, reload_time, reload_energy = _reloads(one_copy, weights * weight_bits, programming, scale)
    areas, leakage_power = _chip(array_count, tiles, scale, adc_model)

    written = _on_attention_arrays(layer, hw)
    latency = critical_paths(plan, written) + reload_time
    interval = slowest_stage(plan, written) + reload_time

    hop = _hop_energy(scale)
    energy = {name: counts @ costs.energy[name] for name in _LAYER_COMPONENTS}
    energy["array"] = energy["array"] + reload_energy
    energy["interconnect"] = hop * (
        (counts @ costs.network_bits) * mapping.mean_hops(tiles) + counts @ costs.neighbour_bits
    )
    boundary = _per_network(networks, _boundary_elements)
    energy["off_chip"] = (boundary * hw.input_bits + reload_bits) * scale.value("dram_energy")
    energy["leakage"] = leakage_power * latency  # mW x ns = pJ

    metrics: dict[str, FloatArray] = {}
    for name in ENERGY_COMPONENTS:
        metrics[f"energy_{name}"] = energy[name] * 1e-6
    for name in AREA_COMPONENTS:
        metrics[f"area_{name}"] = areas[name] * 1e-6
    shape = array_count.shape
    activations = _per_network(networks, peak_live_elements)
    macs = _per_network(networks, lambda net: net.macs)
    cells = np.maximum(array_count * hw.rows * hw.columns, 1.0)
    return {
        "energy": _sum_components(metrics, "energy", ENERGY_COMPONENTS),
        "latency": latency * 1e-3,
        "throughput": 1e9 / interval,
        "area": _sum_components(metrics, "area", AREA_COMPONENTS),
        "utilisation": 100.0 * plan.total(costs.used_cells) / cells,
        "arrays": array_count,
        "leakage_power": leakage_power,
        "programming_energy": programming * 1e-6,
        "weight_memory": _full(weights * weight_bits / 8192.0, shape),
        "activation_memory": _full(activations * hw.input_bits / 8192.0, shape),
        "macs": _full(macs, shape),
        **metrics,
    }


def _distinct_layers(networks: Sequence[Network]) -> tuple[LayerArrays, list[np.ndarray]]:
    """Every distinct layer once, and which of them each network's layers are."""
    rows: dict[Layer, int] = {}
    members = [
        np.array([rows.setdefault(layer, len(rows)) for layer in net.layers], dtype=np.intp)
        for net in networks
    ]
    return mapping.layer_arrays(list(rows)), members


def _per_network(networks: Sequence[Network], count: Callable[[Network], int]) -> FloatArray:
    """A count of each network as a column (A, 1)."""
    return np.array([count(net) for net in networks], dtype=np.float64).reshape(-1, 1)


def _sum_components(metrics: Mapping[str, FloatArray], prefix: str, names: Sequence[str]) -> FloatArray:
    """The sum of ``<prefix>_<component>`` over components, in their order."""
    return np.asarray(np.sum([metrics[f"{prefix}_{name}"] for name in names], axis=0), dtype=np.float64)


def _chip(
    array_count: FloatArray, tiles: FloatArray, scale: Scaler, adc_model: AdcModel
) -> tuple[dict[str, FloatArray], FloatArray]:
    """Area by component [um2] and leakage power [mW] of the chip; each (A, H).

    A chip sized to the network has the arrays that the network needs; one of fixed tiles has them all.
    Every tile has a 64 KB buffer and a router, every chip one digital unit, and the arrays for products
    of activations that it states.
    """
    hw = scale.hw
    installed = np.where(np.isnan(hw.tiles), array_count, hw.tiles * hw.arrays_per_tile)
    per_array = components.array_areas(scale, adc_model)
    density = scale.leakage("logic_leakage_density")
    unit = scale.value("digital_lanes") * scale.area("mac_area")
    areas = {name: installed * area for name, area in per_array.items()}
    areas["buffer"] = tiles * scale.area("buffer_area")
    areas["interconnect"] = tiles * scale.area("router_area")
    macros = replace(scale, hw=mapping.attention_macros(hw))
    per_macro = components.array_areas(macros, adc_model)
    macro_count = np.where(np.isnan(hw.attention_arrays), 0.0, hw.attention_arrays)
    areas["attention"] = _full(unit + macro_count * sum(per_macro.values()), tiles.shape)
    leakage = installed * components.array_leakage(scale, per_array) + unit * density
    leakage = leakage + macro_count * components.array_leakage(macros, per_macro)
    leakage = leakage + tiles * (scale.leakage("buffer_leakage") + scale.area("router_area") * density)
    return areas, leakage


def _reloads(
    array_count: FloatArray, bits: FloatArray, programming_energy: FloatArray, scale: Scaler
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weight reloads of one inference (mapping rule 5): bits, time [ns] and energy [pJ]; each (A, H).

    A network that does not fit is loaded whole in every inference, in rounds as large as the chip;
    a round lasts as long as its bits take to arrive or its rows to be written. The energy is that of
    writing; off-chip energy is charged by the bits.

    Parameters
    ----------
    array_count : ndarray (A, H)
        Arrays that each network takes.
    bits : ndarray (A, 1)
        Bits of all its weights.
    programming_energy : ndarray (A, H)
        Energy of writing them once [pJ].
    scale : Scaler
    """
    hw = scale.hw
    rounds = mapping.reload_rounds(array_count, hw)
    reloaded = rounds > 0
    moved = np.where(reloaded, bits, 0.0)
    arrival = moved / np.maximum(rounds, 1.0) / scale.value("dram_bandwidth")
    time = rounds * np.maximum(arrival, hw.rows * components.write_time(scale))
    return moved, time, np.where(reloaded, programming_energy, 0.0)


def _consumers(network: Network) -> list[int]:
    """Index of the last layer that reads each layer's output; -1 for outputs of the network."""
    last = [-1] * len(network.layers)
    for i, sources in enumerate(network.producers):
        for j in sources:
            last[j] = i
    return last


def _boundary_elements(network: Network) -> int:
    """Elements that cross the chip's boundary: the input, and outputs that no layer reads."""
    last = _consumers(network)
    outputs = (
        layer.output_elements for layer, reader in zip(network.layers, last, strict=True) if reader < 0
    )
    return network.input_elements + sum(outputs)


def peak_live_elements(network: Network) -> int:
    """Largest sum of tensors alive at once, running the layers in their order [elements].

    While a layer runs, its inputs and its output are alive. A tensor dies after its last reader; the
    network's input after the last layer without producers; outputs of the network never.
    """
    last = _consumers(network)
    readers = [i for i, sources in enumerate(network.producers) if not sources]
    dying: list[int] = [0] * len(network.layers)
    if readers:
        dying[readers[-1]] += network.input_elements
    for layer, reader in zip(network.layers, last, strict=True):
        if reader >= 0:
            dying[reader] += layer.output_elements
    live = peak = network.input_elements
    for layer, freed in zip(network.layers, dying, strict=True):
        live += layer.output_elements
        peak = max(peak, live)
        live -= freed
    return peak


def deployment_costs(
    networks: Sequence[Network],
    configs: Sequence[HardwareConfig],
    weight_bits: int = 8,
    *,
    constants: Constants | None = None,
) -> dict[str, FloatArray]:
    """What writing weights means for a chip's life (mapping rules 5 and 8).

    Parameters
    ----------
    networks, configs, weight_bits, constants
        As for :func:`network_costs`.

    Returns
    -------
    dict of str to ndarray (A, H)
        ``programming_time`` [us]: writing all weights once, all arrays at once, row by row, in as many
        rounds as the chip needs. ``reload_rounds``: how often each device is written in an inference, 0
        where the network fits. ``reload_energy`` [uJ]: writing them in an inference, a part of
        ``energy_array``. ``lifetime`` [inferences]: endurance over these writes; infinite where
        nothing is reloaded, and for SRAM. Endurance counts writes, each with all its pulses.
    """
    hw = mapping.config_arrays(configs, weight_bits)
    scale = Scaler(load_constants() if constants is None else constants, hw)
    layer, members = _distinct_layers(networks)
    counts = layer_counts(members, layer.fan_in.shape[0])
    array_count = counts @ mapping.arrays(layer, hw)
    rounds = mapping.reload_rounds(array_count, hw)
    time = np.maximum(rounds, 1.0) * hw.rows * components.write_time(scale)
    with np.errstate(divide="ignore"):
        lifetime = components.endurance(scale) / rounds
    used = mapping.used_cells(layer, hw) * components.write_energy(scale)
    writes = np.where(rounds > 0, counts @ used, 0.0)
    return {
        "programming_time": time * 1e-3,
        "reload_rounds": rounds,
        "reload_energy": writes * 1e-6,
        "lifetime": lifetime,
    }


def derive(metrics: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Metrics that follow from the stored ones.

    Parameters
    ----------
    metrics : mapping of str to ndarray
        At least ``energy``, ``latency``, ``area``, ``throughput`` and ``macs``, of one shape.

    Returns
    -------
    dict of str to ndarray
        ``edp`` [uJ us], ``edap`` [uJ us mm2], ``tops_per_w`` [TOPS/W] and ``tops_per_mm2`` [TOPS/mm2].
        1 MAC = 2 operations; operations a second are those of the pipelined ``throughput``.
    """
    return {name: rule.function(*(metrics[part] for part in rule.inputs)) for name, rule in DERIVED.items()}
