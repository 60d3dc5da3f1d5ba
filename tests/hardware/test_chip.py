"""Chip files: what ships, what the page says, and what is refused by name."""

from __future__ import annotations

import dataclasses
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_imc.errors import ChipError, UnknownNameError
from nasbench_imc.hardware import HardwareConfig, grid, load_constants, network_costs
from nasbench_imc.hardware.chip import (
    FIELDS,
    field_table,
    load_chip,
    parse_chip,
    shipped_chips,
)
from nasbench_imc.spaces import Hybrid

NETWORKS = [Hybrid().network(code) for code in Hybrid().architectures[::400]]
MINIMAL = """
name = "mine"
family = "rram-analog"
[array]
rows = 256
columns = 96
[adc]
bits = 6
columns_per_adc = 8
"""


@pytest.mark.parametrize("config", [c for c in grid() if c.reference], ids=lambda c: c.id)
def test_reference_chips_are_those_of_the_grid(config: HardwareConfig) -> None:
    chip = load_chip(config.id)
    assert chip.config == dataclasses.replace(config, reference="", accuracy_class="")
    costs = chip.costs(NETWORKS)
    for name, values in network_costs(NETWORKS, [config]).items():
        assert np.array_equal(costs[name], values[:, 0]), name


def test_twelve_chips_ship_with_4_and_8_bit_dacs_and_two_edge_chips() -> None:
    chips = {name: load_chip(name) for name in shipped_chips()}
    assert len(chips) == 12
    assert all(chip.config.id == name for name, chip in chips.items())
    assert all(chip.description for chip in chips.values())
    assert {chip.config.dac_bits for chip in chips.values()} == {1, 4, 8}
    edge = [chip.config for name, chip in chips.items() if name.startswith("edge")]
    assert len(edge) == 2
    assert all(config.tiles and config.attention_arrays for config in edge)
    for chip in chips.values():
        for name, values in chip.costs(NETWORKS).items():
            assert (values >= 0).all(), name
            assert np.isfinite(values).all() or name == "lifetime"


def test_edge_chips_reload_what_does_not_fit() -> None:
    code = "c32x2-c40x2-c56x2"  # the largest
    costs = load_chip("edge-sram-digital").costs([Hybrid().network(code)])
    assert costs["reload_rounds"][0] > 1
    small = load_chip("edge-sram-digital").costs([Hybrid().network("m16x1-m24x1-m32x1")])
    assert small["reload_rounds"][0] == 0


def test_the_page_documents_every_field() -> None:
    page = files("nasbench_imc.hardware").joinpath("chips", "README.md").read_text(encoding="utf-8")
    assert field_table() in page
    example = page.split("```toml\n")[1].split("```")[0]
    assert parse_chip(example).config.node_nm == 40


def test_every_field_of_the_record_can_be_set() -> None:
    targets = {field.target for field in FIELDS.values()}
    record = {field.name for field in dataclasses.fields(HardwareConfig)}
    assert record - targets == {"reference", "accuracy_class"}  # those belong to the benchmark's tables


def test_defaults_are_the_family_s() -> None:
    config = parse_chip(MINIMAL).config
    assert (config.cell_bits, config.differential, config.combine) == (8, True, "analog")
    assert (config.input_mode, config.dac_bits, config.active_rows) == ("pwm", 8, 256)
    assert config.tiles is None


def test_constants_and_models_of_the_file_count() -> None:
    plain = parse_chip(MINIMAL).costs(NETWORKS)
    busier = parse_chip(MINIMAL + "[constants]\nmac_energy = 5.3\nbuffer_leakage = 0").costs(NETWORKS)
    macs = sum(x.macs for x in NETWORKS[0].layers if x.kind == "matmul")
    posts = sum(x.output_elements for x in NETWORKS[0].layers if x.kind == "mvm")
    more = (macs + posts) * (5.3 - 0.53) * 1e-6
    dynamic = {name: c["energy"] - c["energy_leakage"] for name, c in (("a", plain), ("b", busier))}
    assert dynamic["b"][0] - dynamic["a"][0] == pytest.approx(more)
    assert (busier["leakage_power"] < plain["leakage_power"]).all()
    survey = parse_chip(MINIMAL + 'model = "survey"\n').costs(NETWORKS)
    assert (survey["energy_adc"] > plain["energy_adc"]).all()
    known = parse_chip(MINIMAL + "energy_pj = 0.0\n").costs(NETWORKS)
    assert not known["energy_adc"].any()
    assert load_constants()["mac_energy"].value == 0.53


def test_weight_bits_of_the_file_may_be_overridden() -> None:
    chip = parse_chip("weight_bits = 4\n" + MINIMAL)
    assert chip.weight_bits == 4
    assert (chip.costs(NETWORKS)["weight_memory"] * 2 == chip.costs(NETWORKS, 8)["weight_memory"]).all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rows = 256", 'rows = "256"', r"array\.rows must be an integer from 1 to 65536, not '256'"),
        ("rows = 256", "rows = 0", r"array\.rows must be an integer from 1 to 65536, not 0"),
        ("rows = 256", "rows = 256.0", r"array\.rows must be an integer"),
        ("rows = 256", "rows = true", r"array\.rows must be an integer"),
        ("rows = 256", "", r"array\.rows is missing; it must be an integer from 1"),
        ("rows = 256", "row = 256", r"unknown field 'array\.row'; did you mean 'array\.rows'"),
        ("rows = 256", "rows = 256\nactive_rows = 300", r"active_rows must be an integer from 1 to 256"),
        ("columns = 96", "columns = 1", r"1 columns cannot hold one 8-bit weight"),
        ('"rram-analog"', '"rram"', r"family: unknown choice 'rram'; valid: 'sram-digital'"),
        ('"rram-analog"', '"sram-digital"', r"sram-digital has no ADC"),
        ("bits = 6", "bits = 99", r"adc\.bits must be an integer from 1 to 14, not 99"),
        ("bits = 6", "", r"needs adc_bits"),
        ("bits = 6", "bits = 6\nenergy_pj = nan", r"adc\.energy_pj must be a number from 0"),
        ("bits = 6", "bits = 6\nmodel = 3", r'adc\.model must be one of "zigzag", "survey", not 3'),
        ('name = "mine"', 'name = ""', r"id must not be empty"),
        ('name = "mine"', "", r"name is missing"),
        ('name = "mine"', 'name = "mine"\nnode_nm = 3', r"node_nm must be a number from 7 to 130, not 3"),
        ('name = "mine"', 'name = "mine"\nsupply_v = inf', r"supply_v must be a number from 0\.5 to 1\.8"),
        ('name = "mine"', 'name = "mine"\ntiles = 3', r"unknown field 'tiles'"),
        ('name = "mine"', 'name = "mine"\nadc = 3\n[x]', r"not valid TOML|unknown field"),
        ('name = "mine"', 'name = "mine"\nattention = 3', r"attention must be a section, \[attention\]"),
        ("[adc]", "[constants]\nmac_enery = 3\n[adc]", r"constants\.mac_enery: unknown .* did you mean"),
        ("[adc]", "[constants]\nmac_energy = 1e9\n[adc]", r"constants\.mac_energy must lie from 0\.00053 to"),
        ("[adc]", "[constants]\nmac_energy = -1\n[adc]", r"or be 0, not -1"),
        ("[adc]", "[constants]\nbuffer_port = 0\n[adc]", r"constants\.buffer_port must lie from"),
        ("[adc]", "[constants]\nactivity = 1.5\n[adc]", r"constants\.activity must lie from .* to 1 "),
        ("[adc]", "[constants]\nactivity = nan\n[adc]", r"constants\.activity must be a number"),
        ("[adc]", "[constants]\nactivity = true\n[adc]", r"constants\.activity must be a number"),
        (
            "[adc]",
            "[constants]\nthreshold_voltage = 0.9\n[adc]",
            r"threshold_voltage must lie below supply_v",
        ),
        ("[adc]", "[attention]\nrows = 8\n[adc]", r"attention_arrays must all be given"),
        ("[adc]", "[organisation]\nreplication = 0.1\n[adc]", r"organisation\.replication must be"),
        ("[array]", "[array", r"not valid TOML: .*line 4"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, message: str) -> None:
    assert old in MINIMAL
    with pytest.raises(ChipError, match=message):
        parse_chip(MINIMAL.replace(old, new))


def test_files_are_read_and_named(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(MINIMAL, encoding="utf-8")
    assert load_chip(path).config.id == "mine"
    path.write_text(MINIMAL, encoding="utf-8-sig")  # as some editors save it, with a byte order mark
    assert load_chip(path).config.id == "mine"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ChipError, match=r"own\.toml"):
        load_chip(path)
    with pytest.raises(UnknownNameError, match="edge-pcm"):
        load_chip("edge-pcn")
    with pytest.raises(UnknownNameError):
        load_chip(tmp_path)


_VALUES = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.booleans(),
    st.sampled_from(["pcm", "serial", "x"]),
)


@given(path=st.sampled_from(sorted(FIELDS)), value=_VALUES)
@settings(max_examples=150, deadline=None)
def test_any_value_is_taken_or_refused_by_name(path: str, value: object) -> None:
    text = f'"{value}"' if isinstance(value, str) else str(value).lower()
    sections: dict[str, list[str]] = {"": ['name = "mine"', 'family = "pcm"']}
    sections |= {"array": ["rows = 64", "columns = 64"], "adc": ["bits = 6", "columns_per_adc = 4"]}
    section, _, key = path.rpartition(".")
    lines = [line for line in sections.get(section, []) if line.split(" ")[0] != key]
    sections[section] = [*lines, f"{key} = {text}"]
    document = "\n".join(
        "\n".join(([f"[{name}]"] if name else []) + lines) for name, lines in sections.items()
    )
    try:
        chip = parse_chip(document)
    except ChipError as error:
        refused = str(error)
    else:
        refused = key
        costs = chip.costs(NETWORKS[:1])
        assert all((values >= 0).all() for values in costs.values())
    assert key.split("_")[0] in refused
