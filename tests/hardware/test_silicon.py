"""Macros against the model: a worked one, laws, and how near published figures are."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_imc.building.calibration import CALIBRATED, calibrate
from nasbench_imc.hardware import load_constants, network_costs
from nasbench_imc.hardware.config import HardwareConfig
from nasbench_imc.hardware.constants import is_calibrated, published_constants
from nasbench_imc.hardware.cost import derive
from nasbench_imc.hardware.macros import Macro, shipped_macros
from nasbench_imc.hardware.silicon import compare, layout, predict, reason_to_skip, summarise
from nasbench_imc.networks import Layer, Network

NAN = math.nan
MACROS = shipped_macros()
MODELLED = [macro for macro in MACROS if not reason_to_skip(macro)]
PUBLISHED = published_constants()

PLAIN = Macro(
    name="plain",
    reference="plain",
    kind="AIMC",
    device="SRAM",
    node_nm=28.0,
    rows=64.0,
    columns=64.0,
    cell_bits=NAN,
    weight_bits=4.0,
    input_bits=4.0,
    adc_bits=6.0,
    supply_v=0.9,
    frequency_mhz=100.0,
    tops_per_w=NAN,
    tops_per_mm2=NAN,
    tops_per_w_1b=NAN,
    tops_per_mm2_1b=NAN,
    area_mm2=NAN,
    data_kind="silicon",
    half="",
    dot_product=NAN,
    cycle_ns=NAN,
    toggle=NAN,
    sparsity=NAN,
    bits_a_cycle=NAN,
    phases=1.0,
    precision_product=NAN,
    serial=False,
    current_domain=False,
    energy_usable=True,
    problems=(),
)
DIGITAL = replace(PLAIN, name="digital", kind="DIMC", adc_bits=NAN)
RRAM = replace(
    PLAIN, name="rram", device="RRAM", weight_bits=1.0, input_bits=1.0, adc_bits=4.0, dot_product=8.0
)
PCM = replace(PLAIN, name="pcm", device="PCM", weight_bits=8.0, input_bits=8.0, adc_bits=8.0)


def one(macro: Macro, **others: float) -> dict[str, float]:
    """Energies of a macro with changed fields, its TOPS/W among them."""
    result = predict([layout(replace(macro, **others))], constants=PUBLISHED)  # type: ignore[arg-type]
    return {**{k: v[0] for k, v in result.energy.items()}, "tops_per_w": result.tops_per_w[0]}


def test_worked_charge_domain_macro() -> None:
    # 16 weights of 4 columns. Cells: 64 x 64 x (0.14175 + 0.405 + 0.2835) fJ; 16 conversions of
    # (600 + 4.096) fF x 0.81 V^2; 64 drivers of 50 x 4 x 0.81 fJ; one reading an output: no addition.
    energy = one(PLAIN)
    assert energy["array"] == pytest.approx(4096 * 0.83025e-3, rel=1e-5)
    assert energy["adc"] == pytest.approx(16 * 604.096 * 0.81e-3, rel=1e-5)
    assert energy["dac"] == pytest.approx(64 * 162e-3, rel=1e-5)
    assert energy["accumulation"] == 0.0
    total = 3.400704 + 7.829084 + 10.368 + energy["leakage"]
    assert energy["leakage"] < 0.02 * total
    assert energy["tops_per_w"] == pytest.approx(2 * 64 * 16 / total, rel=1e-5)


def test_worked_digital_macro() -> None:
    # 4 steps; 4,096 products of 0.5 x 0.567 x 0.5 fJ; 16 trees of 64 x 5 - (4 + 6 + 1) = 309 adders of
    # 1.701 fJ and an accumulation of 4 + 4 + 6 = 14 bits of 3.402 fJ.
    energy = one(DIGITAL)
    assert energy["array"] == pytest.approx(4 * 4096 * 0.14175e-3, rel=1e-5)
    assert energy["accumulation"] == pytest.approx(4 * 16 * (309 * 1.701 + 14 * 3.402) * 1e-3, rel=1e-5)
    assert energy["adc"] == energy["dac"] == 0.0


def test_worked_rram_macro() -> None:
    # 64 columns of 8 read cells: 25.54054 uS x 0.2 V x 0.9 V x 10 ns at half activity = 22.98649 fJ; lines
    # of 64 cells, 0.35 fF x 0.9 V x 0.2 V = 0.063 fJ each. The cycle of 10 ns lets the whole 10 ns be read.
    energy = one(RRAM)
    assert energy["array"] == pytest.approx(64 * (8 * 22.98649 + 64 * 0.063) * 1e-3, rel=1e-5)
    assert energy["adc"] == pytest.approx(64 * (400 + 0.256) * 0.81e-3, rel=1e-5)
    assert one(RRAM, frequency_mhz=200.0)["array"] == pytest.approx(
        64 * (8 * 11.493245 + 4.032) * 1e-3, rel=1e-5
    )


def test_worked_pcm_macro() -> None:
    # Pairs: 64 outputs, 2 devices each. The pulse is cut to the 10 ns of the cycle: 3.96875 uS x 0.2 x 0.9 x
    # 0.5 x 10 = 3.571875 fJ.
    energy = one(PCM)
    assert energy["array"] == pytest.approx(2 * 4096 * (3.571875 + 0.063) * 1e-3, rel=1e-5)
    assert energy["adc"] == pytest.approx(64 * 865.536 * 0.81e-3, rel=1e-5)


def test_a_higher_precision_takes_more_readings() -> None:
    # 8 x 8 bits on an array of 4 x 4 bits: 4 readings and 3 additions an output.
    noted = one(PLAIN, precision_product=64.0)
    assert noted["array"] == one(PLAIN)["array"]
    # accumulator of 4 + 4 + 6 bits of 3.402 fJ; 16 outputs, of which 4 are finished a reading
    assert noted["accumulation"] == pytest.approx((16 - 4) * 14 * 3.402e-3, rel=1e-5)
    assert noted["tops_per_w"] < one(PLAIN)["tops_per_w"] / 4
    ratio = one(PLAIN, tops_per_w=10.0, tops_per_w_1b=640.0)
    assert ratio["tops_per_w"] == noted["tops_per_w"]


KINDS = st.sampled_from([PLAIN, DIGITAL, RRAM, PCM])


@given(
    macro=KINDS,
    rows=st.integers(1, 2048),
    columns=st.integers(1, 2048),
    node=st.floats(3.0, 200.0),
    supply=st.floats(0.45, 1.7),
    weight=st.integers(1, 8),
    inputs=st.integers(1, 8),
)
@settings(max_examples=60, deadline=None)
def test_laws(
    macro: Macro, rows: int, columns: int, node: float, supply: float, weight: int, inputs: int
) -> None:
    fields = {"rows": float(rows), "columns": float(columns), "node_nm": node, "supply_v": supply}
    fields |= {"weight_bits": float(weight), "input_bits": float(inputs), "dot_product": NAN}
    item = layout(replace(macro, **fields))
    result = predict([item])
    assert all(np.isfinite(v[0]) and v[0] >= 0 for v in result.energy.values())
    total = sum(v[0] for v in result.energy.values())
    outputs = math.floor(item.columns / item.slices)
    operations = 2 * item.active_rows * outputs * weight * inputs
    assert result.tops_per_w_1b[0] == pytest.approx(operations / total)
    assert result.tops_per_w[0] == pytest.approx(result.tops_per_w_1b[0] / (weight * inputs))
    # TOPS/mm2 x area x time is the operations of one reading.
    whole = result.tops_per_mm2_1b[0] * result.area[0] * result.time[0] * 1e3
    assert whole == pytest.approx(operations)
    hot, cold = predict([item], activity=0.9), predict([item], activity=0.1)
    assert hot.tops_per_w[0] <= result.tops_per_w[0] <= cold.tops_per_w[0]
    higher = predict([replace(item, supply_v=supply * 1.05)])
    assert all(higher.energy[k][0] >= 0.999 * result.energy[k][0] for k in ("array", "adc", "dac"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"device": "MRAM"}, "device 'MRAM' has no model"),
        ({"device": ""}, "without device"),
        ({"kind": "DIMC", "device": "RRAM"}, "digital in-memory computing on RRAM"),
        ({"kind": "NPU"}, "type 'NPU'"),
        ({"node_nm": NAN, "rows": NAN}, "node_nm, rows not given"),
        ({"weight_bits": NAN, "input_bits": NAN}, "neither weight_bits nor input_bits"),
        ({"node_nm": 1.0}, "node_nm = 1 lies outside"),
        ({"weight_bits": 32.0}, "weight_bits = 32 lies outside"),
        ({"problems": ("supply_v is '0.6-1.0'",)}, "cannot read supply_v is '0.6-1.0'"),
    ],
)
def test_what_cannot_be_modelled_says_why(change: dict[str, object], reason: str) -> None:
    item = compare([replace(PLAIN, **change)])[0]  # type: ignore[arg-type]
    assert reason in item.skipped_because
    assert math.isnan(item.tops_per_w)


def test_gaps_are_filled_and_said() -> None:
    bare = replace(PLAIN, supply_v=NAN, adc_bits=NAN, kind="AIMC", frequency_mhz=NAN)
    item = layout(bare)
    assert item.supply_v == pytest.approx(0.9)
    assert item.adc_bits == 4
    said = "; ".join(item.assumptions)
    for word in ("supply 0.9 V", "ADC of 4 bits", "activity 50 %", "cycle time", "64 of 64 rows"):
        assert word in said
    # 4.2 V programs a device; no logic runs at it.
    assert layout(replace(RRAM, supply_v=4.2, node_nm=130.0)).supply_v == pytest.approx(1.5)


def test_summary_gives_each_chip_one_vote() -> None:
    rows = [
        replace(PLAIN, reference=chip, tops_per_w=compare([PLAIN])[0].tops_per_w / ratio)
        for chip, ratio in [("a", 2.0), ("a", 2.0), ("a", 2.0), ("b", 1.2), ("c", 1.1)]
    ]
    rows.append(replace(rows[0], data_kind="simulator", reference="d"))
    rows.append(replace(rows[0], energy_usable=False, reference="e"))
    found = summarise(compare(rows))
    assert (found.rows, found.chips) == (5, 3)
    assert found.median_factor == pytest.approx(1.2)
    assert found.within_1_5 == pytest.approx(2 / 3)
    assert found.within_3 == 1.0
    assert summarise(compare(rows), by_chip=False).median_factor == pytest.approx(2.0)


def test_halves_follow_their_rule() -> None:
    """Within each stratum publications in order of year and reference alternate, calibration first."""
    strata: dict[tuple[str, bool], dict[str, list[Macro]]] = {}
    native = {macro.reference for macro in MACROS if not math.isnan(macro.tops_per_w)}
    for macro in MACROS:
        if not macro.simulated:
            stratum = "DIMC" if macro.kind == "DIMC" else macro.device
            strata.setdefault((stratum, macro.reference in native), {}).setdefault(
                macro.reference, []
            ).append(macro)
    years = {name: _year(name) for publications in strata.values() for name in publications}
    for publications in strata.values():
        for i, name in enumerate(sorted(publications, key=lambda name: (years[name], name))):
            assert {macro.half for macro in publications[name]} == {("calibration", "check")[i % 2]}, name


def _year(reference: str) -> int:
    import csv
    from importlib.resources import files

    text = files("nasbench_imc.hardware").joinpath("silicon_macros.csv").read_text(encoding="utf-8")
    return min(int(row["year"]) for row in csv.DictReader(text.splitlines()) if row["ref"] == reference)


def test_calibration_is_what_its_half_gives_and_reads_no_other() -> None:
    altered = [
        replace(m, tops_per_w=m.tops_per_w * 100, tops_per_w_1b=m.tops_per_w_1b * 100)
        if m.half != "calibration"
        else m
        for m in MACROS
    ]
    fit = calibrate(altered)
    shipped = {name: c.value for name, c in load_constants().items() if is_calibrated(c)}
    assert set(shipped) == set(CALIBRATED)
    assert fit.values == pytest.approx(shipped, rel=0.02)
    assert fit.after < fit.before


def test_check_half_is_as_near_as_published() -> None:
    """The goal of 3x is met. That of a median within 1.5x is not: it is 2.03, which this holds."""
    found = summarise(compare([macro for macro in MACROS if macro.half == "check"]))
    assert found.chips == 11
    assert found.within_3 >= 0.9
    assert found.median_factor < 2.1


def test_known_activity_is_within_a_half() -> None:
    known = [item for item in compare(MACROS) if item.activity_known and item.counts]
    assert len(known) == 3
    assert all(1 / 1.5 < item.ratio < 1.5 for item in known)
    assert all(item.interval[0] == item.interval[1] for item in known)


@pytest.mark.parametrize(
    ("start", "factor"),
    [
        ("ZigZag-IMC AIMC1", 1.15),
        ("ZigZag-IMC AIMC3", 1.5),
        ("ZigZag-IMC DIMC1", 1.5),
        ("ZigZag-IMC DIMC3", 1.5),
    ],
)
def test_zigzag_equations_on_zigzags_chips(start: str, factor: float) -> None:
    """Energy model/silicon by ZigZag-IMC itself: 0.89, 1.01, 1.01, 0.98 (DIMC3 with activity it fitted)."""
    theirs = {"AIMC1": 0.89, "AIMC3": 1.01, "DIMC1": 1.01, "DIMC3": 0.98}[start.split()[1]]
    (item,) = compare([m for m in MACROS if m.name.startswith(start)], constants=PUBLISHED)
    ours = 1.0 / item.ratio
    assert 1 / factor < ours / theirs < factor


def chain(layers: list[Layer]) -> Network:
    producers: tuple[tuple[int, ...], ...] = ((), *((i,) for i in range(len(layers) - 1)))
    return Network(tuple(layers), producers, layers[0].input_elements)


def conv(inputs: int, outputs: int, size: int) -> Layer:
    return Layer("mvm", 9 * inputs, outputs, size * size, 1, inputs * size * size)


def sliced(**fields: object) -> HardwareConfig:
    common = {
        "id": "chip",
        "family": "rram-sliced",
        "rows": 128,
        "columns": 128,
        "cell_bits": 1,
        "differential": False,
        "combine": "digital",
        "input_mode": "serial",
        "dac_bits": 1,
        "columns_per_adc": 8,
    }
    return HardwareConfig(**{**common, **fields})  # type: ignore[arg-type]


def test_isaac_chip_within_two() -> None:
    # ISAAC (ISCA 2016): 2-bit cells, 8-bit ADC an array, 96 arrays a tile, 32 nm. 0.63 TOPS/W at 16 x 16
    # bits as tabulated by Aguirre et al. (Nat. Commun. 2024); weights here have 8 bits: half as many slices.
    isaac = sliced(
        cell_bits=2,
        adc_bits=8,
        columns_per_adc=128,
        active_rows=128,
        node_nm=32.0,
        input_bits=16,
        arrays_per_tile=96,
    )
    metrics = network_costs([chain([conv(512, 512, 14)] * 8)], [isaac])
    at_16_bits = derive(metrics)["tops_per_w"][0, 0] / 2
    assert 0.63 / 2 < at_16_bits < 0.63 * 2


def test_hermes_chip_within_two() -> None:
    hermes = [item for item in compare(MACROS) if "HERMES" in item.macro.name]
    assert [item.macro.tops_per_w for item in hermes] == [9.76, 2.48]
    assert all(1 < item.ratio < 2 for item in hermes)  # the network and the digital cores are not in it


def test_neurosim_vgg8_on_sram_within_three() -> None:
    """NeuroSim V1.4 user manual, Table VII: 22 nm SRAM, 32 and 64 rows in parallel, 4-bit ADC."""
    sizes = [(3, 128, 32), (128, 128, 32), (128, 256, 16), (256, 256, 16), (256, 512, 8), (512, 512, 8)]
    dense = [Layer("mvm", 8192, 1024, 1, 1, 8192), Layer("mvm", 1024, 10, 1, 1, 1024)]
    vgg8 = chain([*(conv(*size) for size in sizes), *dense])
    chips = [
        sliced(id=f"r{rows}", family="sram-analog", adc_bits=4, active_rows=rows, node_nm=22.0, supply_v=0.8)
        for rows in (32, 64)
    ]
    metrics = network_costs([vgg8], chips)
    efficiency, area = derive(metrics)["tops_per_w"][0], metrics["area"][0]
    for ours, theirs in [
        *zip(efficiency, [8.76, 17.13], strict=True),
        *zip(area, [85.97, 84.39], strict=True),
    ]:
        assert 1 / 3 < ours / theirs < 3
    assert efficiency[1] / efficiency[0] == pytest.approx(17.13 / 8.76, rel=0.25)


def test_every_modelled_macro_has_an_interval_around_its_prediction() -> None:
    for item in compare(MODELLED):
        low, high = item.interval
        assert low <= item.tops_per_w <= high, item.macro.name
        assert item.energy is not None
        assert sum(item.energy.values()) == pytest.approx(1.0)
