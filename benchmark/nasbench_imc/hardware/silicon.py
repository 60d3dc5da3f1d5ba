"""What the cost model says of published macros: one full reading of one array, from published parameters.

A macro is priced with the components and the mapping of the chip model, without what surrounds an array
there (buffers, network, scaling and activation). What a row does not say is assumed by fixed rules, which
:func:`assumptions` puts in words. The operands of a row, ``weight_bits`` x ``input_bits``, are those of one
reading of its array; where its TOPS/W holds at a higher precision, that takes several readings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nasbench_imc.hardware import components, mapping
from nasbench_imc.hardware.components import AdcModel, Scaler
from nasbench_imc.hardware.config import grid, sliced_active_rows
from nasbench_imc.hardware.constants import Constants, FloatArray, load_constants, with_values
from nasbench_imc.hardware.macros import Macro
from nasbench_imc.hardware.mapping import BoolArray, ConfigArrays, LayerArrays

#: Activities over which the interval of a prediction runs where a row does not say its own.
ACTIVITY_INTERVAL = (0.1, 0.9)

DEVICES = ("SRAM", "RRAM", "PCM")
_ALIASES = {"RERAM": "RRAM", "PCRAM": "PCM", "6T": "SRAM", "8T": "SRAM", "10T": "SRAM"}

# What the model is used for at all. Beyond the nodes of Stillmaker and Baas energies go with the node.
_NODE_LIMITS = (2.0, 250.0)
_SUPPLY_LIMITS = (0.4, 1.8)  # above the threshold voltage, below what programs a device
_BIT_LIMIT = 16.0
_ADC_BIT_LIMIT = 14.0
_NEEDED = ("node_nm", "rows", "cols", "cell_bits", "weight_bits", "input_bits", "adc_bits", "supply_v")

# Nominal supply of logic by node, as of common foundry processes [nm], [V].
_NOMINAL_NODES = (5.0, 7.0, 16.0, 28.0, 40.0, 65.0, 130.0, 180.0)
_NOMINAL_SUPPLIES = (0.7, 0.75, 0.8, 0.9, 1.1, 1.2, 1.5, 1.8)

# A device with a whole weight of more bits than this is taken for analog, in pairs.
_MAX_LEVEL_BITS = 2.0

# Columns that share an ADC, which rows do not say: none in SRAM and arrays of pairs; in NVM macros of one
# device a weight, which read few rows and columns at a time, so many. TOPS/mm2 depends on it, TOPS/W hardly.
_SHARED_COLUMNS = 16.0


@dataclass(frozen=True, slots=True)
class Layout:
    """A macro with every gap filled; bits and rows of one reading.

    Attributes
    ----------
    macro : Macro
    digital, sram, pcm, pair, pwm, merged : bool
        Kinds of circuit; ``merged``: the bits of a weight are summed before the ADC.
    rows, columns, active_rows, cell_bits, weight_bits, input_bits, dac_bits, adc_bits, supply_v
        As in :class:`~nasbench_imc.hardware.config.HardwareConfig`.
    slices : float
        Device columns of a weight.
    precision_product : float
        Bits x bits of the operation that ``tops_per_w`` counts.
    activity : float
        NaN where unknown.
    assumptions : tuple of str
    """

    macro: Macro
    digital: bool
    sram: bool
    pcm: bool
    pair: bool
    pwm: bool
    merged: bool
    rows: float
    columns: float
    active_rows: float
    cell_bits: float
    weight_bits: float
    input_bits: float
    dac_bits: float
    adc_bits: float
    supply_v: float
    slices: float
    precision_product: float
    activity: float
    assumptions: tuple[str, ...]

    @property
    def readings(self) -> float:
        """Readings of the array that one full-precision operation takes, at least 1."""
        return max(1.0, self.precision_product / (self.weight_bits * self.input_bits))


def reason_to_skip(macro: Macro) -> str:
    """Why the model cannot say anything of a macro; "" where it can."""
    unreadable = [text for text in macro.problems if text.split(" is ")[0] in _NEEDED]
    if unreadable:
        return f"cannot read {'; '.join(unreadable)}"
    missing = [
        name
        for name, value in (("node_nm", macro.node_nm), ("rows", macro.rows), ("cols", macro.columns))
        if math.isnan(value)
    ]
    device = _device(macro)
    if device not in DEVICES:
        what = f"device {macro.device!r}" if macro.device else "a row without device"
        return f"{what} has no model; there are models of {', '.join(DEVICES)}"
    if macro.kind not in ("AIMC", "DIMC", ""):
        return f"type {macro.kind!r} has no model; there are models of AIMC and DIMC"
    if _is_digital(macro) and device != "SRAM":
        return f"digital in-memory computing on {device} has no model"
    if missing:
        return f"{', '.join(missing)} not given"
    if math.isnan(macro.weight_bits) and math.isnan(macro.input_bits):
        return "neither weight_bits nor input_bits given"
    limits = (
        ("node_nm", macro.node_nm, _NODE_LIMITS),
        ("weight_bits", macro.weight_bits, (1.0, _BIT_LIMIT)),
        ("input_bits", macro.input_bits, (1.0, _BIT_LIMIT)),
        ("cell_bits", macro.cell_bits, (1.0, _BIT_LIMIT)),
        ("adc_bits", macro.adc_bits, (1.0, _ADC_BIT_LIMIT)),
        ("rows", macro.rows, (1.0, 65536.0)),
        ("cols", macro.columns, (1.0, 65536.0)),
    )
    for name, value, (low, high) in limits:
        if not (math.isnan(value) or low <= value <= high):
            return f"{name} = {value:g} lies outside {low:g} to {high:g}"
    return ""


def _device(macro: Macro) -> str:
    device = macro.device.upper().replace(" ", "")
    return _ALIASES.get(device, device)


def _is_digital(macro: Macro) -> bool:
    """Whether a macro sums in logic. Without a type: SRAM without an ADC."""
    if macro.kind:
        return macro.kind == "DIMC"
    return _device(macro) == "SRAM" and math.isnan(macro.adc_bits)


def layout(macro: Macro) -> Layout:
    """Fill the gaps of a macro that :func:`reason_to_skip` lets pass.

    The rules, each of which leaves a line in ``assumptions`` where it was needed:

    - supply: the node's nominal one where none is given or where it is none that logic runs at;
    - a missing precision of weights or inputs is that of the other, an ADC's that of the input;
    - cells: SRAM one bit; NVM of up to 2 bits a weight one device, of more a pair of analog devices;
    - inputs of several bits enter at once, and bits of an SRAM weight are summed before the ADC, unless the
      ADC has fewer than half as many bits, or the notes call the input serial; inputs of digital macros and
      of NVM devices with one weight or slice each enter bit by bit;
    - rows read together: as the notes say; else for one device a weight what the ADC resolves
      (:func:`~nasbench_imc.hardware.config.sliced_active_rows`), for all else every row.
    """
    notes: list[str] = []
    device, digital = _device(macro), _is_digital(macro)
    sram = device == "SRAM"
    weight_bits, input_bits = macro.weight_bits, macro.input_bits
    if math.isnan(weight_bits):
        weight_bits = input_bits
        notes.append(f"weights of {weight_bits:g} bits, as the inputs")
    if math.isnan(input_bits):
        input_bits = weight_bits
        notes.append(f"inputs of {input_bits:g} bits, as the weights")
    supply = macro.supply_v
    if math.isnan(supply) or not _SUPPLY_LIMITS[0] <= supply <= _SUPPLY_LIMITS[1]:
        given = "" if math.isnan(supply) else f", not {supply:g} V, at which no logic of this model runs"
        supply = float(np.interp(macro.node_nm, _NOMINAL_NODES, _NOMINAL_SUPPLIES))
        notes.append(f"supply {supply:.2g} V, nominal at {macro.node_nm:g} nm{given}")
    adc_bits = macro.adc_bits
    if not digital and math.isnan(adc_bits):
        adc_bits = min(input_bits, 8.0)
        notes.append(f"ADC of {adc_bits:g} bits")
    cell_bits = macro.cell_bits
    pair = not sram and weight_bits > _MAX_LEVEL_BITS and math.isnan(cell_bits)
    if math.isnan(cell_bits):
        cell_bits = 1.0 if sram else math.ceil(weight_bits)
        if pair:
            notes.append("a weight is a pair of analog devices")
    slices = math.ceil(weight_bits / cell_bits) * (2.0 if pair else 1.0)
    narrow_adc = not digital and adc_bits < input_bits / 2.0
    levels = not sram and not pair
    serial = digital or macro.serial or narrow_adc or levels
    dac_bits = 1.0 if serial else input_bits
    if digital and not math.isnan(macro.bits_a_cycle):
        dac_bits = min(input_bits, macro.bits_a_cycle)
    rows, columns = macro.rows, macro.columns * (2.0 if pair else 1.0)
    active = macro.dot_product
    if active <= 1.0:  # no dot product at all: a figure of another kind
        active = math.nan
    if rows < active <= macro.columns:
        rows, columns = macro.columns, macro.rows
        notes.append("the dot product runs along the columns")
    if math.isnan(active):
        active = rows
        if levels:
            bits = (int(adc_bits), math.ceil(cell_bits), math.ceil(dac_bits))
            active = float(sliced_active_rows(int(rows), *bits))
        notes.append(f"{active:g} of {rows:g} rows read together")
    active = min(active, rows)
    activity = macro.toggle * (1.0 - (0.0 if math.isnan(macro.sparsity) else macro.sparsity))
    if math.isnan(activity):
        notes.append("activity 50 %")
    if math.isnan(macro.frequency_mhz) and math.isnan(macro.cycle_ns):
        notes.append("the model's own cycle time")
    return Layout(
        macro=macro,
        digital=digital,
        sram=sram,
        pcm=device == "PCM",
        pair=pair,
        pwm=not sram and not serial and input_bits > 1,
        merged=sram and not digital and adc_bits >= weight_bits / 2.0,
        rows=rows,
        columns=max(columns, slices),
        active_rows=active,
        cell_bits=cell_bits,
        weight_bits=weight_bits,
        input_bits=input_bits,
        dac_bits=dac_bits,
        adc_bits=adc_bits,
        supply_v=supply,
        slices=slices,
        precision_product=_precision_product(macro, weight_bits * input_bits),
        activity=activity,
        assumptions=tuple(notes),
    )


def _precision_product(macro: Macro, own: float) -> float:
    """Weight bits x input bits of the operation that ``tops_per_w`` counts.

    Bank-level rows give the figure per one-bit operation as well: the ratio of the two says the precision.
    Else the notes may say it, else it is that of one reading.
    """
    ratio = macro.tops_per_w_1b / macro.tops_per_w
    if not math.isnan(ratio):
        return max(1.0, ratio)
    return own if math.isnan(macro.precision_product) else macro.precision_product


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of macros; arrays of shape (H,), one entry a layout.

    Attributes
    ----------
    energy : dict of str to ndarray
        Energy of one reading of the array by component [pJ]: array, adc, dac, accumulation, leakage.
    time : ndarray
        Time of one reading [ns]: the published one where there is one.
    area : ndarray
        Area of the array with its converters and adders [mm2].
    tops_per_w, tops_per_mm2 : ndarray
        At the precision that the row's TOPS/W counts.
    tops_per_w_1b, tops_per_mm2_1b : ndarray
        Per one-bit operation.
    """

    energy: dict[str, FloatArray]
    time: FloatArray
    area: FloatArray
    tops_per_w: FloatArray
    tops_per_mm2: FloatArray
    tops_per_w_1b: FloatArray
    tops_per_mm2_1b: FloatArray


def predict(
    layouts: Sequence[Layout],
    *,
    activity: float | None = None,
    constants: Constants | None = None,
    adc_model: AdcModel = "zigzag",
) -> Prediction:
    """Price macros.

    Parameters
    ----------
    layouts : sequence of Layout, length H
    activity : float, optional
        For rows that do not say theirs; by default the constant ``activity``, 50 %.
    constants : mapping of str to Constant, optional
    adc_model : {"zigzag", "survey"}
    """
    constants = load_constants() if constants is None else constants
    assumed = constants["activity"].value if activity is None else activity
    known = [assumed if math.isnan(item.activity) else item.activity for item in layouts]
    order: dict[float, list[int]] = {}
    for i, value in enumerate(known):
        order.setdefault(value, []).append(i)
    parts = [
        (rows, _predict([layouts[i] for i in rows], with_values(constants, {"activity": value}), adc_model))
        for value, rows in order.items()
    ]

    def gathered(field: str) -> FloatArray:
        values = np.empty(len(layouts))
        for rows, part in parts:
            values[rows] = getattr(part, field)
        return values

    energy = {name: np.empty(len(layouts)) for name in ("array", "adc", "dac", "accumulation", "leakage")}
    for rows, part in parts:
        for name, values in energy.items():
            values[rows] = part.energy[name]
    fields = ("time", "area", "tops_per_w", "tops_per_mm2", "tops_per_w_1b", "tops_per_mm2_1b")
    return Prediction(energy, *(gathered(field) for field in fields))


def _predict(layouts: Sequence[Layout], constants: Constants, adc_model: AdcModel) -> Prediction:
    def column(field: str) -> FloatArray:
        return np.array([getattr(item, field) for item in layouts], dtype=np.float64)

    hw = _config_arrays(layouts)
    scale = Scaler(constants, hw)
    active, outputs = column("active_rows"), mapping.outputs_per_array(hw)
    layer = _full_reading(active, outputs)
    readings = column("readings")
    phases = np.array([item.macro.phases for item in layouts])
    steps = mapping.input_steps(hw)

    own = mapping.mvm_time(layer, hw, components.array_time(scale), components.adc_time(scale))[0]
    published = np.array([_published_time(item) for item in layouts])
    # A published reading converts one column of each ADC; digital macros have none.
    scanned = np.maximum(mapping.scanned_outputs(hw), 1.0)
    time = np.where(np.isnan(published), own * phases, published * scanned)

    areas = _areas(layouts, scale, active, adc_model)
    # An NVM device is read no longer than its macro's whole reading lasts.
    read_time = np.minimum(components.array_time(scale), time / scanned / steps / phases)
    cells = mapping.used_cells(layer, hw)
    array = cells * components.device_energy(scale, read_time)
    array = array + cells * column("rows") / active * components.line_energy(scale)  # lines span all rows
    discharging = np.array([item.sram and item.macro.current_domain for item in layouts])
    array = array * np.where(discharging & hw.has_adc, constants["current_domain_calibration"].value, 1.0)
    conversions = mapping.conversions(layer, hw)
    energy = {
        "array": phases * steps * array,
        "adc": phases * conversions * components.adc_energy(hw.adc_bits, scale, adc_model),
        "dac": np.where(
            hw.has_adc, phases * mapping.row_drives(layer, hw) * components.dac_energy(scale), 0.0
        ),
        "accumulation": _accumulation(layer, scale, phases * conversions, outputs / readings),
        "leakage": components.array_leakage(scale, areas) * time,  # mW x ns = pJ
    }
    energy = {name: np.broadcast_to(values, (1, len(layouts)))[0] for name, values in energy.items()}
    total = np.sum(list(energy.values()), axis=0)
    # Two operations a MAC, times its bits: 1 operation / pJ = 1 TOPS/W; 1 operation / ns = 1e-3 TOPS.
    one_bit = 2.0 * active * outputs * hw.weight_bits * hw.input_bits
    product = column("precision_product")
    area = np.sum(list(areas.values()), axis=0) * 1e-6
    per_area = one_bit / time * 1e-3 / area
    return Prediction(
        energy=energy,
        time=time,
        area=area,
        tops_per_w=one_bit / product / total,
        tops_per_mm2=per_area / product,
        tops_per_w_1b=one_bit / total,
        tops_per_mm2_1b=per_area,
    )


def _published_time(item: Layout) -> float:
    """Time of one reading as published [ns]; NaN where it is not.

    A frequency is that of one array cycle: an analog array is read in one, a digital one takes a cycle an
    input step.
    """
    if not math.isnan(item.macro.cycle_ns):
        return item.macro.cycle_ns
    cycles = math.ceil(item.input_bits / item.dac_bits)
    return cycles * 1e3 / item.macro.frequency_mhz


def _full_reading(active: FloatArray, outputs: FloatArray) -> LayerArrays:
    """One dense product that fills what is read of an array; fields (1, H)."""
    ones = np.ones((1, active.size))
    yes: BoolArray = ones > 0
    return LayerArrays(
        fan_in=active.reshape(1, -1),
        outputs=outputs.reshape(1, -1),
        pixels=ones,
        groups=ones,
        input_elements=active.reshape(1, -1),
        is_mvm=yes,
        is_matmul=~yes,
        is_vector=~yes,
    )


def _config_arrays(layouts: Sequence[Layout]) -> ConfigArrays:
    """The read part of each array as a configuration; bits need not be whole here.

    What surrounds an array in a chip is that of a grid configuration and not used.
    """

    def row(values: Sequence[float]) -> FloatArray:
        return np.array(values, dtype=np.float64)

    def flag(values: Sequence[bool]) -> BoolArray:
        return np.array(values, dtype=bool)

    count = len(layouts)
    slices = row([item.slices for item in layouts])
    merged = row([1.0 if item.merged or item.pair else item.slices for item in layouts])
    digital = flag([item.digital for item in layouts])
    return replace(
        mapping.config_arrays([grid()[0]] * count),
        rows=row([item.active_rows for item in layouts]),
        columns=row([item.columns for item in layouts]),
        active_rows=row([item.active_rows for item in layouts]),
        input_bits=row([item.input_bits for item in layouts]),
        dac_bits=row([item.dac_bits for item in layouts]),
        adc_bits=row([1.0 if item.digital else item.adc_bits for item in layouts]),
        columns_per_adc=np.where(flag([item.sram or item.pair for item in layouts]), 1.0, _SHARED_COLUMNS),
        slices=slices,
        conversion_slices=np.where(digital, 0.0, merged),
        weight_bits=row([item.weight_bits for item in layouts]),
        node_nm=row([item.macro.node_nm for item in layouts]),
        supply_v=row([item.supply_v for item in layouts]),
        has_adc=~digital,
        is_sram=flag([item.sram for item in layouts]),
        is_pcm=flag([item.pcm for item in layouts]),
        is_pair=flag([item.pair for item in layouts]),
        is_pwm=flag([item.pwm for item in layouts]),
    )


def _accumulation(
    layer: LayerArrays, scale: Scaler, conversions: FloatArray, finished: FloatArray
) -> FloatArray:
    """Adder trees, or the additions that join readings into outputs [pJ]; (1, H).

    n readings of an output take n - 1 additions, as in the chip model.

    Parameters
    ----------
    layer : LayerArrays
    scale : Scaler
    conversions : ndarray (1, H)
        Of one reading of the array.
    finished : ndarray (H,)
        Full-precision outputs that one reading is worth.
    """
    hw = scale.hw
    addition = components.accumulation_energy(scale)
    full, _ = mapping.tree_adders(layer, hw)
    adder = components.full_adder_energy(scale) * scale.value("activity")
    digital = layer.outputs * mapping.input_steps(hw) * (full * adder + addition)
    analog = np.maximum(conversions - finished, 0.0) * addition
    return np.where(hw.has_adc, analog, digital)


def _areas(
    layouts: Sequence[Layout], scale: Scaler, active: FloatArray, adc_model: AdcModel
) -> dict[str, FloatArray]:
    """Areas of a macro by component [um2]; each (H,).

    Trees and accumulators are those of the rows read together. All rows have cells and drivers. Scaling
    and activation of outputs, which the chip model adds to an array, are left out.
    """
    areas = components.array_areas(scale, adc_model)
    rows = np.array([item.rows for item in layouts])
    return {
        "array": areas["array"] * rows / active,
        "adc": areas["adc"],
        "dac": areas["dac"] * rows / active,
        "accumulation": areas["accumulation"] - scale.area("mac_area"),
    }


@dataclass(frozen=True, slots=True)
class Comparison:
    """A macro beside what the model says of it; NaN where there is no figure.

    Attributes
    ----------
    macro : Macro
    skipped_because : str
        "" where the model has a prediction.
    tops_per_w, tops_per_mm2, tops_per_w_1b, tops_per_mm2_1b : float
        Predicted.
    interval : tuple of float
        TOPS/W at 90 % and at 10 % activity; equal where the activity is known.
    activity_known : bool
    energy : dict of str to float
        Share of each component in the energy.
    assumptions : tuple of str
    """

    macro: Macro
    skipped_because: str = ""
    tops_per_w: float = math.nan
    tops_per_mm2: float = math.nan
    tops_per_w_1b: float = math.nan
    tops_per_mm2_1b: float = math.nan
    interval: tuple[float, float] = (math.nan, math.nan)
    activity_known: bool = False
    energy: dict[str, float] | None = None
    assumptions: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        """Predicted over published TOPS/W."""
        return self.tops_per_w / self.macro.tops_per_w

    @property
    def area_ratio(self) -> float:
        """Predicted over published TOPS/mm2."""
        return self.tops_per_mm2 / self.macro.tops_per_mm2

    @property
    def counts(self) -> bool:
        """Whether the row counts for the goals: silicon, a TOPS/W of its own, fit for energy."""
        return not (math.isnan(self.ratio) or self.macro.simulated) and self.macro.energy_usable


def compare(
    macros: Sequence[Macro], *, constants: Constants | None = None, adc_model: AdcModel = "zigzag"
) -> list[Comparison]:
    """Predict macros and put the figures side by side, in their order."""
    reasons = [reason_to_skip(macro) for macro in macros]
    layouts = [layout(macro) for macro, reason in zip(macros, reasons, strict=True) if not reason]
    at = [predict(layouts, constants=constants, adc_model=adc_model)] + [
        predict(layouts, activity=value, constants=constants, adc_model=adc_model)
        for value in ACTIVITY_INTERVAL
    ]
    total = np.sum(list(at[0].energy.values()), axis=0) if layouts else np.zeros(0)
    compared = iter(
        Comparison(
            macro=item.macro,
            tops_per_w=float(at[0].tops_per_w[i]),
            tops_per_mm2=float(at[0].tops_per_mm2[i]),
            tops_per_w_1b=float(at[0].tops_per_w_1b[i]),
            tops_per_mm2_1b=float(at[0].tops_per_mm2_1b[i]),
            interval=(float(at[2].tops_per_w[i]), float(at[1].tops_per_w[i])),
            activity_known=not math.isnan(item.activity),
            energy={name: float(values[i] / total[i]) for name, values in at[0].energy.items()},
            assumptions=item.assumptions,
        )
        for i, item in enumerate(layouts)
    )
    return [
        Comparison(macro, skipped_because=reason) if reason else next(compared)
        for macro, reason in zip(macros, reasons, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Summary:
    """How near predictions of TOPS/W come.

    Attributes
    ----------
    rows, chips : int
        How many were compared.
    median_factor : float
        exp of the median, over chips, of |ln(predicted / published)|.
    within_1_5, within_3 : float
        Share of chips within these factors [1].
    """

    rows: int
    chips: int
    median_factor: float
    within_1_5: float
    within_3: float


def summarise(comparisons: Sequence[Comparison], *, by_chip: bool = True) -> Summary:
    """Summary of the rows that count, one vote a chip (the median of its |ln ratio|) or a row."""
    errors: dict[str, list[float]] = {}
    for i, item in enumerate(comparisons):
        if item.counts:
            key = item.macro.reference if by_chip else str(i)
            errors.setdefault(key, []).append(abs(math.log(item.ratio)))
    votes = np.array([np.median(values) for values in errors.values()])
    rows = sum(map(len, errors.values()))
    if not rows:
        return Summary(0, 0, math.nan, math.nan, math.nan)
    slack = 1e-12
    return Summary(
        rows=rows,
        chips=len(votes),
        median_factor=math.exp(float(np.median(votes))),
        within_1_5=float(np.mean(votes <= math.log(1.5) + slack)),
        within_3=float(np.mean(votes <= math.log(3.0) + slack)),
    )
