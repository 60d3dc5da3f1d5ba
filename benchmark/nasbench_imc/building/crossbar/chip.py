"""A network on a chip: built once for a configuration, then programmed and read as often as one likes.

What the cost model assumes is what is computed here: one configuration record feeds both.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nasbench_imc.building.codes import Codes, crossbar_layers, full_scale
from nasbench_imc.building.crossbar import devices, serial
from nasbench_imc.building.crossbar.blocks import Block, block_codes, blocks, is_depthwise
from nasbench_imc.building.crossbar.layers import (
    WHOLE,
    AnalogLayer,
    DigitalLayer,
    NoisePool,
    Part,
    SurrogateLayer,
    by_channel,
    replaced,
)
from nasbench_imc.building.crossbar.ranges import Calibration, output_spans
from nasbench_imc.building.networks import ConvNorm
from nasbench_imc.hardware import HardwareConfig

Layer = nn.Conv2d | nn.Linear
SURROGATE_IMAGES = 16


@dataclass(frozen=True)
class _Output:
    """What follows a crossbar digitally: output = gain x sum of weight code x input code + offset."""

    gain: Tensor
    offset: Tensor


class Chip:
    """A network on one IMC configuration.

    Parameters
    ----------
    network : HybridNetwork
        In evaluation mode, with decoded weights; left as it is.
    codes : mapping of str to Codes
        Of its crossbar layers, all of one precision.
    calibration : Calibration
        Of this network.
    config : HardwareConfig
    rng : torch.Generator
        Draws the pool of conversion noise, and the cells on which a surrogate is fitted.
    fit_at : float
        Seconds after programming at which a surrogate is fitted.
    exact : bool
        Whether bit-serial arrays are simulated exactly instead of by a surrogate, at 30 times the time.
    wires : bool
        Whether wires have a resistance (IR drop); without, for comparison with simulators that have none.

    Attributes
    ----------
    config : HardwareConfig
    device : torch.device
        Where the network is, and its chip.

    Notes
    -----
    :meth:`program` draws new devices, :meth:`read` lets time pass and fixes the weights that
    :meth:`__call__` then computes with. Digital SRAM needs neither.
    """

    def __init__(
        self,
        network: nn.Module,
        codes: Mapping[str, Codes],
        calibration: Calibration,
        config: HardwareConfig,
        rng: torch.Generator,
        *,
        fit_at: float = devices.SECONDS["1d"],
        exact: bool = False,
        wires: bool = True,
    ) -> None:
        self.config, self.device = config, next(network.parameters()).device
        self.weight_bits = next(iter(codes.values())).bits
        self._codes, self._calibration = codes, calibration
        self._fit_at, self._exact, self._wires = fit_at, exact, wires
        noisy = config.family in ("sram-analog", "rram-sliced")  # conversions, beside the cells
        self._pool = NoisePool(rng, device=self.device) if noisy else None
        self._pairs: devices.PcmPairs | None = None
        self._modules: dict[str, nn.Module] = {}
        self._cells: list[Tensor] = []
        self._empty: list[Tensor] = []
        self._folds: list[Tensor] = []
        self._passed: list[float] = []
        self._parts: list[tuple[Part, torch.Size, Tensor]] = []
        # What is left of the network's own parameters is read alone, so that both may have it.
        shared = {id(kept): kept for kept in (*network.parameters(), *network.buffers())}
        self._network = copy.deepcopy(network, shared)
        norms: dict[str, nn.Module] = {}
        for name, layer in crossbar_layers(self._network).items():
            output = self._output(name, layer, norms)
            if config.family == "sram-digital":
                step = calibration.steps[name]
                self._modules[name] = DigitalLayer(layer, codes[name].codes, output.gain, output.offset, step)
            elif config.combine == "analog":
                self._modules[name] = self._analog(name, layer, output)
            else:
                self._modules[name] = self._serial(name, layer, output, rng)
        if self._cells:
            self._flat = torch.cat(self._cells)
            self._off_diagonal = torch.cat(self._empty)
            self._fold = torch.cat(self._folds)
            self._segment = torch.cat(
                [torch.full_like(c, k, dtype=torch.long) for k, c in enumerate(self._cells)]
            )
        replaced(self._network, {**self._modules, **norms, **calibration.rounders, **calibration.attentions})

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Logits (n, 10) of normalised images (n, 3, 32, 32)."""
        return self._network(images.clone())

    @torch.no_grad()
    def program(self, rng: torch.Generator) -> None:
        """Program all weights anew."""
        if self.config.family == "pcm":
            self._pairs = devices.program_pcm(devices.targets(self._flat, self.weight_bits), rng)

    @torch.no_grad()
    def read(self, seconds: float, rng: torch.Generator) -> None:
        """Fix the weights to what cells hold so many seconds after programming.

        PCM is compensated for drift: each row block's output is multiplied by the sum of |w| right after
        programming over the one now (global drift compensation, Joshi et al. 2020). Other families are
        programmed anew by the reading itself.

        Raises
        ------
        ValueError
            Where the chip was not programmed, or nothing is known of the cells at that time.
        """
        if self._pool is not None:
            self._pool.rng = rng  # so that conversions' noise depends on this reading alone
        for module in self._modules.values():
            if isinstance(module, serial.SerialLayer):
                module.cells = module.arrays.draw(seconds, rng)
        if not self._parts:
            return
        weights = self._read(seconds, rng)
        compensation = torch.ones(len(self._parts))
        if self._pairs is not None:
            pairs = self._pairs.conductance
            start = self._total((pairs[0] - pairs[1]) * full_scale(self.weight_bits))
            compensation = start / self._total(weights).clamp(min=1e-12)
        weights = weights * self._fold
        position = 0
        for (part, shape, gain), factor in zip(self._parts, compensation, strict=True):
            part.weight = weights[position : position + shape.numel()].view(shape)
            part.gain = gain * factor
            position += shape.numel()

    def _read(self, seconds: float, rng: torch.Generator) -> Tensor:
        """Weights of all cells in codes; (n,)."""
        family, bits = self.config.family, self.weight_bits
        if family == "pcm":
            if self._pairs is None:
                raise ValueError("a PCM chip must be programmed before it is read")
            return devices.read_pcm(self._pairs, seconds, rng) * full_scale(bits)
        if family == "rram-analog":
            target = devices.targets(self._flat, bits)
            return devices.read_rram_pairs(target, seconds, rng) * full_scale(bits)
        if family == "rram-sliced":
            # Where there is no weight, all slices are at their lowest level, which stands for zero.
            zero = self._off_diagonal * 2.0 ** (bits - 1)
            cells = self._flat - zero
            read = devices.read_sliced_weights(cells, bits, self.config.cell_bits, seconds, rng) + zero
            return torch.lerp(self._flat, read, torch.tensor(self._passed)[self._segment])
        return devices.read_sram(self._flat, bits, rng)

    def _total(self, weights: Tensor) -> Tensor:
        """Sum of |w| over the cells of each part that hold weights; (parts,)."""
        totals = torch.zeros(len(self._parts), dtype=torch.float64)
        held = weights.abs() * (1.0 - self._off_diagonal)
        return totals.index_add_(0, self._segment, held.double()).float()

    def _output(self, name: str, layer: Layer, norms: dict[str, nn.Module]) -> _Output:
        """Scale, bias and the normalisation that follows, which is replaced by nothing."""
        gain = self._codes[name].scale * self._calibration.steps[name]
        offset = torch.zeros_like(gain) if layer.bias is None else layer.bias.detach().clone()
        parent = name.rpartition(".")[0]
        follower = self._network.get_submodule(parent) if parent else None
        if isinstance(follower, ConvNorm):
            norm = follower[1]
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.running_var is not None
            assert norm.running_mean is not None
            factor = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
            gain, offset = gain * factor, norm.bias.detach() + (offset - norm.running_mean) * factor
            norms[f"{parent}.1"] = nn.Identity()
        return _Output(by_channel(gain, layer), by_channel(offset, layer))

    def _analog(self, name: str, layer: Layer, output: _Output) -> AnalogLayer:
        config, codes = self.config, self._codes[name]
        assert config.adc_bits is not None
        rows = config.active_rows
        limit = full_scale(config.adc_bits)
        steps = -(-config.input_bits // config.dac_bits)
        base = 2**config.dac_bits
        digits = tuple((base**k, base) for k in range(steps)) if steps > 1 else WHOLE
        spans = output_spans(name, layer, codes, self._calibration, rows, digits)
        step = self._calibration.steps[name]
        packed = config.family != "sram-analog"  # a capacitor without charge adds nothing
        if is_depthwise(layer) and not packed:
            parts = [self._whole(layer, codes, step, spans[0] / limit, output)]
        else:
            parts = [
                self._part(layer, codes, block, step, reach / limit, output)
                for block, reach in zip(blocks(layer, rows), spans, strict=True)
            ]
        if config.family == "sram-analog":
            for part in parts:
                part.noise = devices.sram_converter_noise(limit, config.supply_v)
        return AnalogLayer(
            layer,
            parts,
            output.offset,
            limit,
            joined=is_depthwise(layer) and len(parts) > 1,
            digits=digits,
            input_step=step,
            pool=self._pool,
        )

    def _whole(self, layer: Layer, codes: Codes, step: float, adc_step: float, output: _Output) -> Part:
        """A depthwise convolution without its zeros: one part, however many arrays."""
        part = Part(None, layer.groups if isinstance(layer, nn.Conv2d) else 1, codes.codes, output.gain)
        fold = torch.full_like(codes.codes, 1.0 / (step * adc_step))
        self._place(part, codes.codes, torch.zeros_like(codes.codes), fold, output.gain * adc_step)
        return part

    def _part(
        self, layer: Layer, codes: Codes, block: Block, step: float, adc_step: float, output: _Output
    ) -> Part:
        held = block_codes(layer, codes.codes, block, packed=True)
        every = block.inputs == slice(0, layer.weight.shape[1]) and not is_depthwise(layer)
        part = Part(None if every else block.inputs, 1, held, output.gain)
        fold = torch.full_like(held, 1.0 / (step * adc_step)) * self._signal(layer, held)
        gain = output.gain[block.outputs] * adc_step
        self._place(part, held, _empty(layer, held), fold, gain)
        return part

    def _signal(self, layer: Layer, held: Tensor) -> Tensor:
        """What IR drop leaves of each row's signal, in the shape of one output's weights.

        A packed depthwise column draws current in the few rows of its own filter, which lie together: what
        they lose is small and nearly the same, and the column's gain takes it out.
        """
        g_max = {"pcm": devices.PCM_G_MAX, "rram-analog": devices.RRAM_G_MAX}.get(self.config.family)
        if g_max is None or not self._wires or is_depthwise(layer):
            return torch.ones(())
        return devices.ir_drop(held[0].numel(), g_max).view(held.shape[1:])

    def _place(
        self, part: Part, codes: Tensor, empty: Tensor, fold: Tensor, gain: Tensor, passed: float = 1.0
    ) -> None:
        """Give a part its place among the chip's cells, of whose deviations the share ``passed`` counts."""
        self._passed.append(passed)
        self._cells.append(codes.flatten())
        self._empty.append(empty.flatten())
        self._folds.append(fold.flatten())
        self._parts.append((part, codes.shape, gain))

    def _serial(
        self, name: str, layer: Layer, output: _Output, rng: torch.Generator
    ) -> SurrogateLayer | serial.SerialLayer:
        config, codes = self.config, self._codes[name]
        assert config.adc_bits is not None
        assert self._pool is not None
        reading = serial.SerialReading(
            config.rows,
            config.active_rows,
            config.input_bits,
            config.cell_bits,
            self.weight_bits,
            config.adc_bits,
        )
        step, signed = self._calibration.steps[name], self._calibration.signed[name]
        inputs = self._calibration.inputs[name][:SURROGATE_IMAGES]
        arrays = serial.SlicedArrays(layer, codes, reading)
        fitted, steps = serial.fit_layer(arrays, inputs, self._fit_at, rng, signed=signed)
        if self._exact:
            return serial.SerialLayer(arrays, steps, output.gain, output.offset, step, signed=signed)
        parts = []
        for block in arrays.blocks:
            held = block_codes(layer, codes.codes, block, packed=True)
            part = Part(block.inputs if is_depthwise(layer) else None, 1, held, output.gain)
            gain = (output.gain * by_channel(fitted.gain, layer))[block.outputs]
            fold = torch.full_like(held, 1.0 / step)
            self._place(part, held, _empty(layer, held), fold, gain, fitted.passed)
            parts.append(part)
        offset = output.offset + output.gain * by_channel(fitted.offset, layer)
        spread = (output.gain * by_channel(fitted.spread, layer)).abs()
        return SurrogateLayer(layer, parts, offset, spread, joined=is_depthwise(layer), pool=self._pool)


def _empty(layer: Layer, held: Tensor) -> Tensor:
    """One where a cell holds no weight, off the diagonal of a packed depthwise block; else zero."""
    empty = torch.zeros_like(held)
    if is_depthwise(layer):
        count = len(held)
        empty += 1.0
        empty[torch.arange(count), torch.arange(count)] = 0.0
    return empty
