"""Training one network: AdamW with a one-cycle learning rate, weight noise and clipping.

Everything random comes from generators seeded by the run's seed and the network's code, so that equal runs
on one type of processor, with one thread, give equal bytes. On a GPU the same numbers are drawn (on the CPU)
and only rounding differs.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nasbench_imc.building.cifar10 import MEAN, STD, Cifar10, Images
from nasbench_imc.building.networks import HybridNetwork


@dataclass(frozen=True, slots=True)
class Optimisation:
    """How weights are changed, those of a network or of a super-network.

    Attributes
    ----------
    epochs : int
    batch : int
        Images a step.
    learning_rate : float
        Peak of the one-cycle schedule (Smith and Topin, 2019): linear warm-up over ``warmup`` of the
        steps, then a cosine to zero.
    warmup : float
        Share of the steps [1].
    weight_decay : float
        Decoupled (AdamW), on crossbar weights alone.
    label_smoothing : float
    weight_noise : float
        Standard deviation of the noise added to crossbar weights in each step, in units of the largest
        weight of the output channel; 0: none.
    clip_sigma : float or None
        After each step, crossbar weights are clipped at this many standard deviations of their layer.
    """

    epochs: int
    batch: int = 256
    learning_rate: float = 6e-3
    warmup: float = 0.2
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    weight_noise: float = 0.05
    clip_sigma: float | None = 2.5


@dataclass(frozen=True, slots=True)
class Recipe(Optimisation):
    """How a network is trained, and from what.

    Attributes
    ----------
    averaging : float
        Decay a step of the moving average of weights and of batch normalisation's statistics that is
        taken as the network; 0: the last weights are.
    parent : str or None
        Recipe of the super-network whose weights are inherited; None: fresh weights.
    parent_seed : int or None
        Seed of that super-network; None: the network's own.
    """

    averaging: float = 0.0
    parent: str | None = None
    parent_seed: int | None = None


@dataclass(frozen=True)
class Trained:
    """A trained network and how it got there.

    Attributes
    ----------
    network : HybridNetwork
        In evaluation mode.
    validation_accuracy : tuple of float
        At each of :func:`marks` [%].
    training_loss : tuple of float
        Mean since the mark before.
    test_accuracy : float
        At the end [%].
    seconds : tuple of float
        Processor time of training since the mark before, evaluation left out [core-s].
    """

    network: HybridNetwork
    validation_accuracy: tuple[float, ...]
    training_loss: tuple[float, ...]
    test_accuracy: float
    seconds: tuple[float, ...]


def generators(code: str, seed: int) -> tuple[torch.Generator, torch.Generator]:
    """A generator for the initial weights and one for all that follows, from the code and the seed."""
    base = np.random.SeedSequence([seed, zlib.crc32(code.encode("ascii"))]).generate_state(2, np.uint64)
    first, second = (torch.Generator().manual_seed(int(word >> np.uint64(1))) for word in base)
    return first, second


def crossbar_weights(network: nn.Module) -> list[Tensor]:
    """Weights that a crossbar holds: those of convolutions and linear layers."""
    return [m.weight for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]


def marks(epochs: int, steps: int) -> tuple[int, ...]:
    """Steps after which a network is validated: those that end an epoch, or a quarter of fewer than four.

    Parameters
    ----------
    epochs, steps : int
        Epochs, and steps of one.
    """
    parts = epochs if epochs >= 4 else 4
    ends = {round(epochs * steps * part / parts) for part in range(1, parts + 1)}
    return tuple(sorted(ends - {0}))


def mark_epochs(epochs: int, steps: int) -> tuple[float, ...]:
    """The same in epochs: where a learning curve has its entries."""
    return tuple(mark / steps for mark in marks(epochs, steps))


def train(
    code: str,
    data: Cifar10,
    recipe: Recipe,
    seed: int,
    *,
    start: HybridNetwork | None = None,
    device: str = "cpu",
    on_mark: Callable[[float, float], None] | None = None,
) -> Trained:
    """Train a network.

    Parameters
    ----------
    code : str
    data : Cifar10
    recipe : Recipe
    seed : int
    start : HybridNetwork, optional
        The network of that code to go on from; it is changed. Default: a fresh one.
    device : str
        Where to compute, ``"cpu"`` or ``"cuda"``.
    on_mark : callable, optional
        Told at each mark the epochs done so far and the validation accuracy [%].
    """
    initial, rng = generators(code, seed)
    network = HybridNetwork(code, initial) if start is None else start
    arranged(network, device)
    weights = crossbar_weights(network)
    steps = len(data.train) // recipe.batch
    optimiser, schedule = adamw(weights, list(network.parameters()), recipe, steps)
    average = _average(network, recipe.averaging) if recipe.averaging else None
    result = network if average is None else cast(HybridNetwork, average.module)
    padded, labels = pad(data.train, device), torch.from_numpy(data.train.labels).to(device)
    losses: list[float] = []
    accuracies: list[float] = []
    seconds: list[float] = []
    ends, done, total, began = marks(recipe.epochs, steps), 0, 0.0, time.process_time()
    for _ in range(recipe.epochs):
        order = torch.randperm(len(labels), generator=rng)
        for step in range(steps):
            network.train()
            chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
            images = augmented(padded, chosen, rng)
            total += _step(network, weights, optimiser, images, labels[chosen], recipe, rng)
            schedule.step()
            if average is not None:
                average.update_parameters(network)
            done += 1
            if done in ends:
                seconds.append(time.process_time() - began)
                losses.append(total / (done - (ends[ends.index(done) - 1] if len(losses) else 0)))
                accuracies.append(accuracy(result, data.validation))
                if on_mark is not None:
                    on_mark(done / steps, accuracies[-1])
                total, began = 0.0, time.process_time()
    test = accuracy(result, data.test)
    return Trained(result.cpu(), tuple(accuracies), tuple(losses), test, tuple(seconds))


def arranged(network: nn.Module, device: str) -> nn.Module:
    """A network moved to a device, in the memory layout that is fast there."""
    # A GPU's kernels in single precision are made for contiguous channels.
    layout = torch.channels_last if device == "cpu" else torch.contiguous_format
    return network.to(device, memory_format=layout)  # type: ignore[call-overload]  # missing in torch's stubs


def _average(network: HybridNetwork, decay: float) -> AveragedModel:
    """A moving average of a network's parameters and statistics, of which all step together."""
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def adamw(
    crossbar: Sequence[Tensor], parameters: Sequence[Tensor], recipe: Optimisation, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW (Loshchilov and Hutter, ICLR 2019) and its one-cycle schedule, to be advanced each step.

    Parameters
    ----------
    crossbar : sequence of Tensor
        Those of the parameters whose weights decay.
    parameters : sequence of Tensor
        All of them.
    recipe : Optimisation
    steps : int
        Steps an epoch.
    """
    held = {id(w) for w in crossbar}
    others = [p for p in parameters if id(p) not in held]
    optimiser = torch.optim.AdamW(
        [
            {"params": list(crossbar), "weight_decay": recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
        foreach=True,
    )
    length = max(recipe.epochs * steps, 1)  # a recipe without epochs takes no step
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: one_cycle(step / length, recipe.warmup)
    )
    return optimiser, schedule


def _step(
    network: nn.Module,
    weights: list[Tensor],
    optimiser: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    rng: torch.Generator,
) -> float:
    """One step: the gradient is taken at noisy weights and applied to the clean ones."""
    with torch.no_grad():
        clean = [w.clone() for w in weights]
        if recipe.weight_noise:
            for w in weights:
                w.copy_(noisy(w, recipe.weight_noise, rng))
    loss = functional.cross_entropy(network(images), labels, label_smoothing=recipe.label_smoothing)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    with torch.no_grad():
        torch._foreach_copy_(weights, clean)
        optimiser.step()
    clip(weights, recipe.clip_sigma)
    return float(loss.detach())


def noisy(weight: Tensor, scale: float, rng: torch.Generator) -> Tensor:
    """A weight plus normal noise of ``scale`` times the largest weight of its output channel."""
    if scale == 0:
        return weight
    largest = weight.detach().abs().amax(dim=tuple(range(1, weight.dim())), keepdim=True)
    noise = torch.empty_like(weight, requires_grad=False, device="cpu").normal_(generator=rng)
    return torch.addcmul(weight, noise.to(weight.device), largest, value=scale)


@torch.no_grad()
def clip(weights: list[Tensor], sigma: float | None) -> None:
    """Clip each weight tensor, in place, at ``sigma`` of its standard deviations; None: leave all."""
    if sigma is None:
        return
    for weight in weights:
        bound = sigma * weight.std()
        weight.clamp_(-bound, bound)


def one_cycle(progress: float, warmup: float) -> float:
    """Learning rate over its peak at ``progress``, 0 to 1: linear up, then a cosine down to zero."""
    if progress < warmup:
        return 0.04 + 0.96 * progress / warmup
    return 0.5 * (1 + float(np.cos(np.pi * (progress - warmup) / (1 - warmup))))


@lru_cache(maxsize=1)  # the same images for one network after the other
def pad(images: Images, device: str = "cpu") -> Tensor:
    """Pixels with a margin of four zeros, (n, 40, 40, 3), uint8; not to be changed."""
    return torch.from_numpy(np.pad(images.pixels, ((0, 0), (4, 4), (4, 4), (0, 0)))).to(device)


def augmented(padded: Tensor, chosen: Tensor, rng: torch.Generator) -> Tensor:
    """Random 32 x 32 crops, half of them mirrored, normalised.

    Returns
    -------
    Tensor, shape (len(chosen), 3, 32, 32), float32
        On the device of ``padded``, laid out as by :func:`normalised`.
    """
    count, margin = len(chosen), padded.shape[1] - 32
    shift = torch.randint(margin + 1, (count, 2), generator=rng, device="cpu")
    mirrored = torch.rand(count, generator=rng, device="cpu") < 0.5
    line = torch.arange(32, device="cpu")
    rows = shift[:, 0, None] + line
    columns = shift[:, 1, None] + torch.where(mirrored[:, None], line.flip(0), line)
    chosen, rows, columns = (index.to(padded.device) for index in (chosen, rows, columns))
    return normalised(padded[chosen[:, None, None], rows[:, :, None], columns[:, None, :]])


def normalised(pixels: Tensor) -> Tensor:
    """Pixels (n, 32, 32, 3) uint8 -> (n, 3, 32, 32) float32 of zero mean and unit variance.

    In the memory layout of :func:`arranged`: channels_last on the CPU.
    """
    mean, std = (255 * torch.tensor(values).to(pixels.device) for values in (MEAN, STD))
    images = ((pixels.float() - mean) / std).permute(0, 3, 1, 2)
    return images if images.device.type == "cpu" else images.contiguous()


@torch.no_grad()
def accuracy(network: nn.Module, images: Images, batch: int = 1_000) -> float:
    """Share of images that a network names rightly [%]; leaves it in evaluation mode."""
    network.eval()
    device = next(network.parameters()).device
    pixels, labels = torch.from_numpy(images.pixels).to(device), torch.from_numpy(images.labels).to(device)
    hits = sum(
        int((network(normalised(pixels[k : k + batch])).argmax(1) == labels[k : k + batch]).sum())
        for k in range(0, len(labels), batch)
    )
    return 100 * hits / len(labels)
