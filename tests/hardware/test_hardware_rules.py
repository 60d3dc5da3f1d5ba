"""Mapping rules beyond the plain layer: copies, attention on arrays, given ADCs, active rows, wear.

Worked numbers as in ``test_hardware_cost``: 28 nm, 0.9 V; a digital array of 64 rows takes 8 x 3.52764 ns a
product.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_imc.hardware import deployment_costs, grid, layer_costs, network_costs
from nasbench_imc.hardware.config import HardwareConfig
from nasbench_imc.hardware.constants import published_constants
from nasbench_imc.networks import Layer, Network

BY_ID = {config.id: config for config in grid()}
DIGITAL = BY_ID["sram-digital-r64"]
T = 8 * 3.52764

FIRST = Layer("mvm", 27, 8, 100, 1, 300)  # 1 array
SECOND = Layer("mvm", 72, 8, 100, 1, 800)  # 2 arrays
PAIR = Network((FIRST, SECOND), ((), (0,)), 300)


def metrics(network: Network, *configs: HardwareConfig) -> dict[str, np.ndarray]:
    return {name: values[0] for name, values in network_costs([network], configs).items()}


def test_copies_share_pixels() -> None:
    twice = replace(DIGITAL, id="twice", replication=2.0)
    # 16 arrays hold 5 copies of both, 15 arrays: 20 pixels each; 6 copies would take 18.
    fixed = replace(DIGITAL, id="fixed", replication=100.0, tiles=1)
    m = metrics(PAIR, DIGITAL, twice, fixed)
    assert m["throughput"] == pytest.approx(1e9 / (np.array([100, 50, 20]) * T))
    assert m["latency"] == pytest.approx(np.array([200, 100, 40]) * T * 1e-3)
    assert m["arrays"].tolist() == [3, 6, 15]
    assert m["programming_energy"] == pytest.approx(m["programming_energy"][0] * np.array([1, 2, 5]))
    assert m["utilisation"] == pytest.approx(m["utilisation"][0])
    assert m["area_array"] == pytest.approx(m["area_array"][0] / 3 * np.array([3, 6, 16]))
    for name in ("energy_array", "energy_accumulation", "energy_buffer", "weight_memory"):
        assert m[name] == pytest.approx(m[name][0]), name  # the same work, wherever it is done


def test_the_slowest_layer_is_copied_first() -> None:
    slow, fast = replace(FIRST, pixels=1000), replace(SECOND, pixels=10)
    network = Network((slow, fast), ((), (0,)), 300)
    chip = replace(DIGITAL, id="spare", replication=4.0)  # 12 arrays: 10 of them for the slow layer
    m = metrics(network, chip)
    assert m["arrays"] == 12
    assert m["throughput"] == pytest.approx(1e9 / (100 * T))
    assert m["latency"] == pytest.approx((100 + 10) * T * 1e-3)


def test_a_network_that_does_not_fit_has_no_copies() -> None:
    big = Network((Layer("mvm", 64 * 20, 8, 50, 1, 1280),), ((),), 1280)  # 20 arrays
    tight = replace(DIGITAL, id="tight", tiles=1)
    assert metrics(big, tight)["latency"] == metrics(big, replace(tight, replication=9.0))["latency"]
    assert metrics(big, replace(tight, replication=9.0))["arrays"] == 20


@given(
    pixels=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    spare=st.floats(1.0, 12.0, allow_nan=False),
)
@settings(max_examples=60, deadline=None)
def test_copies_are_the_best_ones(pixels: tuple[int, int], spare: float) -> None:
    layers = replace(FIRST, pixels=pixels[0]), replace(SECOND, pixels=pixels[1])
    network = Network(layers, ((), (0,)), 300)
    m = metrics(network, replace(DIGITAL, id="spare", replication=spare))
    assert m["arrays"] <= 3 * spare + 1e-9
    best = min(
        max(-(-pixels[0] // d), -(-pixels[1] // e))
        for d, e in product(range(1, 37), repeat=2)
        if d + 2 * e <= 3 * spare
    )
    assert m["throughput"] == pytest.approx(1e9 / (best * T))


@given(spare=st.floats(1.0, 50.0), more=st.floats(0.0, 50.0), name=st.sampled_from(sorted(BY_ID)))
@settings(max_examples=40, deadline=None)
def test_more_arrays_never_make_a_network_slower(spare: float, more: float, name: str) -> None:
    chips = [replace(BY_ID[name], replication=r) for r in (spare, spare + more)]
    m = metrics(PAIR, *chips)
    assert m["latency"][1] <= m["latency"][0] * (1 + 1e-12)
    assert m["throughput"][1] >= m["throughput"][0] * (1 - 1e-12)


def test_copies_beside_other_chips_change_nothing_there() -> None:
    together = metrics(PAIR, *grid(), replace(DIGITAL, id="spare", replication=3.0))
    alone = metrics(PAIR, *grid())
    for name, values in alone.items():
        assert np.array_equal(together[name][:-1], values), name


# Time to write a row of SRAM [ns]: 22 -> 28 nm, and 0.8 -> 0.9 V by 0.9 / 0.55^1.3 over 0.8 / 0.45^1.3.
ROW = 0.958303 * 28 / 22 * (0.9 / 0.55**1.3) / (0.8 / 0.45**1.3)

# Q K^T of 4 heads of size 8 over 16 tokens: each head's 8 x 16 operand takes 2 arrays of 8 words a row.
SCORES = Layer("matmul", 8, 64, 16, 4, 1024)
WITH_ARRAYS = replace(
    BY_ID["pcm-r64-adc8-mux4"], id="mixed", attention_rows=64, attention_columns=64, attention_arrays=2
)


def test_attention_on_sram_arrays_by_hand() -> None:
    costs = layer_costs([SCORES], [WITH_ARRAYS], constants=published_constants())
    cells = 16 * 8 * (8 * 64) * 8 * 0.14175e-3
    # 16 x 64 outputs in 8 steps; trees of 8 inputs out of 64: 60 full adders, 3 levels of 12 in passing;
    # one accumulation of 22 bits; scale of each output.
    trees = 16 * 64 * 8 * (60 * 1.701 + 36 * 0.8505 + 74.844) * 1e-3 + 16 * 64 * 0.53
    writes = 8 * 64 * 8 * 65 * 0.2835e-3  # bits, each a bitline of 64 cells and a wordline cell
    assert costs.energy["attention"][0, 0] == pytest.approx(cells + trees + writes, rel=1e-5)
    # 16 x 8 inputs of 4 heads and the operand are read, the outputs written; 8 bits each
    buffer = (16 * 8 * 4 + 8 * 64) * 8 * 0.1118534 + 16 * 64 * 8 * 0.1178041
    assert costs.energy["buffer"][0, 0] == pytest.approx(buffer, rel=1e-5)
    # 8 arrays on 2: 4 rounds of 8 rows, then 16 products
    assert costs.latency[0, 0] == pytest.approx(4 * (8 * ROW + 16 * T), rel=1e-5)
    for component in ("array", "adc", "dac", "accumulation"):
        assert not costs.energy[component].any()
    assert not costs.arrays.any()  # none of the arrays with weights
    assert not costs.programming_energy.any()  # and never NVM


def test_heads_that_share_an_array_are_written_one_after_another() -> None:
    # 32 words a row: 2 heads of 16 tokens side by side, on rows of their own. 2 arrays, one round of 16 rows.
    wide = replace(WITH_ARRAYS, attention_columns=256)
    costs = layer_costs([SCORES], [wide], constants=published_constants())
    assert costs.latency[0, 0] == pytest.approx(16 * ROW + 16 * T, rel=1e-5)


def test_attention_arrays_leave_other_layers_alone() -> None:
    plain = BY_ID["pcm-r64-adc8-mux4"]
    for layer in (FIRST, Layer("vector", 9, 16, 64, 1, 1024)):
        costs = layer_costs([layer], [plain, WITH_ARRAYS])
        for component, energy in costs.energy.items():
            assert energy[0, 0] == energy[0, 1], component
        assert costs.latency[0, 0] == costs.latency[0, 1]


def test_attention_arrays_are_a_stage_and_have_an_area() -> None:
    network = Network((FIRST, SCORES, SCORES), ((), (0,), (1,)), 300)
    plain = BY_ID["pcm-r64-adc8-mux4"]
    m = metrics(network, plain, WITH_ARRAYS)
    stage = 2 * 4 * (8 * ROW + 16 * T)
    assert m["throughput"][1] == pytest.approx(1e9 / max(stage, 100 * 130.05), rel=1e-5)
    # Two digital arrays: see test_area_of_a_digital_array
    one = 4096 * (0.124009 * (28 / 22) ** 2 + 0.614) + 8 * ((561 + 22) * 4.7892 + 22 * 3.684) + 293
    one += 64 * 4.912  # input registers
    assert m["area_attention"][1] - m["area_attention"][0] == pytest.approx(2 * one * 1e-6)
    assert m["leakage_power"][1] > m["leakage_power"][0]
    more = metrics(network, replace(WITH_ARRAYS, attention_arrays=8))
    assert more["latency"][0] < m["latency"][1]


def test_given_adc_figures_replace_the_model() -> None:
    plain = BY_ID["pcm-r64-adc8-mux4"]
    given_ = replace(plain, adc_energy=3.0, adc_time=50.0, adc_area=1000.0)
    costs = layer_costs([FIRST], [plain, given_])
    assert costs.energy["adc"][0, 1] == pytest.approx(100 * 8 * 3.0)
    assert costs.latency[0].tolist() == pytest.approx([100 * 130.05, 100 * 4 * 50.0])
    m = metrics(PAIR, given_)
    # PAIR takes 1 + 2 arrays of 32 outputs, 8 ADCs each
    assert m["area_adc"][0] == pytest.approx(3 * 8 * 1000e-6)


@given(
    name=st.sampled_from([c.id for c in grid() if c.adc_bits]),
    few=st.integers(1, 64),
    more=st.integers(0, 64),
    fan_in=st.integers(1, 400),
)
@settings(max_examples=60, deadline=None)
def test_reading_fewer_rows_together_costs_time_and_conversions(
    name: str, few: int, more: int, fan_in: int
) -> None:
    rows = BY_ID[name].rows
    chips = [replace(BY_ID[name], active_rows=min(rows, r)) for r in (few, few + more)]
    costs = layer_costs([replace(FIRST, fan_in=fan_in)], chips)
    assert costs.latency[0, 0] >= costs.latency[0, 1]
    assert costs.conversions[0, 0] >= costs.conversions[0, 1]


def test_reloading_wears_nvm_out() -> None:
    big = Network((Layer("mvm", 64 * 40, 8, 50, 1, 2560),), ((),), 2560)  # 40 arrays on 16: 3 rounds
    names = ("sram-digital-r64", "rram-analog-r64-adc8-mux4", "pcm-r64-adc8-mux4")
    tight = [replace(BY_ID[name], tiles=1) for name in names]
    wear = deployment_costs([PAIR, big], [*tight, BY_ID["pcm-r64-adc8-mux4"]])
    assert wear["reload_rounds"].tolist() == [[0, 0, 0, 0], [3, 3, 3, 0]]
    assert wear["lifetime"].tolist() == [[np.inf] * 4, [np.inf, 1e6 / 3, 1e8 / 3, np.inf]]
    fits, reloaded = (network_costs([net], tight)["programming_energy"][0] for net in (PAIR, big))
    assert not wear["reload_energy"][0].any()
    assert wear["reload_energy"][1, :3] == pytest.approx(reloaded)
    assert (reloaded > fits).all()
    # 64 rows: of SRAM 1.0570 ns, of RRAM 8.5 pulses of 550 ns, of PCM 20 of 55 ns; 3 rounds
    rows = 64e-3 * np.array([ROW, 8.5 * 550, 20 * 55])
    assert wear["programming_time"][0, :3] == pytest.approx(rows)
    assert wear["programming_time"][1] == pytest.approx([*(3 * rows), rows[2]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replication": 0.5}, "replication"),
        ({"replication": float("nan")}, "replication"),
        ({"attention_rows": 64}, "must all be given"),
        ({"attention_rows": 64, "attention_columns": 4, "attention_arrays": 1}, "attention_columns"),
        ({"attention_rows": 0, "attention_columns": 8, "attention_arrays": 1}, "attention_rows"),
        ({"adc_energy": -1.0}, "adc_energy"),
        ({"adc_time": float("nan")}, "adc_time"),
    ],
)
def test_fields_out_of_range_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(BY_ID["pcm-r64-adc8-mux4"], **changes)  # type: ignore[arg-type]


def test_digital_chips_have_no_adc_figures() -> None:
    with pytest.raises(ValueError, match="no ADC"):
        replace(DIGITAL, adc_energy=1.0)
