"""The configuration record and the grid."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from nasbench_imc.hardware import FAMILIES, FAMILY_TIMES, HardwareConfig, grid
from nasbench_imc.hardware.config import sliced_active_rows

BY_ID = {config.id: config for config in grid()}


def test_grid_has_75_configurations_and_the_aihwkit_chip() -> None:
    assert len(grid()) == len(BY_ID) == 76
    counts = {family: sum(c.family == family for c in grid()) for family in FAMILIES}
    assert counts == {"sram-digital": 3, "sram-analog": 18, "rram-sliced": 18, "rram-analog": 18, "pcm": 19}
    assert grid() is grid()
    for name in ("sram-digital-r128", "sram-analog-r128-adc6-mux4", "rram-sliced-r64-adc8-mux16"):
        assert name in BY_ID


def test_eight_references_of_eight_accuracy_classes() -> None:
    named = [config for config in grid() if config.reference]
    assert len(named) == 8
    assert len({config.reference for config in named}) == 8
    assert len({config.accuracy_class for config in named}) == 8


def test_accuracy_depends_on_what_the_class_names() -> None:
    assert BY_ID["pcm-r512-adc8-mux4"].accuracy_class == "pcm-aihwkit-t512"
    assert {BY_ID[f"sram-digital-r{r}"].accuracy_class for r in (64, 128, 256)} == {"sram-digital-int8"}
    pair = BY_ID["pcm-r128-adc6-mux4"], BY_ID["pcm-r128-adc6-mux16"]
    assert pair[0].accuracy_class == pair[1].accuracy_class == "pcm-r128-adc6"
    assert (
        len({config.accuracy_class for config in grid()}) == 1 + 3 * 9 + 4 + 1
    )  # sliced arrays: by rows read together


@pytest.mark.parametrize(
    ("name", "slices", "active"),
    [
        ("sram-digital-r128", 8, 128),
        ("sram-analog-r128-adc6-mux4", 8, 128),
        ("rram-sliced-r128-adc5-mux4", 4, 16),  # twice 2^(5 - 2), which loses nothing
        ("rram-sliced-r128-adc6-mux4", 4, 32),
        ("rram-sliced-r128-adc8-mux4", 4, 128),
        ("rram-sliced-r64-adc8-mux4", 4, 64),
        ("rram-sliced-r256-adc8-mux4", 4, 128),
        ("rram-analog-r128-adc6-mux4", 2, 128),
        ("pcm-r512-adc8-mux4", 2, 512),
    ],
)
def test_slices_and_active_rows(name: str, slices: int, active: int) -> None:
    assert BY_ID[name].slices(8) == slices
    assert BY_ID[name].active_rows == active


def test_four_bit_weights_take_half_the_bit_columns() -> None:
    assert BY_ID["sram-digital-r128"].slices(4) == 4
    assert BY_ID["rram-sliced-r128-adc8-mux4"].slices(4) == 2
    assert BY_ID["pcm-r128-adc8-mux4"].slices(4) == 2
    assert sliced_active_rows(64, 1, 8, 8) == 1  # never none


def test_record_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        grid()[0].rows = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("pcm-r128-adc6-mux4", {"family": "pmc"}, "did you mean 'pcm'"),
        ("pcm-r128-adc6-mux4", {"combine": "both"}, "analog"),
        ("pcm-r128-adc6-mux4", {"input_mode": "parallel"}, "multibit"),
        ("pcm-r128-adc6-mux4", {"id": ""}, "empty"),
        ("pcm-r128-adc6-mux4", {"rows": 0}, "rows must be an integer from 1"),
        ("pcm-r128-adc6-mux4", {"rows": 128.0}, "rows must be an integer"),
        ("pcm-r128-adc6-mux4", {"columns": 1}, "cannot hold one 8-bit weight"),
        ("pcm-r128-adc6-mux4", {"active_rows": 129}, "active_rows must be an integer from 1 to 128"),
        ("pcm-r128-adc6-mux4", {"dac_bits": 9}, "dac_bits must be an integer from 1 to 8"),
        ("pcm-r128-adc6-mux4", {"adc_bits": None}, "needs adc_bits"),
        ("pcm-r128-adc6-mux4", {"adc_bits": 15}, "adc_bits must be an integer from 1 to 14"),
        ("pcm-r128-adc6-mux4", {"columns_per_adc": 129}, "columns_per_adc"),
        ("pcm-r128-adc6-mux4", {"node_nm": 5.0}, "node_nm must lie in"),
        ("pcm-r128-adc6-mux4", {"supply_v": 0.3}, "supply_v must lie in"),
        ("pcm-r128-adc6-mux4", {"supply_v": float("nan")}, "supply_v must lie in"),
        ("pcm-r128-adc6-mux4", {"tiles": 0}, "tiles must be an integer from 1"),
        ("sram-analog-r128-adc6-mux4", {"cell_bits": 2}, "holds 1 bit"),
        ("rram-sliced-r128-adc6-mux4", {"dac_bits": 2}, "1 bit at a time"),
        ("sram-digital-r128", {"adc_bits": 8}, "has no ADC"),
        ("sram-digital-r128", {"input_mode": "pwm"}, "serial"),
        ("sram-digital-r128", {"active_rows": 64}, "adder tree over all rows"),
    ],
)
def test_invalid_fields_say_what_is_valid(name: str, change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(BY_ID[name], **change)  # type: ignore[arg-type]


def test_times() -> None:
    assert set(FAMILY_TIMES) == set(FAMILIES)
    assert FAMILY_TIMES["pcm"] == FAMILY_TIMES["sram-digital"] == ("t0", "60s", "1h", "1d", "30d")
    assert FAMILY_TIMES["rram-sliced"] == FAMILY_TIMES["rram-analog"] == ("1d",)


def test_defaults() -> None:
    config = HardwareConfig(
        id="mine",
        family="pcm",
        rows=8,
        columns=8,
        cell_bits=8,
        differential=True,
        combine="analog",
        input_mode="pwm",
        dac_bits=4,
        active_rows=8,
        adc_bits=6,
        columns_per_adc=4,
    )
    assert (config.input_bits, config.node_nm, config.supply_v, config.tiles) == (8, 28.0, 0.9, None)
