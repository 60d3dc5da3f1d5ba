"""Layers against plain loops over the same numbers, and against whole-number arithmetic."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from nasbench_imc.building.crossbar.blocks import block_codes, blocks, is_depthwise  # noqa: E402
from nasbench_imc.building.crossbar.layers import (  # noqa: E402
    WHOLE,
    AnalogLayer,
    DigitalLayer,
    NoisePool,
    Part,
    RoundedAttention,
    Rounder,
    SurrogateLayer,
    by_channel,
    input_digit,
    replaced,
)
from nasbench_imc.building.networks import Attention  # noqa: E402

GEOMETRIES = {
    "conv": nn.Conv2d(9, 6, 3, padding=1, bias=False),
    "strided": nn.Conv2d(9, 6, 3, 2, 1, bias=False),
    "patches": nn.Conv2d(5, 4, 2, 2, bias=False),
    "pointwise": nn.Conv2d(17, 4, 1, bias=False),
    "depthwise": nn.Conv2d(9, 9, 3, padding=1, groups=9, bias=False),
    "strided depthwise": nn.Conv2d(9, 9, 3, 2, 1, groups=9, bias=False),
    "linear": nn.Linear(40, 7),
    "one channel": nn.Conv2d(1, 3, 3, padding=1, bias=False),
}
POOL = NoisePool(torch.Generator().manual_seed(0), 2**16)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def whole_inputs(layer, signed, seed=1) -> torch.Tensor:
    low = -127 if signed else 0
    shape = (2, 3, layer.in_features) if isinstance(layer, nn.Linear) else (2, layer.in_channels, 6, 6)
    x = torch.randint(low, 128 if signed else 256, shape, generator=rng(seed)).float()
    return x if isinstance(layer, nn.Linear) else x.to(memory_format=torch.channels_last)


def whole_codes(layer, seed=2) -> torch.Tensor:
    return torch.randint(-127, 128, layer.weight.shape, generator=rng(seed)).float()


def loop(layer, inputs, codes) -> np.ndarray:
    """Products of a layer by a loop over outputs and kernel positions; int64 for whole numbers."""
    x, w = np.asarray(inputs), np.asarray(codes)
    if w.dtype == np.float32:
        x, w = x.astype(np.int64), w.astype(np.int64)
    if isinstance(layer, nn.Linear):
        return np.stack([(x * row).sum(-1) for row in w], axis=-1)
    k, stride, pad = layer.kernel_size[0], layer.stride[0], layer.padding[0]
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    side = (x.shape[-1] - k) // stride + 1
    y = np.zeros((len(x), len(w), side, side), dtype=x.dtype)
    for n in range(len(w)):
        taken = x[:, n : n + 1] if layer.groups > 1 else x
        for i in range(side):
            for j in range(side):
                window = taken[:, :, i * stride : i * stride + k, j * stride : j * stride + k]
                y[:, n, i, j] = (window * w[n]).sum((1, 2, 3))
    return y


def part_of(layer, codes, block, cut) -> np.ndarray:
    """Codes of which all but a block's inputs are zero: the block's own sums by the loop above."""
    masked = np.zeros(codes.shape, dtype=np.int64)
    where = (block.outputs,) if is_depthwise(layer) else (slice(None), block.inputs)
    masked[where] = codes.numpy()[where]
    return masked


def random_affine(layer) -> tuple[torch.Tensor, torch.Tensor]:
    outputs = layer.weight.shape[0]
    gain = torch.rand(outputs, generator=rng(3)) * 1e-3 + 1e-4
    return by_channel(gain, layer), by_channel(torch.randn(outputs, generator=rng(4)), layer)


def analog(layer, codes, rows, adc_steps, limit, input_step, digits=WHOLE, *, packed=True):
    """An analog layer without noise: what it should compute is in :func:`analog_loop`."""
    gain, offset = random_affine(layer)
    cut = blocks(layer, rows)
    parts = []
    for block, adc_step in zip(cut, adc_steps, strict=True):
        held = block_codes(layer, codes, block, packed=packed)
        groups = len(held) if is_depthwise(layer) and not packed else 1
        parts.append(
            Part(block.inputs, groups, held / (input_step * adc_step), gain[block.outputs] * adc_step)
        )
    joined = is_depthwise(layer) and len(parts) > 1
    return AnalogLayer(
        layer, parts, offset, limit, joined=joined, digits=digits, input_step=input_step, pool=POOL
    )


def analog_loop(layer, inputs, codes, rows, adc_steps, limit, digits=WHOLE) -> np.ndarray:
    gain, offset = (v.double().numpy() for v in random_affine(layer))
    x = inputs.numpy().astype(np.int64)
    total = 0
    cut = blocks(layer, rows)
    for divisor, modulus in digits:
        digit = np.sign(x) * (np.abs(x) // divisor)
        if modulus:
            digit = np.sign(digit) * (np.abs(digit) % modulus)
        for block, adc_step in zip(cut, adc_steps, strict=True):
            sums = loop(layer, digit, part_of(layer, codes, block, cut))
            converted = np.clip(np.rint(sums / adc_step), -limit, limit)
            total = total + divisor * adc_step * converted
    return total * gain + offset


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_digital_layer_is_whole_number_arithmetic(name, signed):
    layer = GEOMETRIES[name]
    x, codes = whole_inputs(layer, signed), whole_codes(layer)
    step = 0.0371  # no power of two
    one, none = by_channel(torch.ones(len(codes)), layer), by_channel(torch.zeros(len(codes)), layer)
    made = DigitalLayer(layer, codes, one, none, step)(x * step)
    np.testing.assert_array_equal(made.numpy().astype(np.int64), loop(layer, x, codes))
    assert bool((made == made.round()).all())


def test_the_digital_layer_is_exact_for_the_largest_sums_of_the_space():
    layer = nn.Conv2d(56, 2, 3, padding=1, bias=False)
    x = torch.full((1, 56, 4, 4), 255.0)
    x[0, 0, 0, 0] = 254  # sums are then odd too
    codes = torch.full((2, 56, 3, 3), 127.0)
    codes[1] = -127
    one, none = torch.ones(2, 1, 1), torch.zeros(2, 1, 1)
    made = DigitalLayer(layer, codes, one, none, 1.0)(x)
    np.testing.assert_array_equal(made.numpy().astype(np.int64), loop(layer, x, codes))
    assert float(made.abs().max()) == 504 * 127 * 255


def test_gain_and_offset_follow_the_sums():
    layer = GEOMETRIES["conv"]
    x, codes = whole_inputs(layer, True), whole_codes(layer)
    gain, offset = random_affine(layer)
    expected = loop(layer, x, codes) * gain.numpy() + offset.numpy()
    np.testing.assert_allclose(DigitalLayer(layer, codes, gain, offset, 0.5)(x * 0.5), expected, rtol=1e-5)


@pytest.mark.parametrize("rows", [9, 36, 64])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_analog_layer_without_noise_and_steps_of_one_is_exact(name, rows):
    layer = GEOMETRIES[name]
    x, codes = whole_inputs(layer, True), whole_codes(layer)
    steps = [1.0] * len(blocks(layer, rows))
    step = 0.25
    made = analog(layer, codes, rows, steps, 2**23, step)(x * step)
    gain, offset = random_affine(layer)
    expected = loop(layer, x, codes) * gain.double().numpy() + offset.double().numpy()
    np.testing.assert_allclose(made.numpy(), expected, rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("rows", [9, 36, 64])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_analog_layer_rounds_and_clamps_each_block(name, rows, signed, packed):
    layer = GEOMETRIES[name]
    x, codes = whole_inputs(layer, signed), whole_codes(layer)
    # A step with an odd denominator: no sum lies half-way between two codes, where floats could round apart.
    steps = [2047 / 7 + 64 * k for k in range(len(blocks(layer, rows)))]
    limit = 31
    made = analog(layer, codes, rows, steps, limit, 0.25, packed=packed)(x * 0.25)
    expected = analog_loop(layer, x, codes, rows, steps, limit)
    np.testing.assert_allclose(made.numpy(), expected, rtol=1e-5, atol=1e-5)
    exact = loop(layer, x, codes)
    assert np.abs(exact).max() > limit * steps[0]  # so that something was clamped


@pytest.mark.parametrize("digit_bits", [2, 4])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("name", ["conv", "depthwise", "linear"])
def test_digits_of_inputs_are_converted_apart_and_added(name, signed, digit_bits):
    layer = GEOMETRIES[name]
    x, codes = whole_inputs(layer, signed), whole_codes(layer)
    base = 2**digit_bits
    digits = [(base**k, base) for k in range(8 // digit_bits)]
    steps = [101 / 7] * len(blocks(layer, 36))
    made = analog(layer, codes, 36, steps, 255, 0.25, digits)(x * 0.25)
    np.testing.assert_allclose(
        made.numpy(), analog_loop(layer, x, codes, 36, steps, 255, digits), rtol=1e-5, atol=1e-4
    )
    fine = [1.0] * len(steps)
    made = analog(layer, codes, 36, fine, 2**20, 0.25, digits)(x * 0.25)
    gain, offset = random_affine(layer)
    np.testing.assert_allclose(
        made.numpy(), loop(layer, x, codes) * gain.numpy() + offset.numpy(), rtol=1e-4, atol=1e-3
    )


@pytest.mark.parametrize("base", [2, 4, 16])
def test_digits_of_every_input_add_up_to_it(base):
    codes = torch.arange(-127.0, 256.0)
    count = round(8 / np.log2(base))
    digits = [input_digit(codes, base**k, base) for k in range(count)]
    assert torch.equal(sum(base**k * digit for k, digit in enumerate(digits)), codes)
    assert max(float(digit.abs().max()) for digit in digits) == base - 1
    assert torch.equal(input_digit(codes, *WHOLE[0]), codes)


def test_noise_of_conversions_is_added_before_rounding():
    layer = GEOMETRIES["pointwise"]
    made = analog(layer, torch.zeros_like(layer.weight), 64, [1.0], 3, 1.0)
    made.parts[0].gain, made.offset = torch.ones(4, 1, 1), torch.zeros(4, 1, 1)
    made.parts[0].noise = 0.4
    y = made(torch.zeros(60, 17, 10, 10))
    assert torch.equal(y, y.round())
    # P(|0.4 xi| > 1/2) for a normal xi
    assert float((y != 0).float().mean()) == pytest.approx(0.2113, abs=0.02)
    made.parts[0].noise = 100.0
    assert float(made(torch.zeros(60, 17, 10, 10)).abs().max()) == 3


@pytest.mark.parametrize("name", ["conv", "depthwise", "linear"])
def test_the_surrogate_is_the_layer_plus_noise_of_each_channel(name):
    layer = GEOMETRIES[name]
    x, codes = whole_inputs(layer, True), whole_codes(layer)
    gain, offset = random_affine(layer)
    parts = [
        Part(
            block.inputs if is_depthwise(layer) else None,
            1,
            block_codes(layer, codes, block, packed=True) / 0.25,
            gain[block.outputs],
        )
        for block in blocks(layer, 36 if is_depthwise(layer) else 9_999)
    ]
    pool = NoisePool(rng(9), 2**16)
    joined = is_depthwise(layer)
    exact = loop(layer, x, codes) * gain.numpy() + offset.numpy()
    none = torch.zeros_like(offset)
    made = SurrogateLayer(layer, parts, offset, none, joined=joined, pool=pool)(x * 0.25)
    np.testing.assert_allclose(made.numpy(), exact, rtol=1e-5, atol=1e-5)
    spread = torch.zeros_like(offset)
    spread[1] = 0.5
    noisy = SurrogateLayer(layer, parts, offset, spread, joined=joined, pool=pool)
    errors = torch.stack([noisy(x * 0.25) for _ in range(60)]).numpy() - exact
    errors = np.moveaxis(errors, -1 if name == "linear" else 2, 0).reshape(len(offset), -1)
    assert errors[1].std() == pytest.approx(0.5, rel=0.12)
    assert np.abs(np.delete(errors, 1, 0)).max() < 1e-4


# Noise


def test_a_pool_gives_normal_noise_of_the_shape_and_layout_asked_for():
    pool = NoisePool(rng(), 2**18)
    x = torch.zeros(10, 16, 8, 8).to(memory_format=torch.channels_last)
    noise = pool.like(x)
    assert noise.shape == x.shape
    assert noise.stride() == x.stride()
    assert float(noise.std()) == pytest.approx(1, abs=0.05)
    assert float(noise.mean()) == pytest.approx(0, abs=0.05)
    assert pool.like(torch.zeros(4, 5, 6)).shape == (4, 5, 6)
    assert not torch.equal(pool.like(x), noise)


def test_a_pool_depends_on_its_generator_alone_and_says_when_it_is_too_small():
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    a, b = (NoisePool(rng(5), 1_000) for _ in range(2))
    x = torch.zeros(10, 50)
    assert torch.equal(a.like(x), b.like(x))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert a.like(torch.zeros(1_000)).numel() == 1_000
    with pytest.raises(ValueError, match="larger pool than 1000"):
        a.like(torch.zeros(1_001))


# Stored activations and attention


def test_a_rounder_stores_the_nearest_code_in_its_range_in_place():
    rounder = Rounder(0.1, -127, 127)
    x = torch.tensor([-100.0, -12.74, -0.04, 0.0, 0.06, 3.33, 12.66, 99.0])
    stored = rounder(x)
    torch.testing.assert_close(stored, torch.tensor([-12.7, -12.7, 0.0, 0.0, 0.1, 3.3, 12.7, 12.7]))
    assert stored.data_ptr() == x.data_ptr()
    assert float(Rounder(0.1, 0, 255)(torch.tensor(-1.0))) == 0


def heads(seed, tokens=16) -> torch.Tensor:
    return torch.randn(3, 2, tokens, 8, generator=rng(seed))


def test_attention_of_fine_steps_is_attention():
    query, key, value = heads(1), heads(2), heads(3)
    fine = Rounder(1e-5, -(2**22), 2**22)
    rounded = RoundedAttention(fine, fine, fine, 20)
    expected = Attention()(query, key, value)  # before rounders change what they are given
    torch.testing.assert_close(rounded(query, key, value), expected, rtol=1e-3, atol=1e-4)


def test_attention_of_eight_bits_is_the_loop_over_codes():
    query, key, value = (heads(k) for k in (1, 2, 3))
    given = (x.clone() for x in (query, key, value))
    steps = 0.021, 0.017, 0.013
    made = RoundedAttention(*(Rounder(step, -127, 127) for step in steps), 8)(*given)
    q, k, v = (
        np.clip(np.rint(x.double().numpy() / s), -127, 127)
        for x, s in zip((query, key, value), steps, strict=True)
    )
    expected = np.empty(made.shape)
    for image in range(3):
        for head in range(2):
            for token in range(16):
                score = k[image, head] @ q[image, head, token] * steps[0] * steps[1] / np.sqrt(8)
                share = np.exp(score - score.max())
                share = np.rint(share / share.sum() * 255)
                expected[image, head, token] = share @ v[image, head] * steps[2] / 255
    # A share half-way between two codes may round either way: one code of the largest value at most.
    difference = np.abs(made.numpy() - expected)
    assert np.median(difference) < 1e-6
    assert difference.max() < 127 * steps[2] / 255 * 1.01


def test_submodules_are_replaced_by_name():
    network = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU(), nn.Tanh()))
    replaced(network, {"1.0": nn.Identity(), "0": nn.Sigmoid()})
    assert [type(m).__name__ for m in (network[0], network[1][0], network[1][1])] == [
        "Sigmoid",
        "Identity",
        "Tanh",
    ]
