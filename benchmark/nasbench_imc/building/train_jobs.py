"""Training jobs: one network and seed each, kept as one compressed file of arrays."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasbench_imc.building import archive
from nasbench_imc.building.branches import branch_of, branches
from nasbench_imc.building.checkpoint import Checkpoint
from nasbench_imc.building.cifar10 import Cifar10, Images, load
from nasbench_imc.building.codes import encode
from nasbench_imc.building.supernet import SharedRecipe, inherit, train_shared
from nasbench_imc.building.training import Recipe, accuracy, train
from nasbench_imc.errors import BenchmarkError


def _shared_recipes() -> dict[str, SharedRecipe]:
    made = {
        "uniform-100": SharedRecipe(epochs=100, sampling="uniform"),
        "uniform-300": SharedRecipe(epochs=300, sampling="uniform"),
        "uniform-1000": SharedRecipe(epochs=1000, sampling="uniform"),
        "fair-33": SharedRecipe(epochs=33, sampling="fair"),  # three networks a step: as many passes
    }
    for root in ("uniform-300", "uniform-1000"):
        last = f"{root}-s3-30"
        made[last] = SharedRecipe(epochs=30, learning_rate=6e-3, parent=root, branch_stages=1)
        for epochs in (5, 10):
            made[f"{last}-s23-{epochs}"] = replace(made[last], epochs=epochs, parent=last, branch_stages=2)
    return made


#: Recipes of super-networks by name. ``SAMPLING-E``: all networks share one, trained for E epochs.
#: ``ROOT-s3-E``: for each choice of the last stage one goes on from ROOT, for E epochs. ``-s23-E``: the same
#: of the last two.
SHARED_RECIPES = _shared_recipes()

#: Batches of 256 images over which an inherited network's statistics are estimated.
STATISTICS_BATCHES = 20


def _recipes() -> dict[str, Recipe]:
    made = {
        "reference": Recipe(epochs=30),
        "reference-clean": Recipe(epochs=30, weight_noise=0.0, clip_sigma=None),
        "alone-3": Recipe(epochs=3),
        "alone-4": Recipe(epochs=4),
        "alone-4-ema": Recipe(epochs=4, averaging=0.98),
        "alone-4-clean": Recipe(epochs=4, weight_noise=0.0, clip_sigma=None),
    }
    for parent in SHARED_RECIPES:
        for epochs in range(4):
            inherited = Recipe(epochs=epochs, learning_rate=4e-3, parent=parent)
            name = f"{parent}+{epochs}"
            made[name] = inherited
            made[f"{name}-from-0"] = replace(inherited, parent_seed=0)
            if epochs:
                made[f"{name}-ema"] = replace(inherited, averaging=0.98)
                made[f"{name}-clean"] = replace(inherited, weight_noise=0.0, clip_sigma=None)
                for rate in (1, 2, 4, 8):
                    made[f"{name}-lr{rate}"] = replace(inherited, learning_rate=1e-3 * rate)
    return made


#: Recipes of networks by name. ``reference``: what a network reaches when it is trained alone and long.
#: ``alone-E``: the same for E epochs. ``PARENT+E``: weights inherited from a super-network of recipe PARENT
#: and of the network's seed, then E epochs. ``-from-0``: from the super-network of seed 0 whatever the seed.
#: ``-ema``: a moving average of the weights. ``-clean``: no weight noise and no clipping. ``-lrN``: a peak
#: learning rate of N thousandths.
RECIPES = _recipes()


@dataclass(frozen=True)
class Folders:
    """Where training reads and writes.

    Attributes
    ----------
    out : pathlib.Path
        Folder of results.
    images : pathlib.Path or None
        CIFAR-10 as an image folder; the official archive is fetched where it is None.
    cache : pathlib.Path
        Where decoded images are kept.
    """

    out: Path
    images: Path | None
    cache: Path

    def supernet(self, recipe: str, seed: int, code: str) -> Path:
        """File of the super-network whose branch a network, or all of a branch, belongs to."""
        folder, branch = self.out / "supernet" / recipe, branch_of(code, SHARED_RECIPES[recipe].branch_stages)
        return folder / f"seed-{seed}" / f"{branch}.npz" if branch else folder / f"seed-{seed}.npz"


@dataclass(frozen=True)
class TrainJob:
    """Train one network.

    Attributes
    ----------
    code : str
    seed : int
    recipe : str
        Name in :data:`RECIPES`.
    folders : Folders
    device : str
        Where to compute, ``"cpu"`` or ``"cuda"``.
    """

    code: str
    seed: int
    recipe: str
    folders: Folders
    device: str = "cpu"

    @property
    def path(self) -> Path:
        return self.folders.out / self.recipe / f"seed-{self.seed}" / f"{self.code}.npz"

    @property
    def supernet(self) -> Path | None:
        """File of the super-network that must be there; None where the network starts afresh."""
        recipe = RECIPES[self.recipe]
        if recipe.parent is None:
            return None
        seed = self.seed if recipe.parent_seed is None else recipe.parent_seed
        return self.folders.supernet(recipe.parent, seed, self.code)

    def run(self) -> None:
        """Train, and write the result.

        The file holds ``validation_accuracy`` [%] and ``training_loss`` by :func:`training.marks`,
        ``test_accuracy`` [%] and ``about``: code, seed, recipe, pixels and torch version, as JSON. Where
        weights were inherited, also ``inherited_accuracy`` on the validation images before any training
        [%]. And what :func:`codes.encode` keeps of the network. All this has the same bytes in another run
        on one type of processor. What was measured has not: ``measured/seconds`` by mark,
        ``measured/inheritance_seconds`` [core-s] and ``measured/processor``, the GPU's where one trained.
        """
        data = prepare(self.folders.images, self.folders.cache, self.device)
        recipe = RECIPES[self.recipe]
        start, arrays, measured = None, {}, {}
        if self.supernet is not None:
            began = time.process_time()
            weights = load_weights(self.supernet)
            start = inherit(weights, self.code, data.train, STATISTICS_BATCHES, self.seed, self.device)
            measured["inheritance_seconds"] = np.array(time.process_time() - began)
            arrays["inherited_accuracy"] = np.array(accuracy(start, data.validation))
        done = train(self.code, data, recipe, self.seed, start=start, device=self.device)
        arrays |= {
            **encode(done.network),
            "validation_accuracy": np.array(done.validation_accuracy),
            "training_loss": np.array(done.training_loss),
            "test_accuracy": np.array(done.test_accuracy),
        }
        _save(
            self.path,
            {"code": self.code, "seed": self.seed, "recipe": asdict(recipe)},
            data,
            arrays,
            {**measured, "seconds": np.array(done.seconds)},
            self.device,
        )


@dataclass(frozen=True)
class SharedTrainJob:
    """Train a super-network; fields as in :class:`TrainJob`, ``recipe`` from :data:`SHARED_RECIPES`.

    Attributes
    ----------
    branch : str
        Which of :func:`branches.branches`; "" where the recipe has none.
    """

    seed: int
    recipe: str
    folders: Folders
    branch: str = ""
    device: str = "cpu"

    @property
    def path(self) -> Path:
        return self.folders.supernet(self.recipe, self.seed, self.branch)

    @property
    def parent(self) -> Path | None:
        """File of the super-network that must be there; None where this one starts afresh."""
        parent = SHARED_RECIPES[self.recipe].parent
        return None if parent is None else self.folders.supernet(parent, self.seed, self.branch)

    def run(self) -> None:
        """Train, and write ``training_loss`` by epoch, ``state/NAME``, ``about`` and what was measured.

        The state of unfinished training is kept beside the result, in ``seed-N.checkpoint``.
        """
        data = prepare(self.folders.images, self.folders.cache, self.device)
        recipe = SHARED_RECIPES[self.recipe]
        about = {
            "seed": self.seed,
            "recipe": asdict(recipe),
            **({"branch": self.branch} if self.branch else {}),
        }
        start = None if self.parent is None else load_weights(self.parent)
        checkpoint = Checkpoint(
            self.path.with_suffix(".checkpoint"),
            {
                **about,
                "images": _digest(data.train),
                "code": _code(),
                "torch": torch.__version__,
                "numpy": np.__version__,
                "processor": processor(self.device),
            },
        )
        done = train_shared(
            data,
            recipe,
            self.seed,
            branch=self.branch,
            start=start,
            device=self.device,
            checkpoint=checkpoint,
        )
        _save(
            self.path,
            about,
            data,
            {
                "training_loss": np.array(done.training_loss),
                **{f"state/{name}": value.numpy() for name, value in done.weights.items()},
            },
            {"seconds": np.array(done.seconds)},
            self.device,
        )
        checkpoint.remove()


def shared_jobs(
    recipe: str, seed: int, folders: Folders, codes: Sequence[str], device: str = "cpu"
) -> list[SharedTrainJob]:
    """The jobs of a recipe of super-networks that some networks need."""
    stages = SHARED_RECIPES[recipe].branch_stages
    needed = {branch_of(code, stages) for code in codes}
    return [
        SharedTrainJob(seed, recipe, folders, branch, device)
        for branch in branches(stages)
        if branch in needed
    ]


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


def load_weights(path: Path) -> dict[str, Tensor]:
    """The weights in a result file, by name.

    Raises
    ------
    BenchmarkError
        Where the file is missing or holds none.
    """
    if not path.is_file():
        raise BenchmarkError(f"no super-network {path}; train it first: nasbench-imc build supernet")
    with np.load(path, allow_pickle=False) as held:
        weights = {
            name.removeprefix("state/"): torch.from_numpy(held[name])
            for name in held.files
            if name.startswith("state/")
        }
    if not weights:
        raise BenchmarkError(f"{path} holds no weights")
    return weights


def _save(
    path: Path,
    about: dict[str, Any],
    data: Cifar10,
    arrays: Mapping[str, np.ndarray],
    measured: Mapping[str, np.ndarray],
    device: str,
) -> None:
    about = {**about, "pixels": data.source, "torch": torch.__version__}
    archive.write(
        path,
        {"about": np.array(json.dumps(about, sort_keys=True)), **arrays},
        measured={**measured, "processor": np.array(processor(device)), "device": np.array(device)},
    )


@cache
def prepare(images: Path | None, cache: Path, device: str = "cpu") -> Cifar10:
    """Set torch up for equal results everywhere, and load the data; once a process.

    Raises
    ------
    BenchmarkError
        Where torch was imported with other instructions than those of :data:`jobs.ENVIRONMENT`, or finds
        no such device.
    """
    if torch.backends.cpu.get_cpu_capability() != "AVX2":
        raise BenchmarkError(
            "training must run with ATEN_CPU_CAPABILITY=avx2 and ONEDNN_MAX_CPU_ISA=AVX2 set before "
            "torch is imported, so that results are the same everywhere"
        )
    if device == "cuda" and not torch.cuda.is_available():
        raise BenchmarkError(f"torch {torch.__version__} finds no GPU; compute on the CPU (--device cpu)")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.allow_tf32 = False  # products in single precision, as on the CPU
    # Filling fresh memory guards against reads of what nobody wrote; it took 5 to 10 % of each step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return load(images, cache)


def processor(device: str = "cpu") -> str:
    """Name of the processor, as the kernel gives it, or of the GPU."""
    if device != "cpu":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
