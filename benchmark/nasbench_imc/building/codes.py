"""Trained weights as 8-bit codes: what is kept of a network, and what every crossbar is programmed with.

A weight of output channel n is ``scale[n] * code`` with codes from -127 to 127, so that each channel uses
the whole range of its devices. All other parameters (normalisation, biases, positions) are kept in half
precision. Every accuracy on hardware starts from these codes, never from the trained floats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nasbench_imc.building.networks import HybridNetwork
from nasbench_imc.errors import BenchmarkError

WEIGHT_BITS = 8


@dataclass(frozen=True)
class Codes:
    """The weights of one crossbar layer.

    Attributes
    ----------
    codes : Tensor, shape (outputs, inputs) or (outputs, inputs, k, k), float32
        Whole numbers from ``-full_scale(bits)`` to ``full_scale(bits)``.
    scale : Tensor, shape (outputs,), float32
        A weight is its code times its channel's scale.
    bits : int
        Precision [bit].
    """

    codes: Tensor
    scale: Tensor
    bits: int = WEIGHT_BITS

    @property
    def weight(self) -> Tensor:
        """The weights themselves."""
        return self.codes * self.scale.view(-1, *[1] * (self.codes.dim() - 1))


def full_scale(bits: int) -> int:
    """The largest code of a signed number of so many bits, symmetric about zero: 127 at 8 bits."""
    return int(2 ** (bits - 1) - 1)


def crossbar_layers(network: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """The layers whose weights a crossbar holds, by name, in the order in which they are defined."""
    return {name: m for name, m in network.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}


def coded(weight: Tensor) -> Codes:
    """Round a weight tensor to 8-bit codes, one scale an output channel."""
    largest = weight.detach().abs().amax(dim=tuple(range(1, weight.dim()))).clamp_(min=1e-12)
    scale = largest / full_scale(WEIGHT_BITS)
    return Codes(torch.round(weight.detach() / scale.view(-1, *[1] * (weight.dim() - 1))), scale)


def requantised(codes: Codes, bits: int) -> Codes:
    """The same weights at fewer bits, rounded from the codes; the full scale stays a channel's largest.

    Raises
    ------
    ValueError
        Unless ``bits`` is at least 2 and at most the codes' own.
    """
    if not 2 <= bits <= codes.bits:
        raise ValueError(f"weight bits must be from 2 to {codes.bits}, not {bits}")
    if bits == codes.bits:
        return codes
    ratio = full_scale(bits) / full_scale(codes.bits)
    return Codes(torch.round(codes.codes * ratio), codes.scale / ratio, bits)


def encode(network: HybridNetwork) -> dict[str, np.ndarray]:
    """What is kept of a trained network: three flat arrays, in the order of its state.

    Returns
    -------
    dict of str to numpy.ndarray
        ``codes`` int8, the weights of all crossbar layers; ``scales`` float16, one an output channel of
        these; ``other`` float16, every other parameter and running statistic.

    Raises
    ------
    BenchmarkError
        Where a weight is not finite, or another value does not fit half precision.
    """
    layers = crossbar_layers(network)
    codes, scales = [], []
    for name, layer in layers.items():
        if not bool(torch.isfinite(layer.weight).all()):
            raise BenchmarkError(f"{name} has weights that are not finite")
        made = coded(layer.weight)
        codes.append(made.codes.to(torch.int8).flatten())
        scales.append(_half(made.scale, f"{name}'s scale"))
    others = [_half(value, name).flatten() for name, value in _others(network).items()]
    return {
        "codes": torch.cat(codes).numpy(),
        "scales": torch.cat(scales).numpy(),
        "other": torch.cat(others).numpy(),
    }


def decode(code: str, arrays: Mapping[str, np.ndarray]) -> tuple[HybridNetwork, dict[str, Codes]]:
    """The network that :func:`encode` kept.

    Parameters
    ----------
    code : str
    arrays : mapping of str to numpy.ndarray
        More names than those of :func:`encode` do no harm.

    Returns
    -------
    network : HybridNetwork
        In evaluation mode; its weights are the decoded ones.
    codes : dict of str to Codes
        By layer.

    Raises
    ------
    BenchmarkError
        Where an array is missing or not as long as the network's.
    """
    network = HybridNetwork(code, torch.Generator().manual_seed(0))
    layers = crossbar_layers(network)
    others = _others(network)
    weights = _parts(code, arrays, "codes", [layer.weight.shape for layer in layers.values()])
    scales = _parts(code, arrays, "scales", [layer.weight.shape[:1] for layer in layers.values()])
    values = _parts(code, arrays, "other", [value.shape for value in others.values()])
    codes = {name: Codes(w, s) for name, w, s in zip(layers, weights, scales, strict=True)}
    state = dict(zip(others, values, strict=True))
    state |= {f"{name}.weight": layer.weight for name, layer in codes.items()}
    network.load_state_dict(state, strict=False)  # batch normalisation's counters are not kept
    return network.eval(), codes


def _others(network: nn.Module) -> dict[str, Tensor]:
    """State that no crossbar holds, by name, without batch normalisation's counters."""
    layers = crossbar_layers(network)
    return {
        name: value
        for name, value in network.state_dict().items()
        if name.removesuffix(".weight") not in layers and not name.endswith("num_batches_tracked")
    }


def _half(value: Tensor, name: str) -> Tensor:
    half = value.to(torch.float16)
    if not bool(torch.isfinite(half).all()):
        raise BenchmarkError(f"{name} does not fit half precision: largest {float(value.abs().max()):g}")
    return half


def _parts(
    code: str, arrays: Mapping[str, np.ndarray], name: str, shapes: Sequence[torch.Size]
) -> list[Tensor]:
    """A flat array cut into tensors of these shapes, float32 copies."""
    if name not in arrays:
        raise BenchmarkError(f"the kept weights of {code} lack {name!r}")
    flat = torch.from_numpy(np.array(arrays[name], dtype=np.float32))
    sizes = [shape.numel() for shape in shapes]
    if flat.shape != (sum(sizes),):
        raise BenchmarkError(
            f"the kept weights of {code} have {name!r} of shape {tuple(flat.shape)}, not ({sum(sizes)},)"
        )
    return [part.view(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]
