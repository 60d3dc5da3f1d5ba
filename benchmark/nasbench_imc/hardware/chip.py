"""Chips as TOML files: reading, checking, and costs of networks on them.

:data:`FIELDS` lists every field, what is valid and what it means; ``chips/README.md`` beside this file
shows it as a page, and ``chips/*.toml`` are the chips that ship.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nasbench_imc.errors import ChipError, unknown
from nasbench_imc.hardware.components import ADC_MODELS, AdcModel
from nasbench_imc.hardware.config import FAMILIES, NODE_RANGE, SUPPLY_RANGE, HardwareConfig
from nasbench_imc.hardware.constants import Constant, Constants, FloatArray, load_constants, with_values
from nasbench_imc.hardware.cost import deployment_costs, derive, network_costs
from nasbench_imc.networks import Network

_NAMES = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a chip file.

    Attributes
    ----------
    path : str
        Name, after its section and a dot where it has one.
    type : type
        int, float, bool or str.
    default : str
        What holds where it is left out, in words; "required" where it may not be.
    meaning : str
    target : str
        Field of :class:`~nasbench_imc.hardware.config.HardwareConfig` that it sets; "" where none.
    low, high : float
        Range of a number.
    choices : tuple of str
        Valid texts; empty where any is.
    """

    path: str
    type: type
    default: str
    meaning: str
    target: str = ""
    low: float = 0.0
    high: float = 0.0
    choices: tuple[str, ...] = ()

    @property
    def valid(self) -> str:
        """What is valid, in words."""
        if self.choices:
            return "one of " + ", ".join(f'"{choice}"' for choice in self.choices)
        if self.type in (int, float):
            return f"{_NAMES[self.type]} from {self.low:.10g} to {self.high:.10g}"
        return _NAMES[self.type]


def _integer(path: str, high: int, default: str, meaning: str, target: str = "") -> Field:
    return Field(path, int, default, meaning, target or path.split(".")[-1], 1, high)


def _number(path: str, low: float, high: float, default: str, meaning: str, target: str = "") -> Field:
    return Field(path, float, default, meaning, target or path.split(".")[-1], low, high)


_BY_FAMILY = "by family"
_REQUIRED = "required"
_MODEL = "by the ADC model"
FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        field.path: field
        for field in (
            Field("name", str, _REQUIRED, "Name of the chip in what is printed and written.", "id"),
            Field("description", str, '""', "Any text: what the chip is, where its figures come from."),
            Field("family", str, _REQUIRED, "Kind of cell and read-out.", "family", choices=FAMILIES),
            _number("node_nm", *NODE_RANGE, "28", "Technology node [nm]."),
            _number("supply_v", *SUPPLY_RANGE, "0.9", "Supply voltage [V]."),
            _integer("input_bits", 16, "8", "Bits of an activation."),
            Field("weight_bits", int, "8", "Bits of a weight, where the command names none.", "", 1, 8),
            _integer("array.rows", 65536, _REQUIRED, "Rows of one array [cells]."),
            _integer("array.columns", 65536, _REQUIRED, "Device columns of one array [cells]."),
            _integer("array.cell_bits", 8, _BY_FAMILY, "Bits of one cell; 8: a device holds a whole weight."),
            Field("array.differential", bool, _BY_FAMILY, "A weight is a pair of devices.", "differential"),
            Field(
                "array.combine",
                str,
                _BY_FAMILY,
                "Where bit columns, slices and pairs are summed: before the ADC (one conversion an output) "
                "or after it (one a column).",
                "combine",
                choices=("analog", "digital"),
            ),
            Field(
                "array.input_mode",
                str,
                _BY_FAMILY,
                "How an input reaches a row: pulse width, voltage of `dac_bits` bits, or bit by bit.",
                "input_mode",
                choices=("pwm", "multibit", "serial"),
            ),
            _integer("array.dac_bits", 16, _BY_FAMILY, "Input bits applied at a time."),
            _integer("array.active_rows", 65536, "`array.rows`", "Rows read together."),
            _integer("adc.bits", 14, "required but for sram-digital", "Resolution of the ADC.", "adc_bits"),
            _integer(
                "adc.columns_per_adc", 65536, "required but for sram-digital", "Outputs that share an ADC."
            ),
            Field(
                "adc.model",
                str,
                '"zigzag"',
                "ADC model: the formula of ZigZag-IMC, or the fit of hwcomponents-adc to Murmann's survey.",
                choices=ADC_MODELS,
            ),
            _number(
                "adc.energy_pj", 0, 1e6, _MODEL, "Energy of one conversion [pJ], not scaled.", "adc_energy"
            ),
            _number("adc.time_ns", 0, 1e6, _MODEL, "Time of one conversion [ns], not scaled.", "adc_time"),
            _number("adc.area_um2", 0, 1e9, _MODEL, "Area of one ADC [um2], not scaled.", "adc_area"),
            _integer("organisation.arrays_per_tile", 65536, "16", "Arrays that share a buffer and a router."),
            _integer(
                "organisation.tiles",
                2**31,
                "sized to the network",
                "Tiles of the chip; what does not fit is reloaded in every inference.",
            ),
            _number(
                "organisation.replication",
                1,
                65536,
                "1",
                "Arrays that may hold copies of weights, over those of one copy; no more than `tiles` has.",
            ),
            _integer(
                "attention.rows",
                65536,
                "products of activations on the digital unit",
                "Rows of the digital SRAM arrays for products of activations [cells].",
                "attention_rows",
            ),
            _integer(
                "attention.columns",
                65536,
                "required with `attention.rows`",
                "Their columns [cells].",
                "attention_columns",
            ),
            _integer(
                "attention.arrays",
                65536,
                "required with `attention.rows`",
                "Their number on the chip.",
                "attention_arrays",
            ),
        )
    }
)
"""Fields of a chip file by path. A section ``[constants]`` may set any constant of constants.csv as well."""

_SECTIONS = tuple(dict.fromkeys(path.split(".")[0] for path in FIELDS if "." in path))

# What a family is where the file says nothing: the circuits of the grid (config.grid).
_DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "sram-digital": {"cell_bits": 1, "differential": False, "combine": "digital", "dac_bits": 1},
        "sram-analog": {"cell_bits": 1, "differential": False, "combine": "analog", "dac_bits": 8},
        "rram-sliced": {"cell_bits": 2, "differential": False, "combine": "digital", "dac_bits": 1},
        "rram-analog": {"cell_bits": 8, "differential": True, "combine": "analog", "dac_bits": 8},
        "pcm": {"cell_bits": 8, "differential": True, "combine": "analog", "dac_bits": 8},
    }
)
_INPUT_MODES = MappingProxyType(
    {"sram-digital": "serial", "sram-analog": "multibit", "rram-sliced": "serial"}
    | {"rram-analog": "pwm", "pcm": "pwm"}
)

# Constants that may not be zero are divisors or exponents; these are sums and products.
_MAY_BE_ZERO = ("fF", "pJ", "pJ/bit", "um2", "mW", "mW/um2", "uA")
_SHARES = ("activity", "mean_weight", "nvm_array_efficiency")
_FACTOR = 1000.0  # how far a constant may be moved: a slip in its unit is further


@dataclass(frozen=True, slots=True)
class Chip:
    """A chip as its file says.

    Attributes
    ----------
    config : HardwareConfig
        Its organisation.
    weight_bits : int
        Bits of a weight unless asked otherwise.
    adc_model : {"zigzag", "survey"}
    constants : Mapping of str to Constant
        Those of constants.csv, with the file's own values.
    description : str
    """

    config: HardwareConfig
    weight_bits: int
    adc_model: AdcModel
    constants: Constants
    description: str

    def costs(self, networks: Sequence[Network], weight_bits: int | None = None) -> dict[str, FloatArray]:
        """All metrics of networks on this chip: stored, derived, and of deployment.

        Parameters
        ----------
        networks : sequence of Network, length A
        weight_bits : int, optional

        Returns
        -------
        dict of str to ndarray (A,)
            As :func:`~nasbench_imc.hardware.cost.network_costs`,
            :func:`~nasbench_imc.hardware.cost.derive` and
            :func:`~nasbench_imc.hardware.cost.deployment_costs` describe them.

        Raises
        ------
        ValueError
            If a network has no layers.
        """
        bits = self.weight_bits if weight_bits is None else weight_bits
        metrics = network_costs(
            networks, [self.config], bits, constants=self.constants, adc_model=self.adc_model
        )
        metrics |= derive(metrics)
        metrics |= deployment_costs(networks, [self.config], bits, constants=self.constants)
        return {name: values[:, 0] for name, values in metrics.items()}


def shipped_chips() -> tuple[str, ...]:
    """Names of the chips that ship, sorted."""
    folder = files(__package__).joinpath("chips")
    return tuple(sorted(path.name[:-5] for path in folder.iterdir() if path.name.endswith(".toml")))


def load_chip(chip: str | Path) -> Chip:
    """Read a chip: a file, or the name of one that ships.

    Raises
    ------
    ChipError
        If the file is no TOML, or a field is unknown, missing, of another type or out of range.
    UnknownNameError
        If it is neither a file nor the name of a shipped chip.
    """
    path = Path(chip)
    if path.is_file():
        content = path.read_bytes()
    elif str(chip) in shipped_chips():
        content = files(__package__).joinpath("chips", f"{chip}.toml").read_bytes()
    else:
        raise unknown("chip (neither a file nor a name that ships)", str(chip), shipped_chips(), show=20)
    try:
        return parse_chip(content.decode("utf-8-sig"))
    except (ChipError, UnicodeDecodeError) as error:
        raise ChipError(f"{chip}: {error}") from None


def parse_chip(text: str) -> Chip:
    """Read a chip from the text of a TOML file.

    Raises
    ------
    ChipError
        As for :func:`load_chip`.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ChipError(f"not valid TOML: {error}") from None
    constants = _constants(document.pop("constants", {}))
    given = _fields(document)
    for path, field in FIELDS.items():
        if field.default == _REQUIRED and path not in given:
            raise ChipError(f"{path} is missing; it must be {field.valid}")
    family = given["family"]
    values = {**_DEFAULTS[family], "input_mode": _INPUT_MODES[family], "active_rows": given["array.rows"]}
    values |= {FIELDS[path].target: value for path, value in given.items() if FIELDS[path].target}
    values["dac_bits"] = given.get("array.dac_bits", min(values["dac_bits"], given.get("input_bits", 8)))
    try:
        config = HardwareConfig(**values)
    except ValueError as error:
        raise ChipError(str(error)) from None
    threshold = constants["threshold_voltage"].value
    supplies = [constant.supply_v for constant in constants.values() if constant.supply_v is not None]
    lowest = min(config.supply_v, constants["reference_supply"].value, *supplies)
    if threshold >= lowest:
        raise ChipError(
            "constants.threshold_voltage must lie below supply_v, reference_supply and the supplies at which "
            f"constants hold, all at least {lowest:g} V here, not at {threshold}"
        )
    return Chip(
        config=config,
        weight_bits=given.get("weight_bits", 8),
        adc_model=given.get("adc.model", "zigzag"),
        constants=constants,
        description=given.get("description", ""),
    )


def _fields(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document's values by path, each checked."""
    given: dict[str, Any] = {}
    for key, value in document.items():
        if key in _SECTIONS:
            if not isinstance(value, dict):
                raise ChipError(f"{key} must be a section, [{key}], not {value!r:.80}")
            given |= {f"{key}.{name}": inner for name, inner in value.items()}
        else:
            given[key] = value
    for path, value in given.items():
        if path not in FIELDS:
            section = path.rpartition(".")[0]
            near = [name for name in FIELDS if name.rpartition(".")[0] == section] if section else FIELDS
            names = [*near] if section else [*FIELDS, *_SECTIONS, "constants"]
            raise ChipError(str(unknown("field", path, names, show=40)))
        given[path] = _checked(FIELDS[path], value)
    return given


def _checked(field: Field, value: Any) -> Any:
    right = isinstance(value, int | float if field.type is float else field.type)
    if not right or (isinstance(value, bool) and field.type is not bool):
        raise ChipError(f"{field.path} must be {field.valid}, not {value!r:.80}")
    if field.choices and value not in field.choices:
        raise ChipError(f"{field.path}: {unknown('choice', value, field.choices)}")
    if field.type in (int, float) and not field.low <= value <= field.high:
        raise ChipError(f"{field.path} must be {field.valid}, not {value!r}")
    return float(value) if field.type is float else value


def _constants(section: Any) -> Constants:
    """The shipped constants with the values of a section ``[constants]``, each checked."""
    if not isinstance(section, dict):
        raise ChipError(f"constants must be a section, [constants], not {section!r:.80}")
    shipped = load_constants()
    for name, value in section.items():
        if name not in shipped:
            raise ChipError(f"constants.{name}: {unknown('constant', name, shipped)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ChipError(f"constants.{name} must be a number [{shipped[name].unit}], not {value!r:.80}")
        low, high = _range(shipped[name])
        zero = value == 0 and shipped[name].unit in _MAY_BE_ZERO
        if not zero and not low <= value <= high:
            raise ChipError(
                f"constants.{name} must lie from {low:.6g} to {high:.6g} {shipped[name].unit}"
                + (" or be 0" if shipped[name].unit in _MAY_BE_ZERO else "")
                + f", not {value!r}"
            )
    return with_values(shipped, section)


def _range(constant: Constant) -> tuple[float, float]:
    """The range in which a chip may set a constant: of its sign, within a factor of 1,000."""
    low, high = sorted((constant.value / _FACTOR, constant.value * _FACTOR))
    return low, min(high, 1.0) if constant.name in _SHARES else high


def field_table() -> str:
    """All fields as a Markdown table, for ``chips/README.md``."""
    lines = ["| field | valid | default | meaning |", "|---|---|---|---|"]
    lines += [f"| `{f.path}` | {f.valid} | {f.default} | {f.meaning} |" for f in FIELDS.values()]
    return "\n".join(lines) + "\n"
