"""IMC configurations as data: what a chip is made of, and the grid that the tables cover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from nasbench_imc.errors import unknown

Combine = Literal["analog", "digital"]
InputMode = Literal["pwm", "multibit", "serial"]

FAMILIES = ("sram-digital", "sram-analog", "rram-sliced", "rram-analog", "pcm")
_COMBINES = ("analog", "digital")
_INPUT_MODES = ("pwm", "multibit", "serial")

_ALL_TIMES = ("t0", "60s", "1h", "1d", "30d")
FAMILY_TIMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sram-digital": _ALL_TIMES,  # SRAM does not drift: one accuracy serves every time
        "sram-analog": _ALL_TIMES,
        "rram-sliced": ("1d",),  # the RRAM measurements end at two days
        "rram-analog": ("1d",),
        "pcm": _ALL_TIMES,
    }
)
"""Times since programming for which a family may have an accuracy."""

# Nodes for which the scaling factors of constants.csv are published, and supplies at which the
# alpha-power law is used: well above the threshold voltage.
NODE_RANGE = (7.0, 130.0)
SUPPLY_RANGE = (0.5, 1.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareConfig:
    """One IMC chip organisation.

    Attributes
    ----------
    id : str
        Unique name, for example ``"pcm-r256-adc8-mux4"``.
    family : str
        One of :data:`FAMILIES`.
    reference : str
        Display name of a named reference chip, or "".
    accuracy_class : str
        Configurations of one class have one accuracy: it names what fixes accuracy. "" where no
        accuracy is known.
    rows, columns : int
        Rows, and device columns, of one array [cells].
    cell_bits : int
        Bits stored in a cell [bit]; 8 means an analog (multi-level) device that holds a whole weight.
        A weight of b bits takes ``ceil(b / cell_bits)`` columns, twice that if ``differential``.
    differential : bool
        Whether a weight is the difference of two devices.
    combine : {"analog", "digital"}
        Where bit columns, slices and pairs are summed: before the ADC (one conversion an output), or
        after it (one conversion a column).
    input_mode : {"pwm", "multibit", "serial"}
        How an input reaches a row: as the width of a pulse, (2^dac_bits - 1) steps long; as a voltage
        of ``dac_bits`` bits; or bit by bit.
    input_bits : int
        Bits of an activation [bit].
    dac_bits : int
        Input bits that are applied at a time [bit]; an input takes ``ceil(input_bits / dac_bits)`` steps.
    adc_bits : int or None
        Resolution of the ADC [bit]; None for ``sram-digital``, which has none.
    columns_per_adc : int or None
        Conversion outputs that share one ADC; None for ``sram-digital``. An array has as many
        conversion outputs as weights in a row (``combine="analog"``) or columns (``"digital"``).
    active_rows : int
        Rows that are read together [rows]; the array is swept in groups of so many rows.
    node_nm : float
        Technology node [nm].
    supply_v : float
        Supply voltage [V].
    arrays_per_tile : int
        Arrays that share a buffer and a router.
    tiles : int or None
        Tiles of the chip. None: the chip is sized to the network, ``ceil(arrays / arrays_per_tile)``
        tiles, and nothing is reloaded. A number: what does not fit is reloaded in every inference.
    adc_energy, adc_time, adc_area : float or None
        Energy [pJ] and time [ns] of a conversion and area of an ADC [um2], as known of a chip, at its own
        node and supply; None takes the ADC model's.
    replication : float
        Arrays that may hold weights, over those that one copy of them takes; 1 makes no copies. Copies
        of a layer share its pixels. A chip of fixed ``tiles`` has no more arrays than that.
    attention_rows, attention_columns, attention_arrays : int or None
        Rows and columns [cells] of digital SRAM arrays for the products of activations, whose second
        operand is written into them in every inference, and their number on the chip. None, all three:
        such products run on the digital unit.

    Raises
    ------
    ValueError
        If a field lies outside what is valid; the message says what is.
    """

    id: str
    family: str
    rows: int
    columns: int
    cell_bits: int
    differential: bool
    combine: Combine
    input_mode: InputMode
    dac_bits: int
    active_rows: int
    adc_bits: int | None = None
    columns_per_adc: int | None = None
    input_bits: int = 8
    node_nm: float = 28.0
    supply_v: float = 0.9
    arrays_per_tile: int = 16
    tiles: int | None = None
    adc_energy: float | None = None
    adc_time: float | None = None
    adc_area: float | None = None
    replication: float = 1.0
    attention_rows: int | None = None
    attention_columns: int | None = None
    attention_arrays: int | None = None
    reference: str = ""
    accuracy_class: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("HardwareConfig.id must not be empty")
        if self.family not in FAMILIES:
            raise unknown("family", self.family, FAMILIES)
        if self.combine not in _COMBINES:
            raise unknown("combine", self.combine, _COMBINES)
        if self.input_mode not in _INPUT_MODES:
            raise unknown("input_mode", self.input_mode, _INPUT_MODES)
        self._in_range("rows", 1, 65536)
        self._in_range("columns", 1, 65536)
        self._in_range("cell_bits", 1, 8)
        self._in_range("input_bits", 1, 16)
        self._in_range("dac_bits", 1, self.input_bits)
        self._in_range("active_rows", 1, self.rows)
        self._in_range("arrays_per_tile", 1, 65536)
        if self.tiles is not None:
            self._in_range("tiles", 1, 2**31)
        if not NODE_RANGE[0] <= self.node_nm <= NODE_RANGE[1]:
            raise ValueError(f"{self.id}: node_nm must lie in {NODE_RANGE} nm, not {self.node_nm}")
        if not SUPPLY_RANGE[0] <= self.supply_v <= SUPPLY_RANGE[1]:
            raise ValueError(f"{self.id}: supply_v must lie in {SUPPLY_RANGE} V, not {self.supply_v}")
        if not 1 <= self.replication <= 65536:
            raise ValueError(f"{self.id}: replication must lie from 1 to 65536, not {self.replication!r}")
        self._check_attention()
        if self.columns < self.slices(8):
            raise ValueError(
                f"{self.id}: {self.columns} columns cannot hold one 8-bit weight, "
                f"which takes {self.slices(8)} of them"
            )
        if self.family == "sram-digital":
            self._check_digital()
        else:
            self._check_analog()

    def _check_attention(self) -> None:
        fields = ("attention_rows", "attention_columns", "attention_arrays")
        given = [field for field in fields if getattr(self, field) is not None]
        if given and len(given) < len(fields):
            raise ValueError(f"{self.id}: {', '.join(fields)} must all be given, or none of them")
        for field in given:
            self._in_range(field, 1, 65536)
        if self.attention_columns is not None and self.attention_columns < self.input_bits:
            raise ValueError(
                f"{self.id}: attention_columns must be at least {self.input_bits}, the bits of an activation"
            )

    def _check_digital(self) -> None:
        given = (self.adc_bits, self.columns_per_adc, self.adc_energy, self.adc_time, self.adc_area)
        if any(value is not None for value in given):
            raise ValueError(f"{self.id}: sram-digital has no ADC; its fields must be None")
        if self.input_mode != "serial" or self.combine != "digital" or self.differential:
            raise ValueError(
                f"{self.id}: sram-digital takes serial input, combines digitally and is not differential"
            )
        if self.dac_bits != 1 or self.cell_bits != 1 or self.active_rows != self.rows:
            raise ValueError(
                f"{self.id}: sram-digital has 1-bit cells and inputs, and an adder tree over all rows "
                "(cell_bits = dac_bits = 1, active_rows = rows)"
            )

    def _check_analog(self) -> None:
        if self.adc_bits is None or self.columns_per_adc is None:
            raise ValueError(f"{self.id}: {self.family} needs adc_bits (1 to 14) and columns_per_adc")
        self._in_range("adc_bits", 1, 14)
        self._in_range("columns_per_adc", 1, self.columns)
        for field in ("adc_energy", "adc_time", "adc_area"):
            value = getattr(self, field)
            if value is not None and not 0 <= value <= 1e9:
                raise ValueError(f"{self.id}: {field} must lie from 0 to 1e9, not {value!r}")
        if self.family == "sram-analog" and self.cell_bits != 1:
            raise ValueError(f"{self.id}: an SRAM cell holds 1 bit, not {self.cell_bits}")
        if self.input_mode == "serial" and self.dac_bits != 1:
            raise ValueError(f"{self.id}: serial input applies 1 bit at a time, not {self.dac_bits}")

    def _in_range(self, field: str, low: int, high: int) -> None:
        value = getattr(self, field)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{self.id}: {field} must be an integer from {low} to {high}, not {value!r}")

    def slices(self, weight_bits: int) -> int:
        """Device columns that one weight of ``weight_bits`` bits takes [columns]."""
        return -(-weight_bits // self.cell_bits) * (2 if self.differential else 1)


GRID_ROWS = (64, 128, 256)
GRID_ADC_BITS = (5, 6, 8)
GRID_COLUMNS_PER_ADC = (4, 16)

# Eight configurations with a name, of eight accuracy classes. "-like" is said of the circuit: all are
# costed at the same node and in the same tile, not at those of the chips they are called after.
_REFERENCES = {
    "sram-digital-r128": "Digital SRAM",
    "sram-analog-r256-adc8-mux4": "Charge-domain SRAM",
    "sram-analog-r64-adc6-mux4": "Charge-domain SRAM, 6-bit ADC",
    "rram-sliced-r128-adc8-mux16": "ISAAC-like RRAM",
    "rram-sliced-r64-adc6-mux16": "ISAAC-like RRAM, 6-bit ADC",
    "rram-analog-r256-adc8-mux16": "NeuRRAM-like RRAM",
    "pcm-r256-adc8-mux4": "HERMES-like PCM",
    "pcm-r128-adc6-mux4": "HERMES-like PCM, 6-bit ADC",
}


def sliced_active_rows(rows: int, adc_bits: int, cell_bits: int, dac_bits: int) -> int:
    """Rows that a bit-sliced array reads together: one bit below a lossless ADC.

    An ADC loses nothing if adc_bits = log2(rows) + cell_bits + dac_bits, one less when cells or inputs
    have one bit (mapping rule 2). With a range calibrated on data one bit fewer costs next to nothing, so
    twice as many rows are read. Two bits fewer, simulated exactly with 5-bit ADCs, cost two networks 18 and 9
    points.
    """
    return max(1, min(rows, int(2 * 2.0 ** (adc_bits - cell_bits - dac_bits + 1))))


def _sram_digital(rows: int) -> HardwareConfig:
    name = f"sram-digital-r{rows}"
    return HardwareConfig(
        id=name,
        family="sram-digital",
        reference=_REFERENCES.get(name, ""),
        accuracy_class="sram-digital-int8",  # exact arithmetic: the number of rows changes nothing
        rows=rows,
        columns=rows,
        cell_bits=1,
        differential=False,
        combine="digital",
        input_mode="serial",
        dac_bits=1,
        active_rows=rows,
    )


def _with_adc(family: str, rows: int, adc_bits: int, columns_per_adc: int) -> HardwareConfig:
    """A grid configuration of a family that has ADCs.

    ``sram-analog``: bit columns combined in charge, 8-bit inputs through a C-2C ladder. ``rram-sliced``:
    2-bit slices with offset encoding and bit-serial input, as ISAAC. ``rram-analog`` and ``pcm``:
    differential pairs subtracted before the ADC and pulse-width inputs, as NeuRRAM and HERMES.
    """
    sram, sliced = family == "sram-analog", family == "rram-sliced"
    cell_bits = 1 if sram else 2 if sliced else 8
    dac_bits = 1 if sliced else 8
    name = f"{family}-r{rows}-adc{adc_bits}-mux{columns_per_adc}"
    active_rows = sliced_active_rows(rows, adc_bits, cell_bits, dac_bits) if sliced else rows
    return HardwareConfig(
        id=name,
        family=family,
        reference=_REFERENCES.get(name, ""),
        accuracy_class=f"{family}-r{active_rows}-adc{adc_bits}",  # what is read together, not what there is
        rows=rows,
        columns=rows,
        cell_bits=cell_bits,
        differential=not sram and not sliced,
        combine="digital" if sliced else "analog",
        input_mode="multibit" if sram else "serial" if sliced else "pwm",
        dac_bits=dac_bits,
        adc_bits=adc_bits,
        columns_per_adc=columns_per_adc,
        active_rows=active_rows,
    )


def _aihwkit_chip() -> HardwareConfig:
    """The PCM chip that AnalogNAS-Bench simulated: 512 x 512 tiles, 8-bit inputs and outputs."""
    return HardwareConfig(
        id="pcm-r512-adc8-mux4",
        family="pcm",
        accuracy_class="pcm-aihwkit-t512",
        rows=512,
        columns=1024,  # 512 outputs, each a pair of device columns
        cell_bits=8,
        differential=True,
        combine="analog",
        input_mode="pwm",
        dac_bits=8,
        adc_bits=8,
        columns_per_adc=4,
        active_rows=512,
    )


@lru_cache(maxsize=1)
def grid() -> tuple[HardwareConfig, ...]:
    """The configurations of the tables: the grid of 75, then the PCM chip of AnalogNAS-Bench."""
    digital = (_sram_digital(rows) for rows in GRID_ROWS)
    others = (
        _with_adc(family, rows, bits, mux)
        for family in FAMILIES[1:]
        for rows in GRID_ROWS
        for bits in GRID_ADC_BITS
        for mux in GRID_COLUMNS_PER_ADC
    )
    return (*digital, *others, _aihwkit_chip())
