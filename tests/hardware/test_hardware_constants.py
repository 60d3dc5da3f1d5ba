"""Constants: provenance, scaling, and formulas whose values are published."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nasbench_imc.hardware import grid, load_constants, mapping, with_values
from nasbench_imc.hardware.components import Scaler, adc_area, adc_energy
from nasbench_imc.hardware.constants import (
    area_scale,
    delay_scale,
    energy_factor,
    energy_scale,
    published_constants,
)

CONSTANTS = load_constants()
PUBLISHED = published_constants()


def test_every_constant_has_a_source() -> None:
    for record in CONSTANTS.values():
        assert record.source, record.name
        assert record.unit, record.name
        assert np.isfinite(record.value), record.name
        # A source that is a work names its licence; an assumption gives its reasoning instead.
        if record.source == "assumption":
            assert len(record.notes) > 20, record.name
            assert not record.license, record.name
        else:
            assert record.license, record.name


def test_no_constant_comes_from_a_simulator_that_forbids_it() -> None:
    text = " ".join(f"{record.source} {record.license}".lower() for record in CONSTANTS.values())
    assert "neurosim" not in text
    assert "mnsim" not in text
    assert "cc by-nc" not in text


def test_constants_are_read_only() -> None:
    with pytest.raises(TypeError):
        CONSTANTS["c_nd2"] = CONSTANTS["c_dff"]  # type: ignore[index]


def test_with_values_changes_a_copy_and_knows_its_names() -> None:
    changed = with_values(CONSTANTS, {"activity": 0.1})
    assert (changed["activity"].value, CONSTANTS["activity"].value) == (0.1, 0.5)
    assert changed["activity"].source == "assumption"
    with pytest.raises(ValueError, match="did you mean 'activity'"):
        with_values(CONSTANTS, {"activty": 0.1})


@pytest.mark.parametrize(
    ("bits", "energy", "area", "survey_energy", "survey_area"),
    [
        (4, 0.32, 183, 0.72, 2660),
        (6, 0.49, 618, 0.83, 2776),
        (8, 0.70, 2085, 1.33, 3200),
    ],
)
def test_adc_at_28_nm(
    bits: int, energy: float, area: float, survey_energy: float, survey_area: float
) -> None:
    scale = Scaler(PUBLISHED, mapping.config_arrays(grid()[:1]))
    b = np.array([float(bits)])
    assert adc_energy(b, scale)[0] == pytest.approx(energy, abs=0.006)
    assert adc_area(b, scale)[0] == pytest.approx(area, abs=1)
    assert adc_energy(b, scale, "survey")[0] == pytest.approx(survey_energy, abs=0.006)
    assert adc_area(b, scale, "survey")[0] == pytest.approx(survey_area, rel=2e-3)
    with pytest.raises(ValueError, match="zigzag"):
        adc_energy(b, scale, "zizag")  # type: ignore[arg-type]


def test_scaling_by_node_and_supply() -> None:
    node, supply = np.array([28.0, 32.0, 28.0]), np.array([0.9, 0.9, 0.45 * 2**0.5])
    # Stillmaker and Baas at 0.9 V: 0.541209 at 32 nm, 0.200790 at 20 nm, so 0.427736 at 28 nm.
    factors = energy_scale(PUBLISHED, 32.0, node, supply)
    assert factors == pytest.approx([0.427736 / 0.541209, 1.0, 0.5 * 0.427736 / 0.541209], rel=1e-5)
    assert energy_scale(CONSTANTS, None, node, supply) == pytest.approx([1.0, 1.0, 1.0])
    assert area_scale(32.0, node) == pytest.approx([0.765625, 1.0, 0.765625])
    # V / (V - 0.35)^1.3 at 0.6364 V: 0.70711 x (0.55 / 0.2864)^1.3 = 0.70711 x 2.3357 times that at 0.9 V.
    assert delay_scale(CONSTANTS, 28.0, node, supply) == pytest.approx([1.0, 32 / 28, 1.6516], rel=1e-4)


def test_cacti_holds_at_its_own_supply() -> None:
    # CACTI, tech_params/22nm.dat: itrs-lstp transistors have 0.8 V. There nothing is scaled.
    at = replace(grid()[0], node_nm=22.0, supply_v=0.8)
    scale = Scaler(CONSTANTS, mapping.config_arrays([at]))
    cacti = [c for c in CONSTANTS.values() if c.supply_v is not None]
    assert {c.name for c in cacti} == {
        "buffer_read_energy",
        "buffer_write_energy",
        "buffer_leakage",
        "buffer_access_time",
        "sram_bit_leakage",
        "logic_leakage_density",
    }
    for record in cacti:
        assert (record.node_nm, record.supply_v) == (22.0, 0.8)
        value = scale.time(record.name) if record.unit == "ns" else scale.leakage(record.name)
        assert value[0] == pytest.approx(record.value)
    assert energy_scale(CONSTANTS, 22.0, np.array([22.0]), np.array([0.9]), 0.8) == pytest.approx(1.265625)


def test_energy_scaling_is_damped_and_goes_on_beyond_the_table() -> None:
    node, supply = np.array([28.0, 32.0]), np.array([0.9, 0.9])
    exponent = CONSTANTS["energy_node_exponent"].value
    assert 0.5 < exponent < 1.0
    expected = [(0.427736 / 0.541209) ** exponent, 1.0]
    assert energy_scale(CONSTANTS, 32.0, node, supply) == pytest.approx(expected, rel=1e-5)
    # Outside 7 to 130 nm in proportion to the node.
    assert energy_factor(CONSTANTS, [3.5, 260.0]) == pytest.approx([0.086453 / 2, 2.67441 * 2])
