"""How layers are laid out on arrays, and how often each thing happens: counts, no physics.

Everything is a function of arrays: a quantity of a layer has shape (L, 1), one of a configuration (H,),
and results broadcast to (L, H). Notation: a layer has K rows of fan-in, N outputs and P pixels; an array
R rows and C columns; b_w, b_x, b_d and b_A are the bits of weights, inputs, DAC and ADC; M outputs share
an ADC. The rules, which docstrings cite by number:

1. A weight takes S = ceil(b_w / b_c) columns of b_c-bit cells, doubled when differential; an input
   T = ceil(b_x / b_d) steps; a layer r = ceil(K / R) row blocks and c = ceil(N / floor(C / S)) column
   blocks, so A = r c arrays (ISAAC, ISCA 2016; ZigZag-IMC).
2. There are P T r N S conversions, and a product takes T max(t_array, M t_ADC) (ISAAC).
3. Row blocks take P N (r - 1) additions, and buffer traffic at accumulator width.
4. Depthwise filters are packed block-diagonally, none across rows that are read apart; utilisation is
   K N S / (A R C).
5. What exceeds a chip of fixed size is reloaded in every inference, in rounds as large as the chip.
6. Layers form a pipeline; latency and throughput are reported apart (ISAAC). Spare arrays may hold copies
   of slow layers: a pipeline with d_l copies of layer l takes max over l of ceil(P_l / d_l) t_MVM,l.
7. Products of activations have no stationary operand. They run on a digital unit, or on digital SRAM
   arrays into which one operand is written in every inference; never on NVM.
8. Weights are programmed once, at deployment; a network that is reloaded wears the devices out after
   endurance / writes an inference.
9. An adder tree of R inputs has R (b_w + 1) - (b_w + log2 R + 1) one-bit adders an output (ZigZag-IMC).
10. Bits cross the chip in hops; area is the sum of the components.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nasbench_imc.hardware.config import HardwareConfig
from nasbench_imc.networks import Layer

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LayerArrays:
    """Layers as columns: every field has shape (L, 1).

    Attributes
    ----------
    fan_in, outputs, pixels, groups, input_elements
        As in :class:`~nasbench_imc.networks.Layer`.
    is_mvm, is_matmul, is_vector
        The layer's kind.
    """

    fan_in: FloatArray
    outputs: FloatArray
    pixels: FloatArray
    groups: FloatArray
    input_elements: FloatArray
    is_mvm: BoolArray
    is_matmul: BoolArray
    is_vector: BoolArray


@dataclass(frozen=True, slots=True)
class ConfigArrays:
    """Configurations as rows: every field has shape (H,).

    Attributes
    ----------
    rows, columns, active_rows, input_bits, dac_bits, arrays_per_tile, node_nm, supply_v
        As in :class:`~nasbench_imc.hardware.config.HardwareConfig`.
    adc_bits, columns_per_adc
        Likewise; 1 where there is no ADC, and then unused.
    slices
        Device columns of a weight at the weight precision asked for.
    conversion_slices
        Conversions an output needs for its slices: 1 if combined before the ADC, 0 without an ADC.
    weight_bits
        Weight precision asked for [bit].
    tiles
        Tiles of the chip; NaN where it is sized to the network.
    adc_energy, adc_time, adc_area
        Known figures of the ADC [pJ, ns, um2]; NaN where a model gives them.
    replication
        Arrays that may hold weights, over those of one copy.
    attention_rows, attention_columns, attention_arrays
        The digital SRAM arrays for products of activations; NaN where the digital unit computes them.
    has_adc, is_sram, is_pcm, is_pair, is_pwm
        Kinds of circuit; ``is_pair``: a weight is a differential pair.
    """

    rows: FloatArray
    columns: FloatArray
    active_rows: FloatArray
    input_bits: FloatArray
    dac_bits: FloatArray
    adc_bits: FloatArray
    columns_per_adc: FloatArray
    slices: FloatArray
    conversion_slices: FloatArray
    weight_bits: FloatArray
    arrays_per_tile: FloatArray
    tiles: FloatArray
    adc_energy: FloatArray
    adc_time: FloatArray
    adc_area: FloatArray
    replication: FloatArray
    attention_rows: FloatArray
    attention_columns: FloatArray
    attention_arrays: FloatArray
    node_nm: FloatArray
    supply_v: FloatArray
    has_adc: BoolArray
    is_sram: BoolArray
    is_pcm: BoolArray
    is_pair: BoolArray
    is_pwm: BoolArray


def layer_arrays(layers: Sequence[Layer]) -> LayerArrays:
    """Pack layers into arrays of shape (L, 1)."""

    def column(field: str) -> FloatArray:
        return np.array([[getattr(layer, field)] for layer in layers], dtype=np.float64).reshape(-1, 1)

    kinds = np.array([layer.kind for layer in layers], dtype=str).reshape(-1, 1)
    return LayerArrays(
        fan_in=column("fan_in"),
        outputs=column("outputs"),
        pixels=column("pixels"),
        groups=column("groups"),
        input_elements=column("input_elements"),
        is_mvm=kinds == "mvm",
        is_matmul=kinds == "matmul",
        is_vector=kinds == "vector",
    )


def config_arrays(configs: Sequence[HardwareConfig], weight_bits: int = 8) -> ConfigArrays:
    """Pack configurations into arrays of shape (H,) at one weight precision.

    Raises
    ------
    ValueError
        If ``weight_bits`` is not an integer from 1 to 8.
    """
    if isinstance(weight_bits, bool) or not isinstance(weight_bits, int) or not 1 <= weight_bits <= 8:
        raise ValueError(f"weight_bits must be an integer from 1 to 8, not {weight_bits!r}")

    def row(values: Sequence[float]) -> FloatArray:
        return np.array(values, dtype=np.float64)

    def optional(field: str) -> FloatArray:
        values = [getattr(config, field) for config in configs]
        return row([np.nan if value is None else value for value in values])

    slices = row([config.slices(weight_bits) for config in configs])
    has_adc = np.array([config.adc_bits is not None for config in configs], dtype=bool)
    is_digital = np.array([config.combine == "digital" for config in configs], dtype=bool)
    return ConfigArrays(
        rows=row([config.rows for config in configs]),
        columns=row([config.columns for config in configs]),
        active_rows=row([config.active_rows for config in configs]),
        input_bits=row([config.input_bits for config in configs]),
        dac_bits=row([config.dac_bits for config in configs]),
        adc_bits=row([config.adc_bits or 1 for config in configs]),
        columns_per_adc=row([config.columns_per_adc or 1 for config in configs]),
        slices=slices,
        conversion_slices=np.where(has_adc, np.where(is_digital, slices, 1.0), 0.0),
        weight_bits=row([weight_bits] * len(configs)),
        arrays_per_tile=row([config.arrays_per_tile for config in configs]),
        tiles=optional("tiles"),
        adc_energy=optional("adc_energy"),
        adc_time=optional("adc_time"),
        adc_area=optional("adc_area"),
        replication=row([config.replication for config in configs]),
        attention_rows=optional("attention_rows"),
        attention_columns=optional("attention_columns"),
        attention_arrays=optional("attention_arrays"),
        node_nm=row([config.node_nm for config in configs]),
        supply_v=row([config.supply_v for config in configs]),
        has_adc=has_adc,
        is_sram=np.array([config.family.startswith("sram") for config in configs], dtype=bool),
        is_pcm=np.array([config.family == "pcm" for config in configs], dtype=bool),
        is_pair=np.array([config.differential for config in configs], dtype=bool),
        is_pwm=np.array([config.input_mode == "pwm" for config in configs], dtype=bool),
    )


def attention_macros(hw: ConfigArrays) -> ConfigArrays:
    """The arrays for products of activations (rule 7), as if they were the chip's only ones.

    Digital SRAM that holds activations, ``input_bits`` bit columns each. Meaningless where
    ``attention_arrays`` is NaN.
    """
    ones, none = np.ones_like(hw.rows), np.zeros_like(hw.has_adc)
    missing = np.isnan(hw.attention_arrays)
    rows = np.where(missing, 1.0, hw.attention_rows)
    return replace(
        hw,
        rows=rows,
        columns=np.where(missing, hw.input_bits, hw.attention_columns),
        active_rows=rows,
        dac_bits=ones,
        slices=hw.input_bits,
        conversion_slices=np.zeros_like(ones),
        weight_bits=hw.input_bits,
        has_adc=none,
        is_sram=~none,
        is_pcm=none,
        is_pair=none,
        is_pwm=none,
    )


def outputs_per_array(hw: ConfigArrays) -> FloatArray:
    """Weights side by side in one array, floor(C / S) (rule 1); shape (H,)."""
    return np.floor(hw.columns / hw.slices)


def conversion_outputs(hw: ConfigArrays) -> FloatArray:
    """Outputs of one array that need an ADC; shape (H,), 0 without ADCs.

    A macro is laid out for the weight precision it is costed at: at 4 bits an SRAM row holds twice as
    many weights, each with its own conversion output.
    """
    return outputs_per_array(hw) * hw.conversion_slices


def adcs_per_array(hw: ConfigArrays) -> FloatArray:
    """ADCs of one array, its conversion outputs over those that share one; shape (H,)."""
    return np.ceil(conversion_outputs(hw) / hw.columns_per_adc)


def scanned_outputs(hw: ConfigArrays) -> FloatArray:
    """Outputs that an ADC converts one after another: M, or all of an array that has fewer; (H,)."""
    return np.minimum(hw.columns_per_adc, conversion_outputs(hw))


def packed_groups(layer: LayerArrays, hw: ConfigArrays) -> FloatArray:
    """Groups that share an array block-diagonally (rule 4); (L, H), at least 1.

    Each group takes its own rows and its own columns: as many as fit by rows, floor(W / n) by columns, with
    n outputs a group and W weights an array row. By rows that is floor(R / K) where all are read together.
    Where they are not, no group straddles two readings if it fits one, since its outputs would be converted
    twice. A group too large for an array spans several.
    """
    readings = np.ceil(layer.fan_in / hw.active_rows)  # of one group
    together = np.maximum(1.0, np.floor(hw.active_rows / layer.fan_in))  # groups in a reading
    whole = np.floor(hw.rows / (readings * hw.active_rows))
    left = hw.rows - whole * readings * hw.active_rows
    by_rows = whole * together + np.floor(left / layer.fan_in)
    by_columns = np.floor(outputs_per_array(hw) / (layer.outputs / layer.groups))
    return np.maximum(1.0, np.minimum(np.minimum(by_rows, by_columns), layer.groups))


def row_blocks(layer: LayerArrays, hw: ConfigArrays) -> FloatArray:
    """Arrays over which the fan-in of an output is split, r = ceil(K / R) (rule 1); (L, H)."""
    return np.ceil(layer.fan_in / hw.rows)


def column_blocks(layer: LayerArrays, hw: ConfigArrays) -> FloatArray:
    """Arrays over which the outputs of a group are split, c = ceil(n / floor(C / S)) (rule 1); (L, H)."""
    return np.ceil(layer.outputs / layer.groups / outputs_per_array(hw))


def arrays(layer: LayerArrays, hw: ConfigArrays) -> FloatArray:
    """Arrays that hold a layer's weights (rules 1 and 4); (L, H), 0 unless the layer is an mvm."""
    packed = np.ceil(layer.groups / packed_groups(layer, hw))
    return np.where(layer.is_mvm, packed * row_blocks(layer, hw) * column_blocks(layer, hw), 0.0)


def used_cells(layer: LayerArrays, hw: ConfigArrays) -> FloatArray:
    """Cells that hold weights, K N S (rule 4); (L, H), 0 unless the layer is an mvm."""
    return np.where(layer.is_mvm, layer.fan_in * layer.outputs * hw.slices, 0.0)


def utilisation(layer: LayerArrays, hw: ConfigArrays) -> FloatArray:
    """Share of cells that hold weights, K N S / (A R C) (rule 4) [1]; (L, H), 0 unless an mvm."""
    cells = arrays(layer, hw) * hw.rows * hw.columns
    return used_cells(layer, hw) / np.maximum(cells, 1.0)


def input_steps(hw: ConfigArrays) -> FloatArray:
    """Steps in which an input is applied, T = ceil(b_x / b_d) (rule 1); (H,)."""
    return np.ceil(hw.input_bits / hw.dac_bits)


def row_groups(layer: LayerArrays, hw: ConfigArrays) -> FloatArray:
    """Readings of an output in one input step, over all its row blocks; (L, H).

    A block of k rows, of which ``active_rows`` are read together, takes ceil(k / active_rows) readings.
    """
    blocks = row_blocks(layer, hw)
    last = layer.fan_in - (blocks - 1.0) * hw.rows
    return (blocks - 1.0) * np.ceil(hw.rows / hw.active_rows) + np.ceil(last / hw.active_rows)


def swept_groups(layer: LayerArrays, hw: ConfigArrays) -> FloatArray:
    """Row groups that an array sweeps one after another in one input step; (L, H).

    The fullest array counts. An array of packed groups is swept whole, full or not.
    """
    dense = np.ceil(np.minimum(layer.fan_in, hw.rows) / hw.active_rows)
    return np.where(layer.groups > 1, np.ceil(hw.rows / hw.active_rows), dense)


def conversions(layer: LayerArrays, hw: ConfigArrays) -> FloatArray:
    """ADC conversions of one inference, P T r N S (rule 2); (L, H), 0 without ADCs.

    S is 1 where slices and pairs are combined before the ADC, and r grows where only part of the rows
    is read at a time (:func:`row_groups`).
    """
    count = layer.pixels * input_steps(hw) * row_groups(layer, hw) * layer.outputs * hw.conversion_slices
    return np.where(layer.is_mvm, count, 0.0)


def column_readings(layer: LayerArrays, hw: ConfigArrays) -> FloatArray:
    """Readings of a device column in one inference, P T r N S (rule 2); (L, H), 0 unless an mvm.

    As :func:`conversions`, but of all columns, also those that are combined before an ADC.
    """
    count = layer.pixels * input_steps(hw) * row_groups(layer, hw) * layer.outputs * hw.slices
    return np.where(layer.is_mvm, count, 0.0)


def row_drives(layer: LayerArrays, hw: ConfigArrays) -> FloatArray:
    """Times that a row of an array is driven in one inference, P T K G c; (L, H), 0 unless an mvm."""
    count = layer.pixels * input_steps(hw) * layer.fan_in * layer.groups * column_blocks(layer, hw)
    return np.where(layer.is_mvm, count, 0.0)


def mvm_time(layer: LayerArrays, hw: ConfigArrays, t_array: FloatArray, t_adc: FloatArray) -> FloatArray:
    """Time of one matrix-vector product, T max(t_array, M t_ADC) for each swept row group (rule 2).

    Conversions overlap the next reading (sample and hold), and the sequencer scans all outputs of an ADC,
    used or not (:func:`scanned_outputs`).

    Parameters
    ----------
    layer, hw : LayerArrays, ConfigArrays
    t_array : ndarray (H,)
        Time of one reading of the array [ns].
    t_adc : ndarray (H,)
        Time of one conversion [ns]; unused without ADCs.

    Returns
    -------
    ndarray (L, H)
        [ns]
    """
    reading = np.where(hw.has_adc, np.maximum(t_array, scanned_outputs(hw) * t_adc), t_array)
    return input_steps(hw) * swept_groups(layer, hw) * reading


def accumulator_bits(hw: ConfigArrays) -> FloatArray:
    """Width of partial sums, b_x + b_w + log2 R [bit]; (H,)."""
    return hw.input_bits + hw.weight_bits + np.log2(hw.rows)


def partial_sums(layer: LayerArrays, hw: ConfigArrays) -> FloatArray:
    """Additions across row blocks, P N (r - 1) (rule 3); (L, H), 0 unless the layer is an mvm."""
    return np.where(layer.is_mvm, layer.pixels * layer.outputs * (row_blocks(layer, hw) - 1.0), 0.0)


def tile_crossings(layer: LayerArrays, hw: ConfigArrays) -> FloatArray:
    """Partial sums that move to the next tile, P N (ceil(r / arrays a tile) - 1); (L, H).

    The row blocks of an output fill one tile before the next.
    """
    tiles = np.ceil(row_blocks(layer, hw) / hw.arrays_per_tile)
    return np.where(layer.is_mvm, layer.pixels * layer.outputs * (tiles - 1.0), 0.0)


def tree_adders(layer: LayerArrays, hw: ConfigArrays) -> tuple[FloatArray, FloatArray]:
    """One-bit adders that work in the adder trees of an output in one input step (rule 9).

    A tree whose k inputs are all in use has k (b_w + 1) - (b_w + log2 k + 1) full adders. In a tree of R
    inputs of which k are used, the result still passes log2(R / k) levels with the other operand zero;
    there no carry arises, and the adders are counted apart.

    Returns
    -------
    full, passing : ndarray (L, H)
        Adders, summed over the row blocks of an output.
    """
    blocks = row_blocks(layer, hw)
    last = layer.fan_in - (blocks - 1.0) * hw.rows

    def full(k: FloatArray) -> FloatArray:
        return k * (hw.weight_bits + 1.0) - (hw.weight_bits + np.log2(k) + 1.0)

    passing = np.log2(hw.rows / last) * (hw.weight_bits + np.log2(last) + 1.0)
    return (blocks - 1.0) * full(hw.rows) + full(last), passing


def tiles_needed(array_count: FloatArray, hw: ConfigArrays) -> FloatArray:
    """Tiles of a chip that holds so many arrays, at least 1; the chip's own number where it is fixed.

    Parameters
    ----------
    array_count : ndarray (A, H)
        Arrays of each network.
    hw : ConfigArrays

    Returns
    -------
    ndarray (A, H)
    """
    sized = np.maximum(1.0, np.ceil(array_count / hw.arrays_per_tile))
    return np.where(np.isnan(hw.tiles), sized, hw.tiles)


def mean_hops(tiles: FloatArray) -> FloatArray:
    """Mean hops between two tiles of a square mesh, 2/3 sqrt(tiles), at least 1; any shape.

    Two uniform points on a line of length s are s / 3 apart on average; a mesh has two such axes.
    """
    return np.maximum(1.0, 2.0 / 3.0 * np.sqrt(tiles))


def reload_rounds(array_count: FloatArray, hw: ConfigArrays) -> FloatArray:
    """Rounds of weight loading in every inference (rule 5); (A, H), 0 where everything fits."""
    capacity = hw.tiles * hw.arrays_per_tile
    fits = np.isnan(capacity) | (array_count <= capacity)
    return np.where(fits, 0.0, np.ceil(array_count / np.where(np.isnan(capacity), 1.0, capacity)))


def copies(pixels: FloatArray, product_time: FloatArray, interval: FloatArray) -> FloatArray:
    """Copies that bring a layer's time down to ``interval``, ceil(P / floor(interval / t_MVM)) (rule 6).

    Parameters
    ----------
    pixels, product_time, interval : ndarray
        Pixels of the layer, time of one product and time allowed for all of them, in one unit; they
        broadcast. ``interval`` must be at least ``product_time``.

    Returns
    -------
    ndarray
        At least 1.
    """
    # The slack keeps P t / t at P where rounding would leave a little less.
    a_copy = np.floor(interval / product_time * (1.0 + 1e-12))
    return np.maximum(1.0, np.ceil(pixels / a_copy))
