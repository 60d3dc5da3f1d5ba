"""What one action of each circuit costs: energies [pJ], times [ns], areas [um2], leakage [mW].

Every function takes configurations as :class:`~nasbench_imc.hardware.mapping.ConfigArrays` and returns
arrays of shape (H,), scaled to each configuration's node and supply.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from nasbench_imc.errors import unknown
from nasbench_imc.hardware import mapping
from nasbench_imc.hardware.constants import (
    Constants,
    FloatArray,
    area_scale,
    delay_scale,
    energy_scale,
)
from nasbench_imc.hardware.mapping import ConfigArrays

AdcModel = Literal["zigzag", "survey"]
ADC_MODELS = ("zigzag", "survey")

_FJ = 1e-3  # 1 fF V^2 = 1 fJ = 1e-3 pJ


@dataclass(frozen=True, slots=True)
class Scaler:
    """Constants brought to the node and supply of each configuration."""

    constants: Constants
    hw: ConfigArrays

    def value(self, name: str) -> float:
        """A constant as it stands, unscaled."""
        return self.constants[name].value

    def energy(self, name: str) -> FloatArray:
        """A tabulated energy, in its own unit; (H,)."""
        record, hw = self.constants[name], self.hw
        return record.value * energy_scale(
            self.constants, record.node_nm, hw.node_nm, hw.supply_v, record.supply_v
        )

    def charge(self, name: str) -> FloatArray:
        """The energy C V^2 of a capacitance in fF [pJ]; (H,)."""
        return self.energy(name) * self.value("reference_supply") ** 2 * _FJ

    def time(self, name: str) -> FloatArray:
        """A delay [ns]; (H,)."""
        record, hw = self.constants[name], self.hw
        return record.value * delay_scale(
            self.constants, record.node_nm, hw.node_nm, hw.supply_v, record.supply_v
        )

    def area(self, name: str) -> FloatArray:
        """An area [um2]; (H,)."""
        record = self.constants[name]
        return record.value * area_scale(record.node_nm, self.hw.node_nm)

    def leakage(self, name: str) -> FloatArray:
        """A leakage power, scaled as the energy, and for a density also by the area it holds for; (H,).

        Leakage has no scaling law of its own in the sources; that of switching energy stands in for it.
        """
        record = self.constants[name]
        power = self.energy(name)
        return power / area_scale(record.node_nm, self.hw.node_nm) if record.unit.endswith("/um2") else power


def adc_energy(bits: FloatArray, scale: Scaler, model: AdcModel = "zigzag") -> FloatArray:
    """Energy of one conversion [pJ]; (H,).

    ``zigzag``: (100 b + 0.001 4^b) fF V^2 (ZigZag-IMC) times its calibration, the default. ``survey``: the
    fit of hwcomponents-adc to Murmann's ADC survey, meant for 4 bits or more.

    Raises
    ------
    UnknownNameError
        If the model is none of these.
    """
    if model == "zigzag":
        published = bits * scale.charge("adc_energy_linear") + 4.0**bits * scale.charge(
            "adc_energy_exponential"
        )
        return scale.value("adc_energy_calibration") * published
    if model == "survey":
        return _survey_adc_energy(bits, scale) * (scale.hw.supply_v / scale.value("reference_supply")) ** 2
    raise unknown("ADC model", model, ADC_MODELS)


def adc_area(bits: FloatArray, scale: Scaler, model: AdcModel = "zigzag") -> FloatArray:
    """Area of one ADC [um2]; (H,).

    ``zigzag``: 10^(1.206 - 0.0369 b) 2^b um2 at 28 nm (ZigZag-IMC). ``survey``: as in
    :func:`adc_energy`.

    Raises
    ------
    UnknownNameError
        If the model is none of these.
    """
    if model == "zigzag":
        exponent = scale.value("adc_area_intercept") + scale.value("adc_area_slope") * bits
        fitted_at = scale.constants["adc_area_intercept"].node_nm
        return 10.0**exponent * 2.0**bits * area_scale(fitted_at, scale.hw.node_nm)
    if model == "survey":
        logarithm = (
            scale.value("survey_adc_area_intercept")
            + scale.value("survey_adc_area_node") * np.log(scale.hw.node_nm)
            + scale.value("survey_adc_area_speed") * np.log(scale.value("survey_adc_rate"))
            + scale.value("survey_adc_area_energy") * np.log(_survey_adc_energy(bits, scale))
        )
        return np.exp(logarithm)
    raise unknown("ADC model", model, ADC_MODELS)


def _survey_adc_energy(bits: FloatArray, scale: Scaler) -> FloatArray:
    """Energy of one conversion by the survey fit, at its own supply [pJ]; (H,)."""
    by_speed = scale.value("survey_adc_fom_speed") - scale.value("survey_adc_fom_speed_slope") * np.log(
        scale.value("survey_adc_rate")
    )
    by_noise = scale.value("survey_adc_fom_noise") + scale.value("survey_adc_fom_noise_slope") * bits
    sndr = 6.0206 * bits + 1.7609  # of an ideal converter [dB]
    logarithm = (
        scale.value("survey_adc_energy_intercept")
        + scale.value("survey_adc_energy_node") * np.log(scale.hw.node_nm)
        - scale.value("survey_adc_energy_bits") * np.log(bits)
    )
    figure_of_merit = np.minimum(by_speed, by_noise)
    return np.asarray(np.exp(logarithm) / (2.0 * 10.0 ** ((figure_of_merit - sndr) / 10.0)), dtype=np.float64)


def adc_time(scale: Scaler) -> FloatArray:
    """Time of one conversion, b (0.00653 R + 0.640) ns at 28 nm (ZigZag-IMC) [ns]; (H,)."""
    hw = scale.hw
    return hw.adc_bits * (scale.time("adc_time_row") * hw.rows + scale.time("adc_time_fixed"))


def conversion_energy(scale: Scaler, model: AdcModel = "zigzag") -> FloatArray:
    """Energy of one conversion, as known of the chip or by the ADC model [pJ]; (H,)."""
    hw = scale.hw
    return np.where(np.isnan(hw.adc_energy), adc_energy(hw.adc_bits, scale, model), hw.adc_energy)


def conversion_time(scale: Scaler) -> FloatArray:
    """Time of one conversion, as known of the chip or by the ADC model [ns]; (H,)."""
    return np.where(np.isnan(scale.hw.adc_time), adc_time(scale), scale.hw.adc_time)


def converter_area(scale: Scaler, model: AdcModel = "zigzag") -> FloatArray:
    """Area of one ADC, as known of the chip or by the ADC model [um2]; (H,)."""
    hw = scale.hw
    return np.where(np.isnan(hw.adc_area), adc_area(hw.adc_bits, scale, model), hw.adc_area)


def endurance(scale: Scaler) -> FloatArray:
    """Writes that a device stands [count]; (H,), infinite for SRAM."""
    hw = scale.hw
    nvm = np.where(hw.is_pcm, scale.value("pcm_endurance"), scale.value("rram_endurance"))
    return np.where(hw.is_sram, np.inf, nvm)


def dac_energy(scale: Scaler) -> FloatArray:
    """Energy of driving one row in one step, 50 fF b V^2, 0 at one bit (ZigZag-IMC) [pJ]; (H,)."""
    return np.where(scale.hw.dac_bits > 1, scale.hw.dac_bits * scale.charge("dac_energy_bit"), 0.0)


def full_adder_energy(scale: Scaler) -> FloatArray:
    """Energy of a one-bit full adder at full activity, 3 NANDs and 2 XORs, calibrated [pJ]; (H,)."""
    gates = 3.0 * scale.charge("c_nd2") + 2.0 * scale.charge("c_xor2")
    return scale.value("adder_energy_calibration") * gates


def full_adder_area(scale: Scaler) -> FloatArray:
    """Area of a one-bit full adder, 3 NANDs and 2 XORs [um2]; (H,)."""
    return 3.0 * scale.area("area_nd2") + 2.0 * scale.area("area_xor2")


def accumulation_energy(scale: Scaler) -> FloatArray:
    """Energy of one addition at accumulator width, adder (at its activity) and register [pJ]; (H,)."""
    adder = full_adder_energy(scale) * scale.value("activity")
    return mapping.accumulator_bits(scale.hw) * (adder + scale.charge("c_dff"))


def digital_cycle_time(scale: Scaler) -> FloatArray:
    """Cycle of a digital SRAM array: multiplier, ripple-carry adder tree, accumulator [ns]; (H,).

    ZigZag-IMC: levels of the tree pass a sum in 2 xor, the last one a carry in xor + 2 nd2, then
    2 nd2 for each further bit; the accumulator likewise.
    """
    hw = scale.hw
    gate, xor = scale.time("t_nd2"), scale.time("t_xor2")
    depth = np.ceil(np.log2(np.maximum(hw.rows, 2.0)))
    tree_bits = hw.weight_bits + depth
    carry_out, carry = xor + 2.0 * gate, 2.0 * gate
    tree = (depth - 1.0) * 2.0 * xor + carry_out + (tree_bits - 2.0) * carry
    accumulator = carry_out + hw.input_bits * carry
    return gate + tree + accumulator


def array_time(scale: Scaler) -> FloatArray:
    """Time of one reading of an array, without its ADC [ns]; (H,).

    Digital SRAM: :func:`digital_cycle_time`. Pulse-width input: (2^b_d - 1) t_step. Else the settling
    time of charge (SRAM) or of a one-bit read (NVM).
    """
    hw = scale.hw
    pulse = (2.0**hw.dac_bits - 1.0) * scale.value("pwm_step")
    settle = np.where(hw.is_sram, scale.time("sram_settle_time"), scale.value("nvm_read_time"))
    return np.where(hw.has_adc, np.where(hw.is_pwm, pulse, settle), digital_cycle_time(scale))


def device_conductance(scale: Scaler) -> FloatArray:
    """Mean conductance of an NVM device [uS]; (H,), meaningless for SRAM.

    Of a differential pair one device holds |w| and the other nothing, so that the mean over both is
    g_max mean|w| / 2. Slices with offset encoding spread over all levels: the mean of the end levels.
    """
    hw = scale.hw
    pair = np.where(hw.is_pcm, scale.value("pcm_g_max"), scale.value("rram_g_max"))
    low, high = scale.value("rram_r_low"), scale.value("rram_r_high")
    level = np.where(hw.is_pcm, scale.value("pcm_g_max") / 2.0, 1e3 * (1.0 / low + 1.0 / high) / 2.0)
    return np.where(hw.is_pair, pair * scale.value("mean_weight") / 2.0, level)


def line_energy(scale: Scaler) -> FloatArray:
    """Energy of the piece of line at one cell in one input step [pJ]; (H,), 0 for digital SRAM.

    The line of an SRAM column swings by the supply, C V^2; that of an NVM column is held at the read
    voltage and charged from the supply, C V V_read.
    """
    hw = scale.hw
    swing = np.where(hw.is_sram, 1.0, scale.value("nvm_read_voltage") / hw.supply_v)
    line = scale.value("cell_energy_calibration") * scale.charge("c_line") * swing
    return np.where(hw.has_adc, line, 0.0)


def device_energy(scale: Scaler, reading_time: FloatArray) -> FloatArray:
    """Energy of one cell in one input step, without the line [pJ]; (H,).

    Digital SRAM: a one-bit multiplication, 0.5 C_nd2 V^2 (ZigZag-IMC), at the activity. Charge-domain
    SRAM: the same and its capacitor. NVM: the current V_read G drawn from the supply during the pulse, at
    the mean input.

    Parameters
    ----------
    scale : Scaler
    reading_time : ndarray (H,)
        How long an NVM device is read [ns].
    """
    hw = scale.hw
    activity = scale.value("activity")
    multiply = 0.5 * scale.charge("c_nd2") * activity
    charge = multiply + scale.value("cell_energy_calibration") * scale.charge("c_unit") * activity
    # uS x V x V x ns = 1e-6 x 1e-9 J = 1e-15 J. Read currents pass regulators, so that the whole supply,
    # not the read voltage, stands over device and regulator.
    current = device_conductance(scale) * scale.value("nvm_read_voltage")
    path = np.where(hw.is_pcm, scale.value("pcm_read_calibration"), scale.value("rram_read_calibration"))
    read = path * _FJ * current * hw.supply_v * activity * reading_time
    return np.where(hw.has_adc, np.where(hw.is_sram, charge, read), multiply)


def write_energy(scale: Scaler) -> FloatArray:
    """Energy of programming one device once [pJ]; (H,).

    SRAM: a full swing of the cell's bitline, R cells long, and of its wordline. RRAM: half the pulses
    SET and half RESET at V^2 / R_low. PCM: RESET pulses at their current. Verifying reads are left out.
    """
    hw = scale.hw
    sram = (hw.rows + 1.0) * scale.charge("c_line")
    # V^2 / kOhm = mW; mW x ns = pJ
    mean_pulse = (scale.value("rram_set_time") + scale.value("rram_reset_time")) / 2.0
    rram = scale.value("rram_pulses") * mean_pulse * scale.value("rram_write_voltage") ** 2
    rram /= scale.value("rram_r_low")
    pcm = scale.value("pcm_pulses") * scale.value("pcm_reset_time") * scale.value("pcm_write_voltage")
    pcm *= scale.value("pcm_reset_current") * 1e-3  # uA x V x ns = 1e-3 pJ
    return np.where(hw.is_sram, sram, np.where(hw.is_pcm, pcm, rram))


def write_time(scale: Scaler) -> FloatArray:
    """Time of programming one row of an array [ns]; (H,). Arrays are written in parallel."""
    hw = scale.hw
    mean_pulse = (scale.value("rram_set_time") + scale.value("rram_reset_time")) / 2.0
    rram = scale.value("rram_pulses") * mean_pulse
    pcm = scale.value("pcm_pulses") * scale.value("pcm_reset_time")
    return np.where(hw.is_sram, scale.time("buffer_access_time"), np.where(hw.is_pcm, pcm, rram))


def array_areas(scale: Scaler, adc_model: AdcModel = "zigzag") -> dict[str, FloatArray]:
    """Area of one array by component [um2]; each (H,).

    ``array``: SRAM cells with periphery (CACTI) and a multiplier gate each, or NVM cells over the array
    efficiency. ``adc``: ADCs at the number that columns per ADC gives. ``dac``: a driver a row.
    ``accumulation``: an adder tree and accumulator an output (digital), or an accumulator's adder an ADC
    and its register an output (analog); and one MAC(16,8) for scale, bias and activation.
    """
    hw = scale.hw
    cells = hw.rows * hw.columns
    sram_cell = scale.area("sram_bit_area") + scale.area("area_nd2")
    nvm_cell = np.where(hw.is_pcm, scale.area("pcm_cell_area"), scale.area("rram_cell_area"))
    cell = np.where(hw.is_sram, sram_cell, nvm_cell / scale.value("nvm_array_efficiency"))
    adcs = mapping.adcs_per_array(hw)
    width, adder = mapping.accumulator_bits(hw), full_adder_area(scale)
    outputs, register = mapping.outputs_per_array(hw), scale.area("area_dff")
    tree = hw.rows * (hw.weight_bits + 1.0) - (hw.weight_bits + np.log2(hw.rows) + 1.0)
    digital = outputs * ((tree + width) * adder + width * register)
    analog = width * (adcs * adder + outputs * register)
    return {
        "array": cells * cell,
        "adc": adcs * converter_area(scale, adc_model),
        "dac": hw.rows * hw.dac_bits * scale.area("dac_area_bit"),
        "accumulation": np.where(hw.has_adc, analog, digital) + scale.area("mac_area"),
    }


def array_leakage(scale: Scaler, areas: dict[str, FloatArray]) -> FloatArray:
    """Leakage power of one array [mW]; (H,). NVM cells do not leak; all else does, by its area.

    The periphery of an NVM array is what is left of its area beside the cells.
    """
    hw = scale.hw
    cells = hw.rows * hw.columns
    logic = areas["adc"] + areas["dac"] + areas["accumulation"]
    periphery = areas["array"] * (1.0 - scale.value("nvm_array_efficiency"))
    logic = logic + np.where(hw.is_sram, cells * scale.area("area_nd2"), periphery)
    sram = np.where(hw.is_sram, cells * scale.leakage("sram_bit_leakage"), 0.0)
    return sram + logic * scale.leakage("logic_leakage_density")
