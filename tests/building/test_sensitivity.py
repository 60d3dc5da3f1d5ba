"""Sensitivity: fronts and taus on cases small enough to see, and a small space through all variants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nasbench_imc.building.sensitivity import (
    CONSTANTS,
    NODES,
    STEP,
    Space,
    Variant,
    _network_fronts,
    _taus,
    non_dominated,
    sensitivity,
    share_kept,
    variants,
)
from nasbench_imc.hardware import grid, load_constants
from nasbench_imc.hardware.components import Scaler, adc_area
from nasbench_imc.hardware.constants import with_values
from nasbench_imc.hardware.mapping import config_arrays
from nasbench_imc.networks import Layer, Network


def network(width: int) -> Network:
    return Network((Layer("mvm", 9 * width, width, 64, 1, 64 * width),), ((),), 64 * width)


SMALL = Space(
    [network(w) for w in (8, 16, 40, 90)], np.array([60.0, 70.0, 80.0, 75.0]), grid(), np.array([0, 2])
)


def test_non_dominated_by_hand() -> None:
    costs = np.array([[1.0, 5.0], [2.0, 2.0], [3.0, 2.0], [2.0, 2.0], [5.0, 1.0]])
    assert non_dominated(costs).tolist() == [True, True, False, True, True]


@given(arrays(float, st.tuples(st.integers(1, 12), st.just(3)), elements=st.integers(0, 4).map(float)))
def test_non_dominated_is_its_definition(costs: np.ndarray) -> None:
    expected = [not any((other <= own).all() and (other < own).any() for other in costs) for own in costs]
    assert non_dominated(costs).tolist() == expected


@given(arrays(float, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(0, 50).map(float)))
def test_network_fronts_are_non_dominated(points: np.ndarray) -> None:
    points = np.unique(points, axis=0)  # of equal designs the front keeps one
    space = Space([], points[:, 0], [], np.array([0]))
    (front,) = _network_fronts(space, {"energy": points[:, 1:]})
    assert front.tolist() == non_dominated(np.stack([-points[:, 0], points[:, 1]], axis=-1)).tolist()


def test_share_and_tau() -> None:
    assert share_kept(np.array([True, True, False]), np.array([True, False, True])) == 0.5
    base = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    assert _taus(base, np.array([[2.0, 4.0, 6.0], [3.0, 2.0, 1.0]])) == [1.0, -1.0]


def test_variants_change_what_they_say() -> None:
    base, found = load_constants(), variants()
    assert {(v.group, v.change) for v in found} >= {("ADC model", "survey"), ("leakage", "x 58")}
    assert len({(v.group, v.change) for v in found}) == len(found) == 2 * len(CONSTANTS) + 5 + len(NODES)
    for variant in found:
        step = {"-30 %": 1 - STEP, "+30 %": 1 + STEP}.get(variant.change)
        if step is None:
            continue
        scales = [Scaler(c, config_arrays(grid()[3:4])) for c in (base, with_values(base, variant.values))]
        if variant.group == "ADC area":
            bits = np.array([6.0])
            assert adc_area(bits, scales[1]) == pytest.approx(step * adc_area(bits, scales[0]))
        else:
            for name, value in variant.values.items():
                assert value == pytest.approx(step * base[name].value), name


def test_small_space_through_all_variants() -> None:
    ranks = sensitivity(SMALL)
    assert len(ranks) == len(variants())
    taus = ranks.filter(like="tau")
    assert ((taus >= -1) & (taus <= 1)).all(axis=None)
    shares = ranks.filter(like="front")
    assert ((shares >= 0) & (shares <= 1)).all(axis=None)
    by = ranks.set_index(["group", "change"])
    # The ADC model is no matter of latency; a cheaper pulse is.
    assert by.loc[("ADC model", "survey"), "tau_configs_latency_min"] == 1.0
    assert by.loc[("pulse step", "-30 %"), "tau_configs_latency"] < 1.0
    assert by.loc[("leakage", "x 58"), "factor_energy"] > 1.0
    assert by.loc[("node", "7 nm, 0.75 V"), "factor_area"] < 0.2


def test_nodes_move_all_configurations() -> None:
    own = Variant("", "").costs(SMALL.networks, SMALL.configs)
    there = Variant("", "", node_nm=28.0, supply_v=0.9).costs(SMALL.networks, SMALL.configs)
    assert np.array_equal(own["energy"], there["energy"])
