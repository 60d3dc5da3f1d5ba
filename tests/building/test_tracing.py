"""Torch modules as layer lists: against the spaces' own networks and against counts by hand."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench_imc.building.layer_lists import resnet18
from nasbench_imc.building.networks import HybridNetwork
from nasbench_imc.building.tracing import layers_from_torch
from nasbench_imc.errors import LayerListError
from nasbench_imc.hardware import grid, network_costs
from nasbench_imc.networks import Layer
from nasbench_imc.spaces import Hybrid


@pytest.mark.parametrize("code", ["c16x1-c24x2-c56x1", "m32x2-m40x1-m56x2", "a32x1-a40x2-a56x1"])
def test_networks_of_the_space(code: str) -> None:
    ours, traced = Hybrid().network(code), layers_from_torch(HybridNetwork(code, None), (3, 32, 32)).network
    assert Counter(traced.layers) == Counter(ours.layers)
    assert traced.input_elements == ours.input_elements
    chips = grid()[::15]
    mine, theirs = network_costs([traced], chips), network_costs([ours], chips)
    for metric in ("energy", "latency", "area"):  # the order of two branches may differ, no cost does
        assert mine[metric] == pytest.approx(theirs[metric]), metric


class _Residual(nn.Module):
    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(c_out)
        self.second = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(c_in, c_out, 1, stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(functional.relu_(self.norm(self.first(x))))
        y += self.shortcut(x)
        return functional.relu(y)


def test_resnet18_is_the_shipped_list() -> None:
    blocks = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for width in (64, 128, 256, 512):
        for stride in (1 if width == 64 else 2, 1):
            blocks.append(_Residual(channels, width, stride))
            channels = width
    module = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))
    traced, listed = layers_from_torch(module, (3, 224, 224)), resnet18()
    assert Counter(traced.network.layers) == Counter(listed.network.layers)
    assert traced.network.macs == listed.network.macs
    assert len(set(traced.names)) == len(traced.names)
    assert "3.first" in traced.names


# 16 tokens of width 32, 4 heads of 8: projections, Q K^T, A V, projection, sum; MLP of 64, sum.
ENCODER = [
    Layer("mvm", 32, 96, 16, 1, 512),
    Layer("matmul", 8, 4 * 16, 16, 4, 1024),
    Layer("matmul", 16, 32, 16, 4, 4 * 16 * 16 + 512),
    Layer("mvm", 32, 32, 16, 1, 512),
    Layer("vector", 1, 32, 16, 1, 1024),
    Layer("mvm", 32, 64, 16, 1, 512),
    Layer("mvm", 64, 32, 16, 1, 1024),
    Layer("vector", 1, 32, 16, 1, 1024),
]


@pytest.mark.parametrize("norm_first", [True, False])
def test_multihead_attention_of_torch(norm_first: bool) -> None:
    module = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=norm_first)
    traced = layers_from_torch(module, (16, 32))
    assert list(traced.network.layers) == ENCODER
    assert traced.network.producers[2] == (0, 1)  # attention weights, and values
    assert traced.network.producers[-1] == (4, 6)
    assert torch.backends.mha.get_fastpath_enabled()


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, 32)
        self.qkv = nn.Linear(32, 96)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.qkv(self.embed(tokens)).view(1, 16, 3, 4, 8)
        q, k, v = x.permute(2, 0, 3, 1, 4)
        return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def test_attention_function_and_tokens() -> None:
    traced = layers_from_torch(_Attention(), (16,), input_dtype=torch.int64)
    assert list(traced.network.layers) == ENCODER[:3]
    assert traced.network.producers == ((), (0,), (0, 1))


def test_depthwise_and_the_module_itself_is_untouched() -> None:
    module = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU6(), nn.AvgPool2d(2))
    before = [p.device.type for p in module.parameters()]
    traced = layers_from_torch(module, (8, 10, 6))
    assert traced.network.layers == (
        Layer("mvm", 9, 8, 60, 8, 480),
        Layer("vector", 4, 8, 15, 1, 480),
    )
    assert [p.device.type for p in module.parameters()] == before
    assert not module[0]._forward_hooks
    assert module.training


class _Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (nn.ConvTranspose2d(3, 8, 2), (3, 8, 8), "transposed"),
        (nn.Conv3d(3, 8, 2), (3, 8, 8, 8), "three-dimensional"),
        (nn.Linear(4, 2), (5,), "does not run"),
        (_Branch(), (4,), "does not run"),
        (nn.ReLU(), (4,), "holds no"),
        (nn.Linear(4, 2), (0,), "positive integers"),
    ],
)
def test_what_has_no_layers_is_refused(module: nn.Module, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(LayerListError, match=message):
        layers_from_torch(module, shape)
