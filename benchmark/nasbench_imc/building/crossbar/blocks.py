"""How a layer's weights are cut into the row blocks of arrays.

A block is what one conversion sums: whole input channels, floor(R / k^2) of them, R being the rows that are
read together. Filters of a depthwise convolution are packed block-diagonally, floor(R / k^2) in an array;
they share its rows, so the cells off the diagonal carry current too. Over the networks of the ``hybrid``
space these are the row blocks that the cost model counts (:mod:`nasbench_imc.hardware.mapping`, rule 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Block:
    """Part of a layer whose outputs are converted at once.

    Attributes
    ----------
    inputs : slice
        Input channels.
    outputs : slice
        Output channels.
    rows : int
        Rows in use.
    """

    inputs: slice
    outputs: slice
    rows: int


def blocks(layer: nn.Conv2d | nn.Linear, rows: int) -> tuple[Block, ...]:
    """The blocks of a layer.

    Parameters
    ----------
    layer : Conv2d or Linear
    rows : int
        Rows that are read together.

    Raises
    ------
    ValueError
        For grouped convolutions that are not depthwise, and where a kernel does not fit the rows.
    """
    area = kernel_area(layer)
    inputs, outputs = layer.weight.shape[1], layer.weight.shape[0]
    if is_depthwise(layer):
        inputs = outputs
    elif isinstance(layer, nn.Conv2d) and layer.groups != 1:
        raise ValueError(f"a convolution of {layer.groups} groups is neither dense nor depthwise")
    channels = rows // area
    if channels < 1:
        raise ValueError(f"a kernel of {area} rows does not fit {rows} rows")
    found = []
    for start in range(0, inputs, channels):
        part = slice(start, min(start + channels, inputs))
        taken = part if is_depthwise(layer) else slice(0, outputs)
        found.append(Block(part, taken, (part.stop - start) * area))
    return tuple(found)


def kernel_area(layer: nn.Conv2d | nn.Linear) -> int:
    """Rows that one input channel takes."""
    return int(layer.weight[0, 0].numel())


def is_depthwise(layer: nn.Conv2d | nn.Linear) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels and layer.groups > 1


def block_codes(layer: nn.Conv2d | nn.Linear, codes: Tensor, block: Block, *, packed: bool) -> Tensor:
    """The part of a layer's codes that a block holds.

    Parameters
    ----------
    layer : Conv2d or Linear
    codes : Tensor
        Shape of the layer's weight.
    block : Block
    packed : bool
        Whether a depthwise block is spelt out with its zeros off the diagonal.

    Returns
    -------
    Tensor
        (outputs, inputs, ...) of the block; a depthwise block that is not spelt out (outputs, 1, k, k).
    """
    if not is_depthwise(layer):
        return codes[:, block.inputs]
    own = codes[block.outputs]
    if not packed:
        return own
    count = len(own)
    dense = own.new_zeros(count, count, *own.shape[2:])
    dense[torch.arange(count), torch.arange(count)] = own[:, 0]
    return dense
