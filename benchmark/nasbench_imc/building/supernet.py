"""A super-network: one set of weights from which every network of the space can be cut.

Each choice of a stage (operator, width, block) has weights of its own, shared by all networks that take
it. A first block meets two widths before it, so its weights are kept for the larger one and a network takes
their leading part. Training samples one network a step (Guo et al., "Single path one-shot", ECCV 2020), or
a group of networks in which each operator of each stage comes once (Chu et al., "FairNAS", ICCV 2021).

A super-network may branch: for each choice of the last stages one goes on alone from the same weights, shared
by fewer networks (Zhao et al., "Few-shot neural architecture search", ICML 2021).
"""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from nasbench_imc.building.checkpoint import Checkpoint
from nasbench_imc.building.cifar10 import Cifar10, Images
from nasbench_imc.building.networks import HybridNetwork
from nasbench_imc.building.training import Optimisation, adamw, augmented, clip, noisy, pad
from nasbench_imc.spaces.hybrid import DEPTHS, OPERATORS, WIDTHS, Hybrid, stages

Sampling = Literal["uniform", "fair"]

#: Epochs between two states that are kept; each takes 7 MB and a fifth of a second.
CHECKPOINT_EVERY = 5

_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")
_MOMENT = re.compile(r"optimiser/(\d+)/(.+)")


@dataclass(frozen=True, slots=True)
class SharedRecipe(Optimisation):
    """How a super-network is trained.

    Attributes
    ----------
    sampling : {"uniform", "fair"}
        ``uniform``: a step trains one network drawn from the space. ``fair``: it adds the gradients of
        three, in which each operator of each stage comes once.
    parent : str or None
        Recipe of the super-network whose weights it starts from; None: fresh weights.
    branch_stages : int
        How many last stages all of its networks share: a branch. 0: it has every network of the space.
    """

    learning_rate: float = 4e-3
    warmup: float = 0.1
    weight_decay: float = 0.02
    sampling: Sampling = "uniform"
    parent: str | None = None
    branch_stages: int = 0


def shared_names(code: str) -> dict[str, str]:
    """Where each parameter of a network lives in the super-network.

    Returns
    -------
    dict of str to str
        Name in :class:`HybridNetwork` -> name in the super-network.
    """
    built = stages(code)
    blocks = [
        f"stage{number}.{stage.operator}{stage.width}.{block}"
        for number, stage in enumerate(built, start=1)
        for block in range(stage.depth)
    ]
    names = {}
    for name, _ in _skeleton(code).named_parameters():
        match = _BLOCK.fullmatch(name)
        if match:
            names[name] = f"{blocks[int(match[1])]}.{match[2]}"
        elif name.startswith("stem.0."):
            names[name] = name
        elif name.startswith("stem."):
            names[name] = f"stem{built[0].width}.{name}"
        else:
            names[name] = f"head{built[-1].width}.{name}"
    return names


@lru_cache(maxsize=2_000)
def _skeleton(code: str) -> HybridNetwork:
    """A network without values, to run with parameters given from outside."""
    with torch.device("meta"):
        return HybridNetwork(code, None)


def fresh(seed: int) -> dict[str, Tensor]:
    """Initial weights of a super-network, by shared name; leaves that want gradients."""
    generator = torch.Generator().manual_seed(seed)
    widest = [f"c{widths[-1]}x{DEPTHS[-1]}" for widths in WIDTHS]
    weights: dict[str, Tensor] = {}
    for stage, widths in enumerate(WIDTHS):
        for operator in OPERATORS:
            for width in widths:
                parts = [*widest]
                parts[stage] = f"{operator}{width}x{DEPTHS[-1]}"
                code = "-".join(parts)
                network = HybridNetwork(code, generator)
                names = shared_names(code)
                for name, value in network.named_parameters():
                    shared = names[name]
                    # A first block behind a narrower stage is smaller; the largest one serves all.
                    if shared not in weights or value.numel() > weights[shared].numel():
                        weights[shared] = value.detach().clone().requires_grad_()
    return weights


def cut(weights: dict[str, Tensor], code: str) -> dict[str, Tensor]:
    """A network's parameters as views of the super-network's, by their names in HybridNetwork."""
    shapes = {name: parameter.shape for name, parameter in _skeleton(code).named_parameters()}
    return {
        name: weights[shared][tuple(slice(length) for length in shapes[name])]
        for name, shared in shared_names(code).items()
    }


def inherit(
    weights: dict[str, Tensor], code: str, images: Images, batches: int, seed: int, device: str = "cpu"
) -> HybridNetwork:
    """A network with inherited weights and statistics of its own.

    Parameters
    ----------
    weights : dict of str to Tensor
        From :func:`train_shared`.
    code : str
    images : Images
        Training images, from which the statistics of batch normalisation are estimated anew.
    batches : int
        How many batches of 256, augmented as in training.
    seed : int
        Which images these are.
    device : str
        Where the network shall be, ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    HybridNetwork
        In evaluation mode.
    """
    rng = torch.Generator().manual_seed(seed)
    network = HybridNetwork(code, torch.Generator().manual_seed(0))
    with torch.no_grad():
        parameters = dict(network.named_parameters())
        for name, value in cut(weights, code).items():
            parameters[name].copy_(value)
        network.to(device)
        reestimate(network, images, batches, rng)
    return network


@torch.no_grad()
def reestimate(network: nn.Module, images: Images, batches: int, rng: torch.Generator) -> None:
    """Estimate the statistics of batch normalisation anew, as plain means over batches of 256."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative mean
    network.train()
    padded = pad(images, next(network.parameters()).device.type)
    order = torch.randperm(len(images), generator=rng, device="cpu")
    for k in range(batches):
        network(augmented(padded, order[256 * k : 256 * (k + 1)], rng))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def sampled(sampling: Sampling, rng: np.random.Generator, branch: str = "") -> Iterator[list[str]]:
    """The networks of each step, without end; all of a branch."""
    space = Hybrid()
    end = branch.split("-") if branch else []

    def of_branch(code: str) -> str:
        return "-".join(code.split("-")[: len(WIDTHS) - len(end)] + end)

    while True:
        if sampling == "uniform":
            yield [of_branch(space.random(rng))]
            continue
        orders = [rng.permutation(OPERATORS) for _ in WIDTHS]
        group = []
        for member in range(len(OPERATORS)):
            values = space.values(space.random(rng))
            values |= {f"operator_{k + 1}": str(order[member]) for k, order in enumerate(orders)}
            group.append(of_branch(space.from_values(values)))
        yield group


@dataclass(frozen=True)
class SharedTrained:
    """A trained super-network.

    Attributes
    ----------
    weights : dict of str to Tensor
        By shared name.
    training_loss : tuple of float
        Mean over each epoch.
    seconds : tuple of float
        Processor time of each epoch [core-s].
    """

    weights: dict[str, Tensor]
    training_loss: tuple[float, ...]
    seconds: tuple[float, ...]


def train_shared(
    data: Cifar10,
    recipe: SharedRecipe,
    seed: int,
    *,
    branch: str = "",
    start: Mapping[str, Tensor] | None = None,
    device: str = "cpu",
    checkpoint: Checkpoint | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
) -> SharedTrained:
    """Train a super-network.

    Parameters
    ----------
    data : Cifar10
    recipe : SharedRecipe
    seed : int
    branch : str
        Last stages of all its networks; "" for every network.
    start : mapping of str to Tensor, optional
        Weights to start from, by shared name. Default: fresh ones.
    device : str
        Where to compute, ``"cpu"`` or ``"cuda"``.
    checkpoint : Checkpoint, optional
        Where training goes on from, and where its state is kept every :data:`CHECKPOINT_EVERY` epochs.
    on_epoch : callable, optional
        Told the epoch's number (from 1) and its mean loss.

    Raises
    ------
    BenchmarkError
        Where the checkpoint is damaged or another job's.
    """
    training = SharedTraining(data, recipe, seed, branch, start, device)
    state = checkpoint.load() if checkpoint is not None else None
    if state is not None:
        training.restore(state)
    while (done := len(training.losses)) < recipe.epochs:
        loss = training.epoch()
        if checkpoint is not None and (done + 1) % CHECKPOINT_EVERY == 0:
            checkpoint.save(training.state())
        if on_epoch is not None:
            on_epoch(done + 1, loss)
    weights = {name: weight.detach().cpu() for name, weight in training.weights.items()}
    return SharedTrained(weights, tuple(training.losses), tuple(training.seconds))


class SharedTraining:
    """The training of a super-network, an epoch at a time.

    All that later epochs depend on can be taken out between two epochs and put back, to the same bytes.

    Attributes
    ----------
    weights : dict of str to Tensor
        By shared name.
    losses, seconds : list of float
        As in :class:`SharedTrained`, of the epochs so far.
    """

    def __init__(
        self,
        data: Cifar10,
        recipe: SharedRecipe,
        seed: int,
        branch: str = "",
        start: Mapping[str, Tensor] | None = None,
        device: str = "cpu",
    ) -> None:
        self.weights = fresh(seed)
        if branch:
            codes = (code for code in Hybrid().architectures if code.endswith(branch))
            needed = {shared for code in codes for shared in shared_names(code).values()}
            self.weights = {name: weight for name, weight in self.weights.items() if name in needed}
        if start is not None:
            with torch.no_grad():
                for name, weight in self.weights.items():
                    weight.copy_(start[name])
        self.weights = {
            name: weight.detach().to(device).requires_grad_() for name, weight in self.weights.items()
        }
        self.losses: list[float] = []
        self.seconds: list[float] = []
        self._recipe = recipe
        self._padded = pad(data.train, device)
        self._labels = torch.from_numpy(data.train.labels).to(device)
        self._steps = len(data.train) // recipe.batch
        self._crossbar = [w for name, w in self.weights.items() if name.endswith(".weight") and w.dim() > 1]
        self._optimiser, self._schedule = adamw(
            self._crossbar, list(self.weights.values()), recipe, self._steps
        )
        own = zlib.crc32(branch.encode("ascii"))  # 0 without a branch
        self._rng = torch.Generator().manual_seed(seed + 1 + (own << 20))
        self._sampling = np.random.default_rng([seed, 1, own] if branch else [seed, 1])
        self._networks = sampled(recipe.sampling, self._sampling, branch)  # draws whole steps, keeps nothing

    def epoch(self) -> float:
        """Train one epoch; its mean loss."""
        recipe, start = self._recipe, time.process_time()
        order = torch.randperm(len(self._labels), generator=self._rng)
        total = 0.0
        for step in range(self._steps):
            chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
            images, labels = augmented(self._padded, chosen, self._rng), self._labels[chosen]
            self._optimiser.zero_grad(set_to_none=True)
            group = next(self._networks)
            for code in group:
                total += _accumulate(self.weights, code, images, labels, recipe, self._rng) / len(group)
            self._optimiser.step()  # skips what no sampled network has
            clip([w for w in self._crossbar if w.grad is not None], recipe.clip_sigma)
            self._schedule.step()
        self.seconds.append(time.process_time() - start)
        self.losses.append(total / self._steps)
        return self.losses[-1]

    def state(self) -> dict[str, np.ndarray]:
        """Arrays from which :meth:`restore` goes on; what is no array stands in ``rest`` as JSON."""
        optimiser = self._optimiser.state_dict()
        rest = {
            "groups": optimiser["param_groups"],
            "schedule": self._schedule.state_dict(),
            "sampling": self._sampling.bit_generator.state,
            "losses": self.losses,
            "seconds": self.seconds,
        }
        return {
            **{f"weight/{name}": weight.detach().cpu().numpy() for name, weight in self.weights.items()},
            **{
                f"optimiser/{index}/{name}": value.cpu().numpy()
                for index, moments in optimiser["state"].items()
                for name, value in moments.items()
            },
            "rng": self._rng.get_state().numpy(),
            "rest": np.array(json.dumps(rest)),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a state of a training with the same data, recipe and seed."""
        rest = json.loads(str(state["rest"]))
        # Copied into tensors laid out as torch lays them out: other strides round otherwise.
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(torch.from_numpy(state[f"weight/{name}"]))
        parameters = [p for group in self._optimiser.param_groups for p in group["params"]]
        moments: dict[int, dict[str, Tensor]] = {}
        for member, array in state.items():
            match = _MOMENT.fullmatch(member)
            if match:
                index, value = int(match[1]), torch.from_numpy(array)
                like = parameters[index] if value.dim() else value
                moments.setdefault(index, {})[match[2]] = torch.empty_like(like, requires_grad=False).copy_(
                    value
                )
        self._optimiser.load_state_dict({"state": moments, "param_groups": rest["groups"]})
        self._schedule.load_state_dict(rest["schedule"])
        self._rng.set_state(torch.from_numpy(state["rng"]))
        self._sampling.bit_generator.state = rest["sampling"]
        self.losses, self.seconds = rest["losses"], rest["seconds"]


def _accumulate(
    weights: dict[str, Tensor],
    code: str,
    images: Tensor,
    labels: Tensor,
    recipe: SharedRecipe,
    rng: torch.Generator,
) -> float:
    """Add one sampled network's gradient; the loss is taken at noisy weights."""
    skeleton = _skeleton(code)
    skeleton.train()
    parameters = {
        name: noisy(value, recipe.weight_noise, rng)
        if value.dim() > 1 and name.endswith(".weight")
        else value
        for name, value in cut(weights, code).items()
    }
    # Statistics of a batch are all that training needs; running ones are estimated after it.
    buffers = {
        name: torch.zeros(b.shape, dtype=b.dtype, device=images.device)
        for name, b in skeleton.named_buffers()
    }
    logits = functional_call(skeleton, {**parameters, **buffers}, (images,))
    loss = functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    loss.backward()
    return float(loss.detach())
