"""Ranges of converters, set from training images.

A range ends where 99.99 % of what was seen lies: the policy matters more than the bits, and the largest
value ever seen would waste most of them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nasbench_imc.building.codes import Codes, crossbar_layers
from nasbench_imc.building.crossbar.blocks import Block, block_codes, blocks, is_depthwise
from nasbench_imc.building.crossbar.layers import (
    WHOLE,
    RoundedAttention,
    Rounder,
    apply_layer,
    input_digit,
    replaced,
)
from nasbench_imc.building.networks import Attention, Tap

COVERED = 0.9999  # share of values inside a range


@dataclass(frozen=True)
class Calibration:
    """What training images say about a network.

    Attributes
    ----------
    rounders : dict of str to Rounder
        By tap: how its activation is stored.
    attentions : dict of str to RoundedAttention
        By attention module.
    inputs : dict of str to Tensor
        By crossbar layer: its input for the calibration images, whole codes.
    steps : dict of str to float
        By crossbar layer: an input is its code times this.
    signed : dict of str to bool
        By crossbar layer: whether its input has a sign.
    spans : dict
        Ranges of :func:`output_spans` found so far.
    """

    rounders: Mapping[str, Rounder]
    attentions: Mapping[str, RoundedAttention]
    inputs: Mapping[str, Tensor]
    steps: Mapping[str, float]
    signed: Mapping[str, bool]
    spans: dict[tuple[object, ...], tuple[float, ...]] = field(default_factory=dict)


def span(values: Tensor) -> float:
    """The magnitude below which :data:`COVERED` of the values lie."""
    magnitudes = values.abs().flatten()
    beyond = max(1, round(len(magnitudes) * (1.0 - COVERED)))
    # The answer is no less than that rank among the largest of each 64 values: few are left to sort.
    largest = magnitudes[: len(magnitudes) // 64 * 64].view(64, -1).amax(0)
    if len(largest) >= beyond:
        magnitudes = magnitudes[magnitudes >= largest.topk(beyond).values[-1]]
    return float(magnitudes.topk(beyond).values[-1])


def rounder(values: Tensor, bits: int) -> Rounder:
    """A rounder that fits these values: without a sign if none of them is negative."""
    signed = bool((values < 0).any())
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    return Rounder(max(span(values), 1e-12) / high, -high if signed else 0, high)


@torch.no_grad()
def calibrate(network: nn.Module, images: Tensor, bits: int = 8) -> Calibration:
    """Run training images through a network in floating point, then with rounded activations.

    Parameters
    ----------
    network : HybridNetwork
        In evaluation mode, with decoded weights; left as it is.
    images : Tensor, shape (n, 3, 32, 32)
    bits : int
        Of a stored activation [bit].
    """
    rounders: dict[str, Rounder] = {}
    attentions: dict[str, RoundedAttention] = {}
    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, Tap):

            def keep(_: nn.Module, __: object, output: Tensor, name: str = name) -> None:
                rounders[name] = rounder(output, bits)

            hooks.append(module.register_forward_hook(keep))
        elif isinstance(module, Attention):

            def look(_: nn.Module, operands: tuple[Tensor, ...], name: str = name) -> None:
                query, key, value = (rounder(x, bits) for x in operands)
                attentions[name] = RoundedAttention(query, key, value, bits)

            hooks.append(module.register_forward_pre_hook(look))
    network(images)
    for hook in hooks:
        hook.remove()
    return _layer_inputs(network, images, rounders, attentions)


def _layer_inputs(
    network: nn.Module,
    images: Tensor,
    rounders: dict[str, Rounder],
    attentions: dict[str, RoundedAttention],
) -> Calibration:
    """What crossbar layers read, and which tap it comes from: the one whose output it is."""
    rounded = replaced(copy.deepcopy(network), {**rounders, **attentions})
    made: dict[int, tuple[Tensor, Rounder]] = {}  # the tensors are kept, so that no address comes twice
    inputs: dict[str, Tensor] = {}
    steps: dict[str, float] = {}
    signed: dict[str, bool] = {}
    hooks = []  # on the rounders themselves, which chips go on to use
    for name in rounders:
        module = rounded.get_submodule(name)

        def store(module: nn.Module, _: object, output: Tensor) -> None:
            assert isinstance(module, Rounder)
            made[id(output)] = (output, module)

        hooks.append(module.register_forward_hook(store))
    for name, layer in crossbar_layers(rounded).items():

        def read(_: nn.Module, operands: tuple[Tensor, ...], name: str = name) -> None:
            if id(operands[0]) not in made:
                raise ValueError(f"crossbar layer {name} reads what no tap stores")
            source = made[id(operands[0])][1]
            inputs[name] = torch.round(operands[0] / source.step)
            steps[name], signed[name] = source.step, source.low < 0

        layer.register_forward_pre_hook(read)
    try:
        rounded(images.clone())
    finally:
        for hook in hooks:
            hook.remove()
    return Calibration(rounders, attentions, inputs, steps, signed)


@torch.no_grad()
def output_spans(
    name: str,
    layer: nn.Conv2d | nn.Linear,
    codes: Codes,
    calibration: Calibration,
    rows: int,
    digits: Sequence[tuple[int, int]] = WHOLE,
) -> tuple[float, ...]:
    """Ranges of a layer's ADCs, one a row block [weight code x input code].

    Blocks of a depthwise convolution have one range in common, since each holds few filters; so have the
    digits of the inputs, whose sums the same ADC converts.

    Parameters
    ----------
    name : str
    layer : Conv2d or Linear
    codes : Codes
    calibration : Calibration
        Remembers the answer.
    rows : int
        Rows that are read together.
    digits : sequence of (int, int)
        As in :class:`~nasbench_imc.building.crossbar.layers.AnalogLayer`.
    """
    key = name, rows, codes.bits, tuple(digits)
    if key not in calibration.spans:
        applied = [input_digit(calibration.inputs[name], *digit) for digit in digits]
        cut = blocks(layer, rows)

        def reach(block: Block | None) -> float:
            held = codes.codes if block is None else block_codes(layer, codes.codes, block, packed=False)
            taken = [x if block is None else _channels(x, block.inputs, layer) for x in applied]
            return span(torch.cat([apply_layer(layer, x, held) for x in taken]))

        found = [reach(None)] * len(cut) if is_depthwise(layer) else [reach(block) for block in cut]
        calibration.spans[key] = tuple(max(value, 1.0) for value in found)
    return calibration.spans[key]


def _channels(x: Tensor, part: slice, layer: nn.Conv2d | nn.Linear) -> Tensor:
    return x[:, part] if isinstance(layer, nn.Conv2d) else x[..., part]
