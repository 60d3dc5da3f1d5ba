"""How bits, rows and added layers must act on costs, whatever the constants are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_imc.hardware import grid, layer_costs, mapping, network_costs
from nasbench_imc.hardware.metrics import PRIMARY
from nasbench_imc.networks import Layer, Network

BY_ID = {config.id: config for config in grid()}
SLACK = 1 - 1e-9

LAYERS = st.builds(
    Layer,
    st.just("mvm"),
    st.integers(1, 700),
    st.integers(1, 200),
    st.integers(1, 256),
    st.just(1),
    st.integers(1, 5000),
)


def chain(layers: list[Layer]) -> Network:
    producers: tuple[tuple[int, ...], ...] = ((), *((i,) for i in range(len(layers) - 1)))
    return Network(tuple(layers), producers, layers[0].input_elements)


@given(layers=st.lists(LAYERS, min_size=1, max_size=4), more=LAYERS)
@settings(max_examples=25, deadline=None)
def test_no_metric_falls_when_a_layer_is_added(layers: list[Layer], more: Layer) -> None:
    # At the head, so that what crosses the chip's boundary is the same or more.
    more = replace(more, outputs=max(more.outputs, -(-layers[-1].outputs * layers[-1].pixels // more.pixels)))
    before = network_costs([chain(layers)], grid())
    after = network_costs([chain([*layers, more])], grid())
    for name, metric in PRIMARY.items():
        if metric.direction == "minimise":
            assert (after[name] >= SLACK * before[name]).all(), name
    assert (after["throughput"] <= before["throughput"] / SLACK).all()


@given(layer=LAYERS, low=st.integers(3, 7), more=st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_more_adc_bits_cost_energy_time_and_area(layer: Layer, low: int, more: int) -> None:
    configs = [config for config in grid() if config.adc_bits]
    few = [replace(config, adc_bits=low) for config in configs]
    many = [replace(config, adc_bits=low + more) for config in configs]
    a, b = network_costs([chain([layer])], few), network_costs([chain([layer])], many)
    assert (b["energy_adc"] > a["energy_adc"]).all()
    assert (b["area_adc"] > a["area_adc"]).all()
    assert (b["latency"] >= SLACK * a["latency"]).all()


@given(layer=LAYERS, bits=st.integers(1, 7))
@settings(max_examples=25, deadline=None)
def test_weight_bits_take_columns_as_slices_say(layer: Layer, bits: int) -> None:
    chips = [BY_ID[name] for name in ("sram-digital-r64", "rram-sliced-r128-adc8-mux4", "pcm-r64-adc8-mux4")]
    wide, narrow = layer_costs([layer], chips, 8), layer_costs([layer], chips, bits)
    shares = np.array([bits / 8, -(-bits // 2) / 4, 1.0])
    assert narrow.used_cells[0] == pytest.approx(shares * wide.used_cells[0])
    assert narrow.conversions[0] == pytest.approx(shares * wide.conversions[0])
    assert (narrow.arrays <= wide.arrays).all()


@given(layer=LAYERS, steps=st.sampled_from([1, 2, 4]))
@settings(max_examples=25, deadline=None)
def test_input_bits_take_steps(layer: Layer, steps: int) -> None:
    """Serial inputs: array and converter energies and the latency go with T = b_x / b_d."""
    chip = BY_ID["rram-sliced-r128-adc8-mux4"]
    full, part = layer_costs([layer], [chip]), layer_costs([layer], [replace(chip, input_bits=8 // steps)])
    for component in ("array", "adc"):
        assert part.energy[component] * steps == pytest.approx(full.energy[component])
    assert part.conversions * steps == pytest.approx(full.conversions)
    assert part.latency * steps == pytest.approx(full.latency)


@given(layer=LAYERS)
@settings(max_examples=25, deadline=None)
def test_more_rows_take_fewer_blocks_and_partial_sums(layer: Layer) -> None:
    for family in ("sram-digital-r{}", "pcm-r{}-adc8-mux4", "sram-analog-r{}-adc6-mux4"):
        configs = [BY_ID[family.format(rows)] for rows in (64, 128, 256)]
        hw, shape = mapping.config_arrays(configs), mapping.layer_arrays([layer])
        assert (np.diff(mapping.row_blocks(shape, hw)) <= 0).all()
        assert (np.diff(mapping.partial_sums(shape, hw)) <= 0).all()
        assert (np.diff(mapping.arrays(shape, hw)) <= 0).all()
        assert np.array_equal(
            mapping.row_blocks(shape, hw)[0], np.ceil(layer.fan_in / np.array([64, 128, 256]))
        )


@given(layer=LAYERS, active=st.sampled_from([8, 16, 32, 64]))
@settings(max_examples=25, deadline=None)
def test_rows_read_together_save_conversions(layer: Layer, active: int) -> None:
    chip = BY_ID["rram-sliced-r128-adc8-mux4"]
    costs = layer_costs([layer], [replace(chip, active_rows=active), replace(chip, active_rows=2 * active)])
    few, many = costs.conversions[0]
    assert many <= few <= 2 * many
    assert costs.latency[0, 1] <= costs.latency[0, 0]
