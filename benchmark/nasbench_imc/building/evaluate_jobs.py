"""Evaluation jobs: a trained network's accuracy on all hardware, kept as one small file."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from nasbench_imc.building import archive
from nasbench_imc.building.codes import decode
from nasbench_imc.building.evaluation import COMPRESSIONS, declared_grid, evaluate
from nasbench_imc.building.train_jobs import Folders, TrainJob, prepare, processor
from nasbench_imc.building.training import mark_epochs
from nasbench_imc.errors import BenchmarkError


@dataclass(frozen=True)
class EvaluateJob:
    """Evaluate one trained network; fields as in :class:`~nasbench_imc.building.train_jobs.TrainJob`."""

    code: str
    seed: int
    recipe: str
    folders: Folders
    device: str = "cpu"

    @property
    def path(self) -> Path:
        return self.folders.out / "evaluation" / self.recipe / f"seed-{self.seed}" / f"{self.code}.npz"

    @property
    def trained(self) -> Path:
        """File of the training job whose codes are evaluated."""
        return TrainJob(self.code, self.seed, self.recipe, self.folders).path

    def run(self) -> None:
        """Evaluate, and write what :mod:`nasbench_imc.building.evaluation_files` reads.

        Raises
        ------
        BenchmarkError
            Where the network was not trained, or its recipe keeps no weights.
        """
        data = prepare(self.folders.images, self.folders.cache, self.device)
        try:
            held = archive.read(self.trained)
        except FileNotFoundError as error:
            raise BenchmarkError(
                f"{self.trained} is missing; run `nasbench-imc build train` first"
            ) from error
        network, codes = decode(self.code, held)
        torch.set_flush_denormal(True)  # attention weights near zero would take ten times as long
        began = time.process_time()
        try:
            done = evaluate(self.code, self.seed, network, codes, data, self.device)
        finally:
            torch.set_flush_denormal(False)
        seconds = time.process_time() - began if self.device == "cpu" else np.nan
        cells = declared_grid()
        inherited = "inherited_accuracy" in held
        curve = np.concatenate(
            [[held["inherited_accuracy"]] if inherited else [], held["validation_accuracy"]]
        )
        about = json.loads(held["about"].item())
        epochs = mark_epochs(about["recipe"]["epochs"], len(data.train) // about["recipe"]["batch"])
        archive.write(
            self.path,
            {
                "about": np.array(
                    json.dumps(
                        {
                            "code": self.code,
                            "seed": self.seed,
                            "protocol": self.recipe,
                            "recipe": about["recipe"],
                            "pixels": data.source,
                            "torch": torch.__version__,
                            "device": self.device,
                            "parameters": sum(each.numel() for each in network.parameters()),
                            "evaluator": evaluator(),
                        },
                        sort_keys=True,
                    )
                ),
                "compressions": np.array(COMPRESSIONS, dtype=np.float64),
                "cell_compression": np.array([cell.compression for cell in cells], dtype=np.int16),
                "cell_class": np.array([cell.config.accuracy_class for cell in cells], dtype="S"),
                "cell_time": np.array([cell.time for cell in cells], dtype="S3"),
                **{f"{part}_accuracy": values for part, values in done.accuracy.items()},
                **{f"{part}_subset": values for part, values in done.subset.items()},
                **{f"{part}_full": values for part, values in done.full.items()},
                "accuracy_digital": np.array([held["test_accuracy"], curve[-1]], dtype=np.float32),
                "curve_epochs": np.array([*([0.0] if inherited else []), *epochs]),
                "learning_curve": curve,
                "weights_sha256": np.array(weights_digest(held)),
            },
            measured={
                "training_seconds": _core_seconds(held, inherited),
                "evaluation_seconds": np.array(seconds),
                "processor": np.array(processor(self.device)),
            },
        )


#: Modules of this folder that decide what an evaluation comes to; the whole of ``crossbar`` does too.
_DECIDING = ("cifar10", "codes", "compression", "evaluation", "networks", "supernet", "training")


@cache
def evaluator() -> str:
    """SHA-256 of the source that decides what an evaluation comes to."""
    root, total = resources.files("nasbench_imc"), hashlib.sha256()
    names = [f"building/{name}.py" for name in _DECIDING]
    names += sorted(f"building/crossbar/{each.name}" for each in root.joinpath("building/crossbar").iterdir())
    names += ["hardware/config.py", "spaces/hybrid.py"]
    for name in names:
        if name.endswith(".py"):
            total.update(root.joinpath(name).read_bytes())
    return total.hexdigest()


def made_otherwise(jobs: Iterable[EvaluateJob]) -> list[Path]:
    """Files of jobs that are there but were made by other source or of other weights than there are now.

    They would be taken for done.
    """
    return [job.path for job in jobs if job.path.is_file() and not _is_current(job)]


def _is_current(job: EvaluateJob) -> bool:
    held = archive.read(job.path)
    if json.loads(held["about"].item()).get("evaluator") != evaluator():
        return False
    # Where the trained network is not at hand, nothing says that it has changed.
    return not job.trained.is_file() or held["weights_sha256"].item() == weights_digest(
        archive.read(job.trained)
    )


def _core_seconds(held: Mapping[str, np.ndarray], inherited: bool) -> np.ndarray:
    """What each entry of the learning curve took [core-s]; NaN where a GPU trained."""
    first = [held["measured/inheritance_seconds"]] if inherited else []
    seconds = np.concatenate([first, held["measured/seconds"]])
    on_cpu = str(held.get("measured/device", "cpu")) == "cpu"
    return seconds if on_cpu else np.full_like(seconds, np.nan)


def weights_digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of a network's kept weights (:func:`codes.encode`); other arrays are left out."""
    total = hashlib.sha256()
    for name in ("codes", "scales", "other"):
        total.update(np.ascontiguousarray(arrays[name]).tobytes())
    return total.hexdigest()
