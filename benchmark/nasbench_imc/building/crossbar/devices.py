"""What memory cells hold: programming noise, drift, read noise, capacitor mismatch.

Everything is relative to the full scale: a weight ``w`` from -1 to 1 becomes the weight that the cells
really stand for. Noise is drawn once a programming or a reading and then holds for all inputs, as slow
device noise does.

Sources: PCM, Nandakumar et al. (ICECS 2019) and Joshi et al. (Nat. Commun. 2020) with the constants of
AIHWKit's ``PCMLikeNoiseModel``; RRAM pairs, Wan et al. (Nature 608, 2022) with those of its
``ReRamWan2022NoiseModel`` at 40 uS; RRAM slices, Falcone et al. (CMO/HfOx) with those of its
``ReRamCMONoiseModel``; SRAM capacitors at 28 nm, arXiv:2507.09776.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nasbench_imc.building.codes import full_scale

#: Seconds after programming at which a table's times stand. ``t0`` is the first reading.
SECONDS = {"t0": 0.0, "60s": 60.0, "1h": 3_600.0, "1d": 86_400.0, "30d": 2_592_000.0}

PCM_G_MAX = 25.0  # uS
PCM_PROGRAMMING = (0.26348, 1.9650, -1.1731)  # sigma [uS] by powers of g / g_max
PCM_FIRST_READING = 20.0  # s
PCM_READ_TIME = 250e-9  # s

RRAM_G_MAX = 40.0  # uS
RRAM_DEVIATION = {  # seconds: sigma [uS] by powers of g / g_max
    1.0: (0.348, 16.030, -43.853, 45.393, -16.815),
    86_400.0: (0.701, 22.086, -50.773, 47.095, -16.458),
    172_800.0: (0.782, 20.274, -43.507, 37.062, -11.934),
}

SLICE_G = (9.0, 88.2)  # uS: conductance of the lowest and of the highest level of a slice
SLICE_PROGRAMMING = (0.0112185391, 0.01129027418)  # sigma [uS] by powers of g [uS], 2 % acceptance
SLICE_RELAXATION = (0.41183342, 0.04201137)  # sigma [uS] by powers of ln t
SLICE_READ = 0.0277316483  # uS
SLICE_READ_TIME = 1e-6  # s

SRAM_CAPACITOR_MISMATCH = 2.1 * 10**-2.5  # sigma_C over C at 1 fF, 0.66 %
SRAM_ADC_NOISE = 0.5e-3  # V
SRAM_SWING_LOSS = 1.3  # the line swings V_DD over this

# Fitted to the mean gains 0.995, 0.986 and 0.946 that a circuit solver (badcrossbar; devices of 25 uS, 1 ohm
# of wire a cell) gives for 64, 128 and 256 rows; this one figure gives 0.997, 0.986 and 0.945.
IR_DROP = 2.5e-6  # loss of the last cell's signal = IR_DROP g_max / 25 uS x rows^2 / 2


@dataclass(frozen=True)
class PcmPairs:
    """Programmed PCM cells, two devices a weight.

    Attributes
    ----------
    conductance : Tensor, shape (2, n)
        Of the positive and the negative device after programming, over g_max.
    exponent : Tensor, shape (2, n)
        Drift exponent nu of each.
    """

    conductance: Tensor
    exponent: Tensor


def program_pcm(weights: Tensor, rng: torch.Generator) -> PcmPairs:
    """Program pairs of PCM devices.

    sigma_prog = 0.26348 + 1.9650 r - 1.1731 r^2 uS at r = g / g_max; nu = |mu + s xi| with
    mu = clip(-0.0155 ln r + 0.0244, 0.049, 0.1) and s = clip(-0.0125 ln r - 0.0059, 0.008, 0.045).

    Parameters
    ----------
    weights : Tensor, shape (n,)
        Targets, -1 to 1. The device of the other sign is programmed to zero.
    rng : torch.Generator
    """
    target = torch.stack([weights, -weights]).clamp_(min=0.0)
    c0, c1, c2 = (c / PCM_G_MAX for c in PCM_PROGRAMMING)
    sigma = (target * c2 + c1) * target + c0
    conductance = torch.addcmul(target, sigma, _normal(target, rng)).clamp_(min=0.0)
    logarithm = target.clamp(min=1e-7).log_()
    mu = (-0.0155 * logarithm + 0.0244).clamp_(0.049, 0.1)
    spread = (-0.0125 * logarithm - 0.0059).clamp_(0.008, 0.045)
    return PcmPairs(conductance, torch.addcmul(mu, spread, _normal(target, rng)).abs_())


def read_pcm(pairs: PcmPairs, seconds: float, rng: torch.Generator) -> Tensor:
    """Weights that PCM pairs stand for some time after programming, without drift compensation.

    g(t) = g_prog ((t + t0) / t0)^-nu; 1/f noise of sigma = g min(0.0088 / r^0.65, 0.2)
    sqrt(ln((T + t_read) / (2 t_read))), T = t + t0.

    Parameters
    ----------
    pairs : PcmPairs
    seconds : float
        Since programming.
    rng : torch.Generator

    Returns
    -------
    Tensor, shape (n,)
        Over the full scale.
    """
    total = seconds + PCM_FIRST_READING
    drifted = pairs.conductance * torch.exp(pairs.exponent * -math.log(total / PCM_FIRST_READING))
    spread = (0.0088 / pairs.conductance.pow(0.65).clamp_(min=1e-3)).clamp_(max=0.2)
    spread *= math.sqrt(math.log((total + PCM_READ_TIME) / (2 * PCM_READ_TIME)))
    read = torch.addcmul(drifted, drifted * spread, _normal(drifted, rng)).clamp_(min=0.0)
    return read[0] - read[1]


def read_rram_pairs(weights: Tensor, seconds: float, rng: torch.Generator) -> Tensor:
    """Weights that pairs of RRAM devices stand for some time after programming.

    The deviation at 1 s, 1 day and 2 days is a polynomial in g / g_max; between them it is interpolated
    in log time.

    Parameters
    ----------
    weights : Tensor, shape (n,)
        Targets, -1 to 1.
    seconds : float
        Since programming, from 1 s to 2 days.
    rng : torch.Generator

    Returns
    -------
    Tensor, shape (n,)
        Over the full scale.

    Raises
    ------
    ValueError
        Outside the measured times.
    """
    target = torch.stack([weights, -weights]).clamp_(min=0.0)
    sigma = _rram_deviation(target, seconds) / RRAM_G_MAX
    read = torch.addcmul(target, sigma, _normal(target, rng)).clamp_(min=0.0)
    return read[0] - read[1]


def _rram_deviation(relative: Tensor, seconds: float) -> Tensor:
    times = sorted(RRAM_DEVIATION)
    if not times[0] <= seconds <= times[-1]:
        raise ValueError(
            f"RRAM deviations are known from {times[0]:g} to {times[-1]:g} s, not at {seconds:g}"
        )
    late = next(time for time in times if seconds <= time)
    early = max([time for time in times if time < late], default=late)
    share = 0.0 if late == early else math.log(seconds / early) / math.log(late / early)
    c = [
        (1 - share) * a + share * b if late != early else b
        for a, b in zip(RRAM_DEVIATION[early], RRAM_DEVIATION[late], strict=True)
    ]
    return (((c[4] * relative + c[3]) * relative + c[2]) * relative + c[1]) * relative + c[0]


def slice_deviation(cell_bits: int, seconds: float) -> Tensor:
    """Standard deviation of a cell of a bit slice, by level.

    Programming to within 2 %, sigma = 0.0112 + 0.01129 g uS; relaxation, 0.4118 + 0.0420 ln t uS; read
    noise, 0.0277 log10(g) sqrt(ln((t + t_read) / (2 t_read))) uS. The mean relaxation is the same at every
    level: a reference column of cells at the lowest level, read with the same inputs, takes it out.

    Parameters
    ----------
    cell_bits : int
    seconds : float
        Since programming, at least 1 s.

    Returns
    -------
    Tensor, shape (2^cell_bits,)
        In units of the distance between levels.
    """
    if seconds < 1.0:
        raise ValueError(f"relaxation of RRAM slices is known from 1 s on, not at {seconds:g} s")
    levels = 2**cell_bits
    g = torch.linspace(*SLICE_G, levels, dtype=torch.float64)
    programming = SLICE_PROGRAMMING[0] + SLICE_PROGRAMMING[1] * g
    relaxation = SLICE_RELAXATION[0] + SLICE_RELAXATION[1] * math.log(seconds)
    age = math.log((seconds + SLICE_READ_TIME) / (2 * SLICE_READ_TIME))
    reading = SLICE_READ * torch.log10(g) * math.sqrt(age)
    distance = (SLICE_G[1] - SLICE_G[0]) / (levels - 1)
    return (torch.sqrt(programming**2 + relaxation**2 + reading**2) / distance).float()


def slice_levels(codes: Tensor, weight_bits: int, cell_bits: int) -> Tensor:
    """Levels of the cells that hold weights in offset code (ISAAC, ISCA 2016), least significant first.

    Parameters
    ----------
    codes : Tensor, shape (...)
        Whole numbers of ``weight_bits`` bits.
    weight_bits, cell_bits : int

    Returns
    -------
    Tensor, shape (slices, ...), float32
        Their sum, each times ``2^(cell_bits x slice)``, is the code plus ``2^(weight_bits - 1)``.
    """
    shifted = codes.to(torch.int32) + 2 ** (weight_bits - 1)
    count = -(-weight_bits // cell_bits)
    return torch.stack([(shifted >> (cell_bits * k)) & (2**cell_bits - 1) for k in range(count)]).float()


def read_slices(
    codes: Tensor, weight_bits: int, cell_bits: int, seconds: float, rng: torch.Generator
) -> Tensor:
    """Cells of bit slices some time after programming; shapes as in :func:`slice_levels`, noisy."""
    levels = slice_levels(codes, weight_bits, cell_bits)
    return torch.addcmul(levels, slice_deviation(cell_bits, seconds)[levels.long()], _normal(levels, rng))


def read_sliced_weights(
    codes: Tensor, weight_bits: int, cell_bits: int, seconds: float, rng: torch.Generator
) -> Tensor:
    """Weights that slices stand for, the sum of :func:`read_slices` in one draw [codes]; shape of ``codes``.

    A sum of independent normal deviations is normal, so that one draw a weight does.
    """
    sigma = slice_deviation(cell_bits, seconds)
    every = torch.arange(2**weight_bits) - 2 ** (weight_bits - 1)
    levels = slice_levels(every, weight_bits, cell_bits).long()
    significance = 2.0 ** (cell_bits * torch.arange(len(levels), dtype=torch.float32))
    spread = torch.sqrt(((significance[:, None] * sigma[levels]) ** 2).sum(0))
    return torch.addcmul(codes, spread[(codes + 2 ** (weight_bits - 1)).long()], _normal(codes, rng))


def read_sram(codes: Tensor, weight_bits: int, rng: torch.Generator) -> Tensor:
    """Weights that charge-domain SRAM cells stand for [codes]; shape of ``codes``.

    A weight is in two's complement, one cell a bit, and each cell's capacitor is off by 0.66 % (1 fF), for
    good. The deviation of a weight is the sum over its set bits.
    """
    every = torch.arange(2**weight_bits, dtype=torch.int32)
    bits = torch.stack([(every >> k) & 1 for k in range(weight_bits)]).float()
    spread = SRAM_CAPACITOR_MISMATCH * torch.sqrt((bits * 4.0 ** torch.arange(weight_bits)[:, None]).sum(0))
    return torch.addcmul(codes, spread[codes.long() % 2**weight_bits], _normal(codes, rng))


def sram_converter_noise(adc_limit: int, supply_v: float) -> float:
    """Noise of the ADC behind charge-domain columns, 0.5 mV rms, in its steps.

    Its codes, from ``-adc_limit`` to ``adc_limit``, cover the line's swing of V_DD / 1.3: a gain stage,
    whose own noise is not modelled, brings the calibrated range to that swing. Without one, 8-bit inputs
    times 8-bit weights on 64 to 256 rows would leave 1 to 4 mV of signal, and networks fail.
    """
    return SRAM_ADC_NOISE * 2 * adc_limit * SRAM_SWING_LOSS / supply_v


def ir_drop(rows: int, g_max: float) -> Tensor:
    """Signal of each row of a block over their mean, for wires of 1 ohm a cell; shape (rows,).

    The current of all rows flows through the wire next to the converter: the i-th of n rows from there
    loses a share proportional to i n - i^2 / 2. The mean loss is taken out by the column's gain.

    Parameters
    ----------
    rows : int
        Rows in use.
    g_max : float
        Largest conductance of a device [uS].
    """
    position = torch.arange(rows, dtype=torch.float32) + 0.5
    signal = 1.0 - IR_DROP * g_max / 25.0 * (position * rows - position**2 / 2)
    return signal / signal.mean()


def targets(codes: Tensor, bits: int) -> Tensor:
    """Codes over their full scale, -1 to 1."""
    return codes / full_scale(bits)


def _normal(like: Tensor, rng: torch.Generator) -> Tensor:
    return torch.empty_like(like, device="cpu").normal_(generator=rng).to(like.device)
