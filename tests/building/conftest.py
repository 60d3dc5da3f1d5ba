from collections.abc import Callable

import numpy as np
import pytest

from nasbench_imc.building.cifar10 import Images


@pytest.fixture(scope="session")
def coloured() -> Callable[[int, int], Images]:
    """Makes images (count, seed) whose colour tells their class."""

    def make(count: int, seed: int) -> Images:
        rng = np.random.default_rng(seed)
        labels = rng.integers(10, size=count)
        colours = np.random.default_rng(0).integers(0, 256, size=(10, 3))
        pixels = colours[labels][:, None, None, :] + rng.normal(0, 20, size=(count, 32, 32, 3))
        return Images(pixels.clip(0, 255).astype(np.uint8), labels)

    return make


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """As in the jobs; more threads than free cores wait for each other in every operation."""
    try:
        import torch
    except ModuleNotFoundError:
        return
    torch.set_num_threads(1)
