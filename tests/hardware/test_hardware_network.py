"""Network costs: sums, critical path, live tensors, chips of fixed size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_imc.hardware import METRICS, derive, grid, layer_costs, network_costs, schedule
from nasbench_imc.hardware.constants import published_constants
from nasbench_imc.hardware.cost import AREA_COMPONENTS, ENERGY_COMPONENTS, peak_live_elements
from nasbench_imc.hardware.metrics import DERIVED, PRIMARY
from nasbench_imc.networks import Layer, Network
from nasbench_imc.spaces import NB201

BY_ID = {config.id: config for config in grid()}

# Input of 300 -> stem -> two branches -> addition -> classifier.
STEM = Layer("mvm", 27, 8, 100, 1, 300)
LONG = Layer("mvm", 72, 8, 100, 1, 800)
SHORT = Layer("mvm", 8, 8, 100, 1, 800)
ADD = Layer("vector", 1, 8, 100, 1, 1600)
HEAD = Layer("mvm", 800, 10, 1, 1, 800)
DIAMOND = Network((STEM, LONG, SHORT, ADD, HEAD), ((), (0,), (0,), (1, 2), (3,)), 300)
CHAIN = Network((STEM, LONG, SHORT, ADD, HEAD), ((), (0,), (1,), (2,), (3,)), 300)


def digital(network: Network) -> dict[str, float]:
    return {k: float(v[0, 0]) for k, v in network_costs([network], [BY_ID["sram-digital-r64"]]).items()}


def test_critical_path_runs_through_the_longer_branch() -> None:
    # t_MVM = 8 x 3.52764 ns (64 rows); the addition takes 800 operations on 256 lanes of 1 ns.
    t = 8 * 3.52764
    diamond, chain = digital(DIAMOND), digital(CHAIN)
    # Both branches have 100 pixels: they run at once, and one of them is hidden.
    assert diamond["latency"] == pytest.approx((100 * t + 100 * t + 800 / 256 + t) * 1e-3)
    assert chain["latency"] == pytest.approx((300 * t + 800 / 256 + t) * 1e-3)
    assert diamond["throughput"] == pytest.approx(1e9 / (100 * t))
    assert chain["throughput"] == diamond["throughput"]


def test_longer_branch_counts_whichever_stands_first() -> None:
    slow, fast = Layer("mvm", 72, 8, 90, 1, 800), Layer("mvm", 8, 8, 10, 1, 800)
    t = 8 * 3.52764
    for pair in ((slow, fast), (fast, slow)):
        network = Network((STEM, *pair, ADD), ((), (0,), (0,), (1, 2)), 300)
        assert digital(network)["latency"] == pytest.approx((190 * t + 800 / 256) * 1e-3)


def test_layers_on_the_digital_unit_share_a_stage() -> None:
    pool = Layer("vector", 5000, 8, 100, 1, 800)  # 4,000,000 operations / 256 = 15,625 ns
    network = Network((STEM, pool, pool), ((), (0,), (0,)), 300)
    assert digital(network)["throughput"] == pytest.approx(1e9 / (2 * 15_625))


def test_layers_on_the_digital_unit_take_turns() -> None:
    pool = Layer("vector", 5000, 8, 100, 1, 800)  # 15,625 ns
    t = 8 * 3.52764
    pools = Network((STEM, pool, pool, ADD), ((), (0,), (0,), (1, 2)), 300)
    assert digital(pools)["latency"] == pytest.approx((100 * t + 2 * 15_625 + 800 / 256) * 1e-3)
    # Beside a product, which has arrays of its own, the one pooling hides it.
    beside = Network((STEM, pool, LONG, ADD), ((), (0,), (0,), (1, 2)), 300)
    assert digital(beside)["latency"] == pytest.approx((100 * t + 15_625 + 800 / 256) * 1e-3)


def test_who_is_ready_first_goes_first() -> None:
    # Listed first, but behind a product: a pooling that would keep the other waiting if it were served first.
    pool = Layer("vector", 5000, 8, 100, 1, 800)
    t = 8 * 3.52764
    layers, producers = (STEM, LONG, pool, pool, ADD), ((), (0,), (1,), (0,), (2, 3))
    expected = (100 * t + 2 * 15_625 + 800 / 256) * 1e-3
    assert digital(Network(layers, producers, 300))["latency"] == pytest.approx(expected)


def test_a_network_in_pieces_takes_as_long_as_whole() -> None:
    pool, conv = "avg_pool_3x3", "nor_conv_3x3"
    for a, b, c, d, e, f in ((pool,) * 6, (conv, pool, pool, pool, pool, "none"), (pool, conv) * 3):
        cell = f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"
        net = NB201().network(cell)
        own = tuple(layer_costs(net.layers, [BY_ID["pcm-r64-adc8-mux4"]]).latency[:, 0].tolist())
        where = tuple(0 if layer.kind == "mvm" else 1 for layer in net.layers)
        pieces = schedule._pieces(net.producers)
        assert len(pieces) > 15  # no cell waits for another, nor for the residual blocks
        assert [end for _, end, _ in pieces[:-1]] == [first for first, _, _ in pieces[1:]]
        apart = sum(schedule._in_turns(part, own[i:j], where[i:j]) for i, j, part in pieces)
        assert apart == pytest.approx(schedule._in_turns(net.producers, own, where), rel=1e-12)


def test_the_digital_unit_and_attention_arrays_work_at_once() -> None:
    scores, pool = Layer("matmul", 8, 64, 16, 4, 1024), Layer("vector", 900, 8, 100, 1, 800)
    chip = replace(
        BY_ID["sram-digital-r64"], attention_rows=64, attention_columns=64, attention_arrays=2, id="mixed"
    )
    time = dict(
        zip((scores, pool, STEM), layer_costs([scores, pool, STEM], [chip]).latency[:, 0], strict=True)
    )
    both = Network((STEM, scores, pool, scores), ((), (0,), (0,), (0,)), 300)
    latency = network_costs([both], [chip])["latency"][0, 0]
    assert time[scores] < time[pool] < 2 * time[scores]
    assert latency == pytest.approx((time[STEM] + 2 * time[scores]) * 1e-3)


KINDS = st.sampled_from([LONG, SHORT, ADD, Layer("vector", 3000, 8, 100, 1, 800)])


@given(data=st.data(), kinds=st.lists(KINDS, min_size=1, max_size=7))
@settings(max_examples=60, deadline=None)
def test_taking_turns_costs_no_more_than_the_turns(data: st.DataObject, kinds: list[Layer]) -> None:
    """Between the longest path and one layer after another; a lone chain is its sum."""
    sources = [
        tuple(data.draw(st.sets(st.integers(0, i), min_size=1, max_size=3))) for i in range(len(kinds))
    ]
    layers, producers = (STEM, *kinds), ((), *sources)
    chip = BY_ID["sram-digital-r64"]
    own = layer_costs(layers, [chip]).latency[:, 0] * 1e-3
    longest: list[float] = []
    for i, before in enumerate(producers):
        longest.append(own[i] + max((longest[j] for j in before), default=0.0))
    latency = network_costs([Network(layers, producers, 300)], [chip])["latency"][0, 0]
    unit = sum(time for layer, time in zip(layers, own, strict=True) if layer.kind != "mvm")
    assert max(*longest, own[0] + unit) * (1 - 1e-12) <= latency <= own.sum() * (1 + 1e-12)


def test_live_tensors_of_the_diamond() -> None:
    # stem: 300 + 800; long: 800 + 800; short: 800 + 800 + 800 (stem's output has its last reader);
    # addition: 800 + 800 + 800; head: 800 + 10.
    assert peak_live_elements(DIAMOND) == 2400
    # chain: stem 300 + 800, then 800 + 800 throughout
    assert peak_live_elements(CHAIN) == 1600
    assert digital(DIAMOND)["activation_memory"] == pytest.approx(2400 / 1024)
    assert digital(DIAMOND)["weight_memory"] == pytest.approx((27 * 8 + 72 * 8 + 8 * 8 + 8000) / 1024)


def test_input_lives_until_its_last_reader() -> None:
    skip = Network((STEM, LONG, SHORT), ((), (0,), ()), 300)
    # stem: 300 + 800; long: 300 + 800 + 800; short reads the input again: 300 + 800 (an output) + 800
    assert peak_live_elements(skip) == 1900


def test_components_sum_to_totals() -> None:
    m = network_costs([DIAMOND, CHAIN], grid())
    assert m["energy"] == pytest.approx(sum(m[f"energy_{c}"] for c in ENERGY_COMPONENTS))
    assert m["area"] == pytest.approx(sum(m[f"area_{c}"] for c in AREA_COMPONENTS))
    assert {k for k in m if k.startswith("energy_")} == {f"energy_{c}" for c in ENERGY_COMPONENTS}
    assert {k for k in m if k.startswith("area_")} == {f"area_{c}" for c in AREA_COMPONENTS}
    for name in AREA_COMPONENTS:
        assert m[f"area_{name}"].any(), name


def test_energy_is_that_of_the_layers_and_the_chip() -> None:
    chip = BY_ID["pcm-r64-adc8-mux4"]
    m = {k: v[0, 0] for k, v in network_costs([CHAIN], [chip]).items()}
    layers = layer_costs(CHAIN.layers, [chip])
    for name in ("array", "adc", "dac", "accumulation", "buffer", "attention"):
        assert m[f"energy_{name}"] == pytest.approx(layers.energy[name].sum() * 1e-6), name
    assert m["arrays"] == 1 + 2 + 1 + 13  # two tiles of 16: a mean of 1 hop
    assert m["energy_interconnect"] == pytest.approx(layers.energy["interconnect"].sum() * 1e-6)
    assert m["energy_off_chip"] == pytest.approx((300 + 10) * 8 * 3.7 * 1e-6)
    assert m["energy_leakage"] == pytest.approx(m["leakage_power"] * m["latency"] * 1e-3)
    assert m["utilisation"] == pytest.approx(100 * 2 * (216 + 576 + 64 + 8000) / (17 * 4096))
    # 2 tiles of a 64 KB buffer (22 -> 28 nm) and a router (32 -> 28 nm)
    assert m["area_buffer"] == pytest.approx(2 * 65_016.4 * (28 / 22) ** 2 * 1e-6)
    assert m["area_interconnect"] == pytest.approx(2 * 37_500 * (28 / 32) ** 2 * 1e-6)
    assert m["area_attention"] == pytest.approx(256 * 293e-6)


def test_leakage_follows_area_and_sram_cells() -> None:
    # 22 -> 28 nm and 0.8 -> 0.9 V: powers x 1.66094 x 1.265625, areas x (28 / 22)^2. Two tiles of one
    # 9.62144 uW buffer each.
    density = 1.47984e-7 * 1.66094 * 1.265625 / (28 / 22) ** 2  # mW / um2
    buffers = 2 * 9.62144e-3 * 1.66094 * 1.265625
    names = ["pcm-r64-adc8-mux4", "sram-digital-r64"]
    m = network_costs([CHAIN], [BY_ID[name] for name in names], constants=published_constants())
    logic = sum(m[f"area_{c}"][0] for c in ("adc", "dac", "accumulation", "interconnect", "attention")) * 1e6
    # PCM cells do not leak, the other half of their arrays' area does: 17 arrays of 4,096 cells of
    # 0.03136 um2. 30 digital arrays of 4,096 SRAM cells with a gate each do.
    sram = 30 * 4096 * (1.83514e-8 * 1.66094 * 1.265625 + 0.614 * density)
    expected = logic * density + buffers + np.array([17 * 4096 * 0.03136 * density, sram])
    assert m["leakage_power"][0] == pytest.approx(expected, rel=1e-5)


def test_hops_grow_with_the_chip() -> None:
    big = Layer("mvm", 64 * 16, 32 * 36, 1, 1, 1024)  # 16 x 36 arrays of pairs = 36 tiles: 4 hops
    network = Network((big,), ((),), 1024)
    m = network_costs([network], [BY_ID["pcm-r64-adc8-mux4"]], constants=published_constants())
    assert m["arrays"][0, 0] == 576
    assert m["energy_interconnect"][0, 0] == pytest.approx(4 * 8192 * 0.0640289e-6, rel=1e-5)


def test_fixed_chip_reloads_what_does_not_fit() -> None:
    sized = BY_ID["sram-digital-r64"]
    roomy, tight = replace(sized, id="roomy", tiles=10), replace(sized, id="tight", tiles=1)
    m = network_costs([CHAIN], [sized, roomy, tight])
    # stem 1, long 2, short 1 and head 13 x 2 arrays: 30 in all, on 16: 2 rounds
    assert m["arrays"][0].tolist() == [30, 30, 30]
    assert m["latency"][0, 1] == m["latency"][0, 0]
    bits = (216 + 576 + 64 + 8000) * 8
    added = (m["energy_off_chip"][0, 2] - m["energy_off_chip"][0, 0]) * 1e6
    assert added == pytest.approx(bits * 3.7)
    # a round of 35,424 bits takes 345.9 ns at 102.4 bits / ns, longer than 64 rows of 1.22 ns
    assert m["latency"][0, 2] - m["latency"][0, 0] == pytest.approx(bits / 102.4 * 1e-3)
    assert m["energy_array"][0, 2] - m["energy_array"][0, 0] == pytest.approx(m["programming_energy"][0, 0])
    assert m["throughput"][0, 2] < m["throughput"][0, 0]
    # Area is that of the chip: 160 and 16 arrays, 10 tiles and 1
    assert m["area_array"][0] == pytest.approx(m["area_array"][0, 0] / 30 * np.array([30, 160, 16]))
    assert m["area_buffer"][0] == pytest.approx(m["area_buffer"][0, 0] / 2 * np.array([2, 10, 1]))


def test_order_and_company_do_not_matter() -> None:
    together = network_costs([DIAMOND, CHAIN], grid())
    apart = network_costs([CHAIN], grid()[::-1])
    for name, values in together.items():
        assert values.shape == (2, 76)
        assert values.dtype == np.float64
        assert values[1] == pytest.approx(apart[name][0, ::-1]), name


def test_all_metrics_are_registered_finite_and_positive() -> None:
    m = network_costs([DIAMOND], grid())
    assert set(m) == set(PRIMARY)
    m |= derive(m)
    assert set(m) == set(METRICS)
    assert list(METRICS) == [*PRIMARY, *DERIVED]
    for name, values in m.items():
        assert np.isfinite(values).all(), name
        assert (values >= 0).all(), name
        assert METRICS[name].name == name
        assert METRICS[name].unit
        assert METRICS[name].description
        assert METRICS[name].direction in ("minimise", "maximise", "none")


def test_derived_metrics_by_hand() -> None:
    one = {
        "energy": np.array([[2.0]]),  # uJ
        "latency": np.array([[5.0]]),  # us
        "area": np.array([[4.0]]),  # mm2
        "throughput": np.array([[1000.0]]),
        "macs": np.array([[10e6]]),
    }
    derived = derive(one)
    assert derived["edp"][0, 0] == 10.0
    assert derived["edap"][0, 0] == 40.0
    assert derived["tops_per_w"][0, 0] == pytest.approx(20e6 / 2e-6 / 1e12)  # 10 TOPS/W
    assert derived["tops_per_mm2"][0, 0] == pytest.approx(20e6 * 1000 / 1e12 / 4)
    assert DERIVED["edp"].function(2.0, 5.0) == 10.0  # scalars too


def test_network_without_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="without layers"):
        network_costs([Network((), (), 10)], grid())


@given(pixels=st.integers(1, 500), extra=st.integers(1, 500))
@settings(max_examples=25, deadline=None)
def test_more_pixels_never_cost_a_network_less(pixels: int, extra: int) -> None:
    def network(count: int) -> Network:
        return Network((STEM, replace(LONG, pixels=count), ADD), ((), (0,), (0, 1)), 300)

    m = network_costs([network(pixels), network(pixels + extra)], grid())
    for name in ("energy", "latency", "area", "activation_memory"):
        assert (m[name][1] >= m[name][0] * (1 - 1e-12)).all(), name
    assert (m["throughput"][1] <= m["throughput"][0]).all()
