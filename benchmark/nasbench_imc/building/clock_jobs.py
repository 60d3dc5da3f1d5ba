"""Clock jobs: what some networks take on an idle machine, kept as one small file."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nasbench_imc.building import archive, parts
from nasbench_imc.building.cifar10 import Cifar10, Images
from nasbench_imc.building.clock import NAMES
from nasbench_imc.building.codes import decode, encode
from nasbench_imc.building.crossbar.chip import Chip
from nasbench_imc.building.crossbar.devices import SECONDS
from nasbench_imc.building.crossbar.ranges import calibrate
from nasbench_imc.building.evaluation import IMAGES_A_DRAW, calibration_images, hits
from nasbench_imc.building.supernet import reestimate
from nasbench_imc.building.train_jobs import STATISTICS_BATCHES, Folders, prepare, processor
from nasbench_imc.building.training import Recipe, accuracy, arranged, train
from nasbench_imc.hardware import HardwareConfig, grid

_CHIP = "pcm-r128-adc8-mux4"  # in the middle of the analog configurations
_DIGITAL_CHIP = "sram-digital-r64"
_STEPS, _IMAGES, _BATCHES, _REPEATS = 8, 1_000, 2, 3


def measure(code: str, data: Cifar10) -> tuple[float, ...]:
    """Processor time of each of :data:`NAMES` [core-s]; of several, the median.

    Parameters
    ----------
    code : str
    data : Cifar10
    """
    recipe = Recipe(epochs=1)
    few = Cifar10(
        _first(data.train, _STEPS * recipe.batch),
        _first(data.validation, 1),
        _first(data.test, 1),
        data.source,
    )
    done = train(code, few, recipe, 0)
    step = float(np.median(done.seconds[1:])) / (_STEPS / len(done.seconds))  # the first warms up
    rng = torch.Generator().manual_seed(0)
    statistics = _median(lambda: reestimate(done.network, data.train, _BATCHES, rng)) / _BATCHES
    images = _first(data.validation, _IMAGES)
    forward = _median(lambda: accuracy(done.network, images)) / len(images)
    network, codes = decode(code, encode(done.network))
    arranged(network, "cpu")
    pixels = calibration_images(data.train)
    calibration = calibrate(network, pixels)
    calibrating = _median(lambda: calibrate(network, pixels))
    digital = Chip(network, codes, calibration, _config(_DIGITAL_CHIP), rng)
    exact = _median(lambda: hits(digital, images)) / len(images)
    chip = Chip(network, codes, calibration, _config(_CHIP), rng)
    of_draw = _first(data.validation, IMAGES_A_DRAW["search"])

    def draw() -> None:
        chip.program(rng)
        chip.read(SECONDS["1d"], rng)
        hits(chip, of_draw)

    return (
        step * (len(data.train) // recipe.batch),
        statistics * STATISTICS_BATCHES,
        forward * len(data.validation),
        calibrating + exact * len(data.validation),
        _median(draw),
    )


def _first(images: Images, count: int) -> Images:
    return Images(images.pixels[:count], images.labels[:count])


def _config(name: str) -> HardwareConfig:
    return next(config for config in grid() if config.id == name)


def _median(work: Callable[[], object]) -> float:
    work()
    taken = []
    for _ in range(_REPEATS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return float(np.median(taken))


@dataclass(frozen=True)
class ClockJob:
    """Times of some networks.

    Attributes
    ----------
    number : int
        Which part of the list it is.
    codes : tuple of str
    folders : Folders
    """

    number: int
    codes: tuple[str, ...]
    folders: Folders

    @property
    def path(self) -> Path:
        own = zlib.crc32(",".join(self.codes).encode("ascii"))  # parts of another list are other files
        return self.folders.out / "clock" / f"part-{self.number}-{own:08x}.npz"

    def run(self) -> None:
        """Write ``codes``, ``names`` and measured ``seconds`` (networks, :data:`NAMES`)."""
        data = prepare(self.folders.images, self.folders.cache)
        torch.set_flush_denormal(True)  # as in evaluation
        try:
            seconds = np.array([measure(code, data) for code in self.codes])
        finally:
            torch.set_flush_denormal(False)
        about = {"pixels": data.source, "torch": torch.__version__}
        archive.write(
            self.path,
            {
                "about": np.array(json.dumps(about, sort_keys=True)),
                "codes": np.array(self.codes, dtype="S"),
                "names": np.array(NAMES, dtype="S"),
            },
            measured={"seconds": seconds, "processor": np.array(processor())},
        )


def clock_jobs(codes: Sequence[str], folders: Folders) -> list[ClockJob]:
    """The jobs of a list of networks."""
    return [ClockJob(k, part, folders) for k, part in enumerate(parts.split(codes))]
