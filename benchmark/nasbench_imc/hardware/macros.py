"""Published macros as data: reading a CSV file of them, with all that such a file may lack.

A file has one row a measured operating point, in the columns of the shipped ``silicon_macros.csv``. Its
header may be in any order and case and hold further columns. What a row says besides, in its ``notes``, is
read where it has one of a few fixed forms ("dot-product N=64", "T_core_ns=5", "50% toggle", ...).
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

from nasbench_imc.errors import MacroFileError

Half = Literal["calibration", "check", ""]

#: Columns without which nothing can be predicted.
REQUIRED = ("name", "device", "node_nm", "rows", "cols")

# Factor from a unit that may follow a number to the unit of its column.
_UNITS: Mapping[str, Mapping[str, float]] = {
    "node_nm": {"nm": 1.0, "um": 1e3},
    "supply_v": {"v": 1.0, "mv": 1e-3},
    "freq_mhz": {"mhz": 1.0, "ghz": 1e3, "khz": 1e-3, "hz": 1e-6},
    "area_mm2": {"mm2": 1.0, "um2": 1e-6},
    "tops_per_w": {"tops/w": 1.0, "gops/w": 1e-3, "pops/w": 1e3},
    "tops_per_mm2": {"tops/mm2": 1.0, "gops/mm2": 1e-3, "pops/mm2": 1e3},
    **{
        name: {"b": 1.0, "bit": 1.0, "bits": 1.0}
        for name in ("cell_bits", "weight_bits", "input_bits", "adc_bits")
    },
}
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE)
_MISSING = frozenset({"", "-", "--", "n/a", "na", "nan", "none", "null", "unknown", "?"})

_NOTES: Mapping[str, re.Pattern[str]] = {
    "dot_product": re.compile(r"dot-product N\s*=\s*([\d.]+)", re.IGNORECASE),
    "active_rows": re.compile(
        r"activates (\d+)\s*x\s*\d+ subset|(\d+) rows activated in parallel", re.IGNORECASE
    ),
    "cycle_ns": re.compile(r"T_core_ns\s*=\s*([\d.]+)", re.IGNORECASE),
    "toggle": re.compile(r"([\d.]+)\s*% toggle", re.IGNORECASE),
    "sparsity": re.compile(r"([\d.]+)\s*% (?:\w+ )?sparsity", re.IGNORECASE),
    "bits_a_cycle": re.compile(r"([\d.]+)b/cycle", re.IGNORECASE),
    "precision_product": re.compile(r"input_bits\*weight_bits product ([\d.]+)", re.IGNORECASE),
}
_PHASES = re.compile(r"(one|two|four|eight)-phase read", re.IGNORECASE)
_PHASE_NUMBER = {"one": 1.0, "two": 2.0, "four": 4.0, "eight": 8.0}
_NO_ENERGY = re.compile(r"do not use for energy", re.IGNORECASE)
_CURRENT = re.compile(r"compute model (?:IS|QS)\b(?!-)", re.IGNORECASE)
_SERIAL = re.compile(r"serial input", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Macro:
    """One measured operating point of a published macro; NaN is a number that is not known.

    Attributes
    ----------
    name, reference : str
        Rows of one ``reference`` are one chip.
    kind : str
        ``"AIMC"``, ``"DIMC"`` or whatever the file says, in upper case; "" if it says nothing.
    device : str
        ``"SRAM"``, ``"RRAM"``, ``"PCM"`` or whatever the file says.
    node_nm, supply_v, frequency_mhz
        [nm], [V], [MHz]
    rows, columns, cell_bits, weight_bits, input_bits, adc_bits
        Of the array, and of one reading of it [bit].
    tops_per_w, tops_per_mm2, tops_per_w_1b, tops_per_mm2_1b, area_mm2
        Published figures; ``_1b``: per one-bit operation.
    data_kind, half : str
        How the figures were obtained; the half of the shipped file that the row belongs to.
    dot_product, cycle_ns, toggle, sparsity, bits_a_cycle, phases, precision_product
        From the notes: rows read together, time of one reading [ns], shares [1], input bits a cycle,
        readings an operation, and input bits x weight bits at which ``tops_per_w`` holds.
    serial : bool
        Whether the notes call the input serial.
    current_domain : bool
        Whether the notes say that cells discharge their line (current summing, charge sharing without
        redistribution) and not a capacitor of their own.
    energy_usable : bool
        False where the notes forbid its use for energy.
    problems : tuple of str
        Fields that could not be read, with what they hold.
    """

    name: str
    reference: str
    kind: str
    device: str
    node_nm: float
    rows: float
    columns: float
    cell_bits: float
    weight_bits: float
    input_bits: float
    adc_bits: float
    supply_v: float
    frequency_mhz: float
    tops_per_w: float
    tops_per_mm2: float
    tops_per_w_1b: float
    tops_per_mm2_1b: float
    area_mm2: float
    data_kind: str
    half: str
    dot_product: float
    cycle_ns: float
    toggle: float
    sparsity: float
    bits_a_cycle: float
    phases: float
    precision_product: float
    serial: bool
    current_domain: bool
    energy_usable: bool
    problems: tuple[str, ...]

    @property
    def simulated(self) -> bool:
        """Whether the figures come from a simulator and not from silicon."""
        return "simul" in self.data_kind.lower()


def shipped_macros() -> list[Macro]:
    """The macros that come with the package."""
    with as_file(files(__package__).joinpath("silicon_macros.csv")) as path:
        return read_macros(path)


def read_macros(path: Path) -> list[Macro]:
    """Read a CSV file of macros.

    Raises
    ------
    MacroFileError
        If the file is not text in UTF-8, is empty, lacks one of :data:`REQUIRED`, names a column twice, or
        has a line with more fields than its header. A field that cannot be read makes no error: its row
        says so in ``problems``.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MacroFileError(f"{path}: not a text file in UTF-8 ({error})") from error
    if "\0" in text:
        raise MacroFileError(f"{path}: holds NUL bytes; a CSV file is expected")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
    except csv.Error as error:
        raise MacroFileError(f"{path}, line {reader.line_num}: not a CSV file: {error}") from error
    if not lines:
        raise MacroFileError(f"{path}: the file is empty; a header and one row a macro are expected")
    header = [column.strip().lower() for column in lines[0][1]]
    _check_header(path, header)
    if len(lines) == 1:
        raise MacroFileError(f"{path}: no macros below the header")
    macros: list[Macro] = []
    for line, values in lines[1:]:
        if len(values) > len(header):
            raise MacroFileError(
                f"{path}, line {line}: {len(values)} fields, but the header has {len(header)} columns"
            )
        row = dict(zip(header, (value.strip() for value in values), strict=False))
        macros.append(_macro(row, len(macros) + 1))
    return macros


def _check_header(path: Path, header: Sequence[str]) -> None:
    missing = [column for column in REQUIRED if column not in header]
    if missing:
        hint = "; fields are separated by commas, not semicolons" if any(";" in c for c in header) else ""
        raise MacroFileError(f"{path}: the header lacks {', '.join(missing)}{hint}")
    twice = sorted({column for column in header if column and header.count(column) > 1})
    if twice:
        raise MacroFileError(f"{path}: the header names {', '.join(twice)} more than once")


def _macro(row: Mapping[str, str], number: int) -> Macro:
    problems: list[str] = []

    def read(column: str) -> float:
        value = parse_number(row.get(column, ""), _UNITS.get(column, {}))
        if value is None or value <= 0:
            problems.append(f"{column} is {row[column]!r}")
            return math.nan
        return value

    notes = row.get("notes", "")
    noted = {name: _found(pattern, notes) for name, pattern in _NOTES.items()}
    phases = _PHASES.search(notes)
    return Macro(
        name=row.get("name", "") or f"row {number}",
        reference=row.get("ref", "") or row.get("name", "") or f"row {number}",
        kind=row.get("type", "").upper(),
        device=row.get("device", ""),
        node_nm=read("node_nm"),
        rows=read("rows"),
        columns=read("cols"),
        cell_bits=read("cell_bits"),
        weight_bits=read("weight_bits"),
        input_bits=read("input_bits"),
        adc_bits=read("adc_bits"),
        supply_v=read("supply_v"),
        frequency_mhz=read("freq_mhz"),
        tops_per_w=read("tops_per_w"),
        tops_per_mm2=read("tops_per_mm2"),
        tops_per_w_1b=read("tops_per_w_1b"),
        tops_per_mm2_1b=read("tops_per_mm2_1b"),
        area_mm2=read("area_mm2"),
        data_kind=row.get("data_kind", ""),
        half=row.get("half", ""),
        dot_product=noted["active_rows"] if math.isnan(noted["dot_product"]) else noted["dot_product"],
        cycle_ns=noted["cycle_ns"],
        toggle=noted["toggle"] / 100.0,
        sparsity=noted["sparsity"] / 100.0,
        bits_a_cycle=noted["bits_a_cycle"],
        phases=_PHASE_NUMBER[phases[1].lower()] if phases else 1.0,
        precision_product=noted["precision_product"],
        serial=bool(_SERIAL.search(notes)),
        current_domain=bool(_CURRENT.search(notes)),
        energy_usable=not _NO_ENERGY.search(notes),
        problems=tuple(problems),
    )


def parse_number(text: str, units: Mapping[str, float]) -> float | None:
    """A number that a known unit may follow; NaN where nothing is given, None where it cannot be read.

    Parameters
    ----------
    text : str
        For example ``"28"``, ``"28 nm"`` or ``"900mV"``.
    units : mapping of str to float
        Factor of each unit that may follow, in lower case.
    """
    text = text.strip().lower().replace("²", "2").replace("µ", "u").replace("μ", "u")
    if text in _MISSING:
        return math.nan
    match = _NUMBER.match(text)
    if match is None:
        return None
    unit = text[match.end() :].strip()
    if unit and unit not in units:
        return None
    value = float(match[0]) * units.get(unit, 1.0)
    return value if math.isfinite(value) else None


def _found(pattern: re.Pattern[str], notes: str) -> float:
    match = pattern.search(notes)
    value = parse_number(next(filter(None, match.groups())), {}) if match else math.nan
    return math.nan if value is None else value
