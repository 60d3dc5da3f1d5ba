"""The layer lists that ship, from the papers that define the networks.

ResNet-18: He et al., CVPR 2016, Table 1 and its repository (projection shortcuts). MobileNetV2: Sandler et
al., CVPR 2018, Table 2. DeiT-Tiny: Touvron et al., ICML 2021, Table 1, a ViT of width 192, depth 12, 3
heads. BERT-Tiny: Turc et al., arXiv:1908.08962, 2 layers of width 128, 2 heads. Normalisation, activation
and softmax are post-processing of the layer before, as in the spaces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from nasbench_imc.hardware.layer_lists import LayerList, write_layers
from nasbench_imc.networks import NetworkBuilder


class _Named(NetworkBuilder):
    """A builder that numbers its layers' names within a prefix."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def named(self, name: str, layer: int | None) -> int | None:
        """Give the layer just added a name; a tensor that no layer made passes through."""
        if layer is not None and layer == len(self.names):
            self.names.append(name)
        return layer

    def list(self, input_elements: int) -> LayerList:
        return LayerList(tuple(self.names), self.build(input_elements))


def resnet18() -> LayerList:
    """ResNet-18 for ImageNet, input 3 x 224 x 224."""
    net = _Named()
    x = net.named("conv1", net.conv(7, 3, 64, 112, None, stride=2))
    x = net.named("maxpool", net.add("vector", 9, 64, 56**2, x, input_elements=64 * 112**2))
    channels = 64
    for stage, (width, size) in enumerate(((64, 56), (128, 28), (256, 14), (512, 7)), start=1):
        for block in range(2):
            stride = 2 if stage > 1 and block == 0 else 1
            prefix, shortcut = f"layer{stage}.{block}", x
            y = net.named(f"{prefix}.conv1", net.conv(3, channels, width, size, x, stride=stride))
            y = net.named(f"{prefix}.conv2", net.conv(3, width, width, size, y))
            if stride > 1:
                shortcut = net.conv(1, channels, width, size, x, stride=stride)
                net.named(f"{prefix}.downsample", shortcut)
            x = net.named(f"{prefix}.add", net.sum(width, size, [y, shortcut]))
            channels = width
    x = net.named("avgpool", net.add("vector", 49, 512, 1, x, input_elements=512 * 49))
    net.named("fc", net.add("mvm", 512, 1000, 1, x, input_elements=512))
    return net.list(3 * 224 * 224)


def mobilenet_v2() -> LayerList:
    """MobileNetV2 1.0 for ImageNet, input 3 x 224 x 224."""
    net = _Named()
    x = net.named("conv1", net.conv(3, 3, 32, 112, None, stride=2))
    channels, size, block = 32, 112, 0
    for expansion, width, repeats, first in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for repeat in range(repeats):
            stride = first if repeat == 0 else 1
            block += 1
            inner, y = expansion * channels, x
            if expansion > 1:
                y = net.named(f"block{block}.expand", net.conv(1, channels, inner, size, y))
            size //= stride
            y = net.named(
                f"block{block}.depthwise", net.conv(3, inner, inner, size, y, stride=stride, groups=inner)
            )
            y = net.named(f"block{block}.project", net.conv(1, inner, width, size, y))
            if stride == 1 and channels == width:
                y = net.named(f"block{block}.add", net.sum(width, size, [y, x]))
            x, channels = y, width
    x = net.named("conv_last", net.conv(1, 320, 1280, 7, x))
    x = net.named("avgpool", net.add("vector", 49, 1280, 1, x, input_elements=1280 * 49))
    net.named("classifier", net.add("mvm", 1280, 1000, 1, x, input_elements=1280))
    return net.list(3 * 224 * 224)


def _linear(net: _Named, name: str, fan_in: int, outputs: int, tokens: int, source: int | None) -> int | None:
    return net.named(name, net.add("mvm", fan_in, outputs, tokens, source, input_elements=fan_in * tokens))


def _encoder(
    net: _Named, prefix: str, x: int | None, tokens: int, width: int, heads: int, hidden: int
) -> int | None:
    """One transformer encoder layer: attention and MLP, each with a residual connection."""
    elements = tokens * width

    def residual(name: str, y: int | None, skip: int | None) -> int | None:
        sources = [source for source in (y, skip) if source is not None]
        return net.named(name, net.add("vector", 1, width, tokens, *sources, input_elements=2 * elements))

    qkv = _linear(net, f"{prefix}.qkv", width, 3 * width, tokens, x)
    scores = net.named(
        f"{prefix}.scores",
        net.add(
            "matmul", width // heads, tokens * heads, tokens, qkv, input_elements=2 * elements, groups=heads
        ),
    )
    mixed = net.named(
        f"{prefix}.values",
        net.add(
            "matmul",
            tokens,
            width,
            tokens,
            scores,
            qkv,
            input_elements=tokens**2 * heads + elements,
            groups=heads,
        ),
    )
    x = residual(f"{prefix}.add1", _linear(net, f"{prefix}.proj", width, width, tokens, mixed), x)
    inner = _linear(net, f"{prefix}.fc1", width, hidden, tokens, x)
    return residual(f"{prefix}.add2", _linear(net, f"{prefix}.fc2", hidden, width, tokens, inner), x)


def deit_tiny() -> LayerList:
    """DeiT-Tiny without distillation, patches of 16, input 3 x 224 x 224: 196 patches and a class token."""
    net = _Named()
    width, tokens = 192, 197
    x = net.named("patch_embed", net.add("mvm", 3 * 16**2, width, 196, None, input_elements=3 * 224 * 224))
    x = net.named("pos_add", net.add("vector", 1, width, tokens, x, input_elements=2 * tokens * width))
    for block in range(12):
        x = _encoder(net, f"blocks.{block}", x, tokens, width, 3, 4 * width)
    _linear(net, "head", width, 1000, 1, x)
    return net.list(3 * 224 * 224)


def bert_tiny() -> LayerList:
    """BERT-Tiny with its pooler, 128 tokens; the input is the three embeddings of each, looked up."""
    net = _Named()
    width, tokens = 128, 128
    x = net.named("embeddings", net.add("vector", 2, width, tokens, None, input_elements=3 * tokens * width))
    for block in range(2):
        x = _encoder(net, f"encoder.{block}", x, tokens, width, 2, 4 * width)
    _linear(net, "pooler", width, width, 1, x)
    return net.list(3 * tokens * width)


LAYER_LISTS: Mapping[str, Callable[[], LayerList]] = MappingProxyType(
    {"resnet18": resnet18, "mobilenet_v2": mobilenet_v2, "deit_tiny": deit_tiny, "bert_tiny": bert_tiny}
)
"""Makers of the layer lists that ship, by name."""


def write_all(folder: Path) -> list[Path]:
    """Write ``<name>.csv`` for each of :data:`LAYER_LISTS`; existing files are replaced.

    Returns
    -------
    list of pathlib.Path
    """
    paths = []
    for name, make in LAYER_LISTS.items():
        layers = make()
        about = (make.__doc__ or "").strip()
        macs = f"{layers.network.macs:,} MACs, {layers.network.weights:,} weights."
        path = folder / f"{name}.csv"
        write_layers(path, layers, [about, macs, "Written by: nasbench-imc build layers"])
        paths.append(path)
    return paths
