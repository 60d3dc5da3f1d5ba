"""Compression of trained networks: fewer bits a weight, fewer inner channels. Nothing is trained again.

Channels go by norm: of each block's inner channels (see :meth:`nasbench_imc.spaces.hybrid.Hybrid.network`)
those with the smallest influence on what leaves the block. Statistics of batch normalisation are then
estimated anew, with the weights that remain.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nasbench_imc.building.cifar10 import Images
from nasbench_imc.building.codes import Codes, coded, crossbar_layers, requantised
from nasbench_imc.building.networks import (
    AttentionBlock,
    BottleneckBlock,
    ConvNorm,
    ConvolutionBlock,
    HybridNetwork,
)
from nasbench_imc.building.supernet import reestimate
from nasbench_imc.spaces.hybrid import kept_channels

STATISTICS_BATCHES = 16  # of 256 images


def compressed(
    network: HybridNetwork,
    codes: Mapping[str, Codes],
    bits: int,
    sparsity: float,
    images: Images,
    seed: int,
) -> tuple[HybridNetwork, dict[str, Codes]]:
    """A network at another precision and sparsity.

    Parameters
    ----------
    network : HybridNetwork
        With decoded weights; left as it is.
    codes : mapping of str to Codes
        Its 8-bit codes.
    bits : int
        Of a weight [bit], from 2 to 8.
    sparsity : float
        Share of inner channels to remove, at least 0 and below 1.
    images : Images
        Training images, for the statistics.
    seed : int
        Which of these, and how they are augmented.

    Returns
    -------
    network : HybridNetwork
        In evaluation mode; its weights are those that the codes stand for.
    codes : dict of str to Codes
        Each output channel uses the full scale again after pruning.
    """
    made = copy.deepcopy(network)
    if sparsity:
        for block in made.blocks:
            prune(block, sparsity)
    layers = crossbar_layers(made)
    kept = {
        name: requantised(coded(layer.weight) if sparsity else codes[name], bits)
        for name, layer in layers.items()
    }
    with torch.no_grad():
        for name, layer in layers.items():
            layer.weight.copy_(kept[name].weight)
    if (bits, sparsity) != (8, 0.0):
        reestimate(made, images, STATISTICS_BATCHES, torch.Generator().manual_seed(seed))
    return made.eval(), kept


@torch.no_grad()
def prune(block: nn.Module, sparsity: float) -> None:
    """Remove, in place, the inner channels of least influence.

    Influence is the L2 norm of the weights that read a channel, times what scales the channel before: the
    magnitude of its normalisation's weight (``c``, ``m``), or the norm of the weights that make it (``a``).
    """
    if isinstance(block, ConvolutionBlock):
        kept = _strongest(_scale(block.first) * _read(block.second.convolution.weight), sparsity)
        _keep_outputs(block.first, kept)
        block.second[0] = _with_inputs(block.second.convolution, kept)
    elif isinstance(block, BottleneckBlock):
        kept = _strongest(_scale(block.depthwise) * _read(block.project.convolution.weight), sparsity)
        _keep_outputs(block.expand, kept)
        _keep_outputs(block.depthwise, kept)
        block.project[0] = _with_inputs(block.project.convolution, kept)
    elif isinstance(block, AttentionBlock):
        made, read = block.hidden.weight.flatten(1).norm(dim=1), _read(block.contract.weight)
        kept = _strongest(made * read, sparsity)
        hidden = nn.Linear(block.hidden.in_features, len(kept))
        hidden.weight.copy_(block.hidden.weight[kept])
        hidden.bias.copy_(block.hidden.bias[kept])
        contract = nn.Linear(len(kept), block.contract.out_features)
        contract.weight.copy_(block.contract.weight[:, kept])
        contract.bias.copy_(block.contract.bias)
        block.hidden, block.contract = hidden, contract
    else:
        raise TypeError(f"{type(block).__name__} has no inner channels to remove")


def _strongest(influence: Tensor, sparsity: float) -> Tensor:
    """Which channels stay, in order; of equals the first."""
    order = torch.argsort(influence, descending=True, stable=True)
    return order[: kept_channels(len(influence), sparsity)].sort().values


def _scale(norm: ConvNorm) -> Tensor:
    return norm.norm.weight.abs()


def _read(weight: Tensor) -> Tensor:
    """Norm of the weights that read each input channel."""
    return weight.transpose(0, 1).flatten(1).norm(dim=1)


def _keep_outputs(layer: ConvNorm, kept: Tensor) -> None:
    """Keep these output channels of a convolution and its normalisation (and, depthwise, its inputs)."""
    old, norm = layer.convolution, layer.norm
    depthwise = old.groups > 1
    inputs = len(kept) if depthwise else old.in_channels
    new = _like(old, inputs, len(kept), groups=len(kept) if depthwise else 1)
    new.weight.copy_(old.weight[kept])
    smaller = nn.BatchNorm2d(len(kept))
    smaller.load_state_dict(
        {name: value[kept] if value.dim() else value for name, value in norm.state_dict().items()}
    )
    layer[0], layer[1] = new, smaller.train(norm.training)


def _with_inputs(old: nn.Conv2d, kept: Tensor) -> nn.Conv2d:
    new = _like(old, len(kept), old.out_channels)
    new.weight.copy_(old.weight[:, kept])
    return new


def _like(old: nn.Conv2d, inputs: int, outputs: int, groups: int = 1) -> nn.Conv2d:
    kernel, stride, padding = old.kernel_size[0], old.stride[0], int(old.padding[0])
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
