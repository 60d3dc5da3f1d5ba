"""The networks of the ``hybrid`` space as torch modules.

Every product with stationary weights is a ``Conv2d`` or a ``Linear`` without activation inside, in the
order and with the shapes of :meth:`nasbench_imc.spaces.hybrid.Hybrid.network`: that is what a crossbar
holds. Batch normalisation follows each convolution and is digital, as is all else. A :class:`Tap` stands
wherever an activation is stored.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench_imc.spaces.hybrid import (
    CLASSES,
    EXPANSION,
    HEAD_CHANNELS,
    MLP_RATIO,
    STEM_CHANNELS,
    stages,
)


class Tap(nn.Identity):
    """An activation on its way to a buffer, and from there to a crossbar or to the digital unit.

    Nothing happens to it in training; a simulated chip stores it in 8 bits.
    """


class Rectified(Tap):
    """A rectified activation on its way. A chip's buffer holds no sign, which rectifies it too."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x)


class ConvNorm(nn.Sequential):
    """A convolution without bias and its batch normalisation."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        padding = 0 if kernel == stride else kernel // 2  # patches do not overlap
        super().__init__(
            nn.Conv2d(c_in, c_out, kernel, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(c_out)
        )

    @property
    def convolution(self) -> nn.Conv2d:
        found = self[0]
        assert isinstance(found, nn.Conv2d)
        return found

    @property
    def norm(self) -> nn.BatchNorm2d:
        found = self[1]
        assert isinstance(found, nn.BatchNorm2d)
        return found


class ConvolutionBlock(nn.Module):
    """A residual pair of 3 x 3 convolutions."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.first = ConvNorm(c_in, c_out, 3, stride)
        self.second = ConvNorm(c_out, c_out, 3)
        same = stride == 1 and c_in == c_out
        self.shortcut = nn.Identity() if same else ConvNorm(c_in, c_out, 1, stride)
        self.inner, self.result = Rectified(), Rectified()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.inner(self.first(x))
        return self.result(self.second(inner) + self.shortcut(x))


class BottleneckBlock(nn.Module):
    """An inverted bottleneck with a 3 x 3 depthwise convolution and a linear output."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        inner = EXPANSION * c_in
        self.expand = ConvNorm(c_in, inner, 1)
        self.depthwise = ConvNorm(inner, inner, 3, stride, groups=inner)
        self.project = ConvNorm(inner, c_out, 1)
        self.residual = stride == 1 and c_in == c_out
        self.wide, self.inner, self.result = Rectified(), Rectified(), Tap()

    def forward(self, x: Tensor) -> Tensor:
        wide = self.wide(self.expand(x))
        out = self.project(self.inner(self.depthwise(wide)))
        return self.result(x + out if self.residual else out)


class Attention(nn.Module):
    """Softmax(Q K^T / sqrt(d)) V for each head; products of activations, on the digital unit."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Mix (batch, heads, tokens, channels of a head) values; same shape."""
        return functional.scaled_dot_product_attention(query, key, value)


class AttentionBlock(nn.Module):
    """Pre-norm self-attention and MLP over the pixels as tokens, with a learned position embedding.

    Where size or width change, patches are merged by a convolution first, and the position is added.
    """

    def __init__(self, c_in: int, c_out: int, stride: int, size: int) -> None:
        super().__init__()
        merged = stride > 1 or c_in != c_out
        self.merge = ConvNorm(c_in, c_out, stride, stride) if merged else nn.Identity()
        self.position = nn.Parameter(torch.zeros(1, size * size, c_out))
        self.norm_attention = nn.LayerNorm(c_out)
        self.qkv = nn.Linear(c_out, 3 * c_out)
        self.out = nn.Linear(c_out, c_out)
        self.norm_mlp = nn.LayerNorm(c_out)
        self.hidden = nn.Linear(c_out, MLP_RATIO * c_out)
        self.contract = nn.Linear(MLP_RATIO * c_out, c_out)
        nn.init.trunc_normal_(self.position, std=0.02)
        self.attention = Attention()
        self.embedded, self.normed, self.mixed, self.attended = Tap(), Tap(), Tap(), Tap()
        self.normed_again, self.inner, self.result = Tap(), Rectified(), Tap()

    def forward(self, x: Tensor) -> Tensor:
        x = self.merge(x)
        batch, channels, height, width = x.shape
        tokens = self.embedded(x.flatten(2).transpose(1, 2) + self.position)
        heads = channels // HEAD_CHANNELS
        qkv = self.qkv(self.normed(self.norm_attention(tokens))).view(batch, -1, 3, heads, HEAD_CHANNELS)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = self.mixed(self.attention(query, key, value).transpose(1, 2).reshape(batch, -1, channels))
        tokens = self.attended(tokens + self.out(mixed))
        inner = self.inner(self.hidden(self.normed_again(self.norm_mlp(tokens))))
        tokens = tokens + self.contract(inner)
        return self.result(tokens.transpose(1, 2).reshape(batch, channels, height, width))


class HybridNetwork(nn.Module):
    """A network of the space, freshly initialised.

    Parameters
    ----------
    code : str
        Raises UnknownNameError where it is malformed.
    generator : torch.Generator or None
        Draws the initial weights, so that they depend on nothing else. None leaves them to torch, for
        networks whose weights are put in later.

    Notes
    -----
    Input: normalised images (batch, 3, 32, 32), best in ``channels_last``. Output: logits (batch, 10).
    """

    def __init__(self, code: str, generator: torch.Generator | None) -> None:
        super().__init__()
        # Modules draw from torch's global generator; it is put back as it was.
        with torch.random.fork_rng():
            if generator is not None:
                torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            built = stages(code)
            channels = built[0].width
            self.image = Tap()
            self.stem = nn.Sequential(
                ConvNorm(3, STEM_CHANNELS, 3, 2),
                Rectified(),
                ConvNorm(STEM_CHANNELS, channels, 3, 2),
                Rectified(),
            )
            self.blocks = nn.Sequential()
            for stage in built:
                for depth in range(stage.depth):
                    stride = stage.stride if depth == 0 else 1
                    self.blocks.append(_block(stage.operator, channels, stage.width, stride, stage.size))
                    channels = stage.width
            self.norm = nn.BatchNorm2d(channels)
            self.pooled = Tap()
            self.classifier = nn.Linear(channels, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x = self.norm(self.blocks(self.stem(self.image(images))))
        return self.classifier(self.pooled(x.mean(dim=(2, 3))))


def _block(operator: str, c_in: int, c_out: int, stride: int, size: int) -> nn.Module:
    if operator == "c":
        return ConvolutionBlock(c_in, c_out, stride)
    if operator == "m":
        return BottleneckBlock(c_in, c_out, stride)
    return AttentionBlock(c_in, c_out, stride, size)
