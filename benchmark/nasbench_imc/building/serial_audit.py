"""The surrogate of bit-serial arrays beside their exact simulation, on trained networks.

Both run on the same images and on devices of their own; four draws of devices on 125 test images each, for
every accuracy class of bit-serial configurations.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nasbench_imc.building import archive
from nasbench_imc.building.cifar10 import Images
from nasbench_imc.building.codes import decode
from nasbench_imc.building.crossbar.chip import Chip
from nasbench_imc.building.crossbar.devices import SECONDS
from nasbench_imc.building.crossbar.ranges import calibrate
from nasbench_imc.building.evaluation import calibration_images, declared_grid, hits, seed_of, subset
from nasbench_imc.building.train_jobs import Folders, TrainJob, prepare
from nasbench_imc.building.training import arranged
from nasbench_imc.errors import BenchmarkError
from nasbench_imc.files import replacing
from nasbench_imc.hardware import HardwareConfig

DRAWS = 4
IMAGES = 125  # a draw
AT = "1d"


def serial_configs() -> tuple[HardwareConfig, ...]:
    """One configuration of each accuracy class that a surrogate stands for."""
    found = {
        cell.config.accuracy_class: cell.config
        for cell in declared_grid()
        if cell.config.combine == "digital" and cell.config.adc_bits is not None
    }
    return tuple(found.values())


@dataclass(frozen=True)
class AuditJob:
    """Compare both on one trained network; fields as in ``TrainJob``."""

    code: str
    seed: int
    recipe: str
    folders: Folders

    @property
    def path(self) -> Path:
        return self.folders.out / "serial-audit" / self.recipe / f"seed-{self.seed}" / f"{self.code}.npz"

    @property
    def trained(self) -> Path:
        return TrainJob(self.code, self.seed, self.recipe, self.folders).path

    def run(self) -> None:
        """Write ``exact`` and ``surrogate``, (classes, draws), accuracies [%], and ``digital``, (draws,)."""
        data = prepare(self.folders.images, self.folders.cache)
        network, codes = decode(self.code, archive.read(self.trained))
        arranged(network, "cpu")
        calibration = calibrate(network, calibration_images(data.train))
        taken = subset("score", len(data.test))[:DRAWS, :IMAGES]
        parts = [Images(data.test.pixels[row], data.test.labels[row]) for row in taken]
        configs = serial_configs()
        accuracy = np.zeros((2, len(configs), DRAWS))
        torch.set_flush_denormal(True)
        for row, config in enumerate(configs):
            for exact in (0, 1):
                purpose = f"{config.accuracy_class} audit {exact}"
                rng = torch.Generator().manual_seed(seed_of(self.code, self.seed, purpose))
                chip = Chip(network, codes, calibration, config, rng, exact=bool(exact))
                for draw, images in enumerate(parts):
                    chip.read(SECONDS[AT], rng)
                    accuracy[exact, row, draw] = 100 * hits(chip, images).mean()
        digital = next(cell.config for cell in declared_grid() if cell.config.family == "sram-digital")
        plain = Chip(network, codes, calibration, digital, torch.Generator())
        archive.write(
            self.path,
            {
                "about": np.array(json.dumps({"code": self.code, "seed": self.seed, "recipe": self.recipe})),
                "classes": np.array([config.accuracy_class for config in configs], dtype="S"),
                "surrogate": accuracy[0],
                "exact": accuracy[1],
                "digital": np.array([100 * hits(plain, images).mean() for images in parts]),
            },
        )
        torch.set_flush_denormal(False)


def write_audit(paths: Iterable[Path], out: Path) -> list[Path]:
    """Write ``serial_audit.csv``, a row a network and class, and ``serial_audit.md``, what they say.

    Parameters
    ----------
    paths : iterable of pathlib.Path
        Files of audit jobs.
    out : pathlib.Path
        Folder.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    BenchmarkError
        Where there are none.
    """
    held = [archive.read(path) for path in paths]
    if not held:
        raise BenchmarkError("there are no audits to sum up")
    rows = [
        (
            json.loads(audit["about"].item())["code"],
            name.decode("ascii"),
            float(audit["digital"].mean()),
            float(audit["exact"][k].mean()),
            float(audit["surrogate"][k].mean()),
        )
        for audit in held
        for k, name in enumerate(audit["classes"])
    ]
    out.mkdir(parents=True, exist_ok=True)
    table, page = out / "serial_audit.csv", out / "serial_audit.md"
    with replacing(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["arch", "accuracy_class", "digital_%", "exact_%", "surrogate_%"])
        writer.writerows([code, name, *(f"{value:.2f}" for value in values)] for code, name, *values in rows)
    recipe = json.loads(held[0]["about"].item())["recipe"]
    with replacing(page) as temporary:
        temporary.write_text(_page(rows, recipe), encoding="utf-8")
    return [table, page]


def _page(rows: Sequence[tuple[str, str, float, float, float]], recipe: str) -> str:
    lines = [
        "# Bit-serial arrays: surrogate beside exact simulation",
        "",
        f"{len({row[0] for row in rows})} networks trained by `{recipe}`, JPEG copy of CIFAR-10; {DRAWS} "
        f"draws of the devices, {IMAGES} test images each, {AT} after programming. Both sides draw their own "
        "devices. One network's difference has a standard error of one to two points from draws and images "
        "alone, so single extremes say little; the means do. `nasbench-imc build serial-audit` makes this "
        "page again.",
        "",
        "| accuracy class | digital [%] | exact [%] | surrogate [%] | surrogate - exact, mean ± s.e. | s.d. "
        "| largest | loss, exact [points] |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row[1] for row in rows):
        own = [row for row in rows if row[1] == name]
        digital, exact, surrogate = (np.array([row[k] for row in own]) for k in (2, 3, 4))
        difference = surrogate - exact
        spread = float(difference.std(ddof=1)) if len(own) > 1 else math.nan
        worst = own[int(np.abs(difference).argmax())]
        lines.append(
            f"| {name} | {digital.mean():.2f} | {exact.mean():.2f} | {surrogate.mean():.2f} "
            f"| {difference.mean():+.2f} ± {spread / math.sqrt(len(own)):.2f} | {spread:.2f} "
            f"| {worst[4] - worst[3]:+.2f} ({worst[0]}) | {(digital - exact).mean():.2f} |"
        )
    return "\n".join([*lines, ""])
