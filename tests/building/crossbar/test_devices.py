"""Devices against their published formulas, by many draws, and against simulations of single cells."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nasbench_imc.building.crossbar import devices  # noqa: E402

DAY = devices.SECONDS["1d"]
MONTH = devices.SECONDS["30d"]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clipped_weights(count: int = 200_000) -> torch.Tensor:
    """Normal weights clipped at 2.5 standard deviations, over the largest."""
    return torch.randn(count, generator=rng(7)).clamp_(-2.5, 2.5) / 2.5


def after_compensation(seconds: float) -> torch.Tensor:
    pairs = devices.program_pcm(clipped_weights(), rng(1))
    start = pairs.conductance[0] - pairs.conductance[1]
    now = devices.read_pcm(pairs, seconds, rng(2))
    return now * (start.abs().sum() / now.abs().sum())


# PCM


@pytest.mark.parametrize("r", [0.3, 0.6, 1.0])
def test_pcm_programming_noise_is_the_polynomial(r):
    pairs = devices.program_pcm(torch.full((40_000,), r), rng())
    expected = (0.26348 + 1.9650 * r - 1.1731 * r * r) / 25
    assert float(pairs.conductance[0].mean()) == pytest.approx(r, abs=5 * expected / 200)
    assert float(pairs.conductance[0].std()) == pytest.approx(expected, rel=0.02)


def test_pcm_device_of_the_other_sign_is_noise_about_zero_cut_at_zero():
    idle = devices.program_pcm(torch.full((40_000,), 0.5), rng()).conductance[1]
    sigma = 0.26348 / 25
    assert float(idle.min()) == 0
    assert float((idle == 0).float().mean()) == pytest.approx(0.5, abs=0.02)
    assert float(idle.mean()) == pytest.approx(sigma / math.sqrt(2 * math.pi), rel=0.03)


def test_negative_weights_are_on_the_other_device():
    pairs = devices.program_pcm(torch.full((1_000,), -0.5), rng())
    assert float(pairs.conductance[1].mean()) == pytest.approx(0.5, abs=0.01)
    assert float(pairs.conductance[0].mean()) < 0.01


@pytest.mark.parametrize("r", [0.0, 1e-3, 0.1, 0.2, 1.0])
def test_pcm_drift_exponents_have_the_mean_and_spread_of_the_formula(r):
    exponent = devices.program_pcm(torch.full((100_000,), r), rng()).exponent[0].double()
    logarithm = math.log(max(r, 1e-7))
    mu = min(max(-0.0155 * logarithm + 0.0244, 0.049), 0.1)
    s = min(max(-0.0125 * logarithm - 0.0059, 0.008), 0.045)
    # |mu + s xi|: a folded normal distribution.
    tail = math.erf(mu / s / math.sqrt(2))
    mean = s * math.sqrt(2 / math.pi) * math.exp(-(mu**2) / (2 * s**2)) + mu * tail
    assert float(exponent.min()) >= 0
    assert float(exponent.mean()) == pytest.approx(mean, abs=5 * s / 316)
    assert float(exponent.std()) == pytest.approx(math.sqrt(mu**2 + s**2 - mean**2), rel=0.02)


@pytest.mark.parametrize("seconds", [0.0, 3_600.0, MONTH])
@pytest.mark.parametrize("r", [1e-3, 0.1, 1.0])
def test_pcm_drifts_by_its_power_law_under_read_noise(seconds, r):
    conductance = torch.stack([torch.full((40_000,), r), torch.zeros(40_000)])
    pairs = devices.PcmPairs(conductance, torch.full((2, 40_000), 0.06))
    read = devices.read_pcm(pairs, seconds, rng()).double()
    total = seconds + 20
    drifted = r * (total / 20) ** -0.06
    share = min(0.0088 / r**0.65, 0.2) * math.sqrt(math.log((total + 250e-9) / 500e-9))
    if share < 0.3:  # else the cut at zero shows
        assert float(read.mean()) == pytest.approx(drifted, abs=5 * drifted * share / 200)
        assert float(read.std()) == pytest.approx(drifted * share, rel=0.02)
    else:
        assert float(read.min()) == 0


def test_a_pcm_device_at_zero_stays_there():
    pairs = devices.PcmPairs(torch.zeros(2, 100), torch.full((2, 100), 0.1))
    assert torch.equal(devices.read_pcm(pairs, DAY, rng()), torch.zeros(100))


def test_reading_pcm_twice_leaves_the_programmed_cells_as_they_are():
    pairs = devices.program_pcm(clipped_weights(1_000), rng())
    before = pairs.conductance.clone(), pairs.exponent.clone()
    first, again = (devices.read_pcm(pairs, DAY, rng(5)) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(pairs.conductance, before[0])
    assert torch.equal(pairs.exponent, before[1])


@pytest.mark.parametrize(("seconds", "published"), [(DAY, 0.051), (MONTH, 0.060)])
def test_pcm_weights_are_as_far_off_as_published_after_drift_compensation(seconds, published):
    error = after_compensation(seconds) - clipped_weights()
    assert float(error.std()) == pytest.approx(published, rel=0.03)


def test_pcm_weights_are_as_far_off_as_published_when_programmed():
    pairs = devices.program_pcm(clipped_weights(), rng(1))
    error = pairs.conductance[0] - pairs.conductance[1] - clipped_weights()
    assert float(error.std()) == pytest.approx(0.031, rel=0.03)


# RRAM pairs


@pytest.mark.parametrize(("seconds", "published"), [(1.0, 0.048), (DAY, 0.084)])
def test_rram_weights_are_as_far_off_as_published(seconds, published):
    read = devices.read_rram_pairs(clipped_weights(), seconds, rng())
    assert float((read - clipped_weights()).std()) == pytest.approx(published, rel=0.03)


@pytest.mark.parametrize("seconds", [1.0, DAY, 2 * DAY])
def test_rram_noise_is_the_polynomial_at_measured_times(seconds):
    r = 0.7
    active = torch.full((100_000,), r)
    read = devices.read_rram_pairs(active, seconds, rng()).double()
    at = [sum(c * x**k for k, c in enumerate(devices.RRAM_DEVIATION[seconds])) / 40 for x in (r, 0.0)]
    # The idle device of the pair is a normal deviate cut at zero: variance s^2 (1/2 - 1/(2 pi)).
    variance = at[0] ** 2 + at[1] ** 2 * (0.5 - 0.5 / math.pi)
    assert float(read.std()) == pytest.approx(math.sqrt(variance), rel=0.01)
    assert float(read.mean()) == pytest.approx(r - at[1] / math.sqrt(2 * math.pi), abs=0.002)


def test_rram_noise_between_measured_times_is_linear_in_log_time():
    r = torch.linspace(0, 1, 11)
    middle = math.sqrt(1.0 * DAY)
    expected = (devices._rram_deviation(r, 1.0) + devices._rram_deviation(r, DAY)) / 2
    torch.testing.assert_close(devices._rram_deviation(r, middle), expected)
    late = DAY * math.sqrt(2)
    expected = (devices._rram_deviation(r, DAY) + devices._rram_deviation(r, 2 * DAY)) / 2
    torch.testing.assert_close(devices._rram_deviation(r, late), expected)


@pytest.mark.parametrize("r", [0.0, 0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("seconds", [1.0, DAY, 2 * DAY])
def test_rram_deviations_are_positive(r, seconds):
    assert float(devices._rram_deviation(torch.tensor(r), seconds)) > 0


@pytest.mark.parametrize("seconds", [0.0, 0.99, 2 * DAY + 1, MONTH, math.nan])
def test_rram_refuses_times_that_were_not_measured(seconds):
    with pytest.raises(ValueError, match="known from 1 to 172800 s"):
        devices.read_rram_pairs(torch.zeros(3), seconds, rng())


# RRAM slices


@pytest.mark.parametrize("weight_bits", [4, 8])
@pytest.mark.parametrize("cell_bits", [1, 2, 3, 4])
def test_levels_of_slices_recombine_to_every_code(weight_bits, cell_bits):
    codes = torch.arange(-(2 ** (weight_bits - 1)), 2 ** (weight_bits - 1)).float()
    levels = devices.slice_levels(codes, weight_bits, cell_bits)
    assert len(levels) == -(-weight_bits // cell_bits)
    assert float(levels.min()) >= 0
    assert float(levels.max()) <= 2**cell_bits - 1
    weights = torch.tensor([2.0 ** (cell_bits * k) for k in range(len(levels))])
    assert torch.equal((levels * weights[:, None]).sum(0) - 2 ** (weight_bits - 1), codes)


@pytest.mark.parametrize("seconds", [1.0, DAY])
def test_slice_deviation_is_programming_relaxation_and_read_noise_together(seconds):
    sigma = devices.slice_deviation(2, seconds)
    for level, g in enumerate(np.linspace(9.0, 88.2, 4)):
        programming = 0.0112185391 + 0.01129027418 * g
        relaxation = 0.41183342 + 0.04201137 * math.log(seconds)
        reading = 0.0277316483 * math.log10(g) * math.sqrt(math.log((seconds + 1e-6) / 2e-6))
        expected = math.sqrt(programming**2 + relaxation**2 + reading**2) / 26.4
        assert float(sigma[level]) == pytest.approx(expected, rel=1e-5)


def test_slices_refuse_times_before_the_first_measurement():
    with pytest.raises(ValueError, match="from 1 s on"):
        devices.slice_deviation(2, 0.5)


@pytest.mark.parametrize(("weight_bits", "cell_bits"), [(8, 2), (8, 1), (4, 2), (8, 4), (8, 3)])
def test_one_draw_a_weight_has_the_noise_of_the_sum_of_its_slices(weight_bits, cell_bits):
    draws = 20_000
    significance = torch.tensor([2.0 ** (cell_bits * k) for k in range(-(-weight_bits // cell_bits))])
    largest = 2 ** (weight_bits - 1) - 1
    for code in (-largest - 1, -1, 0, largest):
        codes = torch.full((draws,), float(code))
        slices = devices.read_slices(codes, weight_bits, cell_bits, DAY, rng(1))
        summed = (slices * significance[:, None]).sum(0) - 2 ** (weight_bits - 1)
        once = devices.read_sliced_weights(codes, weight_bits, cell_bits, DAY, rng(2))
        error = float(summed.std()) / math.sqrt(draws)
        assert float(once.std()) == pytest.approx(float(summed.std()), rel=0.03)
        assert float(once.mean()) == pytest.approx(code, abs=5 * error)
        assert float(summed.mean()) == pytest.approx(code, abs=5 * error)


# SRAM


@pytest.mark.parametrize("weight_bits", [4, 8])
def test_sram_mismatch_is_that_of_the_cells_that_hold_ones(weight_bits):
    draws = 20_000
    capacitors = 1 + devices.SRAM_CAPACITOR_MISMATCH * torch.randn(weight_bits, draws, generator=rng(3))
    largest = 2 ** (weight_bits - 1) - 1
    for code in (-largest, -1, 0, 1, 5, largest):
        bits = [(code % 2**weight_bits) >> k & 1 for k in range(weight_bits)]
        value = sum(
            (-1 if k == weight_bits - 1 else 1) * 2**k * bit * capacitors[k] for k, bit in enumerate(bits)
        )
        read = devices.read_sram(torch.full((draws,), float(code)), weight_bits, rng(4))
        if code == 0:
            assert torch.equal(read, torch.zeros(draws))
            continue
        assert float(read.std()) == pytest.approx(float(value.std()), rel=0.03)
        assert float(read.mean()) == pytest.approx(float(value.mean()), abs=8 * float(value.std()) / 141)


def test_sram_capacitors_are_off_by_two_thirds_of_a_percent():
    assert pytest.approx(0.00664, rel=1e-3) == devices.SRAM_CAPACITOR_MISMATCH


@pytest.mark.parametrize(("rows", "levels"), [(64, 0.05), (128, 0.09), (256, 0.19), (512, 0.37)])
def test_sram_converter_noise_agrees_with_the_published_share_of_a_level(rows, levels):
    # A converter with as many steps as there are levels: V_DD / (1.3 N) apart.
    assert devices.sram_converter_noise(1, 0.9) / 2 * rows == pytest.approx(levels, abs=0.006)


# Wires


@pytest.mark.parametrize(("rows", "gain"), [(64, 0.995), (128, 0.986), (256, 0.946)])
def test_ir_drop_takes_what_a_circuit_solver_found(rows, gain):
    position = np.arange(rows) + 0.5
    lost = devices.IR_DROP * (position * rows - position**2 / 2)
    assert 1 - lost.mean() == pytest.approx(gain, abs=0.002)
    signal = devices.ir_drop(rows, 25.0).double().numpy()
    np.testing.assert_allclose(signal, (1 - lost) / (1 - lost).mean(), rtol=1e-5)
    assert signal.mean() == pytest.approx(1, abs=1e-5)
    assert np.all(np.diff(signal) < 0)


def test_ir_drop_is_the_resistance_ladder_of_its_wire():
    # Each segment of wire carries what all cells beyond it feed in; cell k loses the drops up to it.
    rows, loss = 40, devices.IR_DROP
    drops = np.array([loss * (rows - segment - 0.5) for segment in range(rows)])
    ladder = 1 - (np.cumsum(drops) - drops / 2)
    np.testing.assert_allclose(devices.ir_drop(rows, 25.0).numpy(), ladder / ladder.mean(), atol=2e-6)


def test_ir_drop_grows_with_conductance():
    weak, strong = (devices.ir_drop(128, g) for g in (25.0, 40.0))
    assert float(strong[-1]) < float(weak[-1])


# Generators


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: devices.program_pcm(torch.linspace(-1, 1, 50), g).exponent,
        lambda g: devices.read_pcm(devices.program_pcm(torch.linspace(-1, 1, 50), g), DAY, g),
        lambda g: devices.read_rram_pairs(torch.linspace(-1, 1, 50), DAY, g),
        lambda g: devices.read_slices(torch.arange(-5.0, 5.0), 8, 2, DAY, g),
        lambda g: devices.read_sliced_weights(torch.arange(-5.0, 5.0), 8, 2, DAY, g),
        lambda g: devices.read_sram(torch.arange(-5.0, 5.0), 8, g),
    ],
)
def test_draws_depend_on_their_generator_alone(draw):
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    first = draw(rng(3))
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(1)
    assert torch.equal(draw(rng(3)), first)
    assert not torch.equal(draw(rng(4)), first)
