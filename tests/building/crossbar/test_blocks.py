"""Row blocks and readings of the simulation against those that the cost model counts."""

import pytest

torch = pytest.importorskip("torch")

from nasbench_imc.building.codes import Codes, crossbar_layers  # noqa: E402
from nasbench_imc.building.crossbar import serial  # noqa: E402
from nasbench_imc.building.crossbar.blocks import block_codes, blocks, is_depthwise  # noqa: E402
from nasbench_imc.building.networks import HybridNetwork  # noqa: E402
from nasbench_imc.hardware import grid, mapping  # noqa: E402
from nasbench_imc.networks import Layer  # noqa: E402
from nasbench_imc.spaces import Hybrid  # noqa: E402

SPACE = Hybrid()
BY_ID = {config.id: config for config in grid()}
ANALOG = [
    BY_ID[f"{family}-r{rows}-adc8-mux4"] for family in ("pcm", "sram-analog") for rows in (64, 128, 256)
]
SLICED = [BY_ID[f"rram-sliced-r{rows}-adc{bits}-mux4"] for rows in (64, 128, 256) for bits in (5, 6, 8)]


def every_layer() -> dict[Layer, torch.nn.Module]:
    """Each shape of crossbar layer of the space, as the cost model and as the simulation have it."""
    found: dict[Layer, torch.nn.Module] = {}
    for code in SPACE.architectures:
        shapes = [layer for layer in SPACE.network(code).layers if layer.kind == "mvm"]
        if not found.keys() >= set(shapes):
            made = crossbar_layers(HybridNetwork(code, None))
            found |= dict(zip(shapes, made.values(), strict=True))
    return found


LAYERS = every_layer()


def test_layers_of_cost_model_and_simulation_have_one_shape():
    assert len(LAYERS) > 50
    for shape, layer in LAYERS.items():
        assert shape.outputs == layer.weight.shape[0]
        assert shape.fan_in == layer.weight[0].numel()
        assert is_depthwise(layer) == (shape.groups > 1)


def counts(config, weight_bits=8):
    return mapping.layer_arrays(list(LAYERS)), mapping.config_arrays([config], weight_bits)


@pytest.mark.parametrize("config", ANALOG, ids=lambda config: config.id)
def test_row_blocks_and_conversions_are_those_of_the_cost_model(config):
    shapes, hw = counts(config)
    row_blocks = mapping.row_blocks(shapes, hw)[:, 0]
    packed = mapping.packed_groups(shapes, hw)[:, 0]
    conversions = mapping.conversions(shapes, hw)[:, 0]
    for k, (shape, layer) in enumerate(LAYERS.items()):
        cut = blocks(layer, config.active_rows)
        if is_depthwise(layer):
            assert len(cut) == -(-shape.groups // packed[k])
            assert cut[0].inputs.stop - cut[0].inputs.start == packed[k]
        else:
            assert len(cut) == row_blocks[k]
        made = sum(shape.pixels * (block.outputs.stop - block.outputs.start) for block in cut)
        assert made == conversions[k]


@pytest.mark.parametrize("config", SLICED, ids=lambda config: config.id)
@pytest.mark.parametrize("weight_bits", [8, 4])
def test_a_sliced_array_is_read_as_often_as_the_cost_model_counts(config, weight_bits):
    shapes, hw = counts(config, weight_bits)
    groups = mapping.row_groups(shapes, hw)[:, 0]
    conversions = mapping.conversions(shapes, hw)[:, 0]
    reading = serial.SerialReading(
        config.rows, config.active_rows, config.input_bits, config.cell_bits, weight_bits, config.adc_bits
    )
    for k, (shape, layer) in enumerate(LAYERS.items()):
        arrays = serial.SlicedArrays(
            layer, Codes(layer.weight, torch.ones(shape.outputs), weight_bits), reading
        )
        made = 0
        for block in arrays.blocks:
            held = serial.row_groups(block.rows, reading)
            assert len(held) == (1 if is_depthwise(layer) else groups[k])
            outputs = block.outputs.stop - block.outputs.start
            made += shape.pixels * len(held) * outputs * config.slices(weight_bits) * config.input_bits
        assert made == conversions[k]


@pytest.mark.parametrize("config", SLICED, ids=lambda config: config.id)
def test_packed_filters_of_a_sliced_array_fill_its_row_groups(config):
    shapes, hw = counts(config)
    packed = mapping.packed_groups(shapes, hw)[:, 0]
    for k, (shape, layer) in enumerate(LAYERS.items()):
        if is_depthwise(layer):
            a_group = min(config.active_rows // shape.fan_in, shape.groups)
            assert packed[k] == min(a_group * (config.rows // config.active_rows), shape.groups)


@pytest.mark.parametrize("rows", [9, 64, 128, 256])
def test_blocks_hold_every_weight_once_in_whole_channels(rows):
    for layer in LAYERS.values():
        codes = torch.arange(1.0, layer.weight.numel() + 1).view(layer.weight.shape)
        held = [block_codes(layer, codes, block, packed=False) for block in blocks(layer, rows)]
        assert torch.equal(torch.cat(held, dim=0 if is_depthwise(layer) else 1), codes)
        assert all(block.rows <= rows for block in blocks(layer, rows))
        assert all(h.shape[1:].numel() == b.rows for h, b in zip(held, blocks(layer, rows), strict=True)) or (
            is_depthwise(layer)
        )


def test_a_packed_block_has_its_filters_on_the_diagonal_and_zeros_elsewhere():
    layer = torch.nn.Conv2d(5, 5, 3, groups=5)
    first, second = blocks(layer, 27)
    assert (first.rows, second.rows) == (27, 18)
    dense = block_codes(layer, layer.weight, first, packed=True)
    x = torch.randn(2, 5, 6, 6, generator=torch.Generator().manual_seed(0))
    apart = torch.nn.functional.conv2d(x[:, :3], layer.weight[:3], groups=3)
    torch.testing.assert_close(torch.nn.functional.conv2d(x[:, :3], dense), apart)
    assert int((dense != 0).sum()) == 3 * 9


def test_what_fits_no_array_is_refused():
    with pytest.raises(ValueError, match="does not fit 8 rows"):
        blocks(torch.nn.Conv2d(3, 4, 3), 8)
    with pytest.raises(ValueError, match="2 groups"):
        blocks(torch.nn.Conv2d(4, 4, 3, groups=2), 64)
