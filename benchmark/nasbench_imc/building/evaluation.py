"""Accuracy of a trained network on all hardware: the declared grid, and how each cell of it is measured.

A cell is a compression, an accuracy class and, where devices drift, a time. Its accuracy is measured on
2,000 test images (score labels) and 1,000 validation images (search labels), the same for all networks, split
over 8 draws of the devices, each with images of its own: at equal cost that halves the error of the mean.
Score and search draws differ. The exact digital network runs on all images, so that labels can be anchored to
it by paired differences.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from nasbench_imc.building.cifar10 import Cifar10, Images
from nasbench_imc.building.codes import Codes
from nasbench_imc.building.compression import compressed
from nasbench_imc.building.crossbar.chip import Chip
from nasbench_imc.building.crossbar.devices import SECONDS
from nasbench_imc.building.crossbar.ranges import calibrate
from nasbench_imc.building.networks import HybridNetwork
from nasbench_imc.building.training import arranged, normalised
from nasbench_imc.hardware import HardwareConfig, grid

#: Bits a weight and sparsity; all accuracy classes at the first, the reference chips' at the others.
COMPRESSIONS = ((8, 0.0), (4, 0.0), (8, 0.5), (4, 0.5))
DRAWS = 8
#: Since programming, of reference chips; families that are not here have one accuracy for every time. Data of
#: RRAM end at two days.
TIMES = {"pcm": ("1h", "1d", "30d"), "rram-sliced": ("1d",), "rram-analog": ("1d",)}
PLAIN_TIME = "1d"  # of all other classes of such a family, and of compressed networks

#: Images of each draw, by part.
IMAGES_A_DRAW = {"score": 250, "search": 125}
IMAGE_SEED = 20_262  # fixes which test and validation images those are
CALIBRATION_IMAGES = 128

DIGITAL = "sram-digital"
_PUBLISHED_ONLY = ("pcm-aihwkit-t512",)  # the chip of AnalogNAS-Bench, for nb201


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the declared grid.

    Attributes
    ----------
    compression : int
        Position in :data:`COMPRESSIONS`.
    config : HardwareConfig
        The first configuration of the accuracy class.
    time : str
        Since programming; "" where one accuracy serves every time.
    """

    compression: int
    config: HardwareConfig
    time: str


@cache
def declared_grid() -> tuple[Cell, ...]:
    """All cells, in the order in which they are stored."""
    first: dict[str, HardwareConfig] = {}
    for config in grid():
        if config.accuracy_class not in _PUBLISHED_ONLY:
            first.setdefault(config.accuracy_class, config)
    references = {config.accuracy_class for config in grid() if config.reference}
    cells: list[Cell] = []
    for compression in range(len(COMPRESSIONS)):
        for name, config in first.items():
            times = TIMES.get(config.family, ("",))
            if compression and name not in references:
                continue
            if config.family in TIMES and (compression or name not in references):
                times = (PLAIN_TIME,)
            cells.extend(Cell(compression, config, time) for time in times)
    return tuple(cells)


@dataclass(frozen=True)
class Evaluation:
    """Accuracies of a network, all in %.

    Attributes
    ----------
    accuracy : dict of str to numpy.ndarray, shape (cells, draws), float32
        By part, ``score`` and ``search``: on the images of each draw.
    subset : dict of str to numpy.ndarray, shape (compressions, draws), float32
        The exact digital network's on the same images.
    full : dict of str to numpy.ndarray, shape (compressions,), float32
        The exact digital network's on all test or validation images.
    """

    accuracy: Mapping[str, np.ndarray]
    subset: Mapping[str, np.ndarray]
    full: Mapping[str, np.ndarray]


def subset(part: str, available: int) -> np.ndarray:
    """Images of each draw.

    Returns
    -------
    numpy.ndarray, shape (draws, images), int64
        Positions among the ``available`` images; no image twice.
    """
    each = IMAGES_A_DRAW[part]
    bits = np.random.Philox(key=[IMAGE_SEED, zlib.crc32(part.encode("ascii"))]).random_raw(available)
    return np.argsort(bits, kind="stable")[: DRAWS * each].reshape(DRAWS, each)


def evaluate(
    code: str,
    seed: int,
    network: HybridNetwork,
    codes: Mapping[str, Codes],
    data: Cifar10,
    device: str = "cpu",
) -> Evaluation:
    """Measure all cells.

    Parameters
    ----------
    code : str
    seed : int
        Of training; with the code it seeds all draws.
    network : HybridNetwork
        With decoded weights.
    codes : mapping of str to Codes
    data : Cifar10
    device : str
        Where to compute, ``"cpu"`` or ``"cuda"``. All noise is drawn on the CPU; only rounding differs.
    """
    # Where tensors are made; on a CPU that is so anyway, and saying it costs a tenth of the time.
    with nullcontext() if device == "cpu" else torch.device(device):
        return _evaluate(code, seed, network.to(device), on_device(codes, device), data)


def on_device(codes: Mapping[str, Codes], device: str) -> dict[str, Codes]:
    """Codes moved to a device."""
    return {
        name: Codes(each.codes.to(device), each.scale.to(device), each.bits) for name, each in codes.items()
    }


def _evaluate(
    code: str, seed: int, network: HybridNetwork, codes: Mapping[str, Codes], data: Cifar10
) -> Evaluation:
    cells = declared_grid()
    parts = {"score": data.test, "search": data.validation}
    chosen = {part: subset(part, len(images)) for part, images in parts.items()}
    device = next(network.parameters()).device
    drawn = {part: [_drawn(parts[part], taken, device) for taken in chosen[part]] for part in parts}
    accuracy = {part: np.full((len(cells), DRAWS), np.nan, np.float32) for part in parts}
    exact = {part: np.full((len(COMPRESSIONS), DRAWS), np.nan, np.float32) for part in parts}
    full = {part: np.full(len(COMPRESSIONS), np.nan, np.float32) for part in parts}
    for number, (bits, sparsity) in enumerate(COMPRESSIONS):
        net, kept = compressed(network, codes, bits, sparsity, data.train, seed_of(code, seed, "statistics"))
        arranged(net, device.type)
        calibration = calibrate(net, calibration_images(data.train, device))
        for config, rows in _by_class(cells, number):
            # Every draw and reading has a generator of its own: none depends on which others are made.
            purpose = f"{config.accuracy_class} {bits} {sparsity}"
            chip = Chip(net, kept, calibration, config, _rng(code, seed, purpose))
            for part, images in parts.items():
                if config.family == DIGITAL:
                    every = hits(chip, images)
                    full[part][number] = 100 * every.mean()
                    exact[part][number] = 100 * every[chosen[part]].mean(axis=1)
                    accuracy[part][rows[0]] = exact[part][number]
                    continue
                for draw, (inputs, labels) in enumerate(drawn[part]):
                    chip.program(_rng(code, seed, f"{purpose} {part} {draw}"))
                    for row in rows:
                        time = cells[row].time or PLAIN_TIME
                        chip.read(SECONDS[time], _rng(code, seed, f"{purpose} {part} {draw} {time}"))
                        right = chip(inputs).argmax(1) == labels
                        accuracy[part][row, draw] = 100 * float(right.double().mean())
    return Evaluation(accuracy, exact, full)


def _drawn(images: Images, taken: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
    """Images of a draw, normalised once for all chips, and their labels."""
    pixels, labels = (torch.from_numpy(a[taken]).to(device) for a in (images.pixels, images.labels))
    return normalised(pixels), labels


def calibration_images(images: Images, device: torch.device | str = "cpu") -> Tensor:
    """The training images by which converters are set, normalised; the same for all networks."""
    bits = np.random.Philox(key=IMAGE_SEED).random_raw(len(images))
    taken = np.argsort(bits, kind="stable")[:CALIBRATION_IMAGES]
    return normalised(torch.from_numpy(images.pixels[taken]).to(device))


def _by_class(cells: tuple[Cell, ...], compression: int) -> Iterator[tuple[HardwareConfig, list[int]]]:
    """Configurations of a compression, each with its rows in the grid, earlier times first."""
    rows: dict[str, list[int]] = {}
    for row, cell in enumerate(cells):
        if cell.compression == compression:
            rows.setdefault(cell.config.id, []).append(row)
    for found in rows.values():
        yield cells[found[0]].config, found


def hits(chip: Chip, images: Images, batch: int = 250) -> np.ndarray:
    """Which images a chip names rightly; (n,), bool."""
    pixels = torch.from_numpy(images.pixels).to(chip.device)
    named = [chip(normalised(pixels[k : k + batch])).argmax(1) for k in range(0, len(pixels), batch)]
    return np.asarray(torch.cat(named).cpu().numpy() == images.labels)


def _rng(code: str, seed: int, purpose: str) -> torch.Generator:
    return torch.Generator().manual_seed(seed_of(code, seed, purpose))


def seed_of(code: str, seed: int, purpose: str) -> int:
    """A seed for each network, training seed and purpose."""
    words = [seed, *(zlib.crc32(text.encode("ascii")) for text in (code, purpose))]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(1))
