"""Bit-serial, bit-sliced arrays against loops over bits, slices and row groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from nasbench_imc.building.codes import Codes, coded  # noqa: E402
from nasbench_imc.building.crossbar import devices, serial  # noqa: E402
from nasbench_imc.building.crossbar.layers import apply_layer  # noqa: E402

LAYERS = {
    "conv": nn.Conv2d(5, 6, 3, 2, 1, bias=False),
    "patches": nn.Conv2d(5, 4, 2, 2, bias=False),
    "linear": nn.Linear(40, 7),
    "depthwise": nn.Conv2d(7, 7, 3, padding=1, groups=7, bias=False),
}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def whole_inputs(layer, signed, images=2) -> torch.Tensor:
    shape = (
        (images, 3, layer.in_features) if isinstance(layer, nn.Linear) else (images, layer.in_channels, 6, 6)
    )
    return torch.randint(-127 if signed else 0, 128 if signed else 256, shape, generator=rng(1)).float()


def noiseless(arrays: serial.SlicedArrays, monkeypatch) -> list[torch.Tensor]:
    with monkeypatch.context() as patch:
        patch.setattr(devices, "slice_deviation", lambda bits, seconds: torch.zeros(2**bits))
        return arrays.draw(1.0, rng())


@pytest.mark.parametrize("signed", [False, True])
def test_planes_of_inputs_recombine(signed):
    inputs = torch.arange(-128.0, 128.0) if signed else torch.arange(256.0)
    planes, significance = serial.input_planes(inputs, 8, signed=signed)
    assert planes.shape == (8, 256)
    assert set(planes.unique().tolist()) == {0.0, 1.0}
    assert torch.equal((planes * significance[:, None]).sum(0), inputs)


@given(
    rows=st.integers(1, 600),
    array=st.sampled_from([16, 60, 64, 256]),
    active=st.integers(1, 256),
)
def test_row_groups_cover_every_row_once_and_span_no_two_arrays(rows, array, active):
    reading = serial.SerialReading(array, min(active, array), 8, 2, 8, 8)
    groups = serial.row_groups(rows, reading)
    assert [row for a, b in groups for row in range(a, b)] == list(range(rows))
    for a, b in groups:
        assert b - a <= reading.active_rows
        assert a // array == (b - 1) // array


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("given_steps", [None, (1.0, 2.5, 1.3, 7.0)])
def test_converted_sums_are_those_of_a_loop(signed, given_steps):
    reading = serial.SerialReading(10, 4, 8, 2, 8, 3)
    rows = torch.randint(-127 if signed else 0, 128 if signed else 256, (5, 23), generator=rng(1)).float()
    cells = torch.randint(0, 4, (4, 3, 23), generator=rng(2)) + 0.05 * torch.randn(4, 3, 23, generator=rng(3))
    steps = None if given_steps is None else torch.tensor(given_steps)
    sums, used = serial.converted_sums(rows, cells, reading, signed=signed, steps=steps)
    x, g = rows.numpy().astype(int), cells.double().numpy()
    groups = [(0, 4), (4, 8), (8, 10), (10, 14), (14, 18), (18, 20), (20, 23)]
    every: list[list[float]] = [[], [], [], []]
    expected = np.zeros((5, 3))
    for pixel in range(5):
        for output in range(3):
            for k in range(4):
                for bit in range(8):
                    weight = -(2**7) if signed and bit == 7 else 2**bit
                    for a, b in groups:
                        seen = sum(((x[pixel, r] % 256) >> bit & 1) * g[k, output, r] for r in range(a, b))
                        every[k].append(seen)
                        code = min(max(np.rint(seen / float(used[k])), 0), 7)
                        expected[pixel, output] += weight * 4**k * float(used[k]) * code
    np.testing.assert_allclose(sums.numpy(), expected, rtol=1e-5, atol=0.05)
    if given_steps is None:  # so few sums are seen that the largest sets the range
        for values, step in zip(every, used.tolist(), strict=True):
            v = np.array(values)
            covering = np.abs(v).max() / 7
            errors = {
                s: np.square(np.clip(np.rint(v / s), 0, 7) * s - v).mean()
                for s in (max(1.0, np.floor(covering)), max(1.0, np.ceil(covering)))
            }
            assert step == min(errors, key=errors.__getitem__)
    else:
        assert torch.equal(used, steps)


def test_steps_are_whole_levels():
    """Sums a little beyond the codes are cut off; where many are, steps are two levels."""
    few = torch.cat([torch.randint(0, 20, (9_990,), generator=rng(1)), torch.full((10,), 39)]).float()
    assert serial.whole_step(few, 31) == 1.0
    many = torch.randint(0, 63, (10_000,), generator=rng(1)).float()
    assert serial.whole_step(many, 31) == 2.0
    assert serial.whole_step(torch.zeros(100), 31) == 1.0
    assert serial.whole_step(many, 255) == 1.0


@pytest.mark.parametrize(("weight_bits", "cell_bits"), [(8, 2), (8, 1), (8, 4), (4, 2)])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_an_adc_without_loss_gives_exact_sums(name, signed, weight_bits, cell_bits, monkeypatch):
    layer = LAYERS[name]
    largest = 2 ** (weight_bits - 1) - 1
    codes = torch.randint(-largest, largest + 1, layer.weight.shape, generator=rng(2)).float()
    active = 16
    bits = int(np.log2(active)) + cell_bits  # levels up to 16 x (2^cell_bits - 1)
    reading = serial.SerialReading(32, active, 8, cell_bits, weight_bits, bits)
    arrays = serial.SlicedArrays(layer, Codes(codes, torch.ones(len(codes)), weight_bits), reading)
    cells = noiseless(arrays, monkeypatch)
    inputs = whole_inputs(layer, signed)
    sums, steps = arrays.sums(inputs, cells, None, signed=signed)
    assert all(torch.equal(step, torch.ones_like(step)) for step in steps)
    exact = apply_layer(layer, inputs, codes)
    exact = exact.flatten(0, 1) if name == "linear" else exact.permute(0, 2, 3, 1).flatten(0, 2)
    assert torch.equal(sums, exact)
    assert torch.equal(arrays.linear(inputs, cells), exact)
    assert torch.equal(arrays.exact(inputs), exact)


def test_one_bit_fewer_clips_and_rounds(monkeypatch):
    layer = LAYERS["linear"]
    reading = serial.SerialReading(32, 16, 8, 2, 8, 3)
    arrays = serial.SlicedArrays(layer, coded(layer.weight), reading)
    cells = noiseless(arrays, monkeypatch)
    inputs = whole_inputs(layer, False)
    sums, (steps,) = arrays.sums(inputs, cells, None, signed=False)
    assert float(steps.min()) > 1
    assert not torch.equal(sums, arrays.linear(inputs, cells))


def test_cells_off_the_diagonal_of_a_packed_block_hold_the_lowest_level(monkeypatch):
    layer = LAYERS["depthwise"]
    reading = serial.SerialReading(64, 32, 8, 2, 8, 6)
    arrays = serial.SlicedArrays(layer, coded(layer.weight), reading)
    assert [block.rows for block in arrays.blocks] == [27, 27, 9]  # three filters in 32 rows
    clean, noisy = noiseless(arrays, monkeypatch), arrays.draw(devices.SECONDS["1d"], rng())
    for block, levels, drawn in zip(arrays.blocks, clean, noisy, strict=True):
        count = block.rows // 9
        apart = levels.view(4, count, count, 9)
        off = ~torch.eye(count, dtype=torch.bool)
        assert torch.equal(apart[:, off], torch.zeros_like(apart[:, off]))
        own = devices.slice_levels(arrays._codes[block.outputs, 0].flatten(1), 8, 2)
        assert torch.equal(apart[:, ~off], own)
        errors = (drawn - levels).view(4, count, count, 9)
        assert float(errors[:, off].std() if count > 1 else 0.02) > 0.005  # they are noisy all the same


def test_draws_depend_on_their_generator_alone():
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    reading = serial.SerialReading(64, 32, 8, 2, 8, 6)
    for layer in LAYERS.values():
        arrays = serial.SlicedArrays(layer, coded(layer.weight), reading)
        first, again, other = (arrays.draw(1.0, rng(seed)) for seed in (1, 1, 2))
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert not torch.equal(first[0], other[0])
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("passed", [0.0, 0.3, 1.0])
def test_a_fit_finds_gain_offset_spread_and_what_passes_of_deviations(passed):
    exact = 1_000 * torch.randn(50_000, 3, generator=rng(1)) + 300
    # Deviations go partly with the sums, as those of an output's own cells do.
    deviation = 0.02 * exact + 40 * torch.randn(50_000, 3, generator=rng(2)) + 5
    gain, offset = torch.tensor([0.5, 1.0, 1.2]), torch.tensor([10.0, 0.0, -400.0])
    spread = torch.tensor([3.0, 20.0, 0.0])
    noise = spread * torch.randn(50_000, 3, generator=rng(3))
    converted = (exact + passed * deviation) * gain + offset + noise
    found = serial.fit(exact, deviation, converted)
    assert found.passed == pytest.approx(passed * float(gain.mean()), abs=0.01)
    one = serial.fit(exact[:, 1:2], deviation[:, 1:2], converted[:, 1:2])
    assert one.passed == pytest.approx(passed, abs=0.01)
    torch.testing.assert_close(one.gain, gain[1:2], rtol=0, atol=1e-3)
    torch.testing.assert_close(one.offset, offset[1:2], rtol=0, atol=0.7)
    torch.testing.assert_close(one.spread, spread[1:2], rtol=0.02, atol=0.01)
    predicted = (exact + found.passed * deviation) * found.gain + found.offset
    torch.testing.assert_close(predicted.mean(0), converted.mean(0), rtol=1e-4, atol=0.01)


def test_a_channel_that_never_changes_is_fitted_by_an_offset():
    exact, converted = torch.full((10, 1), 7.0), torch.full((10, 1), 9.0)
    found = serial.fit(exact, torch.zeros(10, 1), converted)
    assert (float(found.gain), float(found.offset), float(found.spread)) == (1.0, 2.0, 0.0)
    assert found.passed == 1.0  # nothing is known


@pytest.mark.parametrize("name", LAYERS)
def test_the_exact_layer_puts_sums_where_the_layer_would(name, monkeypatch):
    layer = LAYERS[name]
    reading = serial.SerialReading(64, 64, 8, 2, 8, 9)
    codes = coded(layer.weight)
    arrays = serial.SlicedArrays(layer, codes, reading)
    inputs = whole_inputs(layer, True, images=20)  # more than are held at once
    steps = [torch.ones(4)] * len(arrays.blocks)
    shape = (-1,) if name == "linear" else (-1, 1, 1)
    gain, offset = (torch.rand(len(codes.codes), generator=rng(k)).view(shape) for k in (1, 2))
    made = serial.SerialLayer(arrays, steps, gain, offset, 0.125, signed=True)
    made.cells = noiseless(arrays, monkeypatch)
    expected = apply_layer(layer, inputs, codes.codes) * gain + offset
    torch.testing.assert_close(made(inputs * 0.125), expected, rtol=1e-6, atol=1e-3)
