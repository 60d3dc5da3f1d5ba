"""Training jobs: one network and seed each, kept as one compressed file of arrays."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from nasbench_imc.building.training import Recipe
from nasbench_imc.errors import BenchmarkError
from nasbench_imc.files import replacing

#: Recipes by name. ``reference``: what a network reaches when it is trained alone and long.
RECIPES = {"reference": Recipe(epochs=30)}


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

        The file holds ``validation_accuracy`` [%], ``training_loss`` and ``seconds`` [core-s] by epoch,
        ``test_accuracy`` [%], the network's state as ``state/NAME``, and ``about``: code, seed, recipe,
        pixels, torch version and processor, as JSON.
        """
        import torch

        from nasbench_imc.building.training import train

        if torch.backends.cpu.get_cpu_capability() != "AVX2":
            raise BenchmarkError(
                "training must run with ATEN_CPU_CAPABILITY=avx2 and ONEDNN_MAX_CPU_ISA=AVX2 set before "
                "torch is imported, so that results are the same everywhere"
            )
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        data = _data(self.images, self.cache)
        done = train(self.code, data, RECIPES[self.recipe], self.seed)
        about = {
            "code": self.code,
            "seed": self.seed,
            "recipe": asdict(RECIPES[self.recipe]),
            "pixels": data.source,
            "torch": torch.__version__,
            "processor": _processor(),
        }
        arrays = {
            "validation_accuracy": np.array(done.validation_accuracy),
            "training_loss": np.array(done.training_loss),
            "seconds": np.array(done.seconds),
            "test_accuracy": np.array(done.test_accuracy),
            "about": np.array(json.dumps(about, sort_keys=True)),
        }
        state = {f"state/{name}": value.numpy() for name, value in done.network.state_dict().items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays, **state)


@cache
def _data(images: Path | None, cache: Path):  # type: ignore[no-untyped-def]
    """One copy of the data a process."""
    from nasbench_imc.building.cifar10 import load

    return load(images, cache)


def _processor() -> str:
    """Name of the processor, as the kernel gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
