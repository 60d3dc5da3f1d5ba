"""How layers compute on a chip: rounded activations, analog and digital crossbars, digital attention.

Activations travel as whole codes times a step. A crossbar's weights are folded so that a product comes out
in units of the ADC's step: the converter is then one rounding and one clamp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

Layer = nn.Conv2d | nn.Linear
WHOLE = ((1, 0),)  # inputs applied in one step: a single digit


class Rounder(nn.Module):
    """Stores an activation: ``step`` times a whole number from ``low`` to ``high``.

    In place, which takes half of the time: nothing reads an activation before it is stored.
    """

    def __init__(self, step: float, low: int, high: int) -> None:
        super().__init__()
        self.step, self.low, self.high = step, low, high

    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(1.0 / self.step).round_().clamp_(self.low, self.high).mul_(self.step)


class RoundedAttention(nn.Module):
    """Attention on a digital unit: queries, keys, values and attention weights are rounded.

    A few images at a time, so that their attention weights stay in the processor's cache.
    """

    def __init__(self, query: Rounder, key: Rounder, value: Rounder, bits: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.levels = query, key, value, 2**bits - 1

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query, value = self.query(query), self.value(value).mul_(1.0 / self.levels)
        key = self.key(key).mul_(query.shape[-1] ** -0.5).transpose(-1, -2)
        mixed = [
            (q @ k).softmax(-1).mul_(self.levels).round_() @ v
            for q, k, v in zip(query.split(16), key.split(16), value.split(16), strict=True)
        ]
        return torch.cat(mixed)


class NoisePool:
    """Normal deviates drawn once; a random stretch of them serves as the noise of a tensor.

    Fresh deviates for every conversion would take longer than the network itself.

    Parameters
    ----------
    rng : torch.Generator
        Draws the deviates, and then the stretches; another may be put in its place.
    size : int
        Deviates.
    device : torch.device or str
        Of the tensors that noise is for; it is drawn on the CPU, whatever that is.
    """

    def __init__(self, rng: torch.Generator, size: int = 2**22, device: torch.device | str = "cpu") -> None:
        self._values = torch.empty(size, device="cpu").normal_(generator=rng).to(device)
        self.rng = rng

    def like(self, x: Tensor) -> Tensor:
        """Noise of the shape and memory layout of ``x``.

        Raises
        ------
        ValueError
            Where ``x`` has more elements than the pool.
        """
        room = len(self._values) - x.numel()
        if room < 0:
            raise ValueError(f"a batch of {x.numel()} values needs a larger pool than {len(self._values)}")
        start = int(torch.randint(room + 1, (), generator=self.rng, device="cpu"))
        stretch = self._values[start : start + x.numel()]
        if x.dim() == 4:
            return stretch.view(x.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)
        return stretch.view(x.shape)


@dataclass
class Part:
    """Weights that are converted together; ``weight`` and ``gain`` change with each reading.

    Attributes
    ----------
    inputs : slice or None
        Input channels; None for all.
    groups : int
        Of the convolution.
    weight : Tensor
        Folded, so that outputs are in steps of the ADC.
    gain : Tensor, shape (outputs,) or (outputs, 1, 1)
        From steps of the ADC to the layer's output.
    noise : float
        Standard deviation of each conversion [steps].
    """

    inputs: slice | None
    groups: int
    weight: Tensor
    gain: Tensor
    noise: float = 0.0


class AnalogLayer(nn.Module):
    """A layer on analog crossbars whose slices and pairs are combined before the ADC; exact.

    Parameters
    ----------
    layer : Conv2d or Linear
        The geometry.
    parts : sequence of Part
    offset : Tensor
        Added to the output, digitally: bias and normalisation.
    limit : int
        Largest code of the ADC.
    joined : bool
        Whether parts make different output channels (depthwise) or add up.
    digits : sequence of (int, int)
        Divisor and modulus of each digit in which inputs are applied; one (1, 0) if they are whole.
    input_step : float
        An input is its code times this; of use for digits alone.
    pool : NoisePool or None
        None where no part has noise.
    """

    def __init__(
        self,
        layer: Layer,
        parts: Sequence[Part],
        offset: Tensor,
        limit: int,
        *,
        joined: bool,
        digits: Sequence[tuple[int, int]],
        input_step: float,
        pool: NoisePool | None,
    ) -> None:
        super().__init__()
        self.layer = [layer]  # in a list, so that it is not a submodule
        self.parts, self.offset, self.limit = parts, offset, limit
        self.joined, self.digits, self.input_step, self.pool = joined, digits, input_step, pool

    def forward(self, x: Tensor) -> Tensor:
        if len(self.digits) == 1:
            return self._convert(x, self.offset, 1.0)
        codes = torch.round(x / self.input_step)
        total = None
        for divisor, modulus in self.digits:
            digit = input_digit(codes, divisor, modulus) * self.input_step
            offset = self.offset if total is None else torch.zeros_like(self.offset)
            part = self._convert(digit, offset, float(divisor))
            total = part if total is None else total.add_(part)
        assert total is not None
        return total

    def _convert(self, x: Tensor, offset: Tensor, significance: float) -> Tensor:
        outputs: list[Tensor] = []
        for part in self.parts:
            taken = x if part.inputs is None else _channels(x, part.inputs, self.layer[0])
            y = apply_layer(self.layer[0], taken, part.weight, groups=part.groups)
            if part.noise:
                assert self.pool is not None
                y.add_(self.pool.like(y), alpha=part.noise)
            y.round_().clamp_(-self.limit, self.limit)
            gain = part.gain if significance == 1.0 else part.gain * significance
            if self.joined:
                outputs.append(y.mul_(gain))
            elif outputs:
                outputs[0].addcmul_(y, gain)
            else:
                outputs.append(y.mul_(gain).add_(offset))
        if self.joined:
            return torch.cat(outputs, dim=1).add_(offset)
        return outputs[0]


class SurrogateLayer(nn.Module):
    """A layer on bit-serial, bit-sliced crossbars: linear in its noisy weights, plus what its ADCs do.

    That is a gain, an offset and normal noise for each channel, and a share of the weights' noise, fitted to
    the exact simulation (:mod:`nasbench_imc.building.crossbar.serial`).

    Parameters
    ----------
    layer : Conv2d or Linear
    parts : sequence of Part
        Their gains hold the ADCs' gain.
    offset : Tensor
        Bias and normalisation and the ADCs' offset.
    spread : Tensor
        Standard deviation of the noise, by channel [output].
    joined : bool
    pool : NoisePool
    """

    def __init__(
        self,
        layer: Layer,
        parts: Sequence[Part],
        offset: Tensor,
        spread: Tensor,
        *,
        joined: bool,
        pool: NoisePool,
    ) -> None:
        super().__init__()
        self.layer = [layer]
        self.parts, self.offset, self.spread, self.joined, self.pool = parts, offset, spread, joined, pool

    def forward(self, x: Tensor) -> Tensor:
        outputs = []
        for part in self.parts:
            taken = x if part.inputs is None else _channels(x, part.inputs, self.layer[0])
            y = apply_layer(self.layer[0], taken, part.weight, groups=part.groups)
            outputs.append(y.mul_(part.gain))
        y = torch.cat(outputs, dim=1) if self.joined else outputs[0]
        return y.add_(self.offset).addcmul_(self.pool.like(y), self.spread)


class DigitalLayer(nn.Module):
    """A layer on digital SRAM crossbars: whole weights times whole inputs.

    Sums stay below 2^24, where single precision is exact: 504 rows x 127 x 255. A GPU may choose an algorithm
    that is not (Winograd's), and computes in double precision.

    Parameters
    ----------
    layer : Conv2d or Linear
    codes : Tensor
        Whole weights.
    gain, offset : Tensor
        From whole sums to the layer's output.
    input_step : float
    """

    def __init__(self, layer: Layer, codes: Tensor, gain: Tensor, offset: Tensor, input_step: float) -> None:
        super().__init__()
        self.layer = [layer]
        self.codes, self.gain, self.offset, self.input_step = codes, gain, offset, input_step

    def forward(self, x: Tensor) -> Tensor:
        whole = (x * (1.0 / self.input_step)).round_()
        if x.device.type != "cpu":
            sums = apply_layer(self.layer[0], whole.double(), self.codes.double()).round_().float()
        else:
            sums = apply_layer(self.layer[0], whole, self.codes)
        return sums.mul_(self.gain).add_(self.offset)


def apply_layer(layer: Layer, x: Tensor, weight: Tensor, groups: int | None = None) -> Tensor:
    """The products of a layer's geometry with other weights, without bias."""
    if isinstance(layer, nn.Linear):
        return functional.linear(x, weight)
    return functional.conv2d(
        x, weight, None, layer.stride, layer.padding, groups=layer.groups if groups is None else groups
    )


def input_digit(codes: Tensor, divisor: int, modulus: int) -> Tensor:
    """A digit of whole inputs, with their sign: ``codes / divisor`` modulo ``modulus``; 0 takes all of it."""
    quotient = torch.div(codes, divisor, rounding_mode="trunc")
    return torch.fmod(quotient, modulus) if modulus else quotient


def by_channel(values: Tensor, layer: Layer) -> Tensor:
    """A vector over output channels in a shape that meets the layer's output."""
    return values.view(-1, 1, 1) if isinstance(layer, nn.Conv2d) else values


def replaced(network: nn.Module, modules: Mapping[str, nn.Module]) -> nn.Module:
    """The network, some of its submodules replaced in place, by name."""
    for name, module in modules.items():
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, module)
    return network


def _channels(x: Tensor, part: slice, layer: Layer) -> Tensor:
    return x[:, part] if isinstance(layer, nn.Conv2d) else x[..., part]
