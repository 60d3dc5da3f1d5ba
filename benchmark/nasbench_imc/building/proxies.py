"""Zero-cost proxies: what a network's initial weights and one batch of images tell of it before training.

============  =====================================================================================
``grad_norm``  sum of the weights' gradient norms (Abdelfattah et al., "Zero-cost proxies for lightweight
               NAS", ICLR 2021)
``snip``       sum of absolute products of weights and their gradients (Lee et al., ICLR 2019)
``synflow``    the same for a network of absolute weights without normalisation, on an image of ones; its
               natural logarithm (Tanaka et al., NeurIPS 2020). Attention mixes all tokens evenly there
``jacob_cov``  how little the Jacobians of different images correlate (Mellor et al., "Neural architecture
               search without training", ICML 2021, first version)
``naswot``     logarithm of the determinant of the kernel of ReLU patterns (the same paper, final version)
============  =====================================================================================
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from nasbench_imc.building.cifar10 import Images
from nasbench_imc.building.networks import Attention, HybridNetwork
from nasbench_imc.building.training import crossbar_weights, generators, normalised

#: Images of the batch.
BATCH = 128

#: Keeps eigenvalues of a correlation matrix away from 0 (Mellor et al.'s code).
_SMALL = 1e-5


def proxies(code: str, images: Images, seed: int) -> dict[str, tuple[float, float]]:
    """All proxies of a freshly initialised network.

    Parameters
    ----------
    code : str
    images : Images
        Training images, of which a batch is drawn: the same for all networks.
    seed : int
        Training seed: the initial weights are those that training alone would start from.

    Returns
    -------
    dict of str to (float, float)
        Name -> value [1] and processor time [core-s], the shorter of two runs.
    """
    initial, _ = generators(code, seed)
    network = HybridNetwork(code, initial)
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:BATCH]
    pixels = normalised(torch.from_numpy(images.pixels)[chosen])
    labels = torch.from_numpy(images.labels)[chosen]
    found = {}
    for name, proxy in PROXIES.items():
        took = []
        for _ in range(2):  # the first may set up what the second finds
            fresh = copy.deepcopy(network)
            began = time.process_time()
            value = proxy(fresh, pixels, labels)
            took.append(time.process_time() - began)
        found[name] = value, min(took)
    return found


def grad_norm(network: nn.Module, pixels: Tensor, labels: Tensor) -> float:
    """Sum over weight tensors of the Euclidean norm of the cross-entropy's gradient."""
    return sum(float(gradient.norm()) for _, gradient in _gradients(network, pixels, labels))


def snip(network: nn.Module, pixels: Tensor, labels: Tensor) -> float:
    """Sum over weights of ``|w dL/dw|``."""
    return sum(float((w * g).abs().sum()) for w, g in _gradients(network, pixels, labels))


def synflow(network: nn.Module, pixels: Tensor, labels: Tensor) -> float:
    """Natural logarithm of the sum over weights of ``|w| dR/d|w|``, R the sum of the outputs.

    Normalisation is left out, since it would hide how large the weights are; so is the softmax of attention,
    which is a normalisation too. Unnormalised tokens would drive it into saturation, where its gradient is
    rounding times numbers beyond 1e100. Weights of queries and keys therefore count nothing.
    """
    network = _unnormalised(network).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    network(torch.ones_like(pixels[:1], dtype=torch.float64)).sum().backward()
    total = sum(
        float((w.detach() * w.grad).abs().sum()) for w in crossbar_weights(network) if w.grad is not None
    )
    return float(torch.log(torch.tensor(total, dtype=torch.float64)))


def jacob_cov(network: nn.Module, pixels: Tensor, labels: Tensor) -> float:
    """``-sum(log(v + k) + 1 / (v + k))`` over eigenvalues v of the correlation of the images' Jacobians.

    Normalised by what the batch shows, but held fixed: were the statistics part of the Jacobian, the last
    normalisation would make the sum of all outputs a constant, and its gradient rounding alone.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over batches, of which there is one
    with torch.no_grad():
        network.train()(pixels)
    network.eval()
    pixels = pixels.clone().requires_grad_()
    network(pixels).sum().backward()
    assert pixels.grad is not None
    correlation = torch.corrcoef(pixels.grad.flatten(1).double())
    values = torch.linalg.eigvalsh(torch.nan_to_num(correlation)) + _SMALL
    values = values.clamp(min=_SMALL)  # rounding may leave one below 0
    return -float((values.log() + 1 / values).sum())


def naswot(network: nn.Module, pixels: Tensor, labels: Tensor) -> float:
    """Log-determinant of the kernel ``K_ij``: the number of ReLUs in which images i and j agree."""
    with torch.no_grad(), _Patterns() as patterns:
        network(pixels)
    kernel = torch.zeros(len(pixels), len(pixels), dtype=torch.float64)
    for on in patterns.seen:
        code = on.flatten(1).double()
        kernel += code @ code.T + (1 - code) @ (1 - code).T
    return float(torch.linalg.slogdet(kernel).logabsdet)


#: Proxies by name; each takes a network that it may spoil, pixels and labels.
PROXIES: dict[str, Callable[[nn.Module, Tensor, Tensor], float]] = {
    "grad_norm": grad_norm,
    "snip": snip,
    "synflow": synflow,
    "jacob_cov": jacob_cov,
    "naswot": naswot,
}


def _gradients(network: nn.Module, pixels: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Weights and the cross-entropy's gradients, with the batch's own statistics."""
    network.train()
    functional.cross_entropy(network(pixels), labels).backward()
    return [(w.detach(), w.grad) for w in crossbar_weights(network) if w.grad is not None]


def _unnormalised(network: nn.Module) -> nn.Module:
    for name, child in network.named_children():
        if isinstance(child, (nn.BatchNorm2d, nn.LayerNorm)):
            setattr(network, name, nn.Identity())
        elif isinstance(child, Attention):
            setattr(network, name, _EvenAttention())
        else:
            _unnormalised(child)
    return network


class _EvenAttention(nn.Module):
    """What attention does where all tokens are alike: each gets the mean of the values."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return value.mean(dim=-2, keepdim=True).expand_as(value)


class _Patterns(TorchFunctionMode):
    """Notes which outputs of each ReLU are above 0."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is functional.relu:
            self.seen.append(result > 0)
        return result
