"""Exact simulation of bit-serial, bit-sliced crossbars, and the surrogate that is fitted to it.

Every bit of the inputs (two's complement, the sign bit counts negative) meets every slice of the weights
(offset code, ISAAC, ISCA 2016) in every group of rows that is read together; each of these sums passes the
ADC, and all are shifted and added digitally. That is 8 bits x 4 slices x row groups as much work as the
layer itself, so it is done for a few images, and a gain, an offset and a spread for each channel
stand for it in the rest. An ADC whose step is a level or more rounds most of the cells' deviations away: how
much of them passes is fitted too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench_imc.building.codes import Codes
from nasbench_imc.building.crossbar import devices
from nasbench_imc.building.crossbar.blocks import Block, blocks, is_depthwise, kernel_area
from nasbench_imc.building.crossbar.layers import apply_layer
from nasbench_imc.building.crossbar.ranges import span

Layer = nn.Conv2d | nn.Linear


@dataclass(frozen=True, slots=True)
class SerialReading:
    """How an array is read.

    Attributes
    ----------
    array_rows, active_rows : int
        Rows of an array, and those that are read together.
    input_bits, cell_bits, weight_bits, adc_bits : int
        [bit]
    """

    array_rows: int
    active_rows: int
    input_bits: int
    cell_bits: int
    weight_bits: int
    adc_bits: int


def unfolded(layer: Layer, codes: Tensor, block: Block) -> Tensor:
    """Inputs as the rows of a block, one line for each output pixel or token; (n, rows)."""
    if isinstance(layer, nn.Linear):
        return codes[..., block.inputs].reshape(-1, block.rows)
    assert not isinstance(layer.padding, str)
    columns = functional.unfold(codes[:, block.inputs], layer.kernel_size, 1, layer.padding, layer.stride)
    return columns.transpose(1, 2).reshape(-1, block.rows)


def input_planes(rows: Tensor, bits: int, *, signed: bool) -> tuple[Tensor, Tensor]:
    """Bits of whole inputs.

    Returns
    -------
    planes : Tensor, shape (bits, ...), float32
        0 or 1, least significant first; two's complement where ``signed``.
    significance : Tensor, shape (bits,)
        What each plane counts.
    """
    whole = rows.to(torch.int32) % 2**bits
    planes = torch.stack([(whole >> k) & 1 for k in range(bits)]).float()
    significance = 2.0 ** torch.arange(bits, dtype=torch.float32)
    if signed:
        significance[-1] *= -1
    return planes, significance


def row_groups(rows: int, reading: SerialReading) -> list[tuple[int, int]]:
    """First row, and the one after the last, of each group that is read together; none spans two arrays."""
    return [
        (start, min(start + reading.active_rows, array + reading.array_rows, rows))
        for array in range(0, rows, reading.array_rows)
        for start in range(array, min(array + reading.array_rows, rows), reading.active_rows)
    ]


def converted_sums(
    rows: Tensor, cells: Tensor, reading: SerialReading, *, signed: bool, steps: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Whole sums of a block as its ADCs give them, shifted and added.

    Parameters
    ----------
    rows : Tensor, shape (n, k)
        Whole inputs.
    cells : Tensor, shape (slices, outputs, k)
        Levels, noisy or not.
    reading : SerialReading
    signed : bool
        Whether inputs have a sign.
    steps : Tensor, shape (slices,), optional
        Steps of the ADC [levels]; by default :func:`whole_step` of what the ADCs see.

    Returns
    -------
    sums : Tensor, shape (n, outputs)
        Sum over slices and bits, offset code still in it.
    steps : Tensor, shape (slices,)
    """
    planes, significance = input_planes(rows, reading.input_bits, signed=signed)
    slices, outputs, k = cells.shape
    codes = 2**reading.adc_bits - 1
    flat = cells.reshape(slices * outputs, k)
    groups = [
        (planes[..., a:b] @ flat[:, a:b].T).view(*planes.shape[:2], slices, outputs)
        for a, b in row_groups(k, reading)
    ]
    if steps is None:
        seen = [torch.cat([g[:, :, s].flatten() for g in groups]) for s in range(slices)]
        steps = torch.tensor([whole_step(values, codes) for values in seen])
    total = torch.zeros(len(rows), outputs)
    weights = 2.0 ** (reading.cell_bits * torch.arange(slices, dtype=torch.float32)) * steps
    for group in groups:
        seen_codes = (group / steps[:, None]).round_().clamp_(0, codes)
        total += torch.einsum("tnso,t,s->no", seen_codes, significance, weights)
    return total, steps


def whole_step(sums: Tensor, codes: int) -> float:
    """Step of an ADC for sums of levels: a whole number of levels, at least one.

    Sums are whole but for the cells' deviations. A step of 1.1 levels, which would just cover them, rounds
    many to the wrong code, and costs more than cutting off the few beyond (6.4 points instead of 1.4 in the
    network that lost most on 16 rows and 5 bits): it is one of the whole steps next to the one that covers
    :data:`~nasbench_imc.building.crossbar.ranges.COVERED`, the better by squared error.

    Parameters
    ----------
    sums : Tensor
        What ADCs see [levels].
    codes : int
        Largest code.
    """
    covering = span(sums) / codes
    steps = {max(1.0, float(math.floor(covering))), max(1.0, float(math.ceil(covering)))}

    def error(step: float) -> float:
        return float((sums / step).round_().clamp_(0, codes).mul_(step).sub_(sums).square_().mean())

    return min(sorted(steps), key=error) if len(steps) > 1 else steps.pop()


@dataclass(frozen=True)
class Surrogate:
    """What ADCs do to the sums of a layer, by channel.

    Attributes
    ----------
    gain, offset, spread : Tensor, shape (outputs,)
        A converted sum is ``gain`` times that of the cells, their deviations reduced, plus ``offset`` plus
        normal noise of ``spread`` [weight code x input code].
    passed : float
        Share of the cells' deviations that passes, one for the layer [1].
    """

    gain: Tensor
    offset: Tensor
    spread: Tensor
    passed: float


def fit(exact: Tensor, deviation: Tensor, converted: Tensor) -> Surrogate:
    """Least squares of converted over exact sums, for each output.

    Parameters
    ----------
    exact : Tensor, shape (n, outputs)
        Sums of the codes.
    deviation : Tensor, shape (n, outputs)
        What the cells' deviations add to them before the ADCs.
    converted : Tensor, shape (n, outputs)
        Sums as the ADCs give them.
    """
    x, d, y = exact - exact.mean(0), deviation - deviation.mean(0), converted - converted.mean(0)
    # Apart from what goes with the sums themselves (Frisch-Waugh), and pooled over outputs.
    apart = d - x * _slope(x, d, otherwise=0.0)
    power = float((apart * apart).sum())
    passed = max(0.0, float((apart * y).sum()) / power) if power > 0 else 1.0
    x = x + passed * d
    gain = _slope(x, y, otherwise=1.0)
    offset = converted.mean(0) - gain * (exact + passed * deviation).mean(0)
    return Surrogate(gain, offset, (y - gain * x).square().mean(0).sqrt(), passed)


def _slope(x: Tensor, y: Tensor, *, otherwise: float) -> Tensor:
    """Of y over x, both centred, for each output; ``otherwise`` where x never changes."""
    variance = (x * x).sum(0)
    found = (x * y).sum(0) / variance.clamp(min=1e-12)
    return torch.where(variance > 0, found, torch.full_like(variance, otherwise))


class SlicedArrays:
    """A layer's weights in bit slices.

    Parameters
    ----------
    layer : Conv2d or Linear
    codes : Codes
    reading : SerialReading

    Notes
    -----
    A depthwise block is as many filters as the rows that are read together hold; each has columns of its
    own, and the cells off the diagonal hold nothing (lowest level).
    """

    def __init__(self, layer: Layer, codes: Codes, reading: SerialReading) -> None:
        self.layer, self.reading = layer, reading
        rows = reading.active_rows if is_depthwise(layer) else _fan_in(layer)
        self.blocks = blocks(layer, rows)
        self._codes = codes.codes

    def draw(self, seconds: float, rng: torch.Generator) -> list[Tensor]:
        """Program all cells and let time pass: levels of each block's cells, (slices, outputs, rows)."""
        bits, cell_bits = self.reading.weight_bits, self.reading.cell_bits
        own = devices.read_slices(self._codes, bits, cell_bits, seconds, rng)
        if not is_depthwise(self.layer):
            return [own.flatten(2)]
        drawn = []
        for block in self.blocks:
            filters = own[:, block.outputs, 0].flatten(2)
            slices, count, area = filters.shape
            lowest = torch.full((count, count, area), -(2.0 ** (bits - 1)))
            cells = devices.read_slices(lowest, bits, cell_bits, seconds, rng)
            diagonal = torch.arange(count)
            cells[:, diagonal, diagonal] = filters
            drawn.append(cells.reshape(slices, count, count * area))
        return drawn

    def sums(
        self, inputs: Tensor, cells: list[Tensor], steps: list[Tensor] | None, *, signed: bool
    ) -> tuple[Tensor, list[Tensor]]:
        """Sums of weight code x input code as the ADCs give them, offset code taken out.

        Parameters
        ----------
        inputs : Tensor
            Whole inputs of the layer.
        cells : list of Tensor
            From :meth:`draw`.
        steps : list of Tensor or None
            ADC steps of each block; None to set them from these inputs.
        signed : bool

        Returns
        -------
        sums : Tensor, shape (pixels, outputs)
        steps : list of Tensor
        """
        outputs, found = [], []
        for k, (block, levels) in enumerate(zip(self.blocks, cells, strict=True)):
            rows = unfolded(self.layer, inputs, block)
            given = None if steps is None else steps[k]
            total, used = converted_sums(rows, levels, self.reading, signed=signed, steps=given)
            outputs.append(total - self._offset(rows, block))
            found.append(used)
        return torch.cat(outputs, dim=1), found

    def linear(self, inputs: Tensor, cells: list[Tensor]) -> Tensor:
        """The same sums of the cells without ADCs; (pixels, outputs)."""
        outputs = []
        for block, levels in zip(self.blocks, cells, strict=True):
            rows = unfolded(self.layer, inputs, block)
            significance = 2.0 ** (self.reading.cell_bits * torch.arange(len(levels), dtype=torch.float32))
            weights = torch.einsum("sok,s->ok", levels, significance)
            outputs.append(rows @ weights.T - self._offset(rows, block))
        return torch.cat(outputs, dim=1)

    def exact(self, inputs: Tensor) -> Tensor:
        """The sums of the codes, without deviations and ADCs; (pixels, outputs)."""
        sums = apply_layer(self.layer, inputs, self._codes)
        return sums.flatten(0, -2) if sums.dim() < 4 else sums.permute(0, 2, 3, 1).flatten(0, 2)

    def _offset(self, rows: Tensor, block: Block) -> Tensor:
        """What the offset of the weights' code adds, for each output; (pixels, outputs or 1)."""
        if is_depthwise(self.layer):
            rows = rows.view(len(rows), -1, kernel_area(self.layer))
        else:
            rows = rows[:, None]
        return rows.sum(-1) * 2.0 ** (self.reading.weight_bits - 1)


def fit_layer(
    arrays: SlicedArrays, inputs: Tensor, seconds: float, rng: torch.Generator, *, signed: bool
) -> tuple[Surrogate, list[Tensor]]:
    """Fit a layer's surrogate, on one draw of its cells.

    Parameters
    ----------
    arrays : SlicedArrays
    inputs : Tensor
        Whole inputs for the calibration images.
    seconds : float
        Since programming.
    rng : torch.Generator
    signed : bool

    Returns
    -------
    surrogate : Surrogate
    steps : list of Tensor
        Of the ADCs.
    """
    cells = arrays.draw(seconds, rng)
    converted, steps = arrays.sums(inputs, cells, None, signed=signed)
    exact = arrays.exact(inputs)
    return fit(exact, arrays.linear(inputs, cells) - exact, converted), steps


class SerialLayer(nn.Module):
    """A layer on bit-serial, bit-sliced crossbars, simulated exactly; for audits, since it is slow.

    Parameters
    ----------
    arrays : SlicedArrays
    steps : list of Tensor
        Of the ADCs, from :func:`fit_layer`.
    gain, offset : Tensor
        From sums of weight code x input code to the layer's output.
    input_step : float
    signed : bool
        Of the inputs.
    """

    def __init__(
        self,
        arrays: SlicedArrays,
        steps: list[Tensor],
        gain: Tensor,
        offset: Tensor,
        input_step: float,
        *,
        signed: bool,
    ) -> None:
        super().__init__()
        self.arrays, self.steps, self.gain, self.offset = arrays, steps, gain, offset
        self.input_step, self.signed = input_step, signed
        self.cells: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        inputs = torch.round(x / self.input_step)
        parts = [
            self.arrays.sums(part, self.cells, self.steps, signed=self.signed)[0]
            for part in inputs.split(16)  # eight planes of each are held at once
        ]
        sums = torch.cat(parts)
        if isinstance(self.arrays.layer, nn.Linear):
            sums = sums.view(*x.shape[:-1], -1)
        else:
            layer = self.arrays.layer
            side = (x.shape[-1] + 2 * int(layer.padding[0]) - layer.kernel_size[0]) // layer.stride[0] + 1
            sums = sums.view(len(x), side, side, -1).permute(0, 3, 1, 2)
        return torch.addcmul(self.offset, sums, self.gain)


def _fan_in(layer: Layer) -> int:
    return layer.weight.shape[1] * kernel_area(layer)
