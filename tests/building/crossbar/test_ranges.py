"""Ranges from calibration images."""

import copy
import gc
import weakref

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from nasbench_imc.building.codes import Codes, coded, crossbar_layers, requantised  # noqa: E402
from nasbench_imc.building.crossbar import ranges  # noqa: E402
from nasbench_imc.building.crossbar.blocks import block_codes, blocks  # noqa: E402
from nasbench_imc.building.crossbar.layers import (  # noqa: E402
    RoundedAttention,
    apply_layer,
    input_digit,
    replaced,
)
from nasbench_imc.building.networks import Attention, Tap  # noqa: E402

CODE = "c16x1-m24x1-a32x1"


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_span_leaves_one_value_in_ten_thousand_outside():
    values = torch.arange(1.0, 100_001.0)[torch.randperm(100_000, generator=rng())]
    assert ranges.span(values) == 99_991  # ten are at or beyond it
    assert ranges.span(-values) == 99_991
    assert ranges.span(values.view(100, 1_000)) == 99_991


@pytest.mark.parametrize("count", [1, 63, 64, 65, 6_399, 6_400, 10_001, 123_457])
def test_a_span_is_what_sorting_finds(count):
    values = torch.randn(count, generator=torch.Generator().manual_seed(count)).mul_(20.0).round_()
    beyond = max(1, round(count * 1e-4))
    assert ranges.span(values) == float(values.abs().sort(descending=True).values[beyond - 1])


def test_the_span_of_few_values_is_their_largest_magnitude():
    assert ranges.span(torch.tensor([0.1, -3.0, 2.0])) == 3.0
    assert ranges.span(torch.tensor([-7.0])) == 7.0


def test_rounders_have_a_sign_only_where_values_do():
    values = torch.rand(1_000, generator=rng())
    unsigned, signed = ranges.rounder(values, 8), ranges.rounder(values - 0.5, 8)
    assert (unsigned.low, unsigned.high) == (0, 255)
    assert (signed.low, signed.high) == (-127, 127)
    assert unsigned.step * 255 == pytest.approx(float(values.max()))
    assert signed.step * 127 == pytest.approx(float((values - 0.5).abs().max()))
    assert (ranges.rounder(values, 4).high, ranges.rounder(-values, 4).low) == (15, -7)


def test_an_activation_that_is_always_zero_can_be_stored():
    rounder = ranges.rounder(torch.zeros(10), 8)
    assert torch.equal(rounder(torch.zeros(10)), torch.zeros(10))


def test_every_tap_attention_and_layer_is_calibrated(small):
    network, codes, calibration, _ = small(CODE)
    taps = {name for name, module in network.named_modules() if isinstance(module, Tap)}
    assert calibration.rounders.keys() == taps
    assert calibration.attentions.keys() == {
        name for name, module in network.named_modules() if isinstance(module, Attention)
    }
    assert calibration.inputs.keys() == calibration.steps.keys() == codes.keys()
    for name, inputs in calibration.inputs.items():
        assert torch.equal(inputs, inputs.round())
        low, high = (-127, 127) if calibration.signed[name] else (0, 255)
        assert low <= float(inputs.min()) < float(inputs.max()) <= high
        assert len(inputs) == 16
    # Images and normalised tokens have a sign; what follows a rectifier has none.
    assert calibration.signed["stem.0.0"]
    assert not calibration.signed["stem.2.0"]
    assert calibration.signed["blocks.2.qkv"]
    assert not calibration.signed["blocks.2.contract"]


def test_inputs_are_what_layers_read_when_activations_are_rounded(small):
    network, _, calibration, images = small(CODE)
    rounded = replaced(copy.deepcopy(network), {**calibration.rounders, **calibration.attentions})
    seen = {}
    for name, layer in crossbar_layers(rounded).items():
        layer.register_forward_pre_hook(lambda _, x, name=name: seen.update({name: x[0]}))
    with torch.no_grad():
        rounded(images)
    for name, step in calibration.steps.items():
        codes = seen[name] / step
        torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-3)


def test_calibration_leaves_network_and_global_generator_as_they_were(small):
    network, _, calibration, _ = small(CODE)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modules = dict(network.named_modules())
    state = torch.random.get_rng_state()
    again = ranges.calibrate(network, torch.randn(4, 3, 32, 32, generator=rng()))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert dict(network.named_modules()) == modules
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    assert again.steps["classifier"] != calibration.steps["classifier"]


def test_rounders_keep_nothing_of_what_passes_later(small):
    _, _, calibration, images = small(CODE)
    modules = [*calibration.rounders.values(), *calibration.attentions.values()]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in modules)
    output = next(iter(calibration.rounders.values()))(images.clone())
    gone = weakref.ref(output)
    del output
    gc.collect()
    assert gone() is None


def test_equal_calibrations_are_equal(small):
    network, _, _, images = small(CODE)
    first, second = (ranges.calibrate(network, images) for _ in range(2))
    assert first.steps == second.steps
    assert all(torch.equal(first.inputs[name], second.inputs[name]) for name in first.inputs)


def test_a_layer_that_reads_what_is_not_stored_is_refused():
    class Untapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tap, self.first, self.second = Tap(), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.second(self.first(self.tap(x)).relu())

    with pytest.raises(ValueError, match="second reads what no tap stores"):
        ranges.calibrate(Untapped(), torch.randn(5, 4, generator=rng()))


def calibration_of(inputs: torch.Tensor) -> ranges.Calibration:
    return ranges.Calibration({}, {}, {"layer": inputs}, {"layer": 1.0}, {"layer": True})


def test_each_row_block_has_the_span_of_its_own_sums():
    layer = nn.Conv2d(9, 6, 3, padding=1, bias=False)
    codes = coded(layer.weight)
    inputs = torch.randint(-127, 128, (8, 9, 6, 6), generator=rng()).float()
    inputs[:, 4:] *= 3
    found = ranges.output_spans("layer", layer, codes, calibration_of(inputs), 36)
    for block, reach in zip(blocks(layer, 36), found, strict=True):
        held = block_codes(layer, codes.codes, block, packed=False)
        assert reach == ranges.span(apply_layer(layer, inputs[:, block.inputs], held))
    assert len(set(found)) == 3


def test_blocks_of_a_depthwise_layer_share_a_span():
    layer = nn.Conv2d(9, 9, 3, padding=1, groups=9, bias=False)
    codes = coded(layer.weight)
    inputs = torch.randint(-127, 128, (8, 9, 6, 6), generator=rng()).float()
    found = ranges.output_spans("layer", layer, codes, calibration_of(inputs), 36)
    assert found == (ranges.span(apply_layer(layer, inputs, codes.codes)),) * 3


@pytest.mark.parametrize("layer", [nn.Conv2d(8, 6, 3, bias=False), nn.Linear(30, 5)])
def test_spans_of_digits_are_those_of_their_sums(layer):
    codes = coded(layer.weight)
    shape = (6, 8, 5, 5) if isinstance(layer, nn.Conv2d) else (6, 4, 30)
    inputs = torch.randint(0, 256, shape, generator=rng()).float()
    calibration = calibration_of(inputs)
    digits = ((1, 16), (16, 16))
    whole = ranges.output_spans("layer", layer, codes, calibration, 9_999)
    found = ranges.output_spans("layer", layer, codes, calibration, 9_999, digits)
    sums = torch.cat([apply_layer(layer, input_digit(inputs, *digit), codes.codes) for digit in digits])
    assert found == (ranges.span(sums),)
    assert found[0] < whole[0] / 8  # a range of whole inputs would waste four bits of the ADC


def test_spans_are_remembered_for_rows_and_precision_apart():
    layer = nn.Linear(30, 5)
    codes = coded(layer.weight)
    calibration = calibration_of(torch.randint(0, 256, (16, 30), generator=rng()).float())
    every = [
        ranges.output_spans("layer", layer, c, calibration, rows)
        for c in (codes, requantised(codes, 4))
        for rows in (10, 30)
    ]
    assert [len(spans) for spans in every] == [3, 1, 3, 1]
    assert every[2][0] < every[0][0] / 8
    assert ranges.output_spans("layer", layer, codes, calibration, 10) is every[0]


def test_a_layer_of_zeros_has_a_range():
    layer = nn.Linear(3, 2)
    codes = Codes(torch.zeros(2, 3), torch.ones(2))
    assert ranges.output_spans("layer", layer, codes, calibration_of(torch.ones(4, 3)), 3) == (1.0,)


def test_attentions_are_calibrated_by_operand(small):
    _, _, calibration, _ = small(CODE)
    (attention,) = calibration.attentions.values()
    assert isinstance(attention, RoundedAttention)
    assert len({attention.query.step, attention.key.step, attention.value.step}) == 3
    assert attention.levels == 255
