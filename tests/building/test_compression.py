"""Fewer bits and fewer channels: what is left is what the cost model counts."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nasbench_imc.building.codes import crossbar_layers, decode, encode  # noqa: E402
from nasbench_imc.building.compression import compressed, prune  # noqa: E402
from nasbench_imc.building.networks import HybridNetwork  # noqa: E402
from nasbench_imc.spaces import Hybrid  # noqa: E402

CODES = ("c16x2-m24x1-a32x1", "m32x1-c40x2-m56x2", "a16x2-a40x1-c32x1")


def made(code: str):
    return decode(code, encode(HybridNetwork(code, torch.Generator().manual_seed(1)).eval()))


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("sparsity", [0.25, 0.5])
def test_a_pruned_network_has_the_weights_that_the_cost_model_counts(coloured, code, sparsity):
    network, codes = made(code)
    smaller, kept = compressed(network, codes, 8, sparsity, coloured(4_096, 1), seed=0)
    layers = crossbar_layers(smaller)
    assert sum(layer.weight.numel() for layer in layers.values()) == Hybrid().network(code, sparsity).weights
    assert kept.keys() == layers.keys()
    with torch.no_grad():
        assert smaller(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_the_weakest_channels_go_and_the_others_stay_in_order():
    network, _ = made("c16x1-m24x1-a32x1")
    block = network.blocks[0]
    before = block.first.convolution.weight.detach().clone()
    with torch.no_grad():
        block.first.norm.weight.copy_(torch.arange(16.0) % 4)  # 0 and 1 are the weakest
        block.second.convolution.weight.fill_(1.0)
    prune(block, 0.5)
    stays = torch.arange(16)[torch.arange(16) % 4 >= 2]
    assert torch.equal(block.first.convolution.weight, before[stays])
    assert block.second.convolution.weight.shape == (16, 8, 3, 3)


@pytest.mark.parametrize("code", CODES)
def test_channels_without_influence_change_nothing_when_they_go(code):
    """Half of the inner channels are cut off by hand first: removing them keeps the outputs."""
    network, _ = made(code)
    with torch.no_grad():
        for block in network.blocks:
            reader = next(
                getattr(block, name)
                for name in ("second", "project", "contract")
                if isinstance(getattr(block, name, None), torch.nn.Module)
            )
            weight = reader.weight if isinstance(reader, torch.nn.Linear) else reader.convolution.weight
            weight[:, 1::2] = 0
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole = network(x)
        for block in network.blocks:
            prune(block, 0.5)
        torch.testing.assert_close(network(x), whole, rtol=1e-4, atol=1e-5)


def test_four_bits_leave_fifteen_levels_and_the_given_network_as_it_was(coloured):
    network, codes = made(CODES[0])
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fewer, kept = compressed(network, codes, 4, 0.0, coloured(4_096, 1), seed=0)
    for name, layer in crossbar_layers(fewer).items():
        assert kept[name].bits == 4
        assert set(kept[name].codes.unique().tolist()) <= set(range(-7, 8))
        assert torch.equal(layer.weight, kept[name].weight)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_nothing_to_compress_changes_nothing(coloured):
    network, codes = made(CODES[0])
    same, kept = compressed(network, codes, 8, 0.0, coloured(64, 1), seed=0)
    for (name, a), b in zip(network.state_dict().items(), same.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert all(kept[name] is codes[name] for name in codes)


def test_statistics_are_those_of_the_compressed_network_and_fixed_by_the_seed(coloured):
    network, codes = made(CODES[0])
    images = coloured(4_096, 1)
    a, b, c = (compressed(network, codes, 4, 0.5, images, seed)[0].state_dict() for seed in (0, 0, 1))
    name = "blocks.0.first.1.running_mean"
    assert torch.equal(a[name], b[name])
    assert not torch.equal(a[name], c[name])
    assert not np.allclose(a["stem.0.1.running_var"], network.state_dict()["stem.0.1.running_var"])
