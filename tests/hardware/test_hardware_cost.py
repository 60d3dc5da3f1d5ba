"""Layer costs: one worked layer a family, and laws that every layer obeys.

The worked numbers are computed from the equations on paper, at 28 nm and 0.9 V, without calibration, where
C V^2 is NAND 0.567 fJ, XOR 0.8505 fJ, register 1.701 fJ, line 0.2835 fJ a cell (at the 0.2 V of an NVM
reading C V V_read = 0.063 fJ), capacitor 0.81 fJ. A full adder
(3 NAND + 2 XOR) takes 3.402 fJ, at an activity of 0.5 1.701 fJ; one accumulator bit, adder and register,
1.701 + 1.701 = 3.402 fJ. An accumulator of 64 rows has 8 + 8 + log2 64 = 22 bits: 74.844 fJ.

The layer: 3 x 3 convolution of 16 to 32 channels at 8 x 8: K = 144, N = 32, P = 64, one group; 64-row
arrays split K into blocks of 64, 64 and 16.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_imc.hardware import grid, layer_costs, load_constants, mapping, with_values
from nasbench_imc.hardware.components import Scaler, array_areas, write_energy
from nasbench_imc.hardware.constants import is_calibrated, published_constants
from nasbench_imc.networks import Layer

BY_ID = {config.id: config for config in grid()}
PUBLISHED = published_constants()
LAYER = Layer("mvm", 144, 32, 64, 1, 16 * 64)

# P N = 2,048 outputs, each one MAC(16,8) of 0.53 pJ for scale, bias and activation.
POST = 2048 * 0.53
# (r - 1) P N = 2 x 2,048 additions across row blocks, of 74.844 fJ.
ACROSS_BLOCKS = 4096 * 74.844e-3
# 64 KB buffer, 22 -> 28 nm, 0.8 -> 0.9 V: Stillmaker factor 0.427736 / 0.257527 = 1.66094 and 0.81 / 0.64 =
# 1.265625 on 13.6217 pJ (read) and 14.3464 pJ (write) for 256 bits = 0.1118534 and 0.1178041 pJ a bit.
# Reads: 64 x 144 inputs of 8 bits; writes: 2,048 outputs of 8 bits; 4,096 partial sums of 22 bits are
# written and read.
BUFFER = 73_728 * 0.1118534 + 16_384 * 0.1178041 + 90_112 * (0.1118534 + 0.1178041)
# Router, 32 -> 28 nm: 20.74 pJ x 0.790334 / 256 bits = 0.0640289 pJ a bit and hop; 1,024 inputs of 8 bits.
ONE_HOP = 8_192 * 0.0640289

WORKED = {
    # 8 bit columns a weight: 8 weights a row, 3 x 4 arrays; 8 input steps.
    "sram-digital-r64": {
        "arrays": 12,
        # 64 x 8 x 144 x 32 x 8 one-bit products of 0.5 x 0.567 x 0.5 fJ
        "array": 18_874_368 * 0.14175e-3,
        "adc": 0.0,
        "dac": 0.0,
        # Full adders an output and step: 2 x (64 x 9 - 15) + (16 x 9 - 13) = 1,253 of 1.701 fJ; the block
        # of 16 passes 2 more levels of 13 bits: 26 half adders of 2 x 0.8505 x 0.5 fJ; 3 accumulations.
        # 64 x 32 x 8 = 16,384 times.
        "accumulation": 16_384 * (1253 * 1.701 + 26 * 0.8505 + 3 * 74.844) * 1e-3 + ACROSS_BLOCKS + POST,
        # Gate 0.0478; tree 5 x 0.22944 + 0.21032 + 12 x 0.0956 = 2.50472; accumulator 0.21032 + 8 x 0.0956 =
        # 0.97512 ns; 8 steps, 64 pixels.
        "latency": 64 * 8 * (0.0478 + 2.50472 + 0.97512),
    },
    # Bit columns combine in charge: one conversion an output and row block.
    "sram-analog-r64-adc6-mux4": {
        "arrays": 12,
        # 64 x 144 x 32 x 8 cells: product 0.14175, capacitor 0.81 x 0.5 fJ; 64 x 3 x 32 x 8 readings of a
        # column, whose line has 64 cells of 0.2835 fJ, used or not
        "array": (2_359_296 * (0.14175 + 0.405) + 49_152 * 64 * 0.2835) * 1e-3,
        # 64 x 3 x 32 conversions of (600 + 0.001 x 4^6) fF x 0.81 V^2
        "adc": 6144 * 0.604096 * 0.81,
        # 64 x 144 rows in 4 column blocks, 50 fF x 8 x 0.81
        "dac": 36_864 * 0.324,
        "accumulation": ACROSS_BLOCKS + POST,
        # 4 conversions of 6 x (0.00653 x 64 + 0.64) = 6.34752 ns
        "latency": 64 * 4 * 6.34752,
    },
    # 4 slices, 16 weights a row: 3 x 2 arrays; 5-bit ADC: 16 rows at a time.
    "rram-sliced-r64-adc5-mux4": {
        "arrays": 6,
        # 64 x 8 x 144 x 32 x 4 cells: mean of 1/20k and 1/925k = 25.54054 uS at 0.2 V from 0.9 V for 10 ns at
        # half activity: 22.98649 fJ; as many readings of a column as conversions, lines of 64 x 0.063 fJ
        "array": (9_437_184 * 22.98649 + 589_824 * 64 * 0.063) * 1e-3,
        # 64 x 8 x (4 + 4 + 1) x 32 x 4 conversions of (500 + 0.001 x 4^5) fF x 0.81 V^2
        "adc": 589_824 * 0.501024 * 0.81,
        "dac": 0.0,
        # n conversions of an output take n - 1 additions
        "accumulation": (589_824 - 2048) * 74.844e-3 + POST,
        # 8 steps, 4 row groups, 4 conversions of 5 x 1.05792 ns (more than the 10 ns of a reading)
        "latency": 64 * 8 * 4 * 4 * 5.2896,
    },
    # Pairs: 32 weights a row, 3 arrays; pulse (2^8 - 1) x 0.51 = 130.05 ns.
    "rram-analog-r64-adc8-mux16": {
        "arrays": 3,
        # 64 x 144 x 32 x 2 devices of mean conductance 40 x 0.3175 / 2 = 6.35 uS:
        # 6.35 x 0.2 x 0.9 x 0.5 x 130.05 = 74.3236 fJ; 64 x 3 x 32 x 2 readings of a column
        "array": (589_824 * 74.323575 + 12_288 * 64 * 0.063) * 1e-3,
        "adc": 6144 * 0.865536 * 0.81,  # (800 + 65.536) fF
        "dac": 9216 * 0.324,
        "accumulation": ACROSS_BLOCKS + POST,
        # 16 conversions of 8 x 1.05792 = 8.46336 ns outlast the pulse
        "latency": 64 * 16 * 8.46336,
    },
    "pcm-r64-adc8-mux4": {
        "arrays": 3,
        # 25 x 0.3175 / 2 = 3.96875 uS: 46.452234 fJ
        "array": (589_824 * 46.452234 + 12_288 * 64 * 0.063) * 1e-3,
        "adc": 6144 * 0.865536 * 0.81,
        "dac": 9216 * 0.324,
        "accumulation": ACROSS_BLOCKS + POST,
        "latency": 64 * 130.05,  # the pulse outlasts 4 conversions
    },
}


@pytest.mark.parametrize("name", WORKED)
def test_worked_layer(name: str) -> None:
    expected = WORKED[name]
    costs = layer_costs([LAYER], [BY_ID[name]], constants=PUBLISHED)
    assert costs.arrays[0, 0] == expected["arrays"]
    for component in ("array", "adc", "dac", "accumulation"):
        assert costs.energy[component][0, 0] == pytest.approx(expected[component], rel=1e-5), component
    assert costs.energy["buffer"][0, 0] == pytest.approx(BUFFER, rel=1e-5)
    assert costs.energy["interconnect"][0, 0] == pytest.approx(ONE_HOP, rel=1e-5)
    assert costs.energy["attention"][0, 0] == 0.0
    assert costs.latency[0, 0] == pytest.approx(expected["latency"], rel=1e-6)


@pytest.mark.parametrize(
    ("constant", "name", "component", "share"),
    [
        # Lines of 3 x 64 cells where 144 are used: 4/3 of 0.063 or 0.2835 fJ a cell.
        ("adc_energy_calibration", "pcm-r64-adc8-mux4", "adc", 1.0),
        ("pcm_read_calibration", "pcm-r64-adc8-mux4", "array", 46.452234 / 46.536234),
        ("pcm_read_calibration", "rram-analog-r64-adc8-mux16", "array", 0.0),
        ("rram_read_calibration", "rram-analog-r64-adc8-mux16", "array", 74.323575 / 74.407575),
        ("cell_energy_calibration", "rram-analog-r64-adc8-mux16", "array", 0.084 / 74.407575),
        ("cell_energy_calibration", "sram-analog-r64-adc6-mux4", "array", 0.783 / 0.92475),
        ("cell_energy_calibration", "sram-digital-r64", "array", 0.0),
        ("adder_energy_calibration", "sram-digital-r64", "array", 0.0),
        ("energy_node_exponent", "sram-digital-r64", "array", 0.0),
    ],
)
def test_a_calibration_multiplies_its_part_alone(
    constant: str, name: str, component: str, share: float
) -> None:
    """Doubled, it adds the share of the component that it stands for; at 28 nm no exponent matters."""
    doubled = with_values(PUBLISHED, {constant: 2.0})
    before = layer_costs([LAYER], [BY_ID[name]], constants=PUBLISHED)
    after = layer_costs([LAYER], [BY_ID[name]], constants=doubled)
    assert after.energy[component] == pytest.approx((1.0 + share) * before.energy[component], rel=1e-5)
    assert np.array_equal(after.latency, before.latency)


@pytest.mark.parametrize(("weight_bits", "outputs"), [(8, 8), (4, 16), (2, 16)])
def test_an_adc_scans_no_more_outputs_than_there_are(weight_bits: int, outputs: int) -> None:
    # 64 columns hold 8 weights of 8 bits: 8 conversions of 8 x 1.05792 ns, though 16 may share an ADC.
    chip = BY_ID["sram-analog-r64-adc8-mux16"]
    costs = layer_costs([LAYER], [chip], weight_bits, constants=PUBLISHED)
    assert costs.latency[0, 0] == pytest.approx(64 * outputs * 8.46336)


def test_what_is_calibrated_is_few_and_near_its_sources() -> None:
    values = {name: c.value for name, c in load_constants().items() if is_calibrated(c)}
    assert len(values) == 7
    assert all(0.4 < value < 2.5 for value in values.values())
    assert all(PUBLISHED[name].value == 1.0 for name in values)


def test_attention_runs_on_the_digital_unit_everywhere() -> None:
    # Q K^T of 4 heads: 16 tokens, head size 8: 8 x (4 x 16) x 16 = 8,192 MACs.
    attention = Layer("matmul", 8, 64, 16, 4, 2 * 32 * 16)
    costs = layer_costs([attention], grid(), constants=PUBLISHED)
    assert costs.energy["attention"] == pytest.approx(np.full((1, 76), 8192 * 0.53))
    assert costs.latency == pytest.approx(np.full((1, 76), 8192 / 256))
    # 2 operands a MAC, each used 16 times, and 1,024 outputs; 8 bits each
    bits = 8192 * 2 / 16 * 8 * 0.1118534 + 1024 * 8 * 0.1178041
    assert costs.energy["buffer"] == pytest.approx(np.full((1, 76), bits), rel=1e-5)
    for component in ("array", "adc", "dac", "accumulation"):
        assert not costs.energy[component].any()
    assert not costs.arrays.any()
    assert not costs.programming_energy.any()


def test_element_wise_layer() -> None:
    pooling = Layer("vector", 9, 16, 64, 1, 16 * 64)
    costs = layer_costs([pooling], grid())
    assert costs.energy["attention"] == pytest.approx(np.full((1, 76), 9 * 1024 * 0.124))
    assert costs.latency == pytest.approx(np.full((1, 76), 9 * 1024 / 256))


def test_area_of_a_pcm_array() -> None:
    # 256 x 256 cells of 40 F^2 = 0.03136 um2 at 50 % efficiency; 128 outputs, 32 ADCs of 2,085.08 um2;
    # 256 drivers of 8 x (3.684 + 2 x 0.614) um2; 24-bit accumulators: 32 adders of 3 x 0.614 +
    # 2 x 1.4736 = 4.7892 um2 and 128 registers of 3.684 um2 a bit; one MAC of 293 um2.
    scale = Scaler(load_constants(), mapping.config_arrays([BY_ID["pcm-r256-adc8-mux4"]]))
    areas = array_areas(scale)
    assert areas["array"][0] == pytest.approx(65_536 * 0.03136 / 0.5)
    assert areas["adc"][0] == pytest.approx(32 * 10 ** (1.206 - 0.2952) * 256)
    assert areas["dac"][0] == pytest.approx(256 * 8 * 4.912)
    assert areas["accumulation"][0] == pytest.approx(24 * (32 * 4.7892 + 128 * 3.684) + 293)


def test_area_of_a_digital_array() -> None:
    # 64 x 64 cells of 0.124009 um2 at 22 nm and a gate of 0.614 um2 each; 8 trees of 64 x 9 - 15 adders.
    scale = Scaler(load_constants(), mapping.config_arrays([BY_ID["sram-digital-r64"]]))
    areas = array_areas(scale)
    assert areas["array"][0] == pytest.approx(4096 * (0.124009 * (28 / 22) ** 2 + 0.614))
    assert areas["adc"][0] == 0
    assert areas["accumulation"][0] == pytest.approx(8 * ((561 + 22) * 4.7892 + 22 * 3.684) + 293)


def test_write_energy_of_a_device() -> None:
    names = ["sram-digital-r64", "rram-analog-r64-adc8-mux4", "pcm-r64-adc8-mux4"]
    scale = Scaler(load_constants(), mapping.config_arrays([BY_ID[name] for name in names]))
    expected = [
        65 * 0.2835e-3,  # bitline of 64 cells and one wordline cell
        8.5 * 550 * 1.5**2 / 20,  # pulses of mean 550 ns at V^2 / 20 kOhm = 0.1125 mW
        20 * 55 * 1.5 * 90e-3,
    ]
    assert write_energy(scale) == pytest.approx(expected)


def test_programming_energy_counts_every_device() -> None:
    costs = layer_costs([LAYER], [BY_ID["pcm-r64-adc8-mux4"]])
    assert costs.programming_energy[0, 0] == pytest.approx(144 * 32 * 2 * 148.5)


def test_narrow_pulses_take_two_steps() -> None:
    chip = BY_ID["pcm-r64-adc8-mux4"]
    costs = layer_costs([LAYER], [chip, replace(chip, id="dac4", dac_bits=4)])
    # 2 x max(15 x 0.51, 4 x 8.46336) instead of 130.05 ns
    assert costs.latency[0] == pytest.approx([64 * 130.05, 64 * 2 * 4 * 8.46336])
    assert costs.conversions[0, 1] == 2 * costs.conversions[0, 0]


@given(
    fan_in=st.integers(1, 1200),
    outputs=st.integers(1, 300),
    pixels=st.integers(1, 1024),
    more=st.integers(1, 300),
    axis=st.sampled_from(["fan_in", "outputs", "pixels"]),
    kind=st.sampled_from(["mvm", "matmul", "vector"]),
)
@settings(max_examples=60, deadline=None)
def test_more_work_never_costs_less(
    fan_in: int, outputs: int, pixels: int, more: int, axis: str, kind: str
) -> None:
    small = Layer(kind, fan_in, outputs, pixels, 1, 100)  # type: ignore[arg-type]
    large = replace(small, **{axis: getattr(small, axis) + more})
    costs = layer_costs([small, large], grid())
    slack = 1 - 1e-12
    for component, energy in costs.energy.items():
        assert (energy[1] >= slack * energy[0]).all(), component
    assert (costs.latency[1] >= slack * costs.latency[0]).all()
    assert (costs.arrays[1] >= costs.arrays[0]).all()


@given(channels=st.integers(1, 256), fan_in=st.integers(1, 300), more=st.integers(1, 100))
@settings(max_examples=40, deadline=None)
def test_more_depthwise_work_never_costs_less(channels: int, fan_in: int, more: int) -> None:
    layers = [
        Layer("mvm", fan_in, channels, 10, channels, 100),
        Layer("mvm", fan_in + more, channels, 10, channels, 100),
        Layer("mvm", fan_in, channels + more, 10, channels + more, 100),
    ]
    costs = layer_costs(layers, grid())
    slack = 1 - 1e-12
    for i in (1, 2):
        assert (sum(costs.energy.values())[i] >= slack * sum(costs.energy.values())[0]).all()
        assert (costs.latency[i] >= slack * costs.latency[0]).all()


@given(
    name=st.sampled_from([config.id for config in grid() if config.adc_bits]),
    few=st.integers(1, 32),
    more=st.integers(1, 32),
)
@settings(max_examples=60, deadline=None)
def test_more_columns_an_adc_never_make_it_faster(name: str, few: int, more: int) -> None:
    configs = [replace(BY_ID[name], columns_per_adc=mux) for mux in (few, few + more)]
    costs = layer_costs([LAYER], configs)
    assert costs.latency[0, 1] >= costs.latency[0, 0]
    assert costs.energy["adc"][0, 1] == costs.energy["adc"][0, 0]


def test_activity_scales_what_toggles() -> None:
    busy = layer_costs([LAYER], grid(), constants=with_values(load_constants(), {"activity": 0.9}))
    idle = layer_costs([LAYER], grid(), constants=with_values(load_constants(), {"activity": 0.1}))
    assert (busy.energy["array"] > idle.energy["array"]).all()
    digital = [config.id for config in grid()].index("sram-digital-r64")
    assert busy.energy["array"][0, digital] == pytest.approx(9 * idle.energy["array"][0, digital])
    assert busy.energy["adc"] == pytest.approx(idle.energy["adc"])
    assert busy.latency == pytest.approx(idle.latency)


def test_survey_adc_changes_the_adc_alone() -> None:
    ours = layer_costs([LAYER], grid(), constants=PUBLISHED)
    survey = layer_costs([LAYER], grid(), constants=PUBLISHED, adc_model="survey")
    has_adc = np.array([config.adc_bits is not None for config in grid()])
    ratio = survey.energy["adc"][0, has_adc] / ours.energy["adc"][0, has_adc]
    assert (ratio > 1.5).all()
    assert (ratio < 2.5).all()
    assert np.array_equal(survey.energy["array"], ours.energy["array"])
    assert np.array_equal(survey.latency, ours.latency)


def test_four_bit_weights_cost_less_where_bits_are_columns() -> None:
    wide, narrow = layer_costs([LAYER], grid(), 8), layer_costs([LAYER], grid(), 4)
    for j, config in enumerate(grid()):
        if config.cell_bits < 8:
            assert narrow.energy["array"][0, j] == pytest.approx(wide.energy["array"][0, j] / 2), config.id
            assert narrow.arrays[0, j] <= wide.arrays[0, j]
        else:
            assert narrow.energy["array"][0, j] == wide.energy["array"][0, j]


def test_smaller_node_and_lower_supply_save_energy() -> None:
    for name in WORKED:
        chip = BY_ID[name]
        configs = [chip, replace(chip, node_nm=16.0), replace(chip, supply_v=0.7)]
        costs = layer_costs([LAYER], configs)
        total = sum(costs.energy.values())[0]
        assert total[1] < total[0]
        assert total[2] < total[0]
        assert costs.latency[0, 2] >= costs.latency[0, 0]
