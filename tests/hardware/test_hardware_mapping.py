"""Layouts and counts against cases small enough to draw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_imc.hardware import grid, mapping
from nasbench_imc.hardware.mapping import ConfigArrays, LayerArrays
from nasbench_imc.networks import Layer

BY_ID = {config.id: config for config in grid()}


def one(layer: Layer, name: str, weight_bits: int = 8) -> tuple[LayerArrays, ConfigArrays]:
    return mapping.layer_arrays([layer]), mapping.config_arrays([BY_ID[name]], weight_bits)


def dense(fan_in: int, outputs: int, pixels: int = 1) -> Layer:
    return Layer("mvm", fan_in, outputs, pixels, 1, fan_in * pixels)


def depthwise(channels: int, fan_in: int = 9, pixels: int = 1) -> Layer:
    return Layer("mvm", fan_in, channels, pixels, channels, channels * pixels)


@pytest.mark.parametrize(
    ("layer", "name", "arrays"),
    [
        (dense(144, 32), "sram-digital-r64", 3 * 4),  # ceil(144 / 64) x ceil(32 / 8)
        (dense(64, 8), "sram-digital-r64", 1),
        (dense(65, 9), "sram-digital-r64", 2 * 2),
        (dense(144, 32), "pcm-r64-adc8-mux4", 3 * 1),
        (dense(144, 33), "pcm-r64-adc8-mux4", 3 * 2),
        (dense(144, 32), "rram-sliced-r64-adc8-mux4", 3 * 2),
        (dense(512, 512), "pcm-r512-adc8-mux4", 1),
        (Layer("matmul", 64, 64, 16, 4, 2048), "pcm-r64-adc8-mux4", 0),
        (Layer("vector", 2, 64, 16, 1, 2048), "pcm-r64-adc8-mux4", 0),
    ],
)
def test_arrays(layer: Layer, name: str, arrays: int) -> None:
    assert mapping.arrays(*one(layer, name))[0, 0] == arrays


@pytest.mark.parametrize(
    ("channels", "fan_in", "name", "packed", "arrays"),
    [
        (32, 9, "sram-digital-r64", 7, 5),  # 7 filters by rows (64 / 9), 8 by columns (64 / 8)
        (32, 9, "sram-digital-r128", 14, 3),  # 14 by rows, 16 by columns
        (32, 1, "sram-digital-r64", 8, 4),  # columns limit: 8 weights a row
        (5, 9, "pcm-r256-adc8-mux4", 5, 1),  # fewer channels than would fit
        (4, 100, "pcm-r64-adc8-mux4", 1, 8),  # a filter larger than an array: 2 row blocks each
    ],
)
def test_depthwise_filters_pack_block_diagonally(
    channels: int, fan_in: int, name: str, packed: int, arrays: int
) -> None:
    layer, hw = one(depthwise(channels, fan_in), name)
    assert mapping.packed_groups(layer, hw)[0, 0] == packed
    assert mapping.arrays(layer, hw)[0, 0] == arrays
    cells = arrays * BY_ID[name].rows * BY_ID[name].columns
    used = channels * fan_in * BY_ID[name].slices(8)
    assert mapping.utilisation(layer, hw)[0, 0] == pytest.approx(used / cells)


def test_grouped_convolution_takes_a_block_of_columns_each() -> None:
    # 4 groups of 18 rows x 16 outputs; 64 x 64 pairs hold 3 groups by rows, 2 by columns (32 / 16).
    layer, hw = one(Layer("mvm", 18, 64, 1, 4, 72), "pcm-r64-adc8-mux4")
    assert mapping.packed_groups(layer, hw)[0, 0] == 2
    assert mapping.arrays(layer, hw)[0, 0] == 2


@pytest.mark.parametrize(
    ("name", "outputs", "adcs"),
    [
        ("sram-digital-r64", 0, 0),
        ("sram-analog-r64-adc6-mux4", 8, 2),  # bit columns combined in charge
        ("rram-sliced-r64-adc6-mux16", 64, 4),  # every column is converted
        ("pcm-r256-adc8-mux16", 128, 8),  # pairs subtract before the ADC
    ],
)
def test_adcs(name: str, outputs: int, adcs: int) -> None:
    hw = mapping.config_arrays([BY_ID[name]])
    assert mapping.conversion_outputs(hw)[0] == outputs
    assert mapping.adcs_per_array(hw)[0] == adcs


@pytest.mark.parametrize(
    ("name", "steps", "groups", "swept", "conversions"),
    [
        ("sram-digital-r64", 8, 3, 1, 0),
        ("sram-analog-r64-adc6-mux4", 1, 3, 1, 10 * 1 * 3 * 32),
        ("pcm-r64-adc8-mux4", 1, 3, 1, 10 * 1 * 3 * 32),
        # 16 of 64 rows at a time: blocks of 64, 64 and 16 rows take 4, 4 and 1 readings.
        ("rram-sliced-r64-adc5-mux4", 8, 9, 4, 10 * 8 * 9 * 32 * 4),
        ("rram-sliced-r64-adc8-mux4", 8, 3, 1, 10 * 8 * 3 * 32 * 4),
    ],
)
def test_conversions(name: str, steps: int, groups: int, swept: int, conversions: int) -> None:
    layer, hw = one(dense(144, 32, pixels=10), name)
    assert mapping.input_steps(hw)[0] == steps
    assert mapping.row_groups(layer, hw)[0, 0] == groups
    assert mapping.swept_groups(layer, hw)[0, 0] == swept
    assert mapping.conversions(layer, hw)[0, 0] == conversions


def test_packed_arrays_are_swept_whole() -> None:
    # 9 rows fit one group of 16, but 4 filters share the 64 rows of an array.
    layer, hw = one(depthwise(32), "rram-sliced-r64-adc5-mux4")
    assert mapping.swept_groups(layer, hw)[0, 0] == 4
    assert mapping.row_groups(layer, hw)[0, 0] == 1
    layer, hw = one(dense(9, 32), "rram-sliced-r64-adc5-mux4")
    assert mapping.swept_groups(layer, hw)[0, 0] == 1


@pytest.mark.parametrize(
    ("fan_in", "active", "packed"),
    [
        (9, 64, 7),  # all rows at a time
        (9, 32, 6),  # 3 in each half; a seventh would straddle them
        (9, 16, 4),  # one each
        (9, 8, 4),  # two readings each
        (17, 16, 2),  # likewise
        (9, 28, 6),  # 3 in each 28 rows; the last 8 rows hold none
        (9, 27, 7),  # 3 in each 27 rows and one in the last 10
        (40, 16, 1),
        (100, 16, 1),  # larger than an array
    ],
)
def test_no_packed_filter_straddles_a_reading_that_it_could_do_without(
    fan_in: int, active: int, packed: int
) -> None:
    config = replace(BY_ID["rram-sliced-r64-adc8-mux4"], active_rows=active)
    layer, hw = mapping.layer_arrays([depthwise(32, fan_in)]), mapping.config_arrays([config])
    assert mapping.packed_groups(layer, hw)[0, 0] == packed


def test_mvm_time_is_the_slower_of_array_and_shared_adc() -> None:
    layer, hw = one(dense(64, 8), "pcm-r64-adc8-mux4")
    array, fast, slow = np.array([100.0]), np.array([1.0]), np.array([30.0])
    assert mapping.mvm_time(layer, hw, array, fast)[0, 0] == 100.0
    assert mapping.mvm_time(layer, hw, array, slow)[0, 0] == 120.0


def test_tree_of_three_and_of_unused_inputs() -> None:
    # 4 inputs of 8 bits: two 8-bit adders and one of 9 bits, of which carries out need no adder:
    # 4 x 9 - (8 + 2 + 1) = 25.
    layer, hw = one(dense(4, 1), "sram-digital-r64")
    full, passing = mapping.tree_adders(layer, hw)
    assert full[0, 0] == 25
    assert passing[0, 0] == (6 - 2) * (8 + 2 + 1)


def test_partial_sums_and_tile_crossings() -> None:
    layer, hw = one(dense(64 * 33, 8, pixels=10), "sram-digital-r64")  # 33 row blocks, 16 a tile
    assert mapping.partial_sums(layer, hw)[0, 0] == 10 * 8 * 32
    assert mapping.tile_crossings(layer, hw)[0, 0] == 10 * 8 * 2


def test_hops() -> None:
    assert mapping.mean_hops(np.array([1.0, 2.0, 9.0, 36.0])) == pytest.approx([1.0, 1.0, 2.0, 4.0])


def test_weight_bits_out_of_range() -> None:
    for bits in (0, 9, 4.0, True):
        with pytest.raises(ValueError, match="weight_bits"):
            mapping.config_arrays(grid()[:1], bits)  # type: ignore[arg-type]


@given(
    fan_in=st.integers(1, 2000),
    per_group=st.integers(1, 80),
    groups=st.integers(1, 64),
    weight_bits=st.sampled_from([4, 8]),
)
def test_every_layer_fits_its_arrays(fan_in: int, per_group: int, groups: int, weight_bits: int) -> None:
    layer = mapping.layer_arrays([Layer("mvm", fan_in, per_group * groups, 3, groups, 10)])
    hw = mapping.config_arrays(grid(), weight_bits)
    assert (mapping.utilisation(layer, hw) <= 1.0).all()
    assert (mapping.utilisation(layer, hw) > 0.0).all()
    packed = mapping.packed_groups(layer, hw)
    several = packed > 1
    assert (packed * fan_in <= hw.rows)[several].all()
    assert (packed * per_group * hw.slices <= hw.columns)[several].all()
