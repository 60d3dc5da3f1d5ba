"""The CNN/transformer space: three stages, each of one operator, one width and one depth.

A convolutional stem brings 32 x 32 images to 8 x 8; stage 1 works there, stages 2 and 3 at 4 x 4. A stage
is one or two blocks of its operator: ``c`` a residual pair of 3 x 3 convolutions (He et al., CVPR 2016),
``m`` an inverted bottleneck with a 3 x 3 depthwise convolution (Sandler et al., CVPR 2018), ``a`` pre-norm
self-attention and MLP (Dosovitskiy et al., ICLR 2021). A code such as ``c32x1-m40x2-a56x1`` gives operator,
width and depth of each stage; 12^3 = 1,728 codes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from nasbench_imc.errors import UnknownNameError, unknown
from nasbench_imc.networks import Network, NetworkBuilder
from nasbench_imc.spaces.base import Space

OPERATORS = ("c", "m", "a")
WIDTHS = ((16, 32), (24, 40), (32, 56))  # of each stage [channels]
DEPTHS = (1, 2)  # blocks a stage
SIZES = (8, 4, 4)  # pixels a side of each stage's output

STEM_CHANNELS = 16
EXPANSION = 3  # inner over outer channels of an inverted bottleneck
MLP_RATIO = 2  # hidden over outer channels of an MLP
HEAD_CHANNELS = 8  # of an attention head
CLASSES = 10

_EXAMPLE = "c32x1-m40x2-a56x1"
_PATTERN = re.compile(r"([a-z])(\d{1,4})x(\d)-([a-z])(\d{1,4})x(\d)-([a-z])(\d{1,4})x(\d)")
_VARIABLES = MappingProxyType(
    {
        f"{variable}_{stage + 1}": choices
        for stage, widths in enumerate(WIDTHS)
        for variable, choices in (
            ("operator", OPERATORS),
            ("width", tuple(map(str, widths))),
            ("depth", tuple(map(str, DEPTHS))),
        )
    }
)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a network.

    Attributes
    ----------
    operator : {"c", "m", "a"}
    width : int
        Output channels.
    depth : int
        Blocks; the first one changes width and size.
    size : int
        Pixels a side of the output.
    stride : int
        Input over output size.
    """

    operator: str
    width: int
    depth: int
    size: int
    stride: int


class Hybrid(Space):
    """The 1,728 networks. No two codes are one network, so a code is its own canonical form."""

    name = "hybrid"

    @property
    def variables(self) -> Mapping[str, tuple[str, ...]]:
        return _VARIABLES

    def from_values(self, values: Mapping[str, str]) -> str:
        parts = []
        for name, choices in _VARIABLES.items():
            if values.get(name) not in choices:
                raise unknown(f"choice of {name}", values.get(name), choices)
            parts.append(values[name])
        return "-".join(f"{parts[k]}{parts[k + 1]}x{parts[k + 2]}" for k in range(0, len(parts), 3))

    def values(self, point: str) -> dict[str, str]:
        match = _PATTERN.fullmatch(point) if isinstance(point, str) else None
        if not match:
            raise UnknownNameError(
                f"malformed hybrid architecture {point!r:.120}; expected the form {_EXAMPLE!r}"
            )
        found = dict(zip(_VARIABLES, match.groups(), strict=True))
        for name, choice in found.items():
            if choice not in _VARIABLES[name]:
                raise unknown(f"{name} in hybrid architecture {point!r}:", choice, _VARIABLES[name])
        return found

    def canonical_form(self, code: str) -> str:
        self.values(code)
        return code

    def network(self, code: str, sparsity: float = 0.0) -> Network:
        """The layers of a network; normalisation and activation are post-processing of the layer before.

        Parameters
        ----------
        code : str
        sparsity : float
            Share of the inner channels of each block that are removed, at least 0 and below 1. Inner are
            the channels between the two convolutions of a ``c``, those that an ``m`` expands to, and
            the hidden units of an ``a``'s MLP; what leaves a block, and attention's heads, stay whole.

        Raises
        ------
        UnknownNameError
            Where the code is malformed.
        ValueError
            Where the sparsity is out of range.
        """
        return _network(code, sparsity)


def kept_channels(inner: int, sparsity: float) -> int:
    """How many of ``inner`` channels structured sparsity keeps: ``ceil(inner (1 - sparsity))``.

    Raises
    ------
    ValueError
        Where ``sparsity`` is not at least 0 and below 1.
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity must be at least 0 and below 1, not {sparsity!r}")
    # Rounded first: 0.29 x 100 is a little less than 29 in binary.
    return max(1, inner - math.floor(round(inner * sparsity, 6)))


def stages(code: str) -> tuple[Stage, ...]:
    """The stages of a code.

    Raises
    ------
    UnknownNameError
        Where the code is malformed.
    """
    values = Hybrid().values(code)
    sizes = (SIZES[0], *SIZES)
    return tuple(
        Stage(
            operator=values[f"operator_{k + 1}"],
            width=int(values[f"width_{k + 1}"]),
            depth=int(values[f"depth_{k + 1}"]),
            size=size,
            stride=sizes[k] // size,
        )
        for k, size in enumerate(SIZES)
    )


@cache
def _network(code: str, sparsity: float) -> Network:
    net = NetworkBuilder()
    channels = stages(code)[0].width
    x: int | None = net.conv(3, 3, STEM_CHANNELS, 16, None, stride=2)
    x = net.conv(3, STEM_CHANNELS, channels, 8, x, stride=2)
    for stage in stages(code):
        for block in range(stage.depth):
            stride = stage.stride if block == 0 else 1
            x = _BLOCKS[stage.operator](net, x, channels, stage.width, stage.size, stride, sparsity)
            channels = stage.width
    size = SIZES[-1]
    x = net.add("vector", size**2, channels, 1, x, input_elements=channels * size**2)
    net.add("mvm", channels, CLASSES, 1, x, input_elements=channels)
    return net.build(3 * 32 * 32)


def _convolution(
    net: NetworkBuilder, x: int | None, c_in: int, c_out: int, size: int, stride: int, sparsity: float
) -> int | None:
    inner = kept_channels(c_out, sparsity)
    main = net.conv(3, inner, c_out, size, net.conv(3, c_in, inner, size, x, stride=stride))
    same = stride == 1 and c_in == c_out
    return net.sum(c_out, size, [main, x if same else net.conv(1, c_in, c_out, size, x, stride=stride)])


def _bottleneck(
    net: NetworkBuilder, x: int | None, c_in: int, c_out: int, size: int, stride: int, sparsity: float
) -> int | None:
    inner = kept_channels(EXPANSION * c_in, sparsity)
    wide = net.conv(1, c_in, inner, size * stride, x)
    deep = net.conv(3, inner, inner, size, wide, stride=stride, groups=inner)
    out = net.conv(1, inner, c_out, size, deep)
    return net.sum(c_out, size, [out, x]) if stride == 1 and c_in == c_out else out


def _attention(
    net: NetworkBuilder, x: int | None, c_in: int, c_out: int, size: int, stride: int, sparsity: float
) -> int | None:
    tokens, heads, hidden = size**2, c_out // HEAD_CHANNELS, kept_channels(MLP_RATIO * c_out, sparsity)
    elements = tokens * c_out
    if stride > 1 or c_in != c_out:  # patches are merged by a convolution with its stride as kernel
        x = net.conv(stride, c_in, c_out, size, x, stride=stride)
    qkv = net.conv(1, c_out, 3 * c_out, size, x)
    scores = net.add(
        "matmul", HEAD_CHANNELS, tokens * heads, tokens, qkv, input_elements=2 * elements, groups=heads
    )
    mixed = net.add(
        "matmul",
        tokens,
        c_out,
        tokens,
        scores,
        qkv,
        input_elements=tokens**2 * heads + elements,  # attention weights and values
        groups=heads,
    )
    x = net.sum(c_out, size, [net.conv(1, c_out, c_out, size, mixed), x])
    return net.sum(c_out, size, [net.conv(1, hidden, c_out, size, net.conv(1, c_out, hidden, size, x)), x])


_BLOCKS = MappingProxyType({"c": _convolution, "m": _bottleneck, "a": _attention})
