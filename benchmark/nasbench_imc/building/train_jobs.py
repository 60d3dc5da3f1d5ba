"""Training jobs: one network and seed each, kept as one compressed file of arrays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasbench_imc.building import archive
from nasbench_imc.building.checkpoint import Checkpoint
from nasbench_imc.building.cifar10 import Cifar10, Images, load
from nasbench_imc.building.supernet import SharedRecipe, train_shared
from nasbench_imc.building.training import Recipe, train
from nasbench_imc.errors import BenchmarkError

#: Recipes by name. ``reference``: what a network reaches when it is trained alone and long.
RECIPES = {"reference": Recipe(epochs=30)}

#: Recipes of super-networks by name.
SHARED_RECIPES = {
    "uniform-100": SharedRecipe(epochs=100, sampling="uniform"),
    "uniform-300": SharedRecipe(epochs=300, sampling="uniform"),
    "fair-33": SharedRecipe(epochs=33, sampling="fair"),  # three networks a step: as many passes
}


def audit_list() -> tuple[str, ...]:
    """The 40 networks that are trained by the reference recipe; the first 24 are the protocol study's."""
    text = resources.files("nasbench_imc.building").joinpath("audit_list.txt").read_text(encoding="ascii")
    return tuple(line for line in text.split() if not line.startswith("#"))


@dataclass(frozen=True)
class TrainJob:
    """Train one network.

    Attributes
    ----------
    code : str
    seed : int
    recipe : str
        Name in :data:`RECIPES`.
    out : pathlib.Path
        Folder of results.
    images : pathlib.Path or None
        CIFAR-10 as an image folder; the official archive is fetched where it is None.
    cache : pathlib.Path
        Where decoded images are kept.
    """

    code: str
    seed: int
    recipe: str
    out: Path
    images: Path | None
    cache: Path

    @property
    def path(self) -> Path:
        return self.out / self.recipe / f"seed-{self.seed}" / f"{self.code}.npz"

    def run(self) -> None:
        """Train, and write the result.

        The file holds ``validation_accuracy`` [%] and ``training_loss`` by epoch, ``test_accuracy`` [%],
        the network's state as ``state/NAME``, and ``about``: code, seed, recipe, pixels and torch version,
        as JSON. All this has the same bytes in another run on one type of processor. What was measured has
        not: ``measured/seconds`` [core-s] by epoch and ``measured/processor``.
        """
        data = prepare(self.images, self.cache)
        done = train(self.code, data, RECIPES[self.recipe], self.seed)
        _save(
            self.path,
            about={"code": self.code, "seed": self.seed, "recipe": asdict(RECIPES[self.recipe])},
            data=data,
            weights=done.network.state_dict(),
            validation_accuracy=np.array(done.validation_accuracy),
            training_loss=np.array(done.training_loss),
            seconds=np.array(done.seconds),
            test_accuracy=np.array(done.test_accuracy),
        )


@dataclass(frozen=True)
class SharedTrainJob:
    """Train a super-network; fields as in :class:`TrainJob`, ``recipe`` from :data:`SHARED_RECIPES`."""

    seed: int
    recipe: str
    out: Path
    images: Path | None
    cache: Path

    @property
    def path(self) -> Path:
        return self.out / "supernet" / self.recipe / f"seed-{self.seed}.npz"

    def run(self) -> None:
        """Train, and write ``training_loss`` by epoch, ``state/NAME``, ``about`` and what was measured.

        The state of unfinished training is kept beside the result, in ``seed-N.checkpoint``.
        """
        data = prepare(self.images, self.cache)
        recipe = SHARED_RECIPES[self.recipe]
        about = {"seed": self.seed, "recipe": asdict(recipe)}
        checkpoint = Checkpoint(
            self.path.with_suffix(".checkpoint"),
            {
                **about,
                "images": _digest(data.train),
                "code": _code(),
                "torch": torch.__version__,
                "numpy": np.__version__,
                "processor": _processor(),
            },
        )
        done = train_shared(data, recipe, self.seed, checkpoint=checkpoint)
        _save(
            self.path,
            about=about,
            data=data,
            weights=done.weights,
            training_loss=np.array(done.training_loss),
            seconds=np.array(done.seconds),
        )
        checkpoint.remove()


def _digest(images: Images) -> str:
    return hashlib.sha256(images.pixels.tobytes() + images.labels.tobytes()).hexdigest()


def _code() -> str:
    """SHA-256 of the source that decides how a super-network is trained."""
    total = hashlib.sha256()
    for module in (
        "building/networks.py",
        "building/supernet.py",
        "building/training.py",
        "spaces/hybrid.py",
    ):
        total.update(resources.files("nasbench_imc").joinpath(module).read_bytes())
    return total.hexdigest()


def _save(
    path: Path,
    about: dict[str, Any],
    data: Cifar10,
    weights: Mapping[str, Tensor],
    *,
    seconds: np.ndarray,
    **arrays: np.ndarray,
) -> None:
    about |= {"pixels": data.source, "torch": torch.__version__}
    state = {f"state/{name}": value.numpy() for name, value in weights.items()}
    archive.write(
        path,
        {"about": np.array(json.dumps(about, sort_keys=True)), **arrays, **state},
        measured={"seconds": seconds, "processor": np.array(_processor())},
    )


@cache
def prepare(images: Path | None, cache: Path) -> Cifar10:
    """Set torch up for equal results everywhere, and load the data; once a process.

    Raises
    ------
    BenchmarkError
        Where torch was imported with other instructions than those of :data:`jobs.ENVIRONMENT`.
    """
    if torch.backends.cpu.get_cpu_capability() != "AVX2":
        raise BenchmarkError(
            "training must run with ATEN_CPU_CAPABILITY=avx2 and ONEDNN_MAX_CPU_ISA=AVX2 set before "
            "torch is imported, so that results are the same everywhere"
        )
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    # Filling fresh memory guards against reads of what nobody wrote; it took 5 to 10 % of each step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return load(images, cache)


def _processor() -> str:
    """Name of the processor, as the kernel gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
